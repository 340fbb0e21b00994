/**
 * A short run of `prove reload`; memory needs the long one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isFlawless } from "../dns_load.ts";
import { reload } from "../prove/reload.ts";
import { testWith } from "../programs.ts";

testWith(
  ["dnsperf"],
  "reloads under load lose nothing, and every answer is of the state before or after",
  async () => {
    const { load, reloads, wrong } = await reload({
      count: 50,
      extensions: 0,
      perSecond: 2_000,
      services: 100,
      secondsMax: 60,
      onProgress: () => {},
    });
    assert.deepEqual(wrong, []);
    assert.equal(reloads, 50);
    assert(isFlawless(load), JSON.stringify(load));
  },
);
