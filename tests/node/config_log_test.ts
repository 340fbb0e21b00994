/** @module What a node does beside the cluster's log. */
import { deepEqual } from "node:assert/strict";
import { Listeners } from "../../src/listeners.ts";
import { foldWhenQuiet } from "../../src/node/config_log.ts";
import type { SeenCommit } from "../../src/node/commits.ts";
import { EVERYTHING } from "../../src/store/touched.ts";
import { ManualClock } from "../clock.ts";

Deno.test("the database's file is written when many changes are over, and not while they come", async () => {
  const clock = new ManualClock();
  const changes = new Listeners<SeenCommit>();
  const folds: number[] = [];
  let count = 0;
  const commits = { subscribe: (hear: (commit: SeenCommit) => void) => changes.add(hear) };
  const store = {
    fold: () => {
      folds.push(count);
      if (folds.length === 1) throw new Error("database or disk is full");
    },
  };
  const ending = new AbortController();
  const folding = foldWhenQuiet({ store, commits, clock, log: { debug: () => {} } }, ending.signal);
  const change = async (times: number) => {
    for (let i = 0; i < times; i++) {
      changes.tell({ generation: ++count, ...EVERYTHING, isForeign: false });
      await clock.advance(100);
    }
  };
  await change(49);
  await clock.advance(60_000);
  deepEqual(folds, []);
  await change(500);
  deepEqual(folds, []);
  await clock.advance(60_000);
  deepEqual(folds, [549]);
  await change(50);
  await clock.advance(60_000);
  deepEqual(folds, [549, 599]);
  ending.abort();
  await folding;
});
