/**
 * Collections a page at a time.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type ApiWorld, apiWorld } from "./api_world.ts";

/** Follows the links from a path to the last page; gives the sizes of the pages and all objects. */
async function follow(world: ApiWorld, path: string) {
  const sizes: number[] = [];
  const objects: Record<string, string>[] = [];
  for (let next: string | undefined = path; next !== undefined;) {
    const response = await world.send(`GET ${next}`);
    const page = await response.json();
    sizes.push(page.length);
    objects.push(...page);
    next = /^<([^>]+)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1];
  }
  return { sizes, objects };
}

const COLLECTIONS = [
  {
    noun: "pools",
    fill: async (world: ApiWorld) => {
      for (const name of ["e", "a", "c", "b", "d"]) await world.create("/pools", { name });
      return "/api/v1/pools";
    },
    key: "name",
    order: ["a", "b", "c", "d", "e"],
  },
  {
    noun: "members",
    fill: async (world: ApiWorld) => {
      const { id } = await world.create("/pools", { name: "web" });
      for (let i = 5; i > 0; i--) {
        await world.create(`/pools/${id}/members`, { ipAddress: `192.0.2.${i}`, port: 80 });
      }
      return `/api/v1/pools/${id}/members`;
    },
    key: "ipAddress",
    order: ["192.0.2.5", "192.0.2.4", "192.0.2.3", "192.0.2.2", "192.0.2.1"],
  },
  {
    noun: "services",
    fill: async (world: ApiWorld) => {
      for (const label of ["e", "a", "c", "b", "d"]) {
        await world.create("/services", { domain: `${label}.example.com` });
      }
      return "/api/v1/services";
    },
    key: "domain",
    order: ["a", "b", "c", "d", "e"].map((label) => `${label}.example.com`),
  },
  {
    noun: "history",
    fill: async (world: ApiWorld) => {
      for (const name of ["a", "b", "c", "d", "e"]) await world.create(`/pools?reason=${name}`, { name });
      return "/api/v1/history";
    },
    key: "reason",
    order: ["e", "d", "c", "b", "a"],
  },
];

for (const { noun, fill, key, order } of COLLECTIONS) {
  Deno.test(`the pages of ${noun} make up the whole collection, in order, each object once`, async () => {
    using world = apiWorld();
    const path = await fill(world);
    const { sizes, objects } = await follow(world, `${path}?limit=2`);
    assert.deepEqual(sizes, [2, 2, 1]);
    assert.deepEqual(objects.map((object) => object[key]), order);
  });
}

Deno.test("a page that holds the rest has no Link", async () => {
  using world = apiWorld();
  const path = await COLLECTIONS[0]!.fill(world);
  assert.deepEqual((await follow(world, `${path}?limit=5`)).sizes, [5]);
});

Deno.test("a pool that is deleted between two pages neither hides nor repeats another", async () => {
  using world = apiWorld();
  await COLLECTIONS[0]!.fill(world);
  const first = await world.send("GET /api/v1/pools?limit=2");
  const [, last] = await first.json();
  await world.send(`DELETE /api/v1/pools/${last.id}`);
  const next = /<([^>]+)>/.exec(first.headers.get("link")!)![1]!;
  const { objects } = await follow(world, next);
  assert.deepEqual(objects.map(({ name }) => name), ["c", "d", "e"]);
});

for (
  const query of ["limit=0", "limit=-1", "limit=10001", "limit=1.5", "limit=ten", "limit=", "limit=1&limit=2"]
) {
  Deno.test(`?${query} is refused`, async () => {
    using world = apiWorld();
    const response = await world.send(`GET /api/v1/pools?${query}`);
    assert.equal(response.status, 400);
    assert.match((await response.json()).detail, /limit must be a whole number 1–10000/);
  });
}

Deno.test("a cursor that no page gave is refused where it must be a number", async () => {
  using world = apiWorld();
  const response = await world.send("GET /api/v1/history?cursor=yesterday");
  assert.equal(response.status, 400);
  assert.match((await response.json()).detail, /cursor/);
});
