/**
 * What only pools have: what hangs on them, and where their deletion leads.
 *
 * @module
 */
import assert from "node:assert/strict";
import { apiWorld } from "./api_world.ts";

Deno.test("deleting a pool takes its members along and leaves its services without one", async () => {
  using world = apiWorld();
  const pool = await world.create("/pools", { name: "web" });
  const member = await world.create(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.1", port: 80 });
  const service = await world.create("/services", { domain: "www.example.com", poolId: pool.id });
  assert.equal((await world.send(`DELETE /api/v1/pools/${pool.id}`)).status, 204);
  assert.equal((await world.send(`GET /api/v1/members/${member.id}`)).status, 404);
  assert.equal((await (await world.send(`GET /api/v1/services/${service.id}`)).json()).poolId, null);
});

Deno.test("a pool that is somebody's fallback isn't deleted", async () => {
  using world = apiWorld();
  const backup = await world.create("/pools", { name: "backup" });
  await world.create("/pools", { name: "web", onAllDown: "fallback", fallbackPoolId: backup.id });
  const generation = world.store.generation();
  const response = await world.send(`DELETE /api/v1/pools/${backup.id}`);
  assert.equal(response.status, 422);
  assert.equal(world.store.generation(), generation);
});

Deno.test("two pools can't be each other's fallback", async () => {
  using world = apiWorld();
  const one = await world.create("/pools", { name: "one" });
  const two = await world.create("/pools", { name: "two", onAllDown: "fallback", fallbackPoolId: one.id });
  const body = { onAllDown: "fallback", fallbackPoolId: two.id };
  const response = await world.send(`PATCH /api/v1/pools/${one.id}`, { body });
  assert.equal(response.status, 400);
  assert.equal((await response.json()).errors[0].pointer, "/fallbackPoolId");
});

Deno.test("a PUT that changes nothing makes no generation and keeps the ETag", async () => {
  using world = apiWorld();
  const pool = await world.create("/pools", { name: "web" });
  const response = await world.send(`PUT /api/v1/pools/${pool.id}`, { body: { name: "web" } });
  assert.equal(response.headers.get("etag"), `"1"`);
  assert.equal(world.store.generation(), 1);
});

Deno.test("/pool-states tells of each pool how many of its members may be answered", async () => {
  const { parts } = apiWorld();
  const state = { name: "web", members: 3, eligible: 2, answersWhenDown: "answering all" };
  const poolState = (id: string) => id === web.id ? state : null;
  using world = apiWorld({ node: { ...parts.node, poolState } });
  parts.store.close();
  const web = await world.create("/pools", { name: "web" });
  const empty = await world.create("/pools", { name: "empty" });
  const first = await world.send("GET /api/v1/pool-states?limit=1");
  assert.deepEqual(await first.json(), [{
    poolId: empty.id,
    members: 0,
    healthy: 0,
    answersWhenDown: "NODATA",
  }]);
  const [, next] = /<([^>]*)>/.exec(first.headers.get("link")!)!;
  assert.deepEqual(await (await world.send(`GET ${next}`)).json(), [
    { poolId: web.id, members: 3, healthy: 2, answersWhenDown: "answering all" },
  ]);
});

Deno.test("others have their turns while the states of many pools are told", async () => {
  const { parts } = apiWorld();
  parts.store.close();
  let nowMs = 0;
  let turns = 0;
  const poolState = (id: string) => {
    nowMs += 2;
    return { name: id, members: 1, eligible: 1, answersWhenDown: "answering all" };
  };
  const clock = {
    unixMs: () => 0,
    monotonicMs: () => nowMs,
    sleep: () => Promise.resolve(void turns++),
  };
  using world = apiWorld({ node: { ...parts.node, poolState }, clock });
  const ids = [];
  for (const name of ["a", "b", "c", "d", "e", "f"]) ids.push((await world.create("/pools", { name })).id);
  turns = 0;
  const states = await (await world.send("GET /api/v1/pool-states")).json();
  assert.deepEqual(states.map(({ poolId }: { readonly poolId: string }) => poolId), ids);
  assert.ok(turns > 1, `${turns} turns`); // a slice lasts for four milliseconds
});
