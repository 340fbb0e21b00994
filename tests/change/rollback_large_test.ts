/**
 * The way back from a change of very many objects; `deno task prove rollback` does it with 100,000 services.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { setImmediate } from "node:timers";
import { Changes } from "../../src/change/commit.ts";
import { RECORDED_MAX } from "../../src/store/history.ts";
import { StoreBusy } from "../../src/store/database.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { rollBack } from "../prove/rollback.ts";
import { Folder } from "../store/folder.ts";
import { createPool, createService, id, ORIGIN } from "./samples.ts";

const WHO = { by: "", reason: "" };

/** Resolves when everything else has had its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

Deno.test("a large change is rolled back by a thread: texts, ids, places and answers are as before", async () => {
  const { faults, objects } = await rollBack(10_500);
  deepEqual(faults, []);
  ok(objects > RECORDED_MAX, `${objects}`);
});

class FileWorld implements AsyncDisposable {
  readonly folder = new Folder();
  readonly store: Store = Store.open(this.folder.file("node.db"));
  readonly changes: Changes = new Changes({ store: this.store, clock: new ManualClock() });

  /** So many services, one by one: more than 2,000 are no matter of one turn. */
  constructor(services: number) {
    this.changes.commit([createPool(1)], ORIGIN);
    const edits = Array.from(
      { length: services },
      (_, i) => createService(100 + i, { domain: `s${i}.example` }),
    );
    this.changes.commit(edits, ORIGIN);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.changes.idle();
    this.store.close();
    this.folder[Symbol.dispose]();
  }
}

Deno.test("the thread's commit is told here once, and its refusals and dry runs are as those of this thread", async () => {
  await using world = new FileWorld(2_100);
  const { store, changes } = world;
  const { signal } = new AbortController();
  const told: number[] = [];
  using _ = changes.subscribe((commit) => told.push(commit.serviceIds.length));
  const dry = await changes.rollback({ to: 1, origin: WHO, dryRun: true, signal });
  deepEqual([dry.changed, dry.objects.service?.deleted, store.generation(), told], [true, 2_100, 2, []]);
  const done = await changes.rollback({
    to: 1,
    origin: { by: "alice", reason: "why" },
    dryRun: false,
    signal,
  });
  deepEqual([done.changed, done.to, done.commit.generation, told], [true, 1, 3, [2_100]]);
  equal(store.history.get(3)!.reason, "to generation 1: why");
  equal(store.history.get(3)!.by, "alice");
  equal(store.services.count(), 0);
  store.database.run("INSERT INTO services (id, domain) VALUES ('by-hand', 's7.example')");
  await rejects(changes.rollback({ to: 2, origin: WHO, dryRun: false, signal }), /written past the history/);
  equal(store.generation(), 3);
});

Deno.test("while the thread has the database, writes are refused as busy, and go on afterwards", async () => {
  await using world = new FileWorld(2_100);
  const { changes } = world;
  const rollback = changes.rollback({
    to: 1,
    origin: WHO,
    dryRun: false,
    signal: new AbortController().signal,
  });
  let busy = 0;
  let isDone = false;
  const done = rollback.finally(() => isDone = true);
  while (!isDone) {
    await turn();
    try {
      if (!isDone) changes.dryRun([createPool(9, { name: "x" })], ORIGIN);
    } catch (error) {
      ok(error instanceof StoreBusy, String(error));
      busy++;
    }
  }
  await done;
  ok(busy > 0);
  changes.commit([createPool(9, { name: "x" })], ORIGIN);
  ok(world.store.pools.get(id(9)));
});

Deno.test("a rollback that is given up leaves everything as it was, and the next one succeeds", async () => {
  await using world = new FileWorld(2_100);
  const { store, changes } = world;
  const controller = new AbortController();
  const rollback = changes.rollback({ to: 1, origin: WHO, dryRun: false, signal: controller.signal });
  rollback.catch(() => {});
  await turn();
  controller.abort(new Error("given up"));
  await rejects(rollback, /given up/);
  equal(store.generation(), 2);
  const { signal } = new AbortController();
  equal((await changes.rollback({ to: 1, origin: WHO, dryRun: false, signal })).changed, true);
});
