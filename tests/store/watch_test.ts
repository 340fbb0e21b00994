/**
 * Writes of other processes, noticed by polling on a manual clock.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import type { Verdict } from "../../src/health/verdict.ts";
import { Database } from "../../src/store/database.ts";
import { Store } from "../../src/store/store.ts";
import { type ForeignCommit, watch, WATCH_INTERVAL_MS } from "../../src/store/watch.ts";
import {
  createMember,
  createPool,
  createService,
  id,
  ORIGIN,
  poolFields,
  zoneText,
} from "../change/samples.ts";
import { ManualClock } from "../clock.ts";
import { Folder } from "./folder.ts";
import { LineProcess } from "./line_process.ts";

const HEALTHY: Verdict = { state: "healthy", since: 1, lastError: null, latencyMs: 1.5, checkedAt: 1 };

/** Two stores on one file, the first of them watched. */
class World implements AsyncDisposable {
  readonly folder = new Folder();
  readonly clock = new ManualClock();
  readonly ours: Store = Store.open(this.folder.file("pleiades.db"));
  readonly theirs: Store = Store.open(this.ours.path);
  readonly seen: ForeignCommit[] = [];
  readonly #stop = new AbortController();
  readonly #watching = watch(this.ours, {
    clock: this.clock,
    signal: this.#stop.signal,
    onCommit: (commit) => this.seen.push(commit),
  });

  changes(store: Store): Changes {
    return new Changes({ store, clock: this.clock });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    this.ours.close();
    this.theirs.close();
    this.folder[Symbol.dispose]();
  }
}

Deno.test("the look-out for foreign writes is at most a second apart", () => {
  assert(WATCH_INTERVAL_MS <= 1_000);
});

Deno.test("a commit of another connection is told with what it touched", async () => {
  await using world = new World();
  world.changes(world.theirs).commit([
    createPool(1),
    createMember(2, 1),
    createService(3),
    { kind: "putZone", domain: "example.org", text: zoneText() },
  ], ORIGIN);
  await world.clock.advance(WATCH_INTERVAL_MS);
  assert.deepEqual(world.seen, [{
    generation: 1,
    everything: false,
    poolIds: [id(1)],
    serviceIds: [id(3)],
    zoneDomains: ["example.org"],
    fallback: false,
  }]);
});

Deno.test("a commit of our own is not told, and a verdict of our own neither", async () => {
  await using world = new World();
  world.changes(world.ours).commit([createPool(1)], ORIGIN);
  world.ours.verdicts.save([["tcp 192.0.2.1 80", HEALTHY]]);
  await world.clock.advance(10 * WATCH_INTERVAL_MS);
  assert.deepEqual(world.seen, []);
});

Deno.test("each foreign commit is told once", async () => {
  await using world = new World();
  const changes = world.changes(world.theirs);
  changes.commit([createPool(1)], ORIGIN);
  await world.clock.advance(5 * WATCH_INTERVAL_MS);
  changes.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ maxAnswers: 2 }) }], ORIGIN);
  changes.commit([{ kind: "deletePool", id: id(1) }], ORIGIN);
  await world.clock.advance(5 * WATCH_INTERVAL_MS);
  assert.deepEqual(world.seen.map(({ generation, poolIds }) => [generation, poolIds]), [[1, [id(1)]], [3, [
    id(1),
  ]]]);
});

Deno.test("what another connection observes is not told, however it comes together with commits of our own", async () => {
  await using world = new World();
  const { ours, theirs } = world;
  const observe = () => {
    theirs.verdicts.save([["tcp 192.0.2.1 80", HEALTHY]]);
    theirs.verdicts.saveOuts([["in 192.0.2.1 80", { wellSince: null }]]);
    theirs.verdicts.forget(["tcp 192.0.2.1 80"]);
    theirs.resolvedNames.save([["www.example.org", ["192.0.2.1"]]]);
  };
  observe();
  await world.clock.advance(WATCH_INTERVAL_MS);
  const changes = world.changes(ours);
  changes.commit([createPool(1)], ORIGIN);
  observe();
  await world.clock.advance(WATCH_INTERVAL_MS);
  changes.commit([createPool(2, { name: "second" })], ORIGIN);
  changes.commit([createPool(3, { name: "third" })], ORIGIN);
  await world.clock.advance(WATCH_INTERVAL_MS);
  observe();
  await world.clock.advance(WATCH_INTERVAL_MS);
  assert.deepEqual(world.seen, []);
});

Deno.test("a foreign commit among verdicts and commits of our own is told", async () => {
  await using world = new World();
  world.changes(world.ours).commit([createPool(1)], ORIGIN);
  world.changes(world.theirs).commit([createPool(2, { name: "second" })], ORIGIN);
  world.theirs.verdicts.save([["tcp 192.0.2.1 80", HEALTHY]]);
  world.changes(world.ours).commit([createPool(3, { name: "third" })], ORIGIN);
  await world.clock.advance(WATCH_INTERVAL_MS);
  assert.deepEqual(world.seen.map(({ generation, poolIds }) => [generation, poolIds.includes(id(2))]), [[
    3,
    true,
  ]]);
});

/** What a person may do to each table of the model without leaving a trace in the history. */
const BY_HAND: readonly (readonly [what: string, sql: string])[] = [
  ["a pool that is made", "INSERT INTO pools (id, name) VALUES ('p', 'by-hand')"],
  ["a pool that is changed", "UPDATE pools SET max_answers = 2"],
  ["a pool that is deleted with all it has", "DELETE FROM pools"],
  ["a member that is changed", "UPDATE members SET weight = 7"],
  ["a health check that is made", "INSERT INTO health_checks (pool_id) SELECT id FROM pools"],
  ["a service that is replaced", "REPLACE INTO services (id, domain) VALUES ('s', 'www3.example.com')"],
  ["a zone that is made", "INSERT INTO zones (domain, text) VALUES ('example.net', '')"],
  ["a fallback that is taken away", "UPDATE meta SET fallback = NULL"],
  ["a generation that is raised", "UPDATE meta SET generation = generation + 1"],
  [
    "an override that is made",
    "INSERT INTO overrides (id, target, state, reason, owner, starts_at, expires_at, created_at) " +
    "VALUES ('o', 'region:eu', 'down', '', '', 1, 2, 1)",
  ],
];

for (const [what, sql] of BY_HAND) {
  Deno.test(`${what} by hand, past the history, is told as everything`, async () => {
    await using world = new World();
    world.changes(world.ours).commit([createPool(1), createMember(2, 1), createService(3)], ORIGIN);
    await world.clock.advance(WATCH_INTERVAL_MS);
    world.theirs.database.exec(sql);
    world.theirs.verdicts.save([["tcp 192.0.2.1 80", HEALTHY]]);
    await world.clock.advance(3 * WATCH_INTERVAL_MS);
    assert.deepEqual(world.seen.map(({ everything }) => everything), [true]);
  });
}

for (
  const [what, before, after] of [["older", 1, 2], ["newer", 2, 1], ["of another history", 1, 1]] as const
) {
  Deno.test(`a backup that is ${what}, put into the open file by sqlite3, is told as everything`, async () => {
    await using world = new World();
    const other = Store.open(world.folder.file("other.db"));
    const commit = (store: Store, name: string) =>
      world.changes(store).commit([createPool(name.length, { name })], ORIGIN);
    for (const name of ["a", "bc"].slice(0, before)) commit(other, name);
    other.close();
    await world.clock.advance(1);
    for (const name of ["def", "ghij"].slice(0, after)) commit(world.ours, name);
    await world.clock.advance(WATCH_INTERVAL_MS);
    const source = new Database(world.folder.file("other.db"), { readOnly: true });
    await source.copyTo(world.ours.path);
    source.close();
    await world.clock.advance(WATCH_INTERVAL_MS);
    assert.deepEqual(world.seen.map(({ generation, everything }) => [generation, everything]), [[
      before,
      true,
    ]]);
  });
}

Deno.test("a commit of another process is told", async () => {
  await using world = new World();
  await using other = new LineProcess("second_process.ts", [world.ours.path]);
  assert.equal(await other.ask("pool theirs"), "pool 1");
  await world.clock.advance(WATCH_INTERVAL_MS);
  assert.deepEqual(world.seen.map(({ generation }) => generation), [1]);
  assert.equal(world.ours.pools.byName("theirs")?.revision, 1);
});
