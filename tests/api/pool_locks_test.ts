/**
 * Locks of pools, and all members of a pool written at once.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { apiWorld } from "./api_world.ts";

const LOCK = { values: ["OwnerId=0a1b2c3d"], ttlSeconds: 10 };

Deno.test("a lock is taken, refreshed by its tag, given back, and ends by itself", async () => {
  using world = apiWorld();
  const pool = await world.create("/pools", { name: "web" });
  const path = `/api/v1/pools/${pool.id}/lock`;
  const lock = async () => (await world.send(`GET ${path}`)).json();
  const none = await world.send(`GET ${path}`);
  deepEqual([await none.json(), none.headers.get("etag")], [{ values: [], ttlSeconds: 1 }, '"0"']);
  const put = (tag: string | null, body: unknown = LOCK) =>
    world.send(`PUT ${path}`, { body, headers: tag === null ? {} : { "if-match": tag } });
  const first = await put('"0"');
  equal(first.status, 200);
  equal((await put('"0"')).status, 412);
  const second = await put(first.headers.get("etag"));
  equal(second.status, 200);
  equal(
    (await world.send(`DELETE ${path}`, { headers: { "if-match": first.headers.get("etag")! } })).status,
    412,
  );
  deepEqual(await lock(), LOCK);
  await world.clock.advance(49_999);
  deepEqual(await lock(), LOCK);
  await world.clock.advance(1);
  deepEqual((await lock()).values, []);
  await put(null);
  equal((await world.send(`DELETE ${path}`)).status, 204);
  deepEqual((await lock()).values, []);
  for (
    const wrong of [{ ...LOCK, ttlSeconds: 0 }, { ...LOCK, values: Array(17).fill("a") }, { values: [] }]
  ) {
    equal((await put(null, wrong)).status, 400);
  }
  equal((await world.send(`GET /api/v1/pools/${"0".repeat(32)}/lock`)).status, 404);
});

Deno.test("tags of another process never match, and a lock is given back as one without strings", async () => {
  using one = apiWorld();
  using other = apiWorld();
  const take = async (world: typeof one) => {
    const { id } = await world.create("/pools", { name: "web" });
    const path = `/api/v1/pools/${id}/lock`;
    const { headers } = await world.send(`PUT ${path}`, { body: LOCK });
    return { path, tag: headers.get("etag")! };
  };
  const [{ tag }, { path, tag: own }] = [await take(one), await take(other)];
  equal((await other.send(`PUT ${path}`, { body: LOCK, headers: { "if-match": tag } })).status, 412);
  equal((await other.send(`DELETE ${path}`, { headers: { "if-match": own } })).status, 204);
  equal((await other.send(`GET ${path}`)).headers.get("etag"), '"0"');
});

Deno.test("PUT /pools/{id}/members keeps ids by address and port, and is one change on the condition of its tag", async () => {
  using world = apiWorld();
  const pool = await world.create("/pools", { name: "web" });
  const path = `/api/v1/pools/${pool.id}/members`;
  const one = await world.create(`/pools/${pool.id}/members`, {
    ipAddress: "192.0.2.1",
    port: 80,
    weight: 3,
  });
  await world.create(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.2", port: 80 });
  const before = world.store.generation();
  const tag = (await world.send(`GET ${path}`)).headers.get("etag")!;
  const body = [
    { ipAddress: "192.0.2.3", port: 80 },
    { ipAddress: "192.0.2.1", port: 80 },
    { ipAddress: "192.0.2.1", port: 81 },
    { target: "lb.example.net", port: 80 },
  ];
  const put = (ifMatch: string, members: unknown = body, query = "") =>
    world.send(`PUT ${path}${query}`, { body: members, headers: { "if-match": ifMatch } });
  equal((await put(tag, body, "?dryRun=true")).status, 200);
  equal(world.store.generation(), before);
  const done = await put(tag);
  equal(done.status, 200);
  const members: { id: string; ipAddress: string | null; port: number; weight: number }[] = await done.json();
  deepEqual(members.map(({ ipAddress, port }) => [ipAddress, port]), [
    ["192.0.2.1", 80],
    ["192.0.2.3", 80],
    ["192.0.2.1", 81],
    [null, 80],
  ]);
  deepEqual([members[0]!.id, members[0]!.weight], [one.id, 1]);
  equal(world.store.generation(), before + 1);
  equal((await put(tag)).status, 412);
  equal((await world.send(`GET ${path}`)).headers.get("etag"), done.headers.get("etag"));
  // The same once more is no change.
  const again = await put(done.headers.get("etag")!);
  deepEqual([again.status, again.headers.get("etag")], [200, done.headers.get("etag")]);
  equal(world.store.generation(), before + 1);
  equal((await put("*", [...body, body[0]])).status, 409);
  equal((await put("*", Array(1_001).fill(body[0]))).status, 400);
  equal((await put("*", { ipAddress: "192.0.2.1" })).status, 400);
  equal(world.store.generation(), before + 1);
  // A page of several isn't all, so it has no tag.
  equal((await world.send(`GET ${path}?limit=2`)).headers.get("etag"), null);
});
