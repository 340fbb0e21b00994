/**
 * What the node says of itself.
 *
 * @module
 */
import assert from "node:assert/strict";
import { apiWorld } from "./api_world.ts";

for (const path of ["/api/v1/health", "/healthz", "/readyz"]) {
  Deno.test(`${path} answers {"status":"ok"}`, async () => {
    using world = apiWorld();
    const response = await world.send(`GET ${path}`);
    assert.equal(response.status, 200);
    assert.equal(await response.text(), `{"status":"ok"}`);
  });
}

Deno.test("a node that doesn't answer DNS is alive and not ready", async () => {
  using world = apiWorld();
  world.parts.node.unready = () => "The node doesn't answer DNS yet, or no longer";
  assert.equal((await world.send("GET /healthz")).status, 200);
  const response = await world.send("GET /readyz");
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  assert.equal((await (await world.send("GET /api/v1/status")).json()).ready, false);
});

Deno.test("/status shows the version, the generation and what the node tells", async () => {
  using world = apiWorld();
  await world.create("/pools", { name: "web" });
  assert.deepEqual(await (await world.send("GET /api/v1/status")).json(), {
    version: "0.0.0-test",
    generation: 1,
    ready: true,
    node: { id: "node-1", region: "eu" },
    cluster: { id: "default" },
    uptimeSeconds: 12.5,
    dns: {
      listeners: [{ transport: "udp", address: "127.0.0.1:5353" }],
      answers: 42,
      workers: 1,
      udp: { transport: "linux", reason: null },
      limited: { denied: 1, refused: 2, rate: 3, amplification: 4, overload: 5 },
    },
    health: { healthy: 1, unhealthy: 0, unknown: 0 },
    pools: { total: 1, down: 0, downPools: [] },
    overrides: { active: 0, planned: 0 },
    license: {
      ...{ state: "off", reason: null, tier: null, id: null, limit: null, used: 0, expiresAt: null },
      warnings: [],
    },
    gitops: { state: "off", commit: null, signer: null, drift: 0, problem: null },
  });
});

Deno.test("/status names the active nodes of those that share what they find", async () => {
  const { parts } = apiWorld();
  const policy = { policy: "global-quorum", quorumMinPercent: 67, sight: "sees", differing: 2 } as const;
  const nodes = [
    { node: "b", boot: "1", region: "us", heartbeatAgeMs: 1_500 },
    { node: "old", boot: "2", region: "", heartbeatAgeMs: 0 },
  ];
  const log = { entries: 12, behind: 0, pending: 0 };
  const models = new Map([
    ["a", { generation: 14, digest: 1, log }],
    ["b", { generation: 90, digest: 2, log }],
  ]);
  const nats = { server: null, fault: null, storeFault: null, remarks: [], isIdTaken: false, models };
  const status = () => ({ ...parts.node.status(), peers: { ...policy, node: "a", nodes }, nats });
  using world = apiWorld({ node: { ...parts.node, status } });
  parts.store.close();
  const told = await (await world.send("GET /api/v1/status")).json();
  assert.deepEqual(told.peers, {
    ...policy,
    nodes: [
      { id: "b", region: "us", heartbeatAgeSeconds: 1.5, model: { ...models.get("b"), differs: true } },
      { id: "old", region: "", heartbeatAgeSeconds: 0, model: null },
    ],
  });
});

Deno.test("/status tells how the license stands, with its end as a date", async () => {
  const { parts } = apiWorld();
  const license = {
    state: "valid",
    ...{ reason: null, tier: "paid", id: "acme-7", limit: 1000, used: 812 },
    warnings: ["Do this"],
  } as const;
  const status = () => ({ ...parts.node.status(), license: { ...license, expiresMs: 1_767_225_600_000 } });
  using world = apiWorld({ node: { ...parts.node, status } });
  parts.store.close();
  const told = await (await world.send("GET /api/v1/status")).json();
  assert.deepEqual(told.license, { ...license, expiresAt: "2026-01-01T00:00:00.000Z" });
});

Deno.test("/status names the pools that are down, and what is answered instead", async () => {
  const { parts } = apiWorld();
  const down = { members: 3, eligible: 0, answersWhenDown: "answering all" };
  const pools = [
    { id: "1", name: "web", family: null, ...down },
    { id: "2", name: "shop", family: 4, ...down, answersWhenDown: "NODATA for A" },
  ] as const;
  const status = () => ({ ...parts.node.status(), poolsDown: { count: 7, pools } });
  using world = apiWorld({ node: { ...parts.node, status } });
  parts.store.close();
  const told = await (await world.send("GET /api/v1/status")).json();
  assert.deepEqual(told.pools, {
    total: 0,
    down: 7,
    downPools: [
      { id: "1", name: "web", family: null, members: 3, healthy: 0, answers: "answering all" },
      { id: "2", name: "shop", family: "v4", members: 3, healthy: 0, answers: "NODATA for A" },
    ],
  });
});

Deno.test("/metrics is the exposition, and 404 where metrics are served elsewhere or not at all", async () => {
  using world = apiWorld();
  const response = await world.send("GET /metrics");
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(await response.text(), "pleiades_up 1\n");
  using without = apiWorld({ exposeMetrics: null });
  assert.equal((await without.send("GET /metrics")).status, 404);
});
