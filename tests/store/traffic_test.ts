/**
 * The query sketch in the database: what is kept where there is room for all and where there isn't, and what is deleted.
 *
 * @module
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../src/clock.ts";
import { StoreBusy } from "../../src/store/database.ts";
import { Store } from "../../src/store/store.ts";
import { type NameCount, type NetworkCount, ROWS_AN_HOUR_MAX, type Steps } from "../../src/store/traffic.ts";
import { Folder } from "./folder.ts";

const HOUR = 490_000;
const MIB = 1024 * 1024;

function network(number: number, samples = 1): NetworkCount {
  return {
    network: Uint8Array.of(number >> 16, number >> 8, number),
    a: 2 * samples,
    aaaa: samples,
    samples,
  };
}

/** A name's count: the sum over its networks, and what is known without one. */
function nameCount(
  name: string,
  networks: readonly NetworkCount[],
  { hour = HOUR, more = 0 } = {},
): NameCount {
  const sum = (key: "a" | "aaaa" | "samples") => networks.reduce((all, each) => all + each[key], 0);
  const counts = { a: sum("a") + more, aaaa: sum("aaaa"), samples: sum("samples") + more };
  return { hour, name, networks, ...counts, variance: 7 * counts.samples };
}

function toEnd(steps: Steps): number {
  let count = 1;
  while (steps.step()) count++;
  return count;
}

/** Writes, and gives how many queries found no room. */
function write(store: Store, counts: readonly NameCount[], maxBytes = 64 * MIB): number {
  let dropped = 0;
  toEnd(store.traffic.writing(counts, { maxBytes, onDropped: (queries) => dropped += queries }));
  return dropped;
}

function trim(store: Store, { maxBytes = 64 * MIB, beforeHour = 0 }): number {
  return toEnd(store.traffic.trimming({ maxBytes, beforeHour }));
}

const rowsOf = (store: Store, from = 0, to = 1e6) =>
  [...store.traffic.between(from, to)].map(({ network, ...rest }) => ({
    ...rest,
    network: network && [...network],
  }));

Deno.test("what is written adds up, by hour, name and network, and is there at the next start", () => {
  using folder = new Folder();
  const first = Store.open(folder.file("pleiades.db"));
  write(first, [nameCount("a.example", [network(1), network(2)]), nameCount("b.example", [network(1)])]);
  write(first, [
    nameCount("a.example", [network(2, 5)], { more: 7 }),
    nameCount("a.example", [network(1)], { hour: HOUR + 1 }),
  ]);
  first.close();
  using store = Store.open(folder.file("pleiades.db"));
  deepEqual(rowsOf(store), [
    { hour: HOUR, name: "a.example", network: [0, 0, 1], a: 2, aaaa: 1, samples: 1 },
    { hour: HOUR, name: "a.example", network: [0, 0, 2], a: 12, aaaa: 6, samples: 6 },
    { hour: HOUR, name: "b.example", network: [0, 0, 1], a: 2, aaaa: 1, samples: 1 },
    { hour: HOUR, name: "a.example", network: null, a: 7, aaaa: 0, samples: 7 },
    { hour: HOUR + 1, name: "a.example", network: [0, 0, 1], a: 2, aaaa: 1, samples: 1 },
  ]);
  deepEqual(store.traffic.total(HOUR, HOUR), { a: 23, aaaa: 8, samples: 15, variance: 105 });
  deepEqual([...store.traffic.names(HOUR, HOUR + 1)], [
    { name: "a.example", a: 23, aaaa: 8, samples: 15 },
    { name: "b.example", a: 2, aaaa: 1, samples: 1 },
  ]);
  deepEqual(rowsOf(store, HOUR + 1, HOUR + 1).length, 1);
  equal(store.traffic.kept().rows, 7);
});

Deno.test("it makes no generation, and no other mark of the model", () => {
  using store = Store.memory();
  const mark = store.mark();
  write(store, [nameCount("a.example", [network(1)])]);
  trim(store, { beforeHour: HOUR + 1 });
  deepEqual(store.mark(), mark);
  deepEqual(rowsOf(store), []);
});

Deno.test("whatever comes, sums by hour and name are whole and the hour keeps to its bytes", () => {
  const counts = fc.array(
    fc.record({
      name: fc.integer({ min: 0, max: 300 }).map((number) => `n${number}.example`),
      networks: fc.uniqueArray(fc.integer({ min: 0, max: 3_000 }), { maxLength: 40 }),
      samples: fc.integer({ min: 1, max: 50 }),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(counts, fc.integer({ min: 2_000, max: 200_000 }), (all, maxBytes) => {
      using store = Store.memory();
      const given = all.map(({ name, networks, samples }) =>
        nameCount(name, networks.map((each) => network(each, samples)))
      );
      const dropped = write(store, given, maxBytes);
      const queries = given.reduce((sum, { a, aaaa }) => sum + a + aaaa, 0);
      const { a, aaaa } = store.traffic.total(HOUR, HOUR);
      equal(a + aaaa, queries);
      const rows = rowsOf(store);
      const kept = rows.filter((row) => row.network !== null).reduce((sum, { a, aaaa }) => sum + a + aaaa, 0);
      equal(kept + dropped, queries);
      ok(rows.every(({ a, aaaa, samples }) => a >= 0 && aaaa >= 0 && samples >= 0));
      ok(
        store.traffic.kept().bytes <= maxBytes / 25 + 100,
        `${store.traffic.kept().bytes} of ${maxBytes / 25}`,
      );
    }),
    { numRuns: 40 },
  );
});

Deno.test("where room is scarce, frequent networks are kept and rare ones are not", () => {
  using store = Store.memory();
  const rng = seededRng(7);
  // An hour of minutes: ten networks that come all the time, among very many that come once.
  for (let minute = 0; minute < 60; minute++) {
    const rare = Array.from({ length: 300 }, () => network(1_000 + rng() % 1_000_000));
    const frequent = minute < 30 ? [] : Array.from({ length: 10 }, (_, i) => network(i, 20));
    write(store, [nameCount("a.example", [...frequent, ...rare])], 4 * MIB);
  }
  const networks = new Map(rowsOf(store).map(({ network, samples }) => [`${network}`, samples]));
  for (let i = 0; i < 10; i++) equal(networks.get(`0,0,${i}`), 600);
  ok(networks.size < 60 * 300 / 3, `${networks.size} kept`);
});

Deno.test("bytes are counted generously: the file has no more", () => {
  using folder = new Folder();
  using store = Store.open(folder.file("pleiades.db"));
  const pages = () => store.database.get<{ page_count: number }>("PRAGMA page_count")!.page_count * 4096;
  const before = pages();
  const rng = seededRng(3);
  for (let minute = 0; minute < 30; minute++) {
    const names = Array.from({ length: 50 }, () => {
      const networks = new Set(Array.from({ length: 40 }, () => rng() % 0xffffff));
      return nameCount(
        `host-${rng() % 400}.example.com`,
        [...networks].map((each) => network(each, 1 + rng() % 100)),
      );
    });
    write(store, names);
  }
  const { bytes, rows } = store.traffic.kept();
  ok(rows > 50_000, `${rows}`);
  const real = pages() - before;
  ok(real <= bytes, `${real} in the file, ${bytes} counted`);
  ok(real > bytes / 2, `${real} in the file, ${bytes} counted`);
});

Deno.test("an hour has at most so many rows, whatever may be kept", () => {
  using store = Store.memory();
  store.database.run(
    "INSERT INTO traffic_hours (hour, a, aaaa, samples, name_rows, network_rows, bytes) VALUES (?, 0, 0, 0, 0, ?, 0)",
    HOUR,
    ROWS_AN_HOUR_MAX - 1,
  );
  const dropped = write(store, [nameCount("a.example", [network(1, 1e9), network(2, 1e9)])], 2 ** 40);
  equal(dropped, 2 * 3 * 1e9);
  equal(store.traffic.kept().rows, ROWS_AN_HOUR_MAX);
});

Deno.test("the oldest hours go when there are too many bytes, and the last one never", () => {
  using store = Store.memory();
  const networks = Array.from({ length: 1_000 }, (_, i) => network(i));
  for (let hour = HOUR; hour < HOUR + 5; hour++) write(store, [nameCount("a.example", networks, { hour })]);
  const { bytes, rows } = store.traffic.kept();
  const hours = () => [...new Set(rowsOf(store).map(({ hour }) => hour))];
  const steps = trim(store, { maxBytes: bytes * 3 / 5 });
  ok(steps > 2_000 / 250, `${steps} steps`);
  deepEqual(hours(), [HOUR + 2, HOUR + 3, HOUR + 4]);
  equal(store.traffic.kept().rows, rows * 3 / 5);
  equal(
    store.database.get<{ count: number }>("SELECT count(*) AS count FROM traffic_networks")!.count,
    3_000,
  );
  equal(store.database.get<{ count: number }>("SELECT count(*) AS count FROM traffic_names")!.count, 3);
  trim(store, { maxBytes: 1 });
  deepEqual(hours(), [HOUR + 4]);
  equal(trim(store, {}), 1);
});

Deno.test("what is too old goes whatever its size", () => {
  using store = Store.memory();
  for (let hour = HOUR; hour < HOUR + 3; hour++) {
    write(store, [nameCount("a.example", [network(1)], { hour })]);
  }
  trim(store, { beforeHour: HOUR + 1 });
  deepEqual(rowsOf(store).map(({ hour }) => hour), [HOUR + 1, HOUR + 2]);
});

Deno.test("an hour that is being deleted isn't read, and the rest of it goes at the next start", () => {
  using folder = new Folder();
  const first = Store.open(folder.file("pleiades.db"));
  write(first, [nameCount("a.example", Array.from({ length: 1_000 }, (_, i) => network(i)))]);
  write(first, [nameCount("a.example", [network(1)], { hour: HOUR + 1 })]);
  const steps = first.traffic.trimming({ maxBytes: 1, beforeHour: 0 });
  steps.step();
  steps.step();
  deepEqual(rowsOf(first).map(({ hour }) => hour), [HOUR + 1]);
  deepEqual(first.traffic.total(HOUR, HOUR), { a: 0, aaaa: 0, samples: 0, variance: 0 });
  first.close();
  using store = Store.open(folder.file("pleiades.db"));
  trim(store, {});
  equal(store.database.get<{ count: number }>("SELECT count(*) AS count FROM traffic_networks")!.count, 1);
});

Deno.test("while another connection writes, a step throws at once and can be tried again", () => {
  using folder = new Folder();
  using store = Store.open(folder.file("pleiades.db"));
  using other = Store.open(store.path);
  const networks = Array.from({ length: 600 }, (_, i) => network(i));
  const steps = store.traffic.writing([nameCount("a.example", networks)], {
    maxBytes: 64 * MIB,
    onDropped: () => {},
  });
  for (let isMore = true; isMore;) {
    other.database.exec("BEGIN IMMEDIATE");
    const start = performance.now();
    const isFree = (() => {
      // Only what writes needs the lock.
      try {
        isMore = steps.step();
        return true;
      } catch (error) {
        ok(error instanceof StoreBusy);
        return false;
      }
    })();
    // A writer that waits for the lock does so for three seconds.
    ok(performance.now() - start < 2_900);
    other.database.exec("ROLLBACK");
    if (!isFree) isMore = steps.step();
  }
  deepEqual(store.traffic.total(HOUR, HOUR), { a: 1_200, aaaa: 600, samples: 600, variance: 4_200 });
  equal(rowsOf(store).length, 600);
  using _ = store.lend();
  throws(() => write(store, [nameCount("a.example", [network(1)])]), StoreBusy);
});

Deno.test("a connection waits for the others as before", () => {
  using store = Store.memory();
  write(store, [nameCount("a.example", [network(1)])]);
  equal(store.database.get<{ timeout: number }>("PRAGMA busy_timeout")!.timeout, 3_000);
});

Deno.test("there is no room for a whole address", () => {
  using store = Store.memory();
  for (const bytes of [4, 16]) {
    const whole = { ...network(1), network: new Uint8Array(bytes) };
    throws(() => write(store, [nameCount("a.example", [whole])]), /constraint/);
  }
});
