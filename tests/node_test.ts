/** @module A whole node on real sockets: what is changed by REST and what DNS then answers. */
import assert from "node:assert/strict";
import { askFor, startTestNode, type TestNode } from "./test_node.ts";

async function call(
  node: TestNode,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await fetch(`${node.api}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await response.text();
  return { status: response.status, json: text === "" ? {} : JSON.parse(text) };
}

Deno.test("a change by REST is in the next answer when the call returns", async () => {
  await using node = await startTestNode();
  const pool = await call(node, "POST", "/pools", { name: "web", maxAnswers: 0 });
  const members = `/pools/${pool.json.id}/members`;
  const member = await call(node, "POST", members, { ipAddress: "192.0.2.1", port: 443 });
  await call(node, "POST", "/services", { domain: "WWW.Example.com.", poolId: pool.json.id });
  assert.deepEqual(await askFor(node, "www.example.com"), ["192.0.2.1"]);

  await call(node, "POST", members, { ipAddress: "192.0.2.2", port: 443 });
  assert.deepEqual((await askFor(node, "wWw.eXample.com")).sort(), ["192.0.2.1", "192.0.2.2"]);

  await call(node, "PATCH", `/members/${member.json.id}`, { enabled: false });
  assert.deepEqual(await askFor(node, "www.example.com"), ["192.0.2.2"]);

  await call(node, "DELETE", `/pools/${pool.json.id}`);
  assert.deepEqual(await askFor(node, "www.example.com"), []);
});
