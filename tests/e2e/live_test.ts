/**
 * A short run of `prove live`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isFlawless } from "../dns_load.ts";
import { live } from "../prove/live.ts";
import { testWith } from "../programs.ts";

testWith(["dnsperf"], "members change under load; nothing is lost and no answer is stale", async () => {
  const { load, stale } = await live({ seconds: 3, members: 30, perSecond: 2_000 });
  assert.deepEqual(stale, []);
  assert(isFlawless(load), JSON.stringify(load));
});
