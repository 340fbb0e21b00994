/**
 * A short run of `prove failover`.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { failover } from "../prove/failover.ts";

/** Of tests that run beside this one on few cores; the proof itself allows half a second. */
const SLACK_MS = 2_000;

Deno.test("a backend that is killed, and one that hangs, leave the answers in time and come back", async () => {
  const { rows, misses } = await failover({ only: ["kill", "hang"], rounds: 1, slackMs: SLACK_MS });
  deepEqual(rows.map(({ scenario }) => scenario.name), ["kill", "hang"]);
  deepEqual(misses, []);
});
