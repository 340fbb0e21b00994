/**
 * A short run of `prove stall`; its bars need the long one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { stall } from "../prove/stall.ts";

Deno.test("whatever changes as a whole is in the next answer, and probes and /healthz go on meanwhile", async () => {
  const { rows, stale, patches } = await stall({
    services: 2_000,
    seconds: 2,
    probed: 20,
    restMs: 50,
    onStep: () => {},
  });
  assert.deepEqual([stale, patches.refused], [[], []]);
  assert(patches.tookMs.length > 0);
  assert.equal(rows[0]!.kind, "rest");
  for (const { kind, callsMs } of rows.slice(1)) assert(callsMs.length > 0, kind);
  // A change may be over between two questions.
  for (const values of ["healthzMs", "dnsMs", "probesLateMs"] as const) {
    assert(rows.some((row) => row[values].length > 0), values);
  }
});
