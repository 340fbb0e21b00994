/** @module The log of a cluster over a real server: whole nodes with DNS and API. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { Settings } from "../../src/settings/settings.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { askFor, create, startTestNode, TEST_SETTINGS, type TestNode } from "../test_node.ts";
import { until } from "./nodes.ts";

function clusterNode(id: string, server: string): Promise<TestNode> {
  const state: Settings["state"] = {
    ...TEST_SETTINGS.state,
    ...{ heartbeatInterval: 500, heartbeatTTL: 5_000 },
    nats: { ...TEST_SETTINGS.state.nats, servers: [server] },
  };
  return startTestNode({ node: { id, region: id }, state });
}

testWith(["nats-server"], "what is written to one node is in another one's answers", async () => {
  await using server = await NatsServer.start();
  await using a = await clusterNode("a", server.url);
  await using b = await clusterNode("b", server.url);
  const pool = await create(a, "/pools", { name: "web", onAllDown: "all" });
  await create(a, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await create(a, "/services", { domain: "www.example.org", poolId: pool });
  await until(() => b.node.store.services.byDomain("www.example.org"), (service) => service !== null);
  await until(() => b.node.store.generation(), (generation) => generation >= 3);
  await b.node.settled(b.node.store.generation());
  deepEqual(await askFor(b, "www.example.org"), ["192.0.2.1"]);
  await create(b, `/pools/${pool}/members`, { ipAddress: "192.0.2.2", port: 443 });
  await until(() => a.node.store.members.rowsOf(pool).length, (count) => count === 2);
  deepEqual(
    a.node.store.members.rowsOf(pool).map(({ id, seq }) => [id, seq]),
    b.node.store.members.rowsOf(pool).map(({ id, seq }) => [id, seq]),
  );
  const entry = b.node.store.history.get(1)!;
  equal(entry.via, "cluster");
  ok(entry.reason.startsWith("at a"));
});
