/**
 * The manual clock keeps the promises that tests build on.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ManualClock } from "./clock.ts";

Deno.test("advance() wakes sleepers in the order of their deadlines, each at its own time", async () => {
  const clock = new ManualClock();
  const { signal } = new AbortController();
  const woken: string[] = [];
  clock.sleep(20, signal).then(() => woken.push(`late ${clock.monotonicMs()}`));
  clock.sleep(10, signal).then(() => woken.push(`early ${clock.monotonicMs()}`));
  await clock.advance(30);
  assert.deepEqual(woken, ["early 10", "late 20"]);
  assert.equal(clock.monotonicMs(), 30);
});

Deno.test("advance() wakes a sleep that a woken sleeper begins inside the span", async () => {
  const clock = new ManualClock();
  const { signal } = new AbortController();
  const rounds: number[] = [];
  (async () => {
    for (let i = 0; i < 3; i++) {
      await clock.sleep(10, signal);
      rounds.push(clock.monotonicMs());
    }
  })();
  await clock.advance(25);
  assert.deepEqual(rounds, [10, 20]);
  assert.equal(clock.nextWakeMs, 5);
  await clock.advance(5);
  assert.equal(clock.sleeperCount, 0);
});

Deno.test("stall() wakes everyone late, at the same time", async () => {
  const clock = new ManualClock();
  const { signal } = new AbortController();
  const woken: number[] = [];
  clock.sleep(10, signal).then(() => woken.push(clock.monotonicMs()));
  clock.sleep(20, signal).then(() => woken.push(clock.monotonicMs()));
  await clock.stall(100);
  assert.deepEqual(woken, [100, 100]);
});

Deno.test("sleep() ends at once when its signal is aborted", async () => {
  const clock = new ManualClock();
  const controller = new AbortController();
  const slept = clock.sleep(1_000, controller.signal);
  controller.abort();
  await slept;
  await clock.sleep(1_000, controller.signal);
  assert.equal(clock.sleeperCount, 0);
});

Deno.test("setUnixMs() leaves the monotonic clock alone", async () => {
  const clock = new ManualClock();
  await clock.advance(5);
  clock.setUnixMs(1_000);
  await clock.advance(5);
  assert.equal(clock.unixMs(), 1_005);
  assert.equal(clock.monotonicMs(), 10);
});
