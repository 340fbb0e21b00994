/**
 * A short run of `prove observations`; its bars need the long one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { observe } from "../prove/observations.ts";

Deno.test("a node publishes nothing of what another process observes, and all of what it changes", async () => {
  const report = await observe({ seconds: 2, perSecond: 200, services: 10, changes: 1 });
  assert(report.written > 0);
  assert.equal(report.published, 0);
  assert.deepEqual([report.commitsMs.length, report.byHandMs.length], [1, 1]);
  assert(report.isBackedUp);
});
