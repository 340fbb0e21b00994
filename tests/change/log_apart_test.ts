/** @module Which entries of the cluster's log may be taken in any order. */
import { equal } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { Reach } from "../../src/change/log_apart.ts";
import type { RecordedChange } from "../../src/store/history_parts.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { createPool, id, ORIGIN } from "./samples.ts";

Deno.test("who comes to a place among all members isn't apart from another who does", () => {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  changes.commit([createPool(1), createPool(2, { name: "other" })], ORIGIN);
  const member = (
    n: number,
    poolId: string,
    ...[before, after]: readonly (number | null)[]
  ): RecordedChange => {
    const json = (seq: number | null | undefined) =>
      seq == null ? null : JSON.stringify({ poolId, target: null, seq, weight: seq });
    return { kind: "member", id: id(n), before: json(before), after: json(after) };
  };
  const isApart = (one: RecordedChange, other: RecordedChange) =>
    Reach.of(store, [one])!.isApartFrom(Reach.of(store, [other])!);
  const fresh = member(11, id(1), null, 16);
  equal(isApart(fresh, member(12, id(2), null, 16)), false);
  equal(isApart(fresh, member(12, id(2), 3, 16)), false, "one that goes behind all others");
  equal(isApart(fresh, member(12, id(2), 3, 3)), true, "one that stays where it is");
  equal(isApart(fresh, member(12, id(1), 3, 3)), false, "one of its pool");
});
