/**
 * Members by name on a whole node, with a resolver that changes its mind.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { askFor, create, startTestNode, until } from "../test_node.ts";
import { LoopbackResolver } from "./resolver.ts";

/** As short as a test wants it; operators can't set less than a second. */
function namesOf(...resolvers: LoopbackResolver[]) {
  return { resolvers: resolvers.map(({ address }) => address), minTtl: 50, maxTtl: 300_000, timeout: 300 };
}

async function startWith(resolver: LoopbackResolver) {
  return await startTestNode({ names: namesOf(resolver) });
}

Deno.test("a member by name is answered with the addresses of its name, and follows them", async () => {
  await using resolver = new LoopbackResolver({
    "web.example.net": { a: ["192.0.2.7"], aaaa: ["2001:db8::7"], ttl: 0 },
  });
  await using node = await startWith(resolver);
  const poolId = await create(node, "/pools", { name: "web", maxAnswers: 0 });
  await create(node, `/pools/${poolId}/members`, { target: "web.example.net", port: 443 });
  await create(node, "/services", { domain: "www.example.com", poolId });
  deepEqual(await until(() => askFor(node, "www.example.com"), (data) => data.length > 0), ["192.0.2.7"]);
  deepEqual(await askFor(node, "www.example.com", "AAAA"), ["2001:db8::7"]);
  resolver.says["web.example.net"] = { a: ["192.0.2.9", "192.0.2.8"], ttl: 0 };
  const changed = await until(() => askFor(node, "www.example.com"), (data) => !data.includes("192.0.2.7"));
  deepEqual(changed.sort(), ["192.0.2.8", "192.0.2.9"]);
});
