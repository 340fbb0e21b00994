/** @module What a node keeps of the cluster's log. */
import { deepEqual, equal } from "node:assert/strict";
import fc from "fast-check";
import type { RecordedChange } from "../../src/store/history_parts.ts";
import type { LogEntry } from "../../src/store/log.ts";
import { Store } from "../../src/store/store.ts";
import { runs } from "../property_runs.ts";

function entryOf(id: string, changes: readonly RecordedChange[]): LogEntry {
  return { id, node: "a", boot: "b", at: 0, via: "api", by: "", reason: "", force: false, changes };
}

Deno.test("what a pending entry does comes out an object at a time as it went in, however it is cut", () => {
  using store = Store.memory();
  // What objects and their ends look like within a text, characters of several bytes, and what is escaped.
  const piece = fc.constantFrom(
    "},{",
    '},{"kind":',
    '"},{"id":',
    '},{"',
    "[{",
    "}]",
    "\\",
    "\n",
    "ö€🎉",
    "\ud800",
    "",
  );
  const text = fc.oneof(
    { weight: 4, arbitrary: fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join("")) },
    // Longer than what is read in one step.
    { weight: 1, arbitrary: fc.integer({ min: 32_700, max: 32_800 }).map((length) => "é".repeat(length)) },
  );
  const change: fc.Arbitrary<RecordedChange> = fc.record({
    kind: fc.constantFrom("pool", "service", "zone"),
    id: text,
    before: fc.option(text),
    after: fc.option(text),
  });
  let count = 0;
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const id = `${++count}`;
      store.log.pend(count, entryOf(id, changes));
      deepEqual([...store.log.pendingChanges(id)].map((each) => ({ ...each })), changes);
      store.log.settle(id);
    }),
    { numRuns: runs(300) },
  );
  equal([...store.log.pendingChanges("none")].length, 0);
});
