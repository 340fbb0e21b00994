/** @module Tests of how candidates are put into an order. */
import { deepEqual, equal } from "node:assert/strict";
import fc from "fast-check";
import { keepRanked, orderBy, rankGroups } from "../../src/balance/ranking.ts";
import { runs } from "../property_runs.ts";

/** Costs as algorithms have them: distances, round trips that aren't known, places beside each other, and the same ones often. */
const COST = fc.oneof(
  fc.double({ min: -1, max: 1, noNaN: true }),
  fc.double({ min: -1, max: -1 + 1e-9, noNaN: true }),
  fc.constantFrom(0, -0, Infinity, -Infinity, 1e300, -1e300, 5e-324),
  fc.integer({ min: -3, max: 3 }),
  fc.double({ noNaN: true }),
);

Deno.test("orderBy() sorts few and many as Array.sort() does, and leaves equals in their order", () => {
  fc.assert(
    fc.property(
      fc.array(COST, { maxLength: 300, size: "max" }),
      fc.array(COST, { maxLength: 3 }),
      (costs, more) => {
        const expected = [...costs.keys()].sort((a, b) =>
          costs[a]! < costs[b]! ? -1 : costs[a]! > costs[b]! ? 1 : a - b
        );
        deepEqual(orderBy(Float64Array.from([...costs, ...more]), costs.length), expected);
      },
    ),
    { numRuns: runs(300) },
  );
});

Deno.test("keepRanked() keeps groups together, in their order, and puts others before them", () => {
  const group = fc.integer({ min: 0, max: 4 });
  fc.assert(
    fc.property(fc.array(group, { maxLength: 8 }), fc.integer(), fc.boolean(), (sizes, mask, hasBefore) => {
      let next = 0;
      const groups = sizes.map((size) => Array.from({ length: size }, () => next++));
      const isKept = (position: number) => (mask >> position % 31 & 1) === 1;
      const before = hasBefore ? [100, 101] : [];
      const expected = [before, ...groups.map((each) => each.filter(isKept))].filter((each) =>
        each.length > 0
      );
      const ranking = keepRanked(rankGroups(groups), isKept, before);
      const ends = ranking.ends ?? [...ranking.order.keys()].slice(ranking.lead).map((at) => at + 1);
      const starts = [0, ranking.lead, ...ends];
      const all = [ranking.lead, ...ends].map((end, i) => ranking.order.slice(starts[i], end));
      deepEqual(all.filter((each) => each.length > 0), expected);
      equal(ranking.order.length, expected.flat().length);
    }),
  );
});
