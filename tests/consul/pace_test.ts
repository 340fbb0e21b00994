/**
 * How much is asked of Consul in a second.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { BYTES_AT_ONCE, BYTES_PER_SECOND_MAX, Pace } from "../../src/consul/pace.ts";

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
