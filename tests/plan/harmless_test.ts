/** @module Tests of changes that aren't forecast because no guard could refuse them. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import { type Examination, type Guard, NOTHING_FORESEEN, type Proposal } from "../../src/change/guard.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { AnswerGuard } from "../../src/plan/answer_guard.ts";
import type { World } from "../../src/plan/forecast.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { ownLocation } from "../../src/snapshot/lists.ts";
import { Store } from "../../src/store/store.ts";
import { commitsArbitrary } from "../change/edit_arbitrary.ts";
import {
  createMember,
  createOverride,
  createPool,
  createService,
  healthCheck,
  id,
  memberFields,
  ORIGIN,
  poolFields,
  serviceFields,
  zoneText,
} from "../change/samples.ts";
import { MANUAL_START_UNIX_MS, ManualClock } from "../clock.ts";
import { runs } from "../property_runs.ts";
import { isMade } from "./made.ts";
import { TEST_SETTINGS } from "../test_node.ts";

const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  "lb.example.net": ["198.51.100.1", "2001:db8:ffff::1"],
};

/** Of some keys of checks what they stand for is out. */
function worldOf(isOut: (key: string) => boolean): World {
  return {
    health: { out: { get: (key) => isOut(key) ? 1 : undefined }, roundTripsUs: new Map() },
    geoData: EMPTY_GEO_DATA,
    locationOf: ownLocation,
  };
}

/** Asks for each change what a guard says of it, and what a plan does. */
class Both implements Guard {
  readonly #guard: AnswerGuard;
  #said: { readonly guard: readonly string[]; readonly plan: readonly string[] } | null = null;
  /** How often the world was looked at for something else than health, as only forecasts do. */
  forecasts = 0;

  constructor({ world, guards }: { readonly world: World; readonly guards: Settings["guards"] }) {
    const counted: World = Object.create(world, {
      geoData: { get: () => (this.forecasts++, world.geoData) },
    });
    this.#guard = new AnswerGuard({
      settings: () => ({ ...TEST_SETTINGS, guards }),
      world: () => counted,
      addressesOf: (target) => ADDRESSES[target] ?? [],
      nowMs: () => MANUAL_START_UNIX_MS,
      portable: () => {
        throw new Error("There is one thread");
      },
    });
  }

  examine(proposal: Proposal): Examination {
    const said = ({ refusals }: Examination) => refusals.map(({ message }) => message);
    const before = this.forecasts;
    const guard = said(this.#guard.examine({ ...proposal, isPlan: false }));
    const forecasts = this.forecasts - before;
    this.#said = { guard, plan: said(this.#guard.examine({ ...proposal, isPlan: true })) };
    this.forecasts = before + forecasts;
    return NOTHING_FORESEEN;
  }

  /** What was said of the last change; `null` = nothing since. */
  take() {
    const said = this.#said;
    this.#said = null;
    return said;
  }

  portable(): unknown {
    return null;
  }
}

Deno.test("a guard refuses what a plan says it would, whether it takes a forecast or not", () => {
  let [changes, forecasts, refused] = [0, 0, 0];
  fc.assert(
    fc.property(
      commitsArbitrary,
      fc.func(fc.boolean()),
      fc.record({
        movedPercent: fc.constantFrom(0, 20, 30, 100),
        deletedPercent: fc.constant(100),
        minObjects: fc.constantFrom(1, 3),
      }),
      (commits, isOut, guards) => {
        using store = Store.memory();
        const changed = new Changes({ store, clock: new ManualClock() });
        const both = new Both({ world: worldOf(isOut), guards });
        changed.guardBy(both);
        for (const edits of commits) {
          const said = isMade(() => changed.commit(edits, ORIGIN)) ? both.take() : null;
          if (said === null) continue;
          const { guard, plan } = said;
          deepEqual(guard, plan, JSON.stringify(edits));
          changes++;
          if (plan.length > 0) refused++;
        }
        forecasts += both.forecasts;
      },
    ),
    { numRuns: runs(50), seed: 20 },
  );
  ok(refused > runs(15), `${refused} of ${changes} are refused`);
  ok(changes - forecasts > runs(15), `${changes - forecasts} of ${changes} took no forecast`);
});

/**
 * Ten services of the first pool and thirty of the second; one of the third, which has both families, and one of the
 * fourth, which falls back to it. The last member of the first pool is out, and so is the only one of the fourth.
 */
const MODEL: readonly Edit[] = [
  createPool(1, { name: "web" }),
  createPool(2, { name: "others" }),
  createMember(11, 1, { ipAddress: "192.0.2.1" }),
  createMember(12, 1, { ipAddress: "192.0.2.2" }),
  createMember(13, 1, { ipAddress: "192.0.2.3" }),
  createMember(14, 2, { ipAddress: "192.0.2.4" }),
  createPool(3, { name: "dual", flatten: false }),
  createMember(16, 3, { ipAddress: "192.0.2.6" }),
  createMember(17, 3, { ipAddress: "2001:db8::7" }),
  createPool(4, { name: "falling", fallbackPoolId: id(3), onAllDown: "fallback" }),
  createMember(18, 4, { ipAddress: "192.0.2.3" }),
  { kind: "putHealthCheck", poolId: id(1), fields: healthCheck() },
  { kind: "putHealthCheck", poolId: id(4), fields: healthCheck() },
  { kind: "putZone", domain: "example.com", text: zoneText("s0 300 AAAA 2001:db8::9") },
  createService(98, { domain: "dual.example.com", poolId: id(3) }),
  createService(99, { domain: "falling.example.com", poolId: id(4) }),
  ...Array.from(
    { length: 40 },
    (_, i) => createService(100 + i, { domain: `s${i}.example.com`, poolId: id(i < 10 ? 1 : 2) }),
  ),
];

const EDITS: readonly (readonly [what: string, edit: Edit, forecasts: number])[] = [
  ["a weight", {
    kind: "updateMember",
    id: id(11),
    fields: memberFields({ ipAddress: "192.0.2.1", weight: 2 }),
  }, 0],
  ["a new member", createMember(15, 1, { ipAddress: "2001:db8::1" }), 0],
  ["a member of several healthy ones that goes", { kind: "deleteMember", id: id(11) }, 0],
  ["how a pool is checked", {
    kind: "putHealthCheck",
    poolId: id(1),
    fields: healthCheck({ intervalMs: 7_000 }),
  }, 0],
  ["a service's TTL", {
    kind: "updateService",
    id: id(100),
    fields: serviceFields({ domain: "s0.example.com", poolId: id(1), ttl: 7 }),
  }, 0],
  ["a service's pool", {
    kind: "updateService",
    id: id(100),
    fields: serviceFields({ domain: "s0.example.com", poolId: id(2) }),
  }, 0],
  ["a service's name", {
    kind: "updateService",
    id: id(100),
    fields: serviceFields({ domain: "static.example.com", poolId: id(1) }),
  }, 1],
  ["a family's last member, which is disabled", {
    kind: "updateMember",
    id: id(16),
    fields: memberFields({ ipAddress: "192.0.2.6", enabled: false }),
  }, 1],
  ["a pool of too many services", createMember(15, 2, { ipAddress: "192.0.2.9" }), 1],
  ["a pool's last member", { kind: "deleteMember", id: id(14) }, 1],
  ["more members than are healthy that must be", {
    kind: "updatePool",
    id: id(1),
    fields: poolFields({ name: "web", minHealthy: 3, onAllDown: "none" }),
  }, 1],
  ["a fence", { kind: "updatePool", id: id(3), fields: poolFields({ name: "dual", geofence: true }) }, 1],
  ["a name among addresses", createMember(15, 3, { ipAddress: null, target: "lb.example.net" }), 1],
  ["what makes a family stop falling back", { kind: "deleteHealthCheck", poolId: id(4) }, 1],
  ["what hides records of a family", {
    kind: "updatePool",
    id: id(1),
    fields: poolFields({ name: "web", fallbackPoolId: id(3) }),
  }, 1],
];

/** What the guard says of a change of the model, as the plan does, and whether it takes a forecast: 1 = it does. */
function examined(edits: readonly Edit[], guards: Settings["guards"] = TEST_SETTINGS.guards) {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  changes.commit(MODEL, ORIGIN);
  const both = new Both({ world: worldOf((key) => key.includes("192.0.2.3")), guards });
  changes.guardBy(both);
  changes.commit(edits, ORIGIN);
  const said = both.take();
  deepEqual(said?.guard, said?.plan);
  return { said: said?.guard, forecasts: both.forecasts > 0 ? 1 : 0 };
}

for (const [what, edit, forecasts] of EDITS) {
  Deno.test(`a change of ${what} takes ${forecasts === 0 ? "no" : "a"} forecast`, () => {
    equal(examined([edit]).forecasts, forecasts);
  });
}

Deno.test("a change of many services takes a forecast where there are as many names as shares are judged from", () => {
  const change = createMember(15, 2, { ipAddress: "192.0.2.9" });
  for (const [minObjects, forecasts] of [[42, 1], [43, 0]] as const) {
    equal(examined([change], { ...TEST_SETTINGS.guards, minObjects }).forecasts, forecasts);
  }
});

Deno.test("a share is of the names that there were: those that the change creates don't count, those that it deletes do", () => {
  const change = createMember(15, 2, { ipAddress: "192.0.2.9" });
  const created = Array.from(
    { length: 30 },
    (_, i) => createService(200 + i, { domain: `n${i}.example.com` }),
  );
  const deleted: Edit = { kind: "deleteService", id: id(100) };
  // Half of the answers of 30 names, of 42.
  for (const edits of [[change], [change, ...created], [change, deleted]]) {
    deepEqual(examined(edits).said, ["35.7 % of all answers would move, and the limit is 30 %"]);
  }
});

const REGIONS = ["fra", "nyc"] as const;
const ANY_REGION = fc.constantFrom(...REGIONS);

/** Some pools with members in two regions, a service of each, and what falls back to what. */
const poolsArbitrary = fc.array(
  fc.record({
    members: fc.array(
      fc.record({
        region: ANY_REGION,
        isV6: fc.boolean(),
        enabled: fc.boolean(),
        isNamed: fc.integer({ max: 9, min: 0 }).map((number) => number === 0),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    fallback: fc.option(fc.nat(4)),
    isChecked: fc.boolean(),
    fields: fc.record({
      minHealthy: fc.constantFrom(1, 2, "50%"),
      onAllDown: fc.constantFrom("all", "none"),
      geofence: fc.integer({ max: 5, min: 0 }).map((number) => number === 0),
      flatten: fc.boolean(),
    }),
  }),
  { minLength: 3, maxLength: 6 },
);

const turnsArbitrary = fc.array(
  fc.record({
    target: fc.oneof(
      ANY_REGION.map((region) => `region:${region}`),
      fc.nat(3).map((pool) => `pool:${id(1 + pool)}`),
      fc.nat(6).map((member) => `member:${id(100 + member)}`),
    ),
    state: fc.constantFrom("down", "down", "drain", "up"),
    removes: fc.option(fc.nat(3), { freq: 3 }),
  }),
  { minLength: 3, maxLength: 8 },
);

/** Refusals with the names that they list in the order of the alphabet. */
function inOrder(refusals: readonly string[]): string[][] {
  return refusals.map((refusal) => refusal.split(/: |(?<=\)), /).sort());
}

Deno.test("overrides are refused as a plan of them says, whichever of their pools are forecast", () => {
  let [changes, unforecast, refused] = [0, 0, 0];
  fc.assert(
    fc.property(poolsArbitrary, turnsArbitrary, fc.func(fc.boolean()), (pools, turns, isOut) => {
      using store = Store.memory();
      const changed = new Changes({ store, clock: new ManualClock() });
      let members = 0;
      changed.commit([
        { kind: "putZone", domain: "example.com", text: zoneText() },
        ...pools.flatMap(({ fields, fallback, isChecked, ...pool }, i): Edit[] => [
          createPool(1 + i, {
            ...fields,
            name: `p${i}`,
            // Pools come in their order, so that chains have an end.
            ...fallback !== null && fallback < i
              ? { fallbackPoolId: id(1 + fallback), onAllDown: "fallback" as const }
              : {},
          }),
          ...pool.members.map(({ region, isV6, enabled, isNamed }) => {
            const number = members++;
            const ipAddress = isV6 ? `2001:db8::${number + 1}` : `192.0.2.${number + 1}`;
            const address = isNamed ? { target: "lb.example.net" } : { ipAddress };
            return createMember(100 + number, 1 + i, { region, enabled, port: 1 + number, ...address });
          }),
          ...isChecked ? [{ kind: "putHealthCheck", poolId: id(1 + i), fields: healthCheck() } as const] : [],
          createService(200 + i, { domain: `s${i}.example.com`, poolId: id(1 + i) }),
        ]),
      ], ORIGIN);
      const both = new Both({ world: worldOf(isOut), guards: TEST_SETTINGS.guards });
      changed.guardBy(both);
      for (const [i, { target, state, removes }] of turns.entries()) {
        const edit: Edit = removes === null
          ? createOverride(300 + i, { target, state, drainMs: state === "drain" ? 60_000 : 0 })
          : { kind: "deleteOverride", id: id(300 + removes) };
        const { forecasts } = both;
        const said = isMade(() => changed.commit([edit], ORIGIN)) ? both.take() : null;
        if (said === null) continue;
        // Names come in the order of the pools that are reached.
        deepEqual(inOrder(said.guard), inOrder(said.plan), JSON.stringify(edit));
        changes++;
        if (said.plan.length > 0) refused++;
        if (both.forecasts === forecasts) unforecast++;
      }
    }),
    { numRuns: runs(100), seed: 23 },
  );
  ok(refused > runs(20), `${refused} of ${changes} are refused`);
  ok(unforecast > runs(20), `${unforecast} of ${changes} took no forecast`);
});

Deno.test("of the pools of a region that is forced down those are forecast that may be left without an address", () => {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  const pools = Array.from({ length: 40 }, (_, i) => i);
  changes.commit([
    { kind: "putZone", domain: "example.com", text: zoneText() },
    ...pools.flatMap((i): Edit[] => [
      createPool(1 + i, { name: `p${i}` }),
      createMember(100 + i, 1 + i, { ipAddress: `192.0.2.${i + 1}`, region: "fra" }),
      // The last pool's other member is in the same region.
      createMember(200 + i, 1 + i, { ipAddress: `198.51.100.${i + 1}`, region: i < 39 ? "nyc" : "fra" }),
      createService(300 + i, { domain: `s${i}.example.com`, poolId: id(1 + i) }),
    ]),
  ], ORIGIN);
  const world = worldOf(() => false);
  const guard = new AnswerGuard({
    settings: () => TEST_SETTINGS,
    world: () => world,
    addressesOf: () => [],
    nowMs: () => MANUAL_START_UNIX_MS,
    portable: () => {
      throw new Error("There is one thread");
    },
  });
  const said: Examination[] = [];
  changes.guardBy({
    examine: (proposal) => {
      const examination = guard.examine(proposal);
      said.push(examination);
      return examination;
    },
    portable: () => null,
  });
  throws(
    () => changes.commit([createOverride(400, { target: "region:fra" })], ORIGIN),
    /1 name would lose the last address: s39\.example\.com/,
  );
  equal(said.at(-1)!.answers.services, 1);
  changes.commit([createOverride(401, { target: "region:nyc" })], ORIGIN);
  equal(said.at(-1), NOTHING_FORESEEN);
});
