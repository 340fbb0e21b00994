/**
 * Applying a whole model: the store becomes equal to it, keeps the ids it has, and touches only what differs.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Model, Pool } from "../../src/model/model.ts";
import { Changes } from "../../src/change/commit.ts";
import { ChangeRefused } from "../../src/change/edit.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { dump } from "../store/dump.ts";
import { commitsArbitrary } from "./edit_arbitrary.ts";
import { keysToIds, storeOf, withoutIds } from "./model_keys.ts";
import { healthCheck, id, memberFields, ORIGIN, poolFields, serviceFields, zoneText } from "./samples.ts";

const RUNS = { numRuns: 100 };

Deno.test("after replaceModel the store has the given model, whatever it had before", () => {
  fc.assert(
    fc.property(commitsArbitrary, commitsArbitrary, (before, given) => {
      using source = storeOf(given);
      using store = storeOf(before);
      const wanted = source.model();
      new Changes({ store, clock: new ManualClock() }).commit(
        [{ kind: "replaceModel", model: wanted }],
        ORIGIN,
      );
      assert.deepEqual(withoutIds(store.model()), withoutIds(wanted));
    }),
    RUNS,
  );
});

Deno.test("replaceModel keeps the ids of pools, members and services that are the same by their keys", () => {
  fc.assert(
    fc.property(commitsArbitrary, commitsArbitrary, (before, given) => {
      using source = storeOf(given);
      using store = storeOf(before);
      const known = keysToIds(store.model());
      const model = source.model();
      new Changes({ store, clock: new ManualClock() }).commit([{ kind: "replaceModel", model }], ORIGIN);
      for (const [key, id] of keysToIds(store.model())) assert.equal(id, known.get(key) ?? id, key);
    }),
    RUNS,
  );
});

Deno.test("replaceModel with the model that is there changes nothing, though all ids be others", () => {
  fc.assert(
    fc.property(commitsArbitrary, (before) => {
      using store = storeOf(before);
      const lines = dump(store);
      const model = withOtherIds(store.model());
      new Changes({ store, clock: new ManualClock() }).commit([{ kind: "replaceModel", model }], ORIGIN);
      assert.deepEqual(dump(store), lines);
    }),
    RUNS,
  );
});

Deno.test("replaceModel touches only what differs", () => {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  const model: Model = {
    generation: 0,
    pools: [pool(1, "a"), pool(2, "b")],
    services: [{ id: id(5), ...serviceFields({ poolId: id(1) }) }],
    zones: [{ domain: "example.org", text: zoneText() }],
    fallback: null,
  };
  changes.commit([{ kind: "replaceModel", model }], ORIGIN);
  const [a, b] = model.pools as [Pool, Pool];
  const weighted = { ...b, members: [{ ...b.members[0]!, weight: 9 }] };
  const commit = changes.commit(
    [{ kind: "replaceModel", model: { ...model, pools: [a, weighted] } }],
    ORIGIN,
  );
  assert.deepEqual(commit, {
    generation: 2,
    everything: false,
    poolIds: [b.id],
    serviceIds: [],
    zoneDomains: [],
    fallback: false,
  });
});

Deno.test("members by other names are other members, those by the same names the same ones", () => {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  const replaceBy = (...targets: string[]) => {
    const members = targets.map((target, i) => ({ id: id(50 + i), ...memberFields({ target }) }));
    const model = {
      generation: 0,
      pools: [{ ...pool(1, "a"), members }],
      services: [],
      zones: [],
      fallback: null,
    };
    changes.commit([{ kind: "replaceModel", model }], ORIGIN);
    return new Map(store.members.of(store.pools.byName("a")!.id).map((it) => [it.target, it.id]));
  };
  const before = replaceBy("lb.example.net", "other.example.net");
  const after = replaceBy("new.example.net", "other.example.net");
  assert.deepEqual([...after.keys()].toSorted(), ["new.example.net", "other.example.net"]);
  assert.equal(after.get("other.example.net"), before.get("other.example.net"));
  assert.notEqual(after.get("new.example.net"), before.get("lb.example.net"));
});

Deno.test("replaceModel keeps the order of members as given", () => {
  using store = Store.memory();
  const members = ["192.0.2.9", "192.0.2.1", "192.0.2.5"].map((ipAddress, i) => ({
    id: id(10 + i),
    ...memberFields({ ipAddress }),
  }));
  const model: Model = { ...EMPTY, pools: [{ ...pool(1, "a"), members }] };
  new Changes({ store, clock: new ManualClock() }).commit([{ kind: "replaceModel", model }], ORIGIN);
  assert.deepEqual(store.model().pools[0]!.members, members);
});

Deno.test("a refused model is refused whole, with a pointer into it for each problem", () => {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  changes.commit([{ kind: "createPool", id: id(8), fields: poolFields({ name: "old" }) }], ORIGIN);
  const before = dump(store);
  const model: Model = {
    ...EMPTY,
    pools: [
      { ...pool(1, "a"), onAllDown: "fallback", fallbackPoolId: id(1) },
      { ...pool(2, "b"), members: [member(21), member(22)] },
      pool(3, "b"),
    ],
    services: [
      { id: id(5), ...serviceFields({ poolId: id(99) }) },
      { id: id(6), ...serviceFields() },
      { id: id(7), ...serviceFields({ domain: "Bad.example.com" }) },
    ],
    zones: [{ domain: "example.org", text: zoneText("www 300 A 1.2.3") }],
  };
  assert.throws(() => changes.commit([{ kind: "replaceModel", model }], ORIGIN), (error) => {
    assert(error instanceof ChangeRefused);
    assert.deepEqual(error.problems.map((problem) => problem.pointer).toSorted(), [
      "/pools/0/fallbackPoolId",
      "/pools/1/members/1/ipAddress",
      "/pools/2/name",
      "/services/0/poolId",
      "/services/1/domain",
      "/services/2/domain",
      "/zones/0/text",
    ]);
    return true;
  });
  assert.deepEqual(dump(store), before);
});

Deno.test("a new object takes another id where the given one is no id or belongs to something else", () => {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  changes.commit([{ kind: "createPool", id: id(1), fields: poolFields({ name: "a" }) }], ORIGIN);
  const model: Model = {
    ...EMPTY,
    pools: [{ ...pool(50, "a"), members: [] }, { ...pool(1, "b"), members: [], healthCheck: healthCheck() }],
    services: [{ id: "not an id", ...serviceFields({ poolId: id(1) }) }],
  };
  changes.commit([{ kind: "replaceModel", model }], ORIGIN);
  const [a, b] = [store.pools.byName("a")!.id, store.pools.byName("b")!.id];
  assert.equal(a, id(1));
  assert.match(b, /^[0-9a-f]{32}$/);
  assert.notEqual(b, a);
  const { id: serviceId, ...service } = store.services.byDomain("www.example.com")!;
  assert.match(serviceId, /^[0-9a-f]{32}$/);
  assert.deepEqual(service, { ...serviceFields({ poolId: b }), revision: 2 });
});

Deno.test("of several new objects that come with the same id, one keeps it", () => {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  const twin = { ...pool(2, "b"), members: [{ id: id(11), ...memberFields() }] };
  changes.commit([{ kind: "replaceModel", model: { ...EMPTY, pools: [pool(1, "a"), twin] } }], ORIGIN);
  const [a, b] = store.model().pools as [Pool, Pool];
  assert.equal(a.members[0]!.id, id(11));
  assert.match(b.members[0]!.id, /^[0-9a-f]{32}$/);
  assert.notEqual(b.members[0]!.id, id(11));
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

/** Every id replaced by one that no store has, references along with them. */
function withOtherIds(model: Model): Model {
  return JSON.parse(JSON.stringify(model).replaceAll(/"0([0-9a-f]{31})"/g, '"f$1"'));
}
