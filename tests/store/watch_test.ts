/**
 * Writes of other processes, noticed by polling on a manual clock.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
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
  world.ours.verdicts.save([["tcp 192.0.2.1 80", {
    state: "healthy",
    since: 1,
    lastError: null,
    latencyMs: 1.5,
    checkedAt: 1,
  }]]);
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

Deno.test("a row written by hand, past the history, is told as everything", async () => {
  await using world = new World();
  world.theirs.database.exec("INSERT INTO pools (id, name) VALUES ('p', 'by-hand')");
  await world.clock.advance(WATCH_INTERVAL_MS);
  assert.deepEqual(world.seen.map(({ generation, everything }) => [generation, everything]), [[0, true]]);
});

Deno.test("a commit of another process is told", async () => {
  await using world = new World();
  await using other = new LineProcess("second_process.ts", [world.ours.path]);
  assert.equal(await other.ask("pool theirs"), "pool 1");
  await world.clock.advance(WATCH_INTERVAL_MS);
  assert.deepEqual(world.seen.map(({ generation }) => generation), [1]);
  assert.equal(world.ours.pools.byName("theirs")?.revision, 1);
});
