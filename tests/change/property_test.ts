/**
 * Random commits: what holds after any of them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import type { Model } from "../../src/model/model.ts";
import { Changes } from "../../src/change/commit.ts";
import { ChangeRefused, type Commit, type RefusalKind } from "../../src/change/edit.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { runs } from "../property_runs.ts";
import { dump } from "../store/dump.ts";
import { commitsArbitrary, cutsOfZone } from "./edit_arbitrary.ts";
import { edited, OracleRefusal, sorted } from "./oracle.ts";
import { ORIGIN } from "./samples.ts";

const RUNS = { numRuns: runs(15) };

Deno.test("random commits leave the store with the model that a plain oracle has, and refused ones change nothing", () => {
  fc.assert(
    fc.property(commitsArbitrary, (commits) => {
      using store = Store.memory();
      const changes = new Changes({ store, clock: new ManualClock() });
      let expected = sorted(store.model());
      for (const edits of commits) {
        const before = dump(store);
        const wanted = outcomeOf(() => edited(expected, edits, cutsOfZone));
        const got = outcomeOf(() => changes.commit(edits, ORIGIN));
        if ("kind" in wanted) {
          // Of several faults each side may find another one first.
          assert.equal("kind" in got, true, `the oracle says ${wanted.kind}`);
          if (edits.length === 1) assert.deepEqual(got, wanted);
          assert.deepEqual(dump(store), before);
          continue;
        }
        assert("value" in got, `refused: ${JSON.stringify(got)}`);
        const same = isDeepStrictEqual(wanted.value, expected);
        expected = { ...wanted.value, generation: expected.generation + (same ? 0 : 1) };
        assert.deepEqual(sorted(store.model()), expected);
        if (same) assert.deepEqual(dump(store), before);
      }
      assert.deepEqual(store.database.all("PRAGMA foreign_key_check"), []);
    }),
    RUNS,
  );
});

Deno.test("a commit lists the pools, services and zones that differ afterwards, and no others but reverted ones", () => {
  fc.assert(
    fc.property(commitsArbitrary, (commits) => {
      using store = Store.memory();
      const changes = new Changes({ store, clock: new ManualClock() });
      for (const edits of commits) {
        const before = store.model();
        const got = outcomeOf(() => changes.commit(edits, ORIGIN));
        if ("kind" in got) continue;
        for (const [listed, differing] of listsOf(got.value, before, store.model())) {
          for (const key of differing) assert(listed.includes(key), `${key} is missing from the commit`);
          if (edits.length === 1) assert.deepEqual(listed.toSorted(), differing.toSorted());
        }
      }
    }),
    RUNS,
  );
});

Deno.test("the history alone yields the model of every generation", () => {
  fc.assert(
    fc.property(commitsArbitrary, (commits) => {
      using store = Store.memory();
      const changes = new Changes({ store, clock: new ManualClock() });
      const objects = new Map<string, unknown>();
      for (const edits of commits) {
        const known = store.generation();
        const got = outcomeOf(() => changes.commit(edits, ORIGIN));
        if ("kind" in got || got.value.generation === known) continue;
        for (const { kind, id, before, after } of store.history.changes(got.value.generation)) {
          assert.deepEqual(objects.get(`${kind} ${id}`) ?? null, before);
          objects.set(`${kind} ${id}`, after);
        }
        assert.deepEqual(present(objects), objectsOf(store));
      }
    }),
    RUNS,
  );
});

Deno.test("rows carry the generation of the last edit that changed them", () => {
  fc.assert(
    fc.property(commitsArbitrary, (commits) => {
      using store = Store.memory();
      const changes = new Changes({ store, clock: new ManualClock() });
      const revisions = new Map<string, number>();
      for (const edit of commits.flat()) {
        const known = store.generation();
        const got = outcomeOf(() => changes.commit([edit], ORIGIN));
        if ("kind" in got || got.value.generation === known) continue;
        for (const { kind, id } of store.history.changes(got.value.generation)) {
          revisions.set(`${kind} ${id}`, got.value.generation);
        }
      }
      for (const [key, revision] of revisionsOf(store)) assert.equal(revision, revisions.get(key), key);
    }),
    RUNS,
  );
});

function* revisionsOf(store: Store): Generator<[string, number]> {
  const { pools, services, zones } = store.model();
  for (const { id, members, geoRules, healthCheck } of pools) {
    yield [`pool ${id}`, store.pools.get(id)!.revision];
    for (const member of members) yield [`member ${member.id}`, store.members.get(member.id)!.revision];
    for (const rule of geoRules) yield [`geoRule ${rule.id}`, store.geoRules.get(rule.id)!.revision];
    if (healthCheck) yield [`healthCheck ${id}`, store.healthChecks.get(id)!.revision];
  }
  for (const { id } of services) yield [`service ${id}`, store.services.get(id)!.revision];
  for (const { domain } of zones) yield [`zone ${domain}`, store.zones.get(domain)!.revision];
}

type Outcome<Value> = { readonly value: Value } | { readonly kind: RefusalKind };

function outcomeOf<Value>(work: () => Value): Outcome<Value> {
  try {
    return { value: work() };
  } catch (cause) {
    if (cause instanceof ChangeRefused || cause instanceof OracleRefusal) return { kind: cause.kind };
    throw cause;
  }
}

function listsOf(commit: Commit, before: Model, after: Model): [readonly string[], string[]][] {
  return [
    [commit.poolIds, differing(before.pools, after.pools, (pool) => pool.id)],
    [commit.serviceIds, differing(before.services, after.services, (service) => service.id)],
    [commit.zoneDomains, differing(before.zones, after.zones, (zone) => zone.domain)],
  ];
}

function differing<Item>(
  before: readonly Item[],
  after: readonly Item[],
  keyOf: (item: Item) => string,
): string[] {
  const old = new Map(before.map((item) => [keyOf(item), JSON.stringify(item)]));
  const now = new Map(after.map((item) => [keyOf(item), JSON.stringify(item)]));
  return [...new Set([...old.keys(), ...now.keys()])].filter((key) => old.get(key) !== now.get(key));
}

function present(objects: ReadonlyMap<string, unknown>): Record<string, unknown> {
  return Object.fromEntries([...objects].filter(([, object]) => object !== null));
}

/** The model as the history speaks of it: objects one by one, parts with their pool's id and their places. */
function objectsOf(store: Store): Record<string, unknown> {
  const objects: Record<string, unknown> = {};
  const model = store.model();
  for (const { members, healthCheck, geoRules, ...pool } of sorted(model).pools) {
    objects[`pool ${pool.id}`] = pool;
    for (const member of members) {
      const { seq } = store.members.get(member.id)!;
      objects[`member ${member.id}`] = { ...member, poolId: pool.id, seq };
    }
    for (const rule of geoRules) {
      const { seq } = store.geoRules.get(rule.id)!;
      objects[`geoRule ${rule.id}`] = { ...rule, poolId: pool.id, seq };
    }
    if (healthCheck) objects[`healthCheck ${pool.id}`] = { ...healthCheck, poolId: pool.id };
  }
  for (const service of model.services) objects[`service ${service.id}`] = service;
  for (const zone of model.zones) objects[`zone ${zone.domain}`] = zone;
  if (model.fallback) objects["fallback "] = model.fallback;
  return objects;
}
