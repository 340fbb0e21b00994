/**
 * The history over REST.
 *
 * @module
 */
import assert from "node:assert/strict";
import { apiWorld } from "./api_world.ts";

Deno.test("the history lists what was changed, the newest first", async () => {
  using world = apiWorld();
  await world.create("/pools?reason=one", { name: "one" });
  await world.create("/pools?reason=two", { name: "two" });
  const entry = { at: "2026-01-01T00:00:00.000Z", via: "api", by: "" };
  assert.deepEqual(await (await world.send("GET /api/v1/history")).json(), [
    { generation: 2, ...entry, reason: "two" },
    { generation: 1, ...entry, reason: "one" },
  ]);
});

Deno.test("a generation shows each object before and after", async () => {
  using world = apiWorld();
  const { id } = await world.create("/services", { domain: "www.example.com" });
  await world.send(`PATCH /api/v1/services/${id}`, { body: { ttl: 5 } });
  const { changes, truncated } = await (await world.send("GET /api/v1/history/2")).json();
  const service = { id, domain: "www.example.com", poolId: null, ttl: 30, minTtl: 0, ecs: true };
  const named = { name: "www.example.com", action: "changed", with: null };
  assert.deepEqual(changes, [{
    kind: "service",
    id,
    before: service,
    after: { ...service, ttl: 5 },
    ...named,
  }]);
  assert.equal(truncated, false);
});

Deno.test("an override in the history has its times as everywhere else", async () => {
  using world = apiWorld();
  const { id } = await world.create("/pools", { name: "web" });
  const fields = { target: `pool:${id}`, state: "down", reason: "test", owner: "ops", for: "1h" };
  const made = await world.create<Record<string, unknown>>("/overrides", fields);
  const { at, changes } = await (await world.send("GET /api/v1/history/2")).json();
  assert.equal(at, "2026-01-01T00:00:00.000Z");
  const [{ after }] = changes;
  assert.deepEqual(
    [after.startsAt, after.expiresAt],
    [made["startsAt"], made["expiresAt"]],
  );
  assert.equal(after.expiresAt, "2026-01-01T01:00:00.000Z");
});

Deno.test("a generation with very many changes shows the first thousand and says so", async () => {
  using world = apiWorld();
  const lines = Array.from({ length: 1_001 }, (_, i) => `{"service":{"domain":"s${i}.example.com"}}\n`);
  await world.send("POST /api/v1/apply", {
    body: lines.join(""),
    headers: { "content-type": "application/x-ndjson" },
  });
  const { changes, truncated } = await (await world.send("GET /api/v1/history/1")).json();
  assert.deepEqual([changes.length, truncated], [1_000, true]);
});

for (const generation of ["7", "0", "latest", "-1"]) {
  Deno.test(`generation ${generation} of an empty history is 404`, async () => {
    using world = apiWorld();
    assert.equal((await world.send(`GET /api/v1/history/${generation}`)).status, 404);
  });
}

Deno.test("a generation that is forgotten is 410, and it says what is kept", async () => {
  using world = apiWorld();
  world.changes.use({ keep: 2, maxBytes: 1024 * 1024 });
  for (const domain of ["a", "b", "c", "d"]) {
    await world.create("/services", { domain: `${domain}.example.com` });
  }
  const response = await world.send("GET /api/v1/history/2");
  assert.equal(response.status, 410);
  const detail = "Generation 2 was deleted: the history begins with 3 " +
    "(history.keep and history.maxBytes say how much is kept)";
  assert.equal((await response.json()).detail, detail);
  assert.equal((await world.send("GET /api/v1/history/3")).status, 200);
  assert.equal((await world.send("GET /api/v1/history/5")).status, 404);
  assert.deepEqual((await (await world.send("GET /api/v1/history")).json()).length, 2);
});
