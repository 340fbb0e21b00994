/**
 * Creates that are sent twice.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type ApiWorld, apiWorld } from "./api_world.ts";

function create(world: ApiWorld, key: string, body: unknown, query = ""): Promise<Response> {
  return world.send(`POST /api/v1/pools${query}`, { body, headers: { "idempotency-key": key } });
}

Deno.test("the same create with the same key happens once and gets the same answer", async () => {
  using world = apiWorld();
  const first = await create(world, "k1", { name: "web" });
  const second = await create(world, "k1", { name: "web" });
  assert.equal(second.status, 201);
  assert.equal(second.headers.get("location"), first.headers.get("location"));
  assert.equal(second.headers.get("etag"), first.headers.get("etag"));
  assert.deepEqual(await second.json(), await first.json());
  assert.equal(world.store.pools.count(), 1);
});

Deno.test("two creates with one key that overlap happen once", async () => {
  const { parts } = apiWorld();
  parts.store.close();
  const { promise, resolve } = Promise.withResolvers<void>();
  using world = apiWorld({ node: { ...parts.node, settled: () => promise } });
  const both = [create(world, "k1", { name: "web" }), create(world, "k1", { name: "web" })];
  resolve();
  const [first, second] = await Promise.all(both);
  assert.deepEqual([first!.status, second!.status], [201, 201]);
  assert.deepEqual(await second!.json(), await first!.json());
});

Deno.test("a key that was used for another body, path or query is 422", async () => {
  using world = apiWorld();
  await create(world, "k1", { name: "web" });
  assert.equal((await create(world, "k1", { name: "other" })).status, 422);
  assert.equal((await create(world, "k1", { name: "web" }, "?reason=x")).status, 422);
  assert.equal(world.store.pools.count(), 1);
});

Deno.test("one key may be used on two collections", async () => {
  using world = apiWorld();
  await create(world, "k1", { name: "web" });
  const headers = { "idempotency-key": "k1" };
  const response = await world.send("POST /api/v1/services", {
    body: { domain: "www.example.com" },
    headers,
  });
  assert.equal(response.status, 201);
});

Deno.test("a refused create may be retried with its key", async () => {
  using world = apiWorld();
  const pool = await world.create("/pools", { name: "web" });
  assert.equal((await create(world, "k1", { name: "web" })).status, 409);
  await world.send(`DELETE /api/v1/pools/${pool.id}`);
  assert.equal((await create(world, "k1", { name: "web" })).status, 201);
});

Deno.test("a dry run doesn't use up its key", async () => {
  using world = apiWorld();
  assert.equal((await create(world, "k1", { name: "web" }, "?dryRun=true")).status, 200);
  assert.equal((await create(world, "k1", { name: "web" })).status, 201);
});

Deno.test("after ten minutes a key is forgotten", async () => {
  using world = apiWorld();
  await create(world, "k1", { name: "web" });
  await world.clock.advance(599_999);
  assert.equal((await create(world, "k1", { name: "web" })).status, 201);
  await world.clock.advance(1);
  assert.equal((await create(world, "k1", { name: "web" })).status, 409);
});

Deno.test("beyond 4096 keys the oldest is forgotten", async () => {
  using world = apiWorld();
  for (let i = 0; i < 4_097; i++) await create(world, `k${i}`, { name: `pool-${i}` });
  assert.equal((await create(world, "k4096", { name: "pool-4096" })).status, 201);
  assert.equal((await create(world, "k0", { name: "pool-0" })).status, 409);
});

for (const [what, key] of [["a space", "a b"], ["256 characters", "k".repeat(256)]] as const) {
  Deno.test(`a key with ${what} is 400`, async () => {
    using world = apiWorld();
    assert.equal((await create(world, key, { name: "web" })).status, 400);
  });
}
