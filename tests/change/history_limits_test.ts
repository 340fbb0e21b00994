/**
 * The history has an end, and what is beyond it is never taken for nothing.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { Changes } from "../../src/change/commit.ts";
import type { HistoryLimits } from "../../src/store/history.ts";
import { Store } from "../../src/store/store.ts";
import { EVERYTHING, TOUCHED_MAX } from "../../src/store/touched.ts";
import { ManualClock } from "../clock.ts";
import { createPool, id, ORIGIN } from "./samples.ts";

const MIB = 1024 * 1024;

/** A store after so many commits, the first of which makes a pool. */
function storeAfter(commits: number, history: HistoryLimits): { store: Store; changes: Changes } {
  const store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock(), history });
  for (let i = 0; i < commits; i++) rename(changes, i);
  return { store, changes };
}

function rename(changes: Changes, i: number): void {
  changes.commit([createPool(i + 1, { name: `pool-${i}` })], ORIGIN);
}

function putZone(changes: Changes, size: number, i: number): void {
  const text = `@ SOA ns h ${i} 1 1 1 1\n@ NS ns\nns A 192.0.2.1\n; ${"x".repeat(size)}\n`;
  changes.commit([{ kind: "putZone", domain: "example.com", text }], ORIGIN);
}

function generations(store: Store): number[] {
  return store.history.page({ limit: 1000, cursor: null }).items.map(({ generation }) => generation)
    .reverse();
}

function keptBytes(store: Store): number {
  return store.database.get<{ size: number }>(
    "SELECT sum(coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0)) AS size FROM history_changes",
  )!.size;
}

Deno.test("so many generations are kept, and their objects", () => {
  const { store } = storeAfter(20, { keep: 5, maxBytes: MIB });
  using _ = store;
  deepEqual(generations(store), [16, 17, 18, 19, 20]);
  equal(store.history.oldest(), 16);
  deepEqual([...store.history.changes(15)], []);
  equal([...store.history.changes(16)].length, 1);
});

Deno.test("so many bytes are kept, and the last generation whatever it has", () => {
  const { store, changes } = storeAfter(3, { keep: 1000, maxBytes: MIB });
  using _ = store;
  for (let i = 0; i < 20; i++) {
    putZone(changes, 100_000, i);
    ok(keptBytes(store) <= MIB, `${keptBytes(store)}`);
  }
  ok(generations(store).length >= 4);
  putZone(changes, 3 * MIB, 21);
  deepEqual(generations(store), [24]);
  rename(changes, 30);
  deepEqual(generations(store), [25]);
});

Deno.test("a follower that is behind what is kept hears that everything was touched", () => {
  const { store } = storeAfter(20, { keep: 5, maxBytes: MIB });
  using _ = store;
  equal(store.history.touchedSince(14), EVERYTHING);
  equal(store.history.touchedSince(0), EVERYTHING);
  deepEqual(store.history.touchedSince(15).poolIds, [16, 17, 18, 19, 20].map(id));
  deepEqual(store.history.touchedSince(20).poolIds, []);
});

Deno.test("generations without an entry may have touched anything", () => {
  const { store } = storeAfter(3, { keep: 5, maxBytes: MIB });
  using _ = store;
  store.database.run("UPDATE meta SET generation = 4");
  equal(store.history.touchedSince(3), EVERYTHING);
  store.database.run("UPDATE meta SET generation = ?", TOUCHED_MAX + 10);
  equal(store.history.touchedSince(3), EVERYTHING);
});

Deno.test("a lower limit is reached step by step, and no commit forgets more than a few", () => {
  const { store, changes } = storeAfter(300, { keep: 1000, maxBytes: MIB });
  using _ = store;
  changes.use({ keep: 10, maxBytes: MIB });
  rename(changes, 300);
  equal(generations(store).length, 301 - 64);
  for (let i = 301; i < 306; i++) rename(changes, i);
  equal(generations(store).length, 10);
});

Deno.test("whatever the limits and the commits are, touchedSince() misses no pool", () => {
  const property = fc.property(
    fc.array(fc.record({ keep: fc.integer({ min: 1, max: 8 }), commits: fc.integer({ min: 1, max: 6 }) }), {
      minLength: 1,
      maxLength: 6,
    }),
    fc.nat(40),
    (phases, since) => {
      const { store, changes } = storeAfter(0, { keep: 1, maxBytes: MIB });
      using _ = store;
      let commits = 0;
      for (const { keep, commits: more } of phases) {
        changes.use({ keep, maxBytes: MIB });
        for (let i = 0; i < more; i++) rename(changes, commits++);
      }
      const touched = store.history.touchedSince(since);
      const expected = Array.from({ length: Math.max(0, commits - since) }, (_, i) => id(since + i + 1));
      ok(touched.everything || expected.every((pool) => touched.poolIds.includes(pool)));
      ok(since < commits || !touched.everything);
    },
  );
  fc.assert(property, { numRuns: 30 });
});
