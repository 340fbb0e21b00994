/**
 * A short run of `prove map_reload`.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { isFlawless } from "../dns_load.ts";
import { testWith } from "../programs.ts";
import { reloadMap } from "../prove/map_reload.ts";

testWith(
  ["dnsperf"],
  "map files replaced under load lose nothing, all are in the answers, and a broken one changes nothing",
  async () => {
    const { load, wrong, refusal, brokenAt } = await reloadMap({
      prefixes: 50_000,
      files: 4,
      perSecond: 2_000,
    });
    deepEqual(wrong, []);
    ok(refusal.includes(brokenAt), `${refusal} doesn't name ${brokenAt}`);
    ok(isFlawless(load), JSON.stringify(load));
  },
);
