/** @module Tests that guards find the same of a change whatever way it comes: Git, the cluster's log, the way back. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { type Applied, ChangeRefused } from "../../src/change/edit.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { AnswerGuard } from "../../src/plan/answer_guard.ts";
import { ownLocation } from "../../src/snapshot/lists.ts";
import type { RecordedChange } from "../../src/store/history_parts.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { MODEL, WAYS } from "../e2e/emptying_ways.ts";
import { TEST_SETTINGS } from "../test_node.ts";

const { signal } = new AbortController();
const origin = { via: "api", by: "", reason: "" };

for (const { what, model, refused, impossible } of WAYS.filter(({ model }) => model)) {
  const outcome = impossible ? "is impossible" : refused === null ? "is possible" : "is refused";
  Deno.test(`to ${what} ${outcome}, by Git, the cluster's log, rollback and undo`, async () => {
    using world = new World();
    equal((await world.apply(MODEL, "api", true)).kind, "applied");
    const text = model!(MODEL);
    if (impossible) {
      equal((await world.apply(text, "git", true)).kind, "invalid");
      return;
    }
    const judged = async (change: () => Promise<unknown>) => {
      const { generation } = world;
      if (refused === null) {
        await change();
        ok(world.generation > generation);
        return;
      }
      await rejects(change, (error) => {
        ok(error instanceof ChangeRefused, String(error));
        const names = error.guards.flatMap(({ names }) => names);
        deepEqual([error.kind, refused.filter((name) => !names.includes(name))], ["guarded", []]);
        return true;
      });
      equal(world.generation, generation);
    };
    await judged(() => world.apply(text, "git", false));
    if (refused !== null) await world.apply(text, "git", true);
    const emptied = world.generation;
    const entry = world.changesOf(emptied);
    await world.back(1, true);
    const restored = world.generation;
    await judged(() => world.take(entry));
    if (refused === null) await world.back(1, true);
    await judged(() => world.back(emptied, false));
    if (refused === null) await world.back(1, true);
    await judged(() => world.undo(refused === null ? world.generation : restored));
  });
}

/** A guarded model in memory. */
class World implements Disposable {
  readonly #store = Store.memory();
  readonly #changes = new Changes({ store: this.#store, clock: new ManualClock() });

  constructor() {
    const world = {
      health: { out: new Map(), roundTripsUs: new Map() },
      geoData: EMPTY_GEO_DATA,
      locationOf: ownLocation,
    };
    this.#changes.guardBy(
      new AnswerGuard({
        settings: () => TEST_SETTINGS,
        world: () => world,
        addressesOf: () => [],
        nowMs: () => 0,
        portable: () => {
          throw new Error("There is one thread");
        },
      }),
    );
  }

  get generation(): number {
    return this.#store.generation();
  }

  apply(text: string, via: string, force: boolean): Promise<Applied> {
    return this.#changes.apply(ReadableStream.from([new TextEncoder().encode(text)]), {
      ...{ file: "model.yaml", format: "yaml", origin: { ...origin, via }, dryRun: false, force },
      ...{ ifGeneration: null, signal },
    });
  }

  /** What a generation did, as an entry of the cluster's log says it. */
  changesOf(generation: number): RecordedChange[] {
    const text = (object: unknown) => object === null ? null : JSON.stringify(object);
    return [...this.#store.history.changes(generation)].map(({ kind, id, before, after }) => ({
      ...{ kind, id, before: text(before), after: text(after) },
    }));
  }

  take(changes: readonly RecordedChange[]): Promise<unknown> {
    return Promise.try(() => this.#changes.together((make) => make(changes, { ...origin, via: "cluster" })));
  }

  back(to: number, force: boolean): Promise<unknown> {
    return this.#changes.rollback({ to, origin, dryRun: false, force, signal });
  }

  undo(generation: number): Promise<unknown> {
    return Promise.try(() => this.#changes.revertHere({ generation, origin, dryRun: false }));
  }

  [Symbol.dispose](): void {
    this.#store.close();
  }
}
