/**
 * From results to verdicts: thresholds, the first result, and what REST shows.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  judge,
  type Judgement,
  judgementOf,
  type ProbeResult,
  UNKNOWN_VERDICT,
  type Verdict,
} from "../../src/health/verdict.ts";

const UP: ProbeResult = { ok: true, latencyMs: 12 };
const DOWN: ProbeResult = { ok: false, error: "connection refused" };
const HEALTHY: Verdict = { state: "healthy", since: 1, lastError: null, latencyMs: 10, checkedAt: 1 };
const UNHEALTHY: Verdict = { state: "unhealthy", since: 1, lastError: "x", latencyMs: 10, checkedAt: 1 };

Deno.test("judge() lets the first result decide an unknown target", () => {
  assert.equal(after(UNKNOWN_VERDICT, [DOWN]).verdict.state, "unhealthy");
  assert.equal(after(UNKNOWN_VERDICT, [UP]).verdict.state, "healthy");
});

Deno.test("judge() changes a state only after rise or fall results in a row", () => {
  const table: [string, Verdict, ProbeResult[], string][] = [
    ["two failures of three", HEALTHY, [DOWN, DOWN], "healthy"],
    ["three failures", HEALTHY, [DOWN, DOWN, DOWN], "unhealthy"],
    ["a success between starts over", HEALTHY, [DOWN, DOWN, UP, DOWN, DOWN], "healthy"],
    ["one success of two", UNHEALTHY, [UP], "unhealthy"],
    ["two successes", UNHEALTHY, [UP, UP], "healthy"],
    ["a failure between starts over", UNHEALTHY, [UP, DOWN, UP], "unhealthy"],
    ["down and up again", HEALTHY, [DOWN, DOWN, DOWN, UP, UP], "healthy"],
  ];
  for (const [name, from, results, state] of table) {
    assert.equal(after(from, results).verdict.state, state, name);
  }
});

Deno.test("judge() keeps since at the last change, and shows the last error, latency and time", () => {
  assert.deepEqual(after(HEALTHY, [DOWN]).verdict, {
    state: "healthy",
    since: 1,
    lastError: "connection refused",
    latencyMs: 10,
    checkedAt: 100,
  });
  assert.deepEqual(after(HEALTHY, [DOWN, DOWN, DOWN, UP]).verdict, {
    state: "unhealthy",
    since: 102,
    lastError: null,
    latencyMs: 12,
    checkedAt: 103,
  });
});

Deno.test("judge() remembers when a result agreed last, so that the time of detection is known", () => {
  assert.equal(after(HEALTHY, [DOWN]).agreedAt, null);
  assert.equal(after(HEALTHY, [UP, DOWN, DOWN]).agreedAt, 100);
  assert.equal(after(HEALTHY, [UP, DOWN, DOWN, DOWN]).agreedAt, 103);
});

/** Judges results that come at 100, 101, 102… with rise 2 and fall 3. */
function after(from: Verdict, results: readonly ProbeResult[]): Judgement {
  return results.reduce(
    (judgement, result, i) => judge(judgement, result, { rise: 2, fall: 3, unixMs: 100 + i }),
    judgementOf(from),
  );
}
