/** @module Tests of the rotation of equal members and of the smooth weighted schedule. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { rotate } from "../../src/balance/round_robin.ts";
import { SCHEDULE_MAX, smoothSchedule } from "../../src/balance/weighted.ts";

Deno.test("rotate() makes each of n members first exactly k times in n·k turns", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 50 }),
    fc.integer({ min: 1, max: 20 }),
    fc.integer({ min: 0, max: 1_000_000 }),
    fc.integer({ min: 1, max: 60 }),
    (n, k, start, max) => {
      const eligible = Uint32Array.from({ length: n }, (_, i) => i * 7);
      const out = new Uint32Array(60);
      const firsts = new Map<number, number>();
      for (let ticket = start; ticket < start + n * k; ticket++) {
        const written = rotate(eligible, 0, n, ticket, max, out);
        assert.equal(written, Math.min(n, max));
        assert.equal(new Set(out.subarray(0, written)).size, written, "no member twice");
        firsts.set(out[0]!, (firsts.get(out[0]!) ?? 0) + 1);
      }
      assert.deepEqual([...firsts.values()], new Array(n).fill(k));
    },
  ));
});

Deno.test("smoothSchedule() gives each member exactly its weight's share of a cycle", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }), (weights) => {
      const schedule = smoothSchedule(weights);
      const turns = weights.map((_, i) => schedule.filter((position) => position === i).length);
      const scale = weights.reduce((sum, weight) => sum + weight, 0) / schedule.length;
      assert.deepEqual(turns.map((turn) => turn * scale), weights);
    }),
  );
});

Deno.test("smoothSchedule() spreads the turns of a heavy member over the cycle", () => {
  assert.deepEqual([...smoothSchedule([5, 1, 1])], [0, 0, 1, 0, 2, 0, 0]);
});

Deno.test("smoothSchedule() keeps long cycles within bounds and every member in them", () => {
  const weights = [65_535, 65_534, 1];
  const schedule = smoothSchedule(weights);
  assert.ok(schedule.length <= SCHEDULE_MAX);
  assert.deepEqual(new Set(schedule), new Set([0, 1, 2]));
});

Deno.test("smoothSchedule() of nobody is empty", () => {
  assert.equal(smoothSchedule([]).length, 0);
});
