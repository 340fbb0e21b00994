/** @module Tests of what a running node finds of itself. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Finding } from "../../src/doctor/finding.ts";
import { call, startTestNode, TEST_SETTINGS, type TestNode } from "../test_node.ts";

interface Examination {
  readonly checkedAt: string;
  readonly checks: readonly string[];
  readonly findings: readonly Finding[];
}

async function examined(node: TestNode): Promise<Examination> {
  const { status, json } = await call(node, "GET", "/doctor");
  equal(status, 200);
  return json as Examination;
}

Deno.test("a healthy node finds nothing, and says what it looked at", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using node = await startTestNode({ database: { path: `${folder}/node.db` } });
    const { checkedAt, checks, findings } = await examined(node);
    deepEqual(findings, []);
    match(checkedAt, /^20\d\d-.*Z$/);
    ok(checks.includes("database") && checks.includes("node"), checks.join());
    ok(!checks.includes("port"), "it has its ports");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a node finds that its database was removed, or another file put there", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/node.db`;
    await using node = await startTestNode({ database: { path } });
    await Deno.rename(path, `${path}.away`);
    match((await examined(node)).findings[0]!.message, /^was removed/);
    await Deno.remove(`${path}.away`);
    await Deno.writeTextFile(path, "", { mode: 0o600 });
    const { findings } = await examined(node);
    deepEqual(findings.map(({ check, level, subject }) => [check, level, subject]), [[
      "database",
      "problem",
      path,
    ]]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a node asks its resolvers when a member goes by name", async () => {
  await using node = await startTestNode({
    names: { ...TEST_SETTINGS.names, timeout: 100, resolvers: [{ hostname: "127.0.0.1", port: 1 }] },
  });
  deepEqual((await examined(node)).findings, []);
  const { json } = await call(node, "POST", "/pools", { name: "web" });
  await call(node, "POST", `/pools/${(json as { id: string }).id}/members`, {
    target: "lb.example.net",
    port: 443,
  });
  const { findings } = await examined(node);
  deepEqual(findings.map(({ check, subject }) => [check, subject]), [["resolver", "resolver 127.0.0.1:1"]]);
});

Deno.test("those who ask at the same time get the same look", async () => {
  await using node = await startTestNode();
  const all = await Promise.all(Array.from({ length: 20 }, () => examined(node)));
  ok(new Set(all.map(({ checkedAt }) => checkedAt)).size < 20);
});
