/**
 * How pools are doing, the static fallback among them.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { newId } from "../../src/model/id.ts";
import { memberFieldsSchema, poolFieldsSchema } from "../../src/model/model_schema.ts";
import type { Fallback } from "../../src/model/model.ts";
import { PoolStates, type PoolStateSources, stateOfPool } from "../../src/node/pool_states.ts";
import { FALLBACK_POOL } from "../../src/desired/fallback.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";

const DOWN = "192.0.2.1";
const FALLBACK: Fallback = {
  algorithm: "round-robin",
  endpoints: [DOWN, "192.0.2.2"],
  weights: {},
  onAllDown: "all",
  ttl: null,
  healthCheck: null,
};

/** A store of one pool with these members, and a fallback that only the settings have. */
function bed(members: readonly string[]): PoolStateSources & Disposable & { readonly pool: string } {
  const store = Store.memory();
  const clock = new ManualClock();
  const pool = newId();
  new Changes({ store, clock }).commit([
    { kind: "createPool", id: pool, fields: poolFieldsSchema.parse({ name: "web" }) },
    ...members.map((ipAddress) => ({
      kind: "createMember" as const,
      ...{ id: newId(), poolId: pool, fields: memberFieldsSchema.parse({ ipAddress, port: 443 }) },
    })),
  ], { via: "test", by: "", reason: "" });
  return {
    ...{ store, clock, pool },
    settings: () => ({ fallback: FALLBACK }),
    health: {
      isEligible: (_, { ipAddress }) => ipAddress !== DOWN,
    },
    [Symbol.dispose]: () => store[Symbol.dispose](),
  };
}

Deno.test("a pool is doing as its members are, whole or in one family", () => {
  using sources = bed([DOWN, "192.0.2.2", "2001:db8::1"]);
  const whole = stateOfPool(sources.pool, null, sources)!;
  deepEqual([whole.name, whole.members, whole.eligible], ["web", 3, 2]);
  const v4 = stateOfPool(sources.pool, 4, sources)!;
  deepEqual([v4.members, v4.eligible, v4.answersWhenDown], [2, 1, "NODATA for A"]);
});

Deno.test("a pool that isn't there has no state, and neither has one without members", () => {
  using sources = bed([]);
  equal(stateOfPool(sources.pool, null, sources), null);
  equal(stateOfPool(newId(), null, sources), null);
});

Deno.test("the static fallback counts as a pool, the one of the settings where the model has none", () => {
  using sources = bed([]);
  const state = stateOfPool(FALLBACK_POOL, null, sources)!;
  deepEqual([state.name, state.members, state.eligible], ["static fallback", 2, 1]);
  equal(stateOfPool(FALLBACK_POOL, null, { ...sources, settings: () => ({ fallback: null }) }), null);
});

Deno.test("a pool that is looked at again and again is read once, until the model is another", () => {
  using sources = bed([DOWN, "192.0.2.2"]);
  const { pool, store, clock } = sources;
  const states = new PoolStates(sources);
  let reads = 0;
  const { whole } = store.pools;
  store.pools.whole = (id) => (reads++, whole.call(store.pools, id));
  const look = () => {
    states.begin();
    return states.of(pool, null);
  };
  deepEqual(look(), stateOfPool(pool, null, sources));
  reads = 0;
  deepEqual(look(), look());
  equal(reads, 0);
  // What isn't of the model is of this moment.
  sources.health.isEligible = () => false;
  equal(look()!.eligible, 0);
  equal(reads, 0);

  new Changes({ store, clock }).commit([{
    ...{ kind: "createMember", id: newId(), poolId: pool },
    fields: memberFieldsSchema.parse({ ipAddress: "192.0.2.3", port: 443 }),
  }], { via: "test", by: "", reason: "" });
  equal(look()!.members, 3);
  equal(reads, 1);
});
