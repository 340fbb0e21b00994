/**
 * The store on real files: opening, sharing with other processes, reading by pages and as streams.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import { systemClock } from "../../src/clock.ts";
import { StoreBusy } from "../../src/store/database.ts";
import { newId } from "../../src/model/id.ts";
import type { Page, PageRequest } from "../../src/store/page.ts";
import { Store } from "../../src/store/store.ts";
import {
  createMember,
  createPool,
  createService,
  geoRuleFields,
  healthCheck,
  id,
  memberFields,
  ORIGIN,
  poolFields,
  serviceFields,
  zoneText,
} from "../change/samples.ts";
import { dump } from "./dump.ts";
import { Folder } from "./folder.ts";
import { LineProcess } from "./line_process.ts";

const WORLD: readonly Edit[] = [
  createPool(1, { name: "web" }),
  createMember(11, 1, { latitude: 50.5, longitude: -8.25 }),
  createMember(12, 1, { ipAddress: "2001:db8::1", enabled: false }),
  { kind: "putHealthCheck", poolId: id(1), fields: healthCheck({ type: "https", insecureSkipVerify: true }) },
  { kind: "createGeoRule", id: id(21), poolId: id(1), fields: geoRuleFields({ memberId: id(12) }) },
  createPool(2, { name: "mail" }),
  createService(31, { poolId: id(1) }),
  createService(32, { domain: "*.example.com", ecs: false }),
  { kind: "putZone", domain: "example.org", text: zoneText() },
  {
    kind: "putFallback",
    fallback: {
      algorithm: "round-robin",
      endpoints: ["192.0.2.9"],
      weights: {},
      onAllDown: "all",
      ttl: 5,
      healthCheck: null,
    },
  },
];

function fill(store: Store, edits: readonly Edit[] = WORLD): void {
  new Changes({ store, clock: systemClock }).commit(edits, ORIGIN);
}

Deno.test("a commit outlives a loss of power but for the last ones: the file is synchronous enough for that", () => {
  using folder = new Folder();
  using store = Store.open(folder.file("pleiades.db"));
  const pragma = (name: string) =>
    Object.values(store.database.get<Record<string, unknown>>(`PRAGMA ${name}`)!)[0];
  assert.deepEqual([pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys")], [
    "wal",
    NORMAL,
    1,
  ]);
});

/** Of `PRAGMA synchronous`: 0 is OFF, with which a loss of power may damage the file. */
const NORMAL = 1;

Deno.test("a store that is opened again holds what was committed", () => {
  using folder = new Folder();
  const path = folder.file("pleiades.db");
  const first = Store.open(path);
  fill(first);
  const before = dump(first);
  first.close();
  using second = Store.open(path);
  assert.deepEqual(dump(second), before);
  assert.deepEqual(second.model(), {
    generation: 1,
    pools: [
      { id: id(2), ...poolFields({ name: "mail" }), members: [], healthCheck: null, geoRules: [] },
      {
        id: id(1),
        ...poolFields({ name: "web" }),
        members: [
          { id: id(11), ...memberFields({ latitude: 50.5, longitude: -8.25 }) },
          { id: id(12), ...memberFields({ ipAddress: "2001:db8::1", enabled: false }) },
        ],
        healthCheck: healthCheck({ type: "https", insecureSkipVerify: true }),
        geoRules: [{ id: id(21), ...geoRuleFields({ memberId: id(12) }) }],
      },
    ],
    services: [
      { id: id(32), ...serviceFields({ domain: "*.example.com", ecs: false }) },
      { id: id(31), ...serviceFields({ poolId: id(1) }) },
    ],
    zones: [{ domain: "example.org", text: zoneText() }],
    fallback: {
      algorithm: "round-robin",
      endpoints: ["192.0.2.9"],
      weights: {},
      onAllDown: "all",
      ttl: 5,
      healthCheck: null,
    },
  });
});

Deno.test("a whole pool read alone equals the one in the model", () => {
  using store = Store.memory();
  fill(store);
  const model = store.model();
  assert.deepEqual(model.pools.map((pool) => store.pools.whole(pool.id)), model.pools);
  assert.equal(store.pools.whole(id(99)), null);
});

Deno.test("rows say where they belong and when they changed", () => {
  using store = Store.memory();
  fill(store);
  assert.deepEqual(store.pools.get(id(1)), { id: id(1), ...poolFields(), revision: 1 });
  assert.deepEqual(store.pools.byName("web"), store.pools.get(id(1)));
  assert.deepEqual(store.members.get(id(12)), {
    id: id(12),
    poolId: id(1),
    ...memberFields({ ipAddress: "2001:db8::1", enabled: false }),
    seq: 2,
    revision: 1,
  });
  assert.deepEqual(store.services.byDomain("www.example.com"), store.services.get(id(31)));
  assert.deepEqual(store.healthChecks.get(id(1)), {
    poolId: id(1),
    ...healthCheck({ type: "https", insecureSkipVerify: true }),
    revision: 1,
  });
  assert.deepEqual(store.geoRules.get(id(21)), {
    id: id(21),
    poolId: id(1),
    ...geoRuleFields({ memberId: id(12) }),
    seq: 1,
    revision: 1,
  });
  assert.deepEqual(store.zones.get("example.org"), { domain: "example.org", text: zoneText(), revision: 1 });
  assert.deepEqual(store.counts(), { pools: 2, members: 2, services: 2, zones: 1 });
});

Deno.test("pages hold every row once, in order, though rows come and go between them", () => {
  using store = Store.memory();
  fill(store, ["b", "d", "f", "h"].map((name, i) => createPool(i, { name })));
  const first = store.pools.page({ limit: 2 });
  fill(store, [
    createPool(8, { name: "a" }),
    { kind: "deletePool", id: id(1) },
    createPool(9, { name: "e" }),
  ]);
  const second = store.pools.page({ limit: 2, cursor: first.next });
  const third = store.pools.page({ limit: 2, cursor: second.next });
  const names = [first, second, third].map((page) => page.items.map((pool) => pool.name));
  assert.deepEqual(names, [["b", "d"], ["e", "f"], ["h"]]);
  assert.equal(third.next, null);
});

Deno.test("every collection can be read by pages of one", () => {
  using store = Store.memory();
  fill(store);
  const ids = (read: (page: PageRequest) => Page<{ id: string }>) => pageThrough(read).map((row) => row.id);
  assert.deepEqual(ids((page) => store.pools.page(page)), [id(2), id(1)]);
  assert.deepEqual(ids((page) => store.members.page(id(1), page)), [id(11), id(12)]);
  assert.deepEqual(ids((page) => store.geoRules.page(id(1), page)), [id(21)]);
  assert.deepEqual(ids((page) => store.services.page(page)), [id(32), id(31)]);
  assert.deepEqual(pageThrough((page) => store.zones.page(page)), [{ domain: "example.org", revision: 1 }]);
  assert.deepEqual(store.members.page(id(99), { limit: 1 }), { items: [], next: null });
});

function pageThrough<Row>(read: (page: PageRequest) => Page<Row>): Row[] {
  const rows: Row[] = [];
  for (let cursor: string | null = null;;) {
    const page = read({ limit: 1, cursor });
    rows.push(...page.items);
    if (page.next === null) return rows;
    cursor = page.next;
  }
}

Deno.test("services below a domain are found, and none beside it", () => {
  using store = Store.memory();
  const domains = [
    "a.sub.example.com",
    "sub.example.com",
    "xsub.example.com",
    "a.b.sub.example.com",
    "sub-x.example.com",
    "sub0.example.com",
  ];
  fill(store, domains.map((domain, i) => createService(i, { domain })));
  assert.deepEqual(
    [...store.services.below("sub.example.com")].map((service) => service.domain).toSorted(),
    ["a.b.sub.example.com", "a.sub.example.com"],
  );
});

Deno.test("two streams of pools at a time don't disturb each other", () => {
  using store = Store.memory();
  fill(store);
  const pairs: string[] = [];
  for (const outer of store.pools.each()) {
    for (const inner of store.pools.each()) pairs.push(`${outer.name} ${inner.name}`);
  }
  assert.deepEqual(pairs, ["mail mail", "mail web", "web mail", "web web"]);
});

Deno.test("of pools that come one by one each is what it is at its turn, and one that has gone is passed over", () => {
  using store = Store.memory();
  fill(store, [...WORLD, createPool(3, { name: "zzz" }), createPool(4, { name: "app" })]);
  const seen: unknown[] = [];
  for (const { name, members } of store.pools.oneByOne()) {
    seen.push([name, members.length]);
    if (name !== "app") continue;
    fill(store, [
      { kind: "deletePool", id: id(2) },
      createMember(13, 3, { ipAddress: "192.0.2.13" }),
    ]);
  }
  assert.deepEqual(seen, [["app", 0], ["web", 2], ["zzz", 1]]);
});

Deno.test("a stream that is left early doesn't stop the next commit", () => {
  using store = Store.memory();
  fill(store);
  for (const _ of store.pools.each()) break;
  fill(store, [createPool(3, { name: "new" })]);
  assert.equal(store.generation(), 2);
});

Deno.test("the file and what SQLite keeps beside it are for their owner alone", () => {
  using folder = new Folder();
  using _ = Store.open(folder.file("new/pleiades.db"));
  const modes = ["", "-wal", "-shm"].map((suffix) =>
    Deno.statSync(folder.file(`new/pleiades.db${suffix}`)).mode! & 0o777
  );
  assert.deepEqual(modes, [0o600, 0o600, 0o600]);
});

Deno.test("a closed store leaves one file", () => {
  using folder = new Folder();
  const store = Store.open(folder.file("pleiades.db"));
  fill(store);
  store.close();
  assert.deepEqual(folder.names(), ["pleiades.db"]);
});

Deno.test("a path that can't be written is refused with its name and a mend", () => {
  using folder = new Folder();
  Deno.writeTextFileSync(folder.file("file"), "");
  assert.throws(
    () => Store.open(folder.file("file/pleiades.db")),
    /Cannot open .*file\/pleiades\.db: .*choose a database\.path that this user may write, or none/,
  );
});

Deno.test("two processes share a file: each sees what the other commits", async () => {
  using folder = new Folder();
  using store = Store.open(folder.file("pleiades.db"));
  await using other = new LineProcess("second_process.ts", [store.path]);
  assert.equal(await other.ask("open"), "open 0");
  fill(store, [createPool(1, { name: "ours" })]);
  assert.equal(await other.ask("pool theirs"), "pool 2");
  assert.deepEqual(store.model().pools.map((pool) => pool.name), ["ours", "theirs"]);
});

Deno.test("a commit waits for another process's lock, and fails as busy when that is kept", async () => {
  using folder = new Folder();
  using store = Store.open(folder.file("pleiades.db"));
  await using other = new LineProcess("second_process.ts", [store.path]);
  await other.ask("lock");
  const before = performance.now();
  assert.throws(() => fill(store), StoreBusy);
  assert(performance.now() - before >= 2_900, "it must wait for the busy time-out");
  await other.ask("unlock");
  fill(store);
  assert.equal(store.generation(), 1);
});

Deno.test("ids are 32 lower-case hex digits and differ", () => {
  const ids = Array.from({ length: 1_000 }, newId);
  assert(ids.every((each) => /^[0-9a-f]{32}$/.test(each)));
  assert.equal(new Set(ids).size, ids.length);
});

Deno.test("a copy to try things on is seen by no one, leaves nothing behind, and takes old ones away", async () => {
  using folder = new Folder();
  const path = folder.file("node.db");
  using store = Store.open(path);
  const old = `${path}.killed.scratch`;
  Deno.writeTextFileSync(old, "a part of a copy");
  Deno.utimeSync(old, 0, 0);
  {
    using copy = await Store.scratch(path);
    new Changes({ store: copy, clock: systemClock }).commit([createPool(1)], ORIGIN);
    assert.equal(copy.pools.count(), 1);
    assert.equal(store.pools.count(), 0);
  }
  {
    const begun = Store.scratch(path);
    new Changes({ store, clock: systemClock }).commit([createPool(1)], ORIGIN);
    using copy = await begun;
    using origin = copy.committed();
    assert.deepEqual(
      [copy, origin!].map((each) => each.pools.count()),
      [0, 0],
      "what was committed meanwhile isn't in it",
    );
  }
  const names = [...Deno.readDirSync(folder.path)].map(({ name }) => name);
  assert.deepEqual(names.filter((name) => name.includes("scratch")), []);
});
