/**
 * Asks `/healthz` every five milliseconds: `healthz.ts URL`.
 *
 * One question is under way at a time. Those that were due meanwhile would have waited for the same moment, and count as
 * if they had been asked: a server that stands still for a second hasn't answered 200 questions in time, not one.
 *
 * @module
 */
import { setTimeout as wait } from "node:timers/promises";
import { measureUntilAsked, nowMs, type TimedSample } from "./process.ts";

/** Between two questions. */
const INTERVAL_MS = 5;

const [url] = Deno.args;

await measureUntilAsked("ready", async (signal) => {
  const samples: TimedSample[] = [];
  for (let dueMs = nowMs(); !signal.aborted;) {
    const aheadMs = dueMs - nowMs();
    if (aheadMs > 0) await wait(aheadMs);
    // A timer that comes late is this process's fault.
    const sentMs = nowMs();
    const response = await fetch(url!);
    await response.body?.cancel();
    if (response.status !== 200) throw new Error(`${url}: ${response.status}`);
    const answeredMs = nowMs();
    for (dueMs = sentMs; dueMs < answeredMs; dueMs += INTERVAL_MS) samples.push([dueMs, answeredMs - dueMs]);
  }
  return samples;
});
