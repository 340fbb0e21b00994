/**
 * How much is asked of Consul in a second.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import {
  BYTES_AT_ONCE,
  BYTES_PER_SECOND_MAX,
  CALM_MS,
  Pace,
  Pause,
  PAUSE_MAX_MS,
  PAUSE_MS,
} from "../../src/consul/pace.ts";

Deno.test("what comes at once doesn't wait, and what follows waits for its part of a second, whoever has asked", async () => {
  let nowMs = 0;
  const waits: number[] = [];
  const pace = new Pace({
    monotonicMs: () => nowMs,
    sleep: (ms) => {
      waits.push(Math.round(ms));
      return Promise.resolve();
    },
  });
  const { signal } = new AbortController();
  await pace.after(BYTES_AT_ONCE, signal);
  deepEqual(waits, []);
  await pace.after(BYTES_PER_SECOND_MAX / 10, signal);
  await pace.after(BYTES_PER_SECOND_MAX / 10, signal);
  deepEqual(waits, [100, 200]);
  nowMs = 10_000;
  await pace.after(BYTES_AT_ONCE, signal);
  await pace.after(BYTES_PER_SECOND_MAX, signal);
  deepEqual(waits, [100, 200, 1_000], "a pause gives no more than comes at once");
});

Deno.test("what has no news again and again is asked less and less, until it has, or is waited for", () => {
  const pause = new Pause();
  const without = (count: number) => Array.from({ length: count }, () => pause.after(false, 0));
  deepEqual(without(3), [2 * PAUSE_MS, 4 * PAUSE_MS, 8 * PAUSE_MS]);
  deepEqual(without(9).at(-1), PAUSE_MAX_MS);
  deepEqual(pause.after(true, 0), PAUSE_MS);
  without(9);
  deepEqual(pause.after(false, CALM_MS), PAUSE_MS);
});
