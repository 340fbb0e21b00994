/**
 * How refused attempts become events: at once, then once a minute, and never many.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { ATTEMPT_SOURCES_MAX, ATTEMPT_WINDOW_MS, AttemptSummaries } from "../../src/events/attempts.ts";
import { ManualClock } from "../clock.ts";

const ATTACKER = "192.0.2.66";

Deno.test("the first attempt of a source is told of at once, those of the next minute together", async () => {
  const clock = new ManualClock();
  const summaries = new AttemptSummaries(clock);
  deepEqual(summaries.take(), []);
  summaries.note({ from: ATTACKER, status: 401 });
  const told = { kind: "attempt", from: ATTACKER };
  deepEqual(summaries.take(), [{
    ...{ ...told, count: 1, statuses: { 401: 1 }, since: "2026-01-01T00:00:00.000Z" },
  }]);
  await clock.advance(1_000);
  for (let i = 0; i < 100_000; i++) summaries.note({ from: ATTACKER, status: i < 160 ? 401 : 429 });
  await clock.advance(ATTEMPT_WINDOW_MS - 1_001);
  deepEqual(summaries.take(), []);
  await clock.advance(1);
  deepEqual(summaries.take(), [{
    ...{ ...told, count: 100_000, statuses: { 401: 160, 429: 99_840 }, since: "2026-01-01T00:00:01.000Z" },
  }]);
});

Deno.test("a source that has been quiet for a minute is told of at once again", async () => {
  const clock = new ManualClock();
  const summaries = new AttemptSummaries(clock);
  summaries.note({ from: ATTACKER, status: 403 });
  equal(summaries.take().length, 1);
  await clock.advance(ATTEMPT_WINDOW_MS);
  deepEqual(summaries.take(), []);
  summaries.note({ from: ATTACKER, status: 403 });
  equal(summaries.take().length, 1);
});

Deno.test("from however many sources attempts come, a minute has a few events", async () => {
  const clock = new ManualClock();
  const summaries = new AttemptSummaries(clock);
  let told = 0;
  let counted = 0;
  for (let second = 0; second < 60; second++) {
    for (let i = 0; i < 1_000; i++) summaries.note({ from: `2001:db8::${second}:${i}`, status: 401 });
    const events = summaries.take();
    told += events.length;
    counted += events.reduce((sum, { count }) => sum + count, 0);
    await clock.advance(1_000);
  }
  equal(told, ATTEMPT_SOURCES_MAX + 1);
  const rest = summaries.take();
  deepEqual(rest.map(({ from }) => from), [""]);
  equal(counted + rest[0]!.count, 60_000, "each attempt is in one of them");
});

Deno.test("in the end all is told that was counted", () => {
  const summaries = new AttemptSummaries(new ManualClock());
  for (let i = 0; i < 2; i++) {
    summaries.note({ from: ATTACKER, status: 401 });
    equal(summaries.take({ isEnd: true }).length, 1);
  }
  deepEqual(summaries.take({ isEnd: true }), []);
});
