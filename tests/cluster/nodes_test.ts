/** @module Whole nodes that share what they find: the long runs of `tests/prove/`, in short. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { testWith } from "../programs.ts";
import { faultsOf, partitions, SHORT } from "../prove/partition.ts";
import { changesSpread } from "../prove/spread.ts";

testWith(["nats-server"], "what one node finds is in another one's answers at once", async () => {
  const took = await changesSpread(4);
  equal(took.length, 4);
  // Its own next look is an hour away; how soon it is to the millisecond is the long run's matter.
  ok(took.every((ms) => ms < 60_000), `${took} ms`);
});

testWith(
  ["nats-server"],
  "nodes answer while a server is gone and has lost its store, and agree soon after",
  async () => {
    const [row] = await partitions(SHORT, ["wiped"]);
    // Too short for `b` to go by itself; within how many seconds they agree is for the long run on a quiet machine.
    deepEqual(faultsOf({ ...row!, meanwhile: "own", convergedMs: 0, agreedMs: 0 }), []);
    ok(row!.seen.asked > 10 && row!.edits > 0);
  },
);
