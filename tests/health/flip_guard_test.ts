/**
 * The flip guard under a clock that the test moves: what it holds, for how long, and what it never holds.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { GuardBed, keysTo } from "./guard_bed.ts";

const SECOND = 1_000;
const SIX = keysTo(6);

Deno.test("downs up to the share are passed on at once", () => {
  using bed = new GuardBed();
  bed.turn("unhealthy", ...keysTo(5));
  assert.deepEqual(bed.down(), keysTo(5));
  assert.deepEqual([bed.guard.holding, bed.events, bed.lines], [null, [], []]);
});

Deno.test("more downs than the share, in one batch, are held and then count all the same", async () => {
  using bed = new GuardBed();
  bed.turn("unhealthy", ...SIX);
  assert.deepEqual([bed.down(), bed.guard.holding, bed.guard.heldCount], [[], "flips", 6]);
  await bed.clock.advance(30 * SECOND - 1);
  assert.deepEqual(bed.down(), []);
  await bed.clock.advance(1);
  assert.deepEqual([bed.down(), bed.guard.holding, bed.guard.heldCount], [SIX, null, 0]);
});

Deno.test("a trip and its end are said at once, with counts and with what will happen when", async () => {
  using bed = new GuardBed();
  bed.turn("unhealthy", ...SIX);
  const { level, message, down, targets, then } = JSON.parse(bed.lines[0]!);
  assert.deepEqual([level, message, down, targets, then], [
    "error",
    "Very many targets went down at once; the last good set is held",
    6,
    10,
    "those still down in 30 s count as down all the same",
  ]);
  const untilUnixMs = bed.clock.unixMs() + 30 * SECOND;
  assert.deepEqual(bed.events, [{ kind: "tripped", held: 6, targets: 10, untilUnixMs }]);
  await bed.clock.advance(30 * SECOND);
  assert.deepEqual(bed.events[1], { kind: "ended", outcome: "failed_over", failedOver: 6 });
  assert.match(bed.lines[1]!, /"level":"error".*still down after the hold.*"down":6/);
});

Deno.test("downs that trickled in within the window are taken back up by the trip", async () => {
  using bed = new GuardBed();
  for (const key of keysTo(5)) {
    bed.turn("unhealthy", key);
    await bed.clock.advance(400);
  }
  assert.deepEqual(bed.down(), keysTo(5));
  bed.turn("unhealthy", "t5");
  assert.deepEqual([bed.down(), bed.takenBack], [[], keysTo(5)]);
});

Deno.test("who went down before the window stays down", async () => {
  using bed = new GuardBed();
  bed.turn("unhealthy", "t9");
  await bed.clock.advance(2_001);
  bed.turn("unhealthy", ...SIX);
  assert.deepEqual([bed.down(), bed.guard.heldCount], [["t9"], 6]);
});

Deno.test("the same downs, spread over more than an interval, never trip", async () => {
  using bed = new GuardBed();
  for (const key of keysTo(10)) {
    bed.turn("unhealthy", key);
    await bed.clock.advance(401);
  }
  assert.deepEqual([bed.down(), bed.events], [keysTo(10), []]);
});

Deno.test("the window is the longest interval among those that turned", async () => {
  using bed = new GuardBed();
  for (const key of bed.checks.keys()) bed.checks.set(key, { intervalMs: 250, timeoutMs: 200, rise: 1 });
  bed.checks.set("t0", { intervalMs: 10_000, timeoutMs: 200, rise: 1 });
  for (const key of SIX) {
    bed.turn("unhealthy", key);
    await bed.clock.advance(2_000);
  }
  assert.deepEqual(bed.down(), []);
});

Deno.test("ups are never held, and who comes back meanwhile is simply up", async () => {
  using bed = new GuardBed();
  bed.turn("unhealthy", "t9");
  await bed.clock.advance(5 * SECOND);
  bed.turn("unhealthy", ...SIX);
  await bed.clock.advance(SECOND);
  bed.turn("healthy", "t0", "t1", "t9");
  assert.deepEqual([bed.down(), bed.guard.heldCount], [[], 4]);
  await bed.clock.advance(29 * SECOND);
  assert.deepEqual(bed.down(), ["t2", "t3", "t4", "t5"]);
});

Deno.test("when all come back the hold is over, and the next trip is held anew", async () => {
  using bed = new GuardBed();
  bed.turn("unhealthy", ...SIX);
  await bed.clock.advance(20 * SECOND);
  bed.turn("healthy", ...SIX);
  assert.deepEqual(bed.events.at(-1), { kind: "ended", outcome: "recovered", failedOver: 0 });
  assert.equal(bed.clock.sleeperCount, 0);
  bed.turn("unhealthy", ...SIX);
  await bed.clock.advance(20 * SECOND);
  assert.deepEqual(bed.down(), []);
  await bed.clock.advance(10 * SECOND);
  assert.deepEqual(bed.down(), SIX);
});

Deno.test("downs during a hold are held with the others, and not for longer", async () => {
  using bed = new GuardBed();
  bed.turn("unhealthy", ...SIX);
  await bed.clock.advance(29 * SECOND);
  bed.turn("unhealthy", "t6", "t7");
  assert.deepEqual(bed.down(), []);
  await bed.clock.advance(SECOND);
  assert.deepEqual(bed.down(), keysTo(8));
});

Deno.test("a small node never trips: at least so many targets must turn", () => {
  using bed = new GuardBed(4);
  bed.turn("unhealthy", ...keysTo(4));
  assert.deepEqual(bed.down(), keysTo(4));
});

Deno.test("as many as must turn at least are enough, when they are more than the share", () => {
  using bed = new GuardBed(8);
  bed.turn("unhealthy", ...keysTo(4));
  assert.equal(bed.guard.holding, null);
  bed.turn("unhealthy", "t4");
  assert.deepEqual([bed.guard.holding, bed.down()], ["flips", []]);
});

Deno.test("with share 0 the guard is off", () => {
  using bed = new GuardBed();
  bed.terms = { ...bed.terms, share: 0 };
  bed.turn("unhealthy", ...keysTo(10));
  assert.deepEqual(bed.down(), keysTo(10));
});

Deno.test("first results don't trip: what was never found well has no last good state", () => {
  using bed = new GuardBed();
  for (const key of bed.verdicts.keys()) bed.verdicts.set(key, "unknown");
  bed.turn("unhealthy", ...keysTo(10));
  assert.deepEqual([bed.down(), bed.events], [keysTo(10), []]);
});

Deno.test("a flapping target counts once", async () => {
  using bed = new GuardBed();
  for (let i = 0; i < 10; i++) {
    bed.turn("unhealthy", "t0");
    bed.turn("healthy", "t0");
  }
  bed.turn("unhealthy", "t0");
  await bed.clock.advance(100);
  assert.deepEqual([bed.down(), bed.events], [["t0"], []]);
});

Deno.test("targets that nobody declares any more are forgotten, and may end a hold", () => {
  using bed = new GuardBed();
  bed.turn("unhealthy", ...SIX);
  bed.guard.forget(SIX);
  assert.deepEqual([bed.guard.holding, bed.clock.sleeperCount], [null, 0]);
});

Deno.test("no timer is left behind when a guard is disposed of in a hold", () => {
  const bed = new GuardBed();
  bed.turn("unhealthy", ...SIX);
  bed[Symbol.dispose]();
  assert.equal(bed.clock.sleeperCount, 0);
});

Deno.test("ten thousand targets that fall one by one cost a moment", () => {
  using bed = new GuardBed(25_000);
  const startMs = performance.now();
  for (const key of keysTo(10_000)) bed.turn("unhealthy", key);
  assert.equal(bed.down().length, 10_000);
  assert.ok(performance.now() - startMs < 20_000);
});

const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ advanceMs: fc.constantFrom(1, 250, 900, 2_000, 5_000, 31_000) }) },
    {
      weight: 5,
      arbitrary: fc.record({
        turns: fc.uniqueArray(
          fc.tuple(fc.nat(9), fc.constantFrom("healthy" as const, "unhealthy" as const)),
          {
            selector: ([target]) => target,
            minLength: 1,
            maxLength: 9,
          },
        ),
      }),
    },
  ),
  { maxLength: 60 },
);

Deno.test("random verdicts: the guard does what a naive model of it does, holds no up, and nothing for too long", async () => {
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.array(fc.constantFrom(250, 2_000, 10_000), { minLength: 10, maxLength: 10 }),
      async (steps, intervals) => {
        using bed = new GuardBed();
        intervals.forEach((intervalMs, i) =>
          bed.checks.set(`t${i}`, { intervalMs, timeoutMs: 200, rise: 1 })
        );
        const naive = new NaiveGuard(intervals);
        const heldSinceMs = new Map<string, number>();
        for (const step of steps) {
          if ("advanceMs" in step) {
            await bed.clock.advance(step.advanceMs);
            naive.advance(step.advanceMs);
          } else {
            const turns = step.turns.map(([target, state]) => [`t${target}`, state] as const);
            bed.batch(turns);
            naive.batch(turns);
            for (const [key, state] of turns) {
              if (state === "healthy") {
                assert.equal(bed.counted.get(key), "healthy");
              }
            }
          }
          assert.deepEqual(bed.down(), naive.down());
          const nowMs = bed.clock.monotonicMs();
          for (const key of bed.verdicts.keys()) {
            const isHeld = bed.verdicts.get(key) !== bed.counted.get(key);
            assert.equal(bed.guard.holds(key), isHeld);
            if (!isHeld) heldSinceMs.delete(key);
            else if (!heldSinceMs.has(key)) heldSinceMs.set(key, nowMs);
            else assert.ok(nowMs - heldSinceMs.get(key)! < bed.terms.holdMs, `${key} is held for too long`);
          }
          if (!naive.hasTripped) assert.deepEqual(bed.counted, bed.verdicts);
        }
      },
    ),
    { numRuns: 300 },
  );
});

/** The rules of the guard, worked out anew from lists at every step. */
class NaiveGuard {
  hasTripped = false;
  readonly #intervals: readonly number[];
  #nowMs = 0;
  #isDown = new Map<string, boolean>();
  #counts = new Map<string, boolean>();
  #late: { key: string; atMs: number }[] = [];
  #holdEndsMs = Infinity;

  constructor(intervals: readonly number[]) {
    this.#intervals = intervals;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    if (this.#nowMs >= this.#holdEndsMs) this.#endHold();
  }

  batch(turns: readonly (readonly [key: string, state: "healthy" | "unhealthy"])[]): void {
    const isHolding = this.#holdEndsMs < Infinity;
    const fresh = turns.filter(([key, state]) => state === "unhealthy" && this.#isDown.get(key) !== true);
    for (const [key, state] of turns) {
      this.#isDown.set(key, state === "unhealthy");
      if (state === "unhealthy") continue;
      this.#counts.set(key, false);
      this.#late = this.#late.filter((down) => down.key !== key);
    }
    if (fresh.length > 0 && !isHolding) {
      for (const [key] of fresh) {
        this.#late.push({ key, atMs: this.#nowMs });
        this.#counts.set(key, true);
      }
      for (let before = -1; before !== this.#late.length;) {
        before = this.#late.length;
        const windowMs = Math.max(...this.#late.map(({ key }) => this.#intervals[Number(key.slice(1))]!));
        this.#late = this.#late.filter(({ atMs }) => this.#nowMs - atMs <= windowMs);
      }
      if (this.#late.length > 5) {
        this.hasTripped = true;
        this.#holdEndsMs = this.#nowMs + 30_000;
        for (const { key } of this.#late) this.#counts.set(key, false);
      }
    }
    const isAnyHeld = [...this.#isDown].some(([key, down]) => down && this.#counts.get(key) !== true);
    if (this.#holdEndsMs < Infinity && !isAnyHeld) this.#endHold();
  }

  down(): string[] {
    return [...this.#counts].filter(([, counts]) => counts).map(([key]) => key).sort();
  }

  #endHold(): void {
    this.#holdEndsMs = Infinity;
    this.#late = [];
    for (const [key, isDown] of this.#isDown) this.#counts.set(key, isDown);
  }
}
