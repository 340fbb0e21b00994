/** @module The log of a cluster over a real server: whole nodes with DNS and API. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Settings } from "../../src/settings/settings.ts";
import { digestOf } from "../../src/change/digest.ts";
import { newKeyPair } from "../../src/cluster/signing.ts";
import { pause } from "../clock.ts";
import { NatsCluster } from "../nats/cluster.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { askFor, call, create, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

function clusterNode(
  id: string,
  server: string | readonly string[] | null,
  { path = ":memory:", replicas = 1, ...more }: Partial<Settings["state"]> & {
    readonly path?: string;
    readonly replicas?: number;
  } = {},
): Promise<TestNode> {
  const { nats } = TEST_SETTINGS.state;
  const state: Settings["state"] = {
    ...TEST_SETTINGS.state,
    ...{ heartbeatInterval: 500, heartbeatTTL: 5_000 },
    ...more,
    nats: {
      ...nats,
      servers: server === null ? [] : [server].flat(),
      jetStream: { ...nats.jetStream, replicas },
    },
  };
  return startTestNode({ node: { id, region: id }, state, database: { path } });
}

/** Until all have the same, and nothing is pending; however long it takes. */
async function agree(nodes: readonly TestNode[]): Promise<void> {
  const isOne = () =>
    new Set(nodes.map(({ node: { store } }) => store.log.position().head)).size === 1 &&
    nodes.every(({ node: { store } }) => store.log.pendingCount() === 0);
  for (let turn = 0; !isOne(); turn++) await pause(turn);
  equal(new Set(nodes.map(({ node: { store } }) => digestOf(store).value)).size, 1);
}

/** As `/status` has it. */
async function logOf(node: TestNode): Promise<Record<string, unknown>> {
  return ((await call(node, "GET", "/status")).json as { log: Record<string, unknown> }).log;
}

testWith(["nats-server"], "what is written to one node is in another one's answers", async () => {
  await using server = await NatsServer.start();
  await using a = await clusterNode("a", server.url);
  await using b = await clusterNode("b", server.url);
  const pool = await create(a, "/pools", { name: "web", onAllDown: "all" });
  await create(a, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await create(a, "/services", { domain: "www.example.org", poolId: pool });
  await agree([a, b]);
  await b.node.settled(b.node.store.generation());
  deepEqual(await askFor(b, "www.example.org"), ["192.0.2.1"]);
  await create(b, `/pools/${pool}/members`, { ipAddress: "192.0.2.2", port: 443 });
  await agree([a, b]);
  const places = ({ node: { store } }: TestNode) =>
    store.members.rowsOf(pool).map(({ id, seq }) => [id, seq]);
  equal(places(a).length, 2);
  deepEqual(places(a), places(b));
  const entry = b.node.store.history.get(1)!;
  equal(entry.via, "cluster");
  ok(entry.reason.startsWith("at a"));
});

testWith(
  ["nats-server"],
  "nodes away from the server answer for themselves, and agree when it is back, wiped or not",
  async () => {
    await using server = await NatsServer.start();
    await using a = await clusterNode("a", server.url);
    await using b = await clusterNode("b", server.url);
    await using c = await clusterNode("c", server.url, { offlineEdits: "refuse" });
    const nodes = [a, b, c];
    const pool = await create(a, "/pools", { name: "web", onAllDown: "all", maxAnswers: 0 });
    const member = await create(a, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
    await create(a, "/services", { domain: "www.example.org", poolId: pool });
    await agree(nodes);
    for (const wipe of [false, true]) {
      await server.kill({ wipe });
      await until(() => Promise.all(nodes.map(logOf)), (logs) => logs.every(({ current }) => !current));
      const metrics = async () => await (await fetch(a.api.replace("/api/v1", "/metrics"))).text();
      await until(metrics, (text) => /^pleiades_state_nats_connected\{[^}]*\} 0$/m.test(text));
      // On all of them at once, and on one of them what another deletes.
      await create(a, "/pools", { name: `spare-${wipe}`, onAllDown: "all" });
      await create(a, `/pools/${pool}/members`, { ipAddress: wipe ? "192.0.2.3" : "192.0.2.2", port: 443 });
      const written = await fetch(`${b.api}/pools`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name: `spare-${wipe}`, onAllDown: "all" }),
      });
      deepEqual([written.status, written.headers.get("pleiades-log")], [201, "pending"]);
      await written.body?.cancel();
      const refused = await call(c, "POST", "/pools", { name: "c", onAllDown: "all" });
      equal(refused.status, 503);
      match(JSON.stringify(refused.json), /state.offlineEdits is refuse/);
      const override = {
        ...{ target: `member:${member}`, state: "down", reason: "disks", owner: "ann" },
        expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      };
      if (wipe) await create(c, "/overrides", override);
      equal((await logOf(a))["pending"], 2);
      deepEqual((await askFor(a, "www.example.org")).sort().slice(0, 2), ["192.0.2.1", "192.0.2.2"]);
      await server.start();
      await agree(nodes);
      const found = nodes.reduce((sum, { node: { store } }) => sum + store.log.conflictCount(), 0);
      equal(found, wipe ? 2 : 1);
      ok(a.node.store.pools.byName(`spare-${wipe}`));
    }
    equal(b.node.store.members.rowsOf(pool).length, 3);
    equal(a.node.store.overrides.count(), 1);
    const told = nodes.flatMap(({ node: { events } }) =>
      events.since(0).events.filter(({ event: { kind } }) => kind === "conflict")
    );
    equal(told.length, 2);
  },
);

testWith(["nats-server"], "three nodes with a writer each have all edits in one order", async () => {
  await using server = await NatsServer.start();
  await using a = await clusterNode("a", server.url);
  await using b = await clusterNode("b", server.url);
  await using c = await clusterNode("c", server.url);
  const nodes = [a, b, c];
  const pool = await create(a, "/pools", { name: "web", onAllDown: "all" });
  await agree(nodes);
  const writes = 10;
  await Promise.all(nodes.map(async (node, n) => {
    for (let i = 1; i <= writes; i++) {
      await create(node, `/pools/${pool}/members`, { ipAddress: `192.0.2.${n * writes + i}`, port: 443 });
    }
  }));
  await agree(nodes);
  equal(a.node.store.members.rowsOf(pool).length, 3 * writes);
  equal(a.node.store.log.position().stamp, 1 + 3 * writes);
  const orders = nodes.map(({ node: { store } }) =>
    store.members.rowsOf(pool).map(({ id, seq }) => `${id} ${seq}`).join()
  );
  equal(new Set(orders).size, 1);
});

testWith(
  ["nats-server"],
  "a large change lies beside the log, signed and with three replicas; who comes later has it, also when all was deleted, " +
    "unless it has a model of its own",
  async () => {
    await using folder = await temporaryFolder();
    await using cluster = await NatsCluster.start(3);
    const servers = cluster.servers.map(({ url }) => url);
    const { privateKey, publicKey } = await newKeyPair();
    const start = (id: string) => {
      const signing = { key: privateKey, keys: [publicKey] };
      return clusterNode(id, servers, { path: `${folder.path}/${id}.db`, replicas: 3, signing });
    };
    {
      await using own = await clusterNode("own", null, { path: `${folder.path}/own.db` });
      await create(own, "/pools", { name: "mine", onAllDown: "all" });
    }
    await using a = await start("a");
    await using b = await start("b");
    const services = 1_200;
    const lines = Array.from({ length: services }, (_, i) => `{"service":{"domain":"s${i}.example.org"}}\n`);
    const applied = await fetch(`${a.api}/apply`, {
      method: "POST",
      headers: { "content-type": "application/x-ndjson" },
      body: lines.join(""),
    });
    deepEqual([applied.status, (await applied.json()).services], [200, services]);
    await agree([a, b]);
    equal(b.node.store.services.count(), services);
    // Nodes wait for each other: none writes its file every few changes.
    deepEqual({ ...b.node.store.database.get<object>("PRAGMA wal_autocheckpoint") }, {
      wal_autocheckpoint: 32_000,
    });
    // An operator deletes the log, and the bucket with what lies beside it.
    await cluster.managed(async (manager) => {
      for (const stream of ["GSLB_TEST_LOG", "KV_gslb_test_config"]) {
        equal((await manager.streams.info(stream)).config.num_replicas, 3);
        await manager.streams.delete(stream);
      }
    });
    await create(b, "/services", { domain: "more.example.org" });
    await agree([a, b]);
    await using empty = await start("empty");
    await agree([a, b, empty]);
    equal(empty.node.store.services.count(), services + 1);
    for (const { lines } of [a, b, empty]) deepEqual(lines.filter((line) => /isn't believed/.test(line)), []);

    await using own = await start("own");
    const { fault } = await until(() => logOf(own), ({ fault }) => fault !== null);
    match(String(fault), /this node has a model of its own/);
    deepEqual([...own.node.store.pools.each()].map(({ name }) => name), ["mine"]);
    await create(own, "/pools", { name: "stays", onAllDown: "all" });
    await create(a, "/pools", { name: "web", onAllDown: "all" });
    await agree([a, b, empty]);
    equal(a.node.store.pools.count(), 1);
  },
);

async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "pleiades-log-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
