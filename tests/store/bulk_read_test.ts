/**
 * What answers are compiled from is what the tables hold, however the rows lie in them.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { SteeredPool } from "../../src/desired/desired.ts";
import { steeredPool } from "../../src/desired/steered_pool.ts";
import { readPools, readServices } from "../../src/store/bulk_read.ts";
import { Store } from "../../src/store/store.ts";
import { id } from "../change/samples.ts";
import { runs } from "../property_runs.ts";
import { Folder } from "./folder.ts";

/** Pools by number, each at a row id; members by their pool's number, in the order of their creation. */
interface Layout {
  readonly pools: readonly { readonly number: number; readonly rowid: number }[];
  readonly members: readonly { readonly pool: number; readonly seq: number; readonly weight: number }[];
}

/** What a pool may have beyond what most have. */
const STEERING = [
  "UPDATE pools SET min_healthy = '50%' WHERE id = ?",
  "UPDATE pools SET min_healthy = 2, geofence = 1 WHERE id = ?",
  "UPDATE pools SET flatten = 0 WHERE id = ?",
  "UPDATE pools SET failback = 'manual' WHERE id = ?",
  "UPDATE pools SET failback_delay_ms = 60000 WHERE id = ?",
];

/** What a member may have beyond what most have. */
const PLACES = [
  "UPDATE members SET latitude = 50.123456789012345, longitude = -0.1 WHERE id = ?",
  "UPDATE members SET ip_address = NULL, target = 'lb-' || seq || '.example.net' WHERE id = ?",
  "UPDATE members SET latitude = 0, longitude = 180, region = 'eu', weight = 1, enabled = 1 WHERE id = ?",
  "UPDATE members SET region = 'us-east_1' WHERE id = ?",
];

function lay(store: Store, { pools, members }: Layout): void {
  const { database } = store;
  const isSmall = pools.length < 1000;
  database.transact(() => {
    for (const { number, rowid } of pools) {
      const algorithm = number % 3 === 0 ? "weighted-round-robin" : "round-robin";
      const sql = "INSERT INTO pools (rowid, id, name, algorithm, max_answers) VALUES (?, ?, ?, ?, ?)";
      database.run(sql, rowid, id(number), `pool${number}`, algorithm, number % 2);
      if (isSmall && number % 4 === 0) database.run(STEERING[number % STEERING.length]!, id(number));
      if (number % 5 === 0) database.run("INSERT INTO health_checks (pool_id) VALUES (?)", id(number));
    }
    for (const [i, { pool, seq, weight }] of members.entries()) {
      const sql = "INSERT INTO members (seq, id, pool_id, ip_address, port, weight, enabled) " +
        "VALUES (?, ?, ?, ?, ?, ?, ?)";
      const address = `10.${i >> 16}.${i >> 8 & 255}.${i & 255}`;
      const memberId = id(1_000_000 + i);
      database.run(sql, seq, memberId, id(pool), address, 443, weight, i % 7 === 0 ? 0 : 1);
      if (isSmall && i % 3 === 0) database.run(PLACES[i % PLACES.length]!, memberId);
      if (isSmall && i % 11 === 0) {
        const rule = "INSERT INTO geo_rules (id, pool_id, asn, member_id) VALUES (?, ?, ?, ?)";
        database.run(rule, id(2_000_000 + i), id(pool), 64_500 + i, memberId);
      }
    }
  });
}

/** What plain queries for each pool find; nobody needs the ids of members that no rule or policy tells apart. */
function plainly({ database, pools }: Store): SteeredPool[] {
  return database.all<{ id: string }>("SELECT id FROM pools ORDER BY rowid").map(({ id }) => {
    const pool = steeredPool(pools.whole(id)!);
    if (pool.geoRules.length > 0 || pool.failback !== "auto" || pool.failbackDelayMs > 0) return pool;
    return { ...pool, members: pool.members.map((member) => ({ ...member, id: null })) };
  });
}

function read(store: Store): SteeredPool[] {
  const path = store.path === ":memory:" ? null : store.path;
  return [
    ...readPools({
      path,
      own: store.database,
      checkOf: (poolId) => store.healthChecks.checkOf(poolId),
      poolOf: (poolId) => store.pools.whole(poolId),
    }),
  ];
}

const layouts: fc.Arbitrary<Layout> = fc.record({
  pools: fc.uniqueArray(
    fc.record({ number: fc.integer({ min: 1, max: 40 }), rowid: fc.integer({ min: -5, max: 4000 }) }),
    { minLength: 1, maxLength: 30, selector: ({ number }) => number },
  ),
  gaps: fc.infiniteStream(
    fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, fc.integer({ min: 1, max: 3000 })),
  ),
  sizes: fc.infiniteStream(fc.integer({ min: 0, max: 3 })),
  moves: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 6 }),
}).map(({ pools, gaps, sizes, moves }) => {
  const unique = [...new Map(pools.map((pool) => [pool.rowid, pool])).values()];
  const order = unique.toSorted((a, b) => a.rowid - b.rowid)
    .flatMap(({ number }) => Array.from({ length: sizes.next().value }, () => number));
  for (const [from, to] of order.length > 0 ? moves : []) {
    const [moved] = order.splice(from % order.length, 1);
    order.splice(to % (order.length + 1), 0, moved!);
  }
  let seq = 0;
  const members = order.map((pool, i) => ({ pool, seq: seq += gaps.next().value, weight: 1 + i % 2 }));
  return { pools: unique, members };
});

Deno.test("pools are read with the members that plain queries find, wherever their rows lie", () => {
  fc.assert(
    fc.property(layouts, (layout) => {
      using store = Store.memory();
      lay(store, layout);
      assert.deepEqual(read(store), plainly(store));
    }),
    { numRuns: runs(35) },
  );
});

Deno.test("the members of thousands of pools are read beside them, and looked up where they lie in another order", () => {
  const numbers = Array.from({ length: 2000 }, (_, i) => i + 1);
  const pools = numbers.map((number) => ({ number, rowid: number }));
  const orders = [
    numbers.flatMap((number) => [number, number]),
    [...numbers, ...numbers],
    [...numbers, ...numbers.filter((number) => number % 100 === 0)],
    numbers.toReversed(),
  ];
  for (const order of orders) {
    using folder = new Folder();
    using store = Store.open(folder.file("pleiades.db"));
    lay(store, { pools, members: order.map((pool, i) => ({ pool, seq: i + 1, weight: 1 })) });
    assert.deepEqual(read(store), plainly(store));
  }
});

Deno.test("members of a pool that isn't there are passed over", () => {
  using store = Store.memory();
  store.database.exec("PRAGMA foreign_keys = OFF");
  const [first, second] = [1, 2].map((number) => ({ number, rowid: number }));
  const members = [1, 3, 1, 2].map((pool, i) => ({ pool, seq: i + 1, weight: 1 }));
  lay(store, { pools: [first!, second!], members });
  assert.deepEqual(read(store).map((pool) => pool.members.length), [2, 1]);
});

Deno.test("services are read as they are, in the order of their creation", () => {
  using store = Store.memory();
  lay(store, { pools: [{ number: 1, rowid: 1 }], members: [] });
  const sql =
    "INSERT INTO services (rowid, id, domain, pool_id, ttl, min_ttl, ecs) VALUES (?, ?, ?, ?, ?, ?, ?)";
  store.database.run(sql, 5000, id(12), "*.example.org", null, 60, 0, 1);
  store.database.run(sql, 7, id(11), "www.example.org", id(1), 0, 0, 0);
  store.database.run(sql, 5001, id(13), "api.example.org", id(1), 60, 5, 1);
  assert.deepEqual([...readServices({ path: null, own: store.database })], [
    { domain: "www.example.org", poolId: id(1), ttl: 0, minTtl: 0, ecs: false },
    { domain: "*.example.org", poolId: null, ttl: 60, minTtl: 0, ecs: true },
    { domain: "api.example.org", poolId: id(1), ttl: 60, minTtl: 5, ecs: true },
  ]);
});
