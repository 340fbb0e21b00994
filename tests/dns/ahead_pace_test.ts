/**
 * How often a worker makes decisions ahead.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { AheadPace } from "../../src/dns/ahead_pace.ts";

/** The pauses that follow so many queries a second each, as long as there is something to do. */
function pausesAt(...perSecond: number[]): number[] {
  const pace = new AheadPace();
  let nowMs = 0;
  let queries = 0;
  return perSecond.map((rate) => {
    nowMs += 100;
    queries = queries + rate / 10 >>> 0;
    return pace.pauseMs(true, queries, nowMs);
  });
}

Deno.test("under load decisions are made ahead seldom, and otherwise often", () => {
  deepEqual(pausesAt(0, 900, 20_000, 1100, 900, 0), [1, 1, 50, 50, 1, 1]);
});

Deno.test("load is seen, too, when the counter of queries begins again", () => {
  const pace = new AheadPace();
  pace.pauseMs(true, 2 ** 32 - 5, 100);
  equal(pace.pauseMs(true, 995, 200), 50);
  equal(pace.pauseMs(true, 1000, 300), 1);
});

Deno.test("with nothing to do it is looked for again now and then, whatever the load", () => {
  const pace = new AheadPace();
  equal(pace.pauseMs(false, 0, 100), 100);
  equal(pace.pauseMs(false, 100_000, 200), 100);
});
