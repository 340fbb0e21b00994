/**
 * Applying a whole model: the store becomes equal to it, keeps the ids it has, and touches only what differs.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Model, Pool } from "../../src/model/model.ts";
import { Changes } from "../../src/change/commit.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { runs } from "../property_runs.ts";
import { dump } from "../store/dump.ts";
import { commitsArbitrary } from "./edit_arbitrary.ts";
import { fitsFile, keysToIds, storeOf, withoutIds } from "./model_keys.ts";
import { applyModel } from "./read_model.ts";
import { id, memberFields, poolFields, serviceFields, zoneText } from "./samples.ts";

const RUNS = { numRuns: runs(10) };

Deno.test("after an apply the store has the given model, whatever it had before", async () => {
  await fc.assert(
    fc.asyncProperty(commitsArbitrary, commitsArbitrary, async (before, given) => {
      using source = storeOf(given);
      using store = storeOf(before);
      const wanted = source.model();
      if (!fitsFile(wanted)) return;
      const { kind } = await applyModel(changesOf(store), wanted);
      if (kind !== "empty") assert.deepEqual(withoutIds(store.model()), withoutIds(wanted));
    }),
    RUNS,
  );
});

Deno.test("an apply keeps the ids of pools, members and services that are the same by their keys", async () => {
  await fc.assert(
    fc.asyncProperty(commitsArbitrary, commitsArbitrary, async (before, given) => {
      using source = storeOf(given);
      using store = storeOf(before);
      const known = keysToIds(store.model());
      await applyModel(changesOf(store), source.model());
      for (const [key, id] of keysToIds(store.model())) assert.equal(id, known.get(key) ?? id, key);
    }),
    RUNS,
  );
});

Deno.test("applying the model that is there changes nothing", async () => {
  await fc.assert(
    fc.asyncProperty(commitsArbitrary, async (before) => {
      using store = storeOf(before);
      if (!fitsFile(store.model())) return;
      const lines = dump(store);
      await applyModel(changesOf(store), store.model());
      assert.deepEqual(dump(store), lines);
    }),
    RUNS,
  );
});

Deno.test("an apply touches only what differs", async () => {
  using store = Store.memory();
  const changes = changesOf(store);
  const model: Model = {
    ...EMPTY,
    pools: [pool(1, "a"), pool(2, "b")],
    services: [{ id: id(5), ...serviceFields({ poolId: id(1) }) }],
    zones: [{ domain: "example.org", text: zoneText() }],
  };
  await applyModel(changes, model);
  const [a, b] = model.pools as [Pool, Pool];
  const weighted = { ...b, members: [{ ...b.members[0]!, weight: 9 }] };
  const applied = await applyModel(changes, { ...model, pools: [a, weighted] });
  assert(applied.kind === "applied");
  assert.deepEqual(applied.commit, {
    generation: 2,
    everything: false,
    poolIds: [store.pools.byName("b")!.id],
    serviceIds: [],
    zoneDomains: [],
    fallback: false,
  });
});

Deno.test("members by other names are other members, those by the same names the same ones", async () => {
  using store = Store.memory();
  const changes = changesOf(store);
  const replaceBy = async (...targets: string[]) => {
    const members = targets.map((target, i) => ({ id: id(50 + i), ...memberFields({ target }) }));
    await applyModel(changes, { ...EMPTY, pools: [{ ...pool(1, "a"), members }] });
    return new Map(store.members.of(store.pools.byName("a")!.id).map((it) => [it.target, it.id]));
  };
  const before = await replaceBy("lb.example.net", "other.example.net");
  const after = await replaceBy("new.example.net", "other.example.net");
  assert.deepEqual([...after.keys()].toSorted(), ["new.example.net", "other.example.net"]);
  assert.equal(after.get("other.example.net"), before.get("other.example.net"));
  assert.notEqual(after.get("new.example.net"), before.get("lb.example.net"));
});

const EMPTY: Model = { generation: 0, pools: [], services: [], zones: [], fallback: null };

function pool(number: number, name: string): Pool {
  return {
    id: id(number),
    ...poolFields({ name }),
    members: [member(number + 10)],
    healthCheck: null,
    geoRules: [],
  };
}

function member(number: number): Pool["members"][number] {
  return { id: id(number), ...memberFields() };
}

function changesOf(store: Store): Changes {
  return new Changes({ store, clock: new ManualClock() });
}
