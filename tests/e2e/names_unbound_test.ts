/**
 * Members by name behind a real resolver: unbound caches what a name server says that changes its mind, follows aliases
 * and counts TTLs down, and the node follows within the TTL.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import type { SocketAddress } from "../../src/ip.ts";
import { LoopbackResolver } from "../resolver/resolver.ts";
import { testWith } from "../programs.ts";
import { askFor, create, startTestNode, until } from "../test_node.ts";
import { Unbound } from "./unbound.ts";

testWith(["unbound"], "addresses change behind unbound, and answers follow within the TTL", async () => {
  await using authority = new LoopbackResolver({
    "web.example.net": { a: ["192.0.2.7"], aaaa: ["2001:db8::7"], ttl: 2 },
  });
  await using unbound = await Unbound.start(forwarding(authority.address));
  await using node = await startTestNode({
    names: { resolvers: [unbound.address], minTtl: 1000, maxTtl: 300_000, timeout: 2000 },
  });
  const poolId = await create(node, "/pools", { name: "web", maxAnswers: 0 });
  await create(node, `/pools/${poolId}/members`, { target: "web.example.net", port: 443 });
  await create(node, "/services", { domain: "www.example.com", poolId });
  await until(() => askFor(node, "www.example.com"), (data) => data.length > 0);
  deepEqual(await askFor(node, "www.example.com"), ["192.0.2.7"]);
  deepEqual(await askFor(node, "www.example.com", "AAAA"), ["2001:db8::7"]);
  authority.says["web.example.net"] = { a: ["192.0.2.8", "192.0.2.9"], ttl: 2 };
  const changedMs = performance.now();
  await until(() => askFor(node, "www.example.com"), (data) => data.sort().join() === "192.0.2.8,192.0.2.9");
  // What unbound has is up to 2 s old; we ask again up to a tenth later, and then after its rest, at least 1 s.
  const tookMs = performance.now() - changedMs;
  // A busy machine adds some; without the TTL it would be five minutes.
  ok(tookMs < 60_000, `${tookMs} ms`);
});

/** Everything below example.net is asked of one server. */
function forwarding({ hostname, port }: SocketAddress): string {
  return `
forward-zone:
  name: "example.net"
  forward-addr: ${hostname}@${port}
`;
}
