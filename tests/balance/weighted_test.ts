/** @module Tests of the rotation of equal members and of the weighted schedule. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { rotate } from "../../src/balance/round_robin.ts";
import { Schedule, scheduleOf } from "../../src/balance/weighted.ts";

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

/** Positions over so many turns. */
function turnsOf(weights: readonly number[], turns: number): number[] {
  const schedule = new Schedule(weights);
  return Array.from({ length: turns }, (_, ticket) => schedule.at(ticket));
}

Deno.test("a schedule gives each member exactly its weight's share of a cycle, short or long", () => {
  const weight = fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 5000 }));
  fc.assert(
    fc.property(fc.array(weight, { minLength: 1, maxLength: 20 }), (weights) => {
      const schedule = new Schedule(weights);
      const { cycle } = schedule;
      const turns = weights.map(() => 0);
      for (const position of turnsOf(weights, cycle)) turns[position]!++;
      assert.deepEqual(weights.map((_, position) => schedule.turnsOf(position)), turns);
      assert.deepEqual(weights.map((_, position) => schedule.at(schedule.turnOf(position))), [
        ...weights.keys(),
      ]);
      const scale = weights.reduce((sum, weight) => sum + weight, 0) / cycle;
      assert.deepEqual(turns.map((turn) => turn * scale), weights);
    }),
    { numRuns: 50 },
  );
});

Deno.test("a short schedule spreads the turns of a heavy member over the cycle", () => {
  assert.deepEqual(turnsOf([5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
});

Deno.test("a long schedule is even wherever one looks: no member is more than six turns off its share", () => {
  const weights = Array.from({ length: 256 }, (_, i) => 1 + i * 61 % 997);
  const sum = weights.reduce((sum, weight) => sum + weight, 0);
  const turns = turnsOf(weights, 20_000);
  for (const position of [0, 1, 100, 255]) {
    const share = weights[position]! / sum;
    let had = 0;
    for (const [turn, first] of turns.entries()) {
      if (first === position) had++;
      const off = Math.abs(had - share * (turn + 1));
      assert.ok(off < 6, `member ${position} is ${off} turns off at turn ${turn}`);
    }
  }
});

Deno.test("a schedule of any weights takes a look at each of them to be made, and a few to be asked", () => {
  const weights = Array.from({ length: 1000 }, (_, i) => i % 2 === 0 ? 65_535 : 65_534);
  const schedule = new Schedule(weights);
  assert.equal(schedule.size, 1000);
  assert.ok(schedule.cycle > 60_000_000);
  assert.ok(new Schedule([65_535, 65_534, 1]).size <= 8192);
  assert.deepEqual(new Set(turnsOf([65_535, 65_534, 1], 131_070)), new Set([0, 1, 2]));
});

Deno.test("equal weights need no schedule", () => {
  assert.equal(scheduleOf([7, 7, 7]), null);
  assert.equal(scheduleOf([]), null);
});
