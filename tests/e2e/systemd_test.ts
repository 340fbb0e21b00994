/** @module The node's unit under a real systemd; `prove systemd` does more of it. */
import { deepEqual, equal } from "node:assert/strict";
import { program, testWith } from "../programs.ts";
import { underSystemd } from "../prove/systemd.ts";

testWith(
  ["pleiades", "systemd", "unshare", "dnsperf"],
  "systemd starts the unit, reloads it, has it replaced, restarts it when it is killed, and stops it",
  async () => {
    const report = await underSystemd(program("pleiades")!, { replacements: 2, watchesWatchdog: false });
    deepEqual(report?.faults, []);
    equal(report?.load?.lost, 0);
  },
);
