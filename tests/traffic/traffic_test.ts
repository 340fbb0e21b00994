/**
 * The sketch of a node over hours, on a clock of its own and a real database.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import {
  COUNTED_A_SECOND,
  hourOf,
  KEPT_HOURS,
  relativeErrorOf,
  type SketchTerms,
  Traffic,
  WRITE_INTERVAL_MS,
} from "../../src/traffic/traffic.ts";
import { ENTRIES_MAX } from "../../src/traffic/sketch.ts";
import { ManualClock } from "../clock.ts";
import { Folder } from "../store/folder.ts";

const ON: SketchTerms = { sketch: true, maxBytes: 64 * 1024 * 1024 };
const HOUR_MS = 3_600_000;

/** A sketch on a database. */
function bed(store: Store, { clock = new ManualClock(), terms = ON } = {}) {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", format: "json", clock, write: (line) => lines.push(line) });
  const registry = new Registry({});
  const traffic = new Traffic({ terms, recorded: store.traffic, log, registry, clock });
  const take = (name: string, network: number, weight = 1) =>
    traffic.take({ name, type: "A", network: Uint8Array.of(0, network >> 8, network), weight });
  const metric = (name: string, label = "") =>
    Number(
      registry.expose().split("\n").find((line) =>
        line.startsWith(`pleiades_query_sketch_${name}`) && line.includes(label)
      )
        ?.split(" ").at(-1),
    );
  /** A minute, and all that is done within it. */
  const minute = () => clock.advance(WRITE_INTERVAL_MS);
  return { traffic, clock, lines, take, metric, minute };
}

const rowsOf = (rows: Iterable<{ hour: number; name: string; network: Uint8Array | null; a: number }>) =>
  [...rows].map(({ hour, name, network, a }) => `${hour} ${name} ${network?.[2]} ${a}`);

Deno.test("what is counted is written once a minute, and read whether it is written or not", async () => {
  using store = Store.memory();
  const { traffic, clock, take, minute } = bed(store);
  const hour = hourOf(clock.unixMs());
  take("a.example", 1);
  take("a.example", 1, 4);
  deepEqual(rowsOf(store.traffic.between(hour, hour)), []);
  deepEqual(rowsOf(traffic.between(hour, hour)), [`${hour} a.example 1 5`]);
  await minute();
  deepEqual(rowsOf(store.traffic.between(hour, hour)), [`${hour} a.example 1 5`]);
  take("a.example", 1);
  deepEqual(rowsOf(traffic.between(hour, hour)), [`${hour} a.example 1 5`, `${hour} a.example 1 1`]);
  await traffic[Symbol.asyncDispose]();
  deepEqual(rowsOf(store.traffic.between(hour, hour)), [`${hour} a.example 1 6`]);
});

Deno.test("an hour that ends between two writes has its own row, by UTC", async () => {
  using store = Store.memory();
  // Half a minute before an hour ends.
  const clock = new ManualClock(Date.UTC(2026, 0, 31, 23, 59, 30));
  const { traffic, take, minute } = bed(store, { clock });
  take("a.example", 1);
  await clock.advance(30_000);
  take("a.example", 1);
  await minute();
  const hour = Date.UTC(2026, 1, 1) / HOUR_MS;
  deepEqual(rowsOf(store.traffic.between(0, Infinity)), [
    `${hour - 1} a.example 1 1`,
    `${hour} a.example 1 1`,
  ]);
  await traffic[Symbol.asyncDispose]();
});

Deno.test("a restart goes on where the last one stopped", async () => {
  using folder = new Folder();
  const clock = new ManualClock();
  for (const network of [1, 2]) {
    using store = Store.open(folder.file("pleiades.db"));
    const { traffic, take } = bed(store, { clock });
    take("a.example", 1);
    take("b.example", network);
    await traffic[Symbol.asyncDispose]();
  }
  using store = Store.open(folder.file("pleiades.db"));
  const { traffic } = bed(store, { clock });
  const hour = hourOf(clock.unixMs());
  deepEqual(rowsOf(traffic.between(hour, hour)), [
    `${hour} a.example 1 2`,
    `${hour} b.example 1 1`,
    `${hour} b.example 2 1`,
  ]);
  deepEqual([...traffic.weights(["a.example", "b.example", "c.example"], hour, hour)], [
    ["a.example", 0.5],
    ["b.example", 0.5],
    ["c.example", 0],
  ]);
  await traffic[Symbol.asyncDispose]();
});

Deno.test("weights are shares among the names asked for, written or not", async () => {
  using store = Store.memory();
  const { traffic, clock, take, minute } = bed(store);
  const hour = hourOf(clock.unixMs());
  deepEqual([...traffic.weights(["a.example"], hour, hour)], [["a.example", 0]]);
  take("a.example", 1, 30);
  await minute();
  take("b.example", 1, 10);
  take("others.example", 1, 1_000);
  deepEqual([...traffic.weights(["a.example", "b.example"], hour, hour)], [["a.example", 0.75], [
    "b.example",
    0.25,
  ]]);
  await traffic[Symbol.asyncDispose]();
});

Deno.test("a source is told to count while the settings say so", async () => {
  using store = Store.memory();
  const { traffic } = bed(store, { terms: { ...ON, sketch: false } });
  const told: number[] = [];
  const attached = traffic.attach({ count: (perSecond) => told.push(perSecond), lost: () => 0 });
  deepEqual(told, []);
  traffic.use(ON);
  traffic.use({ ...ON, maxBytes: 1024 * 1024 });
  traffic.use({ ...ON, sketch: false });
  deepEqual(told, [COUNTED_A_SECOND, 0]);
  attached[Symbol.dispose]();
  traffic.use(ON);
  deepEqual(told.length, 2);
  const later: number[] = [];
  traffic.attach({ count: (perSecond) => later.push(perSecond), lost: () => 0 });
  deepEqual(later, [COUNTED_A_SECOND]);
  await traffic[Symbol.asyncDispose]();
});

Deno.test("while another process writes, counts gather and are written when it has ended", async () => {
  using folder = new Folder();
  using store = Store.open(folder.file("pleiades.db"));
  using other = Store.open(store.path);
  const { traffic, clock, take, lines } = bed(store);
  const hour = hourOf(clock.unixMs());
  take("a.example", 1);
  other.database.exec("BEGIN IMMEDIATE");
  await clock.advance(WRITE_INTERVAL_MS);
  await clock.advance(5_000);
  take("b.example", 1);
  deepEqual(rowsOf(store.traffic.between(hour, hour)), []);
  other.database.exec("ROLLBACK");
  await clock.advance(1_000);
  deepEqual(rowsOf(store.traffic.between(hour, hour)), [`${hour} a.example 1 1`]);
  await traffic[Symbol.asyncDispose]();
  deepEqual(rowsOf(store.traffic.between(hour, hour)), [`${hour} a.example 1 1`, `${hour} b.example 1 1`]);
  deepEqual(lines, []);
});

Deno.test("a database that can't be written is said once, and the counts are counted as dropped", async () => {
  using store = Store.memory();
  const { traffic, take, lines, metric, minute } = bed(store);
  const { writing } = store.traffic;
  store.traffic.writing = () => ({
    step: () => {
      throw new Error("disk full");
    },
  });
  for (let i = 0; i < 2; i++) {
    take("a.example", 1, 3);
    store.traffic.trimming = () => ({
      step: () => {
        throw new Error("disk full");
      },
    });
    await minute();
  }
  equal(lines.length, 1);
  match(lines[0]!, /Cannot keep the query sketch in the database.*disk full/);
  equal(metric("dropped_total", 'reason="file"'), 6);
  store.traffic.writing = writing;
  await traffic[Symbol.asyncDispose]();
});

Deno.test("a stop doesn't wait for a process that writes", async () => {
  using folder = new Folder();
  using store = Store.open(folder.file("pleiades.db"));
  using other = Store.open(store.path);
  const { traffic, take, lines } = bed(store);
  take("a.example", 1);
  other.database.exec("BEGIN IMMEDIATE");
  await traffic[Symbol.asyncDispose]();
  other.database.exec("ROLLBACK");
  equal(lines.length, 1);
});

Deno.test("many names and networks are written before the minute is over", async () => {
  using store = Store.memory();
  const { traffic, clock, take } = bed(store);
  for (let i = 0; i < ENTRIES_MAX; i++) take(`n${i % 3}.example`, i);
  await clock.advance(0);
  ok(store.traffic.kept().rows > ENTRIES_MAX / 2, `${store.traffic.kept().rows} rows`);
  await traffic[Symbol.asyncDispose]();
});

Deno.test("after a month counts are deleted, also by a node that counts no more", async () => {
  using store = Store.memory();
  const { traffic, clock, take, minute } = bed(store);
  take("a.example", 1);
  await minute();
  traffic.use({ sketch: false, maxBytes: 1024 * 1024 });
  const startMs = clock.unixMs();
  clock.setUnixMs(startMs + (KEPT_HOURS - 1) * HOUR_MS);
  await minute();
  equal(rowsOf(store.traffic.between(0, Infinity)).length, 1);
  clock.setUnixMs(startMs + (KEPT_HOURS + 1) * HOUR_MS);
  await minute();
  equal(store.traffic.kept().rows, 0);
  await traffic[Symbol.asyncDispose]();
});

Deno.test("metrics say how much was counted and how much is kept", async () => {
  using store = Store.memory();
  const { traffic, take, metric, minute } = bed(store);
  take("a.example", 1, 10);
  take("a.example", 2);
  await minute();
  deepEqual(["queries_total", "samples_total", "rows", "max_bytes"].map((name) => metric(name)), [
    11,
    2,
    3,
    ON.maxBytes,
  ]);
  ok(metric("bytes") > 0 && metric("bytes") < 1_000);
  traffic.attach({ count: () => {}, lost: () => 7 });
  equal(metric("dropped_total", 'reason="worker"'), 7);
  await traffic[Symbol.asyncDispose]();
});

Deno.test("the error of an estimate follows from its samples", () => {
  equal(relativeErrorOf({ a: 0, aaaa: 0, samples: 0 }), 0);
  equal(relativeErrorOf({ a: 60, aaaa: 40, samples: 100 }), 0);
  ok(Math.abs(relativeErrorOf({ a: 1e9, aaaa: 0, samples: 10_000 }) - 0.01) < 1e-6);
});
