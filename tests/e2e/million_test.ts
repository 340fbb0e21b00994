/**
 * A short run of `prove million`; its bars need the long one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isFlawless } from "../dns_load.ts";
import { million } from "../prove/million.ts";
import { testWith } from "../programs.ts";

testWith(
  ["dnsperf"],
  "a node that starts on a full database answers, and every answer under load shows the change before it",
  async () => {
    const { load, changesMs, stale } = await million({
      services: 2_000,
      seconds: 3,
      perSecond: 2_000,
      changes: 100,
      onStep: () => {},
    });
    assert.deepEqual(stale, []);
    assert.equal(changesMs.length, 100);
    assert(isFlawless(load), JSON.stringify(load));
  },
);
