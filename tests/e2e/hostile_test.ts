/**
 * A short run of `prove hostile`; whether memory is flat needs the long one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { hostile, isSound } from "../prove/hostile.ts";
import { testWith } from "../programs.ts";

testWith(
  ["dnsperf"],
  "whatever is done to a node, well-behaved clients are answered by the same process",
  async () => {
    const report = await hostile({ seconds: 5, perSecond: 2_000, attackMs: 300, onProgress: () => {} });
    assert.ok(isSound(report), JSON.stringify(report, null, 1));
  },
);
