/** @module Tests of what plans say of random changes, against the real engine before and after them. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import { type Examination, type Guard, NOTHING_FORESEEN, type Proposal } from "../../src/change/guard.ts";
import { type Desired, desiredOf } from "../../src/desired/desired.ts";
import { overriddenSource } from "../../src/desired/overridden.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { parseIp } from "../../src/ip.ts";
import { AnswerGuard } from "../../src/plan/answer_guard.ts";
import type { Subject } from "../../src/plan/differences.ts";
import { Forecast, type World } from "../../src/plan/forecast.ts";
import { reachOf } from "../../src/plan/scope.ts";
import { StateBefore, StoredState } from "../../src/plan/states.ts";
import { ownLocation } from "../../src/snapshot/lists.ts";
import { Store } from "../../src/store/store.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { applyModel } from "../change/read_model.ts";
import { fitsFile } from "../change/model_keys.ts";
import { commitsArbitrary } from "../change/edit_arbitrary.ts";
import { ORIGIN } from "../change/samples.ts";
import { ManualClock } from "../clock.ts";
import { runs } from "../property_runs.ts";
import { foretold } from "./foretold.ts";
import { isMade } from "./made.ts";
import { TEST_SETTINGS } from "../test_node.ts";

const WORLD: World = {
  health: { out: new Map(), roundTripsUs: new Map() },
  geoData: EMPTY_GEO_DATA,
  locationOf: ownLocation,
};
const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  "lb.example.net": ["198.51.100.1", "2001:db8:ffff::1"],
};
const addressesOf = (target: string) => ADDRESSES[target] ?? [];
/** Everything that random edits name, and more. */
const NAMES = [
  "example.com",
  "www.example.com",
  "sub.example.com",
  "www.sub.example.com",
  "a.b.sub.example.com",
  "any.sub.example.com",
  "xsub.example.com",
  "ns1.example.com",
  "ns1.sub.example.com",
  "elsewhere.example.net",
];
const CLIENTS = ["198.51.100.7", "203.0.113.7", "192.0.2.7", "2001:db8::7"].map((text) => parseIp(text)!);

Deno.test("what a change reaches is answered as the real engine answers it before and after, and nothing else differs", () => {
  let compared = 0;
  fc.assert(
    fc.property(commitsArbitrary, (commits) => {
      using store = Store.memory();
      const clock = new ManualClock();
      const changes = new Changes({ store, clock });
      const spy = new Spy(() => clock.unixMs());
      changes.guardBy(spy);
      for (const edits of commits) {
        let hasFallback = store.fallback() !== null;
        const before = answersOf(wholeOf(store, clock.unixMs()), NAMES);
        if (!isMade(() => changes.commit(edits, ORIGIN)) || !spy.seen) continue;
        const after = answersOf(wholeOf(store, clock.unixMs()), NAMES);
        hasFallback ||= store.fallback() !== null;
        const { names, was, willBe } = spy.seen;
        spy.seen = null;
        for (const name of NAMES) {
          // `any.sub` is answered by the wildcard, as any name below it.
          const subject = name === "any.sub.example.com" ? "*.sub.example.com" : name;
          // What the fallback answers of names that nothing is known of follows from whatever is around them.
          if (!names.has(subject) && !hasFallback) deepEqual(after.get(name), before.get(name), name);
          if (subject !== name || !names.has(name)) continue;
          compared++;
          deepEqual(was.get(name), before.get(name), `${name} before`);
          deepEqual(willBe.get(name), after.get(name), `${name} after`);
        }
      }
    }),
    { numRuns: runs(8), seed: 20 },
  );
  ok(compared > runs(9), `${compared} names were compared`);
});

Deno.test("a plan lists the objects that differ, of what is there already none, and changes nothing", async () => {
  await fc.assert(
    fc.asyncProperty(commitsArbitrary, commitsArbitrary, async (one, other) => {
      using wanted = storeOf(one);
      using store = storeOf(other);
      const changes = new Changes({ store, clock: new ManualClock() });
      changes.guardBy(guardOf(() => 0));
      const model = wanted.model();
      if (model.pools.length + model.services.length + model.zones.length === 0 || !fitsFile(model)) return;
      const generation = store.generation();
      const plan = await planned(changes, model);
      equal(store.generation(), generation);
      const made = await applyModel(unguarded(store), model);
      if (made.kind !== "applied") throw new Error(made.kind);
      equal(plan.changed, made.changed);
      deepEqual(plan.objects, made.objects);
      // Ids of new objects are drawn by chance.
      const keys = (list: Iterable<{ kind: string; before: unknown; after: unknown }>) =>
        [...list].map(({ kind, before, after }) => `${kind} ${keyOf(before)} → ${keyOf(after)}`).sort();
      deepEqual(keys(plan.changes), made.changed ? keys(store.history.changes(made.commit.generation)) : []);
      const again = await planned(changes, model);
      equal(again.changed, false);
      deepEqual(again.changes, []);
      deepEqual(again.answers.differences, []);
    }),
    { numRuns: runs(5), seed: 20 },
  );
});

/** Notes what a change reaches, and what that is answered. */
class Spy implements Guard {
  seen: { names: Set<string>; was: Map<string, unknown>; willBe: Map<string, unknown> } | null = null;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  examine({ store, touched, generation }: Proposal): Examination {
    const after = new StoredState(store);
    const before = new StateBefore(after, store.history.changes(generation));
    const options = { settings: TEST_SETTINGS, addressesOf, nowMs: this.#nowMs(), generation };
    const reach = reachOf(touched, { before, after }, { ...options, health: WORLD.health, isShown: true });
    this.seen = {
      names: new Set(reach.subjects.map(({ name }) => name)),
      was: answersTo(reach.subjects, reach.before),
      willBe: answersTo(reach.subjects, reach.after),
    };
    return NOTHING_FORESEEN;
  }

  portable(): unknown {
    return null;
  }
}

/** By name, what each client is answered. */
function answersOf(desired: Desired, names: Iterable<string>): Map<string, unknown> {
  return answersTo([...names].map((name) => ({ name })), desired);
}

/** The same, of names that may be like another one. */
function answersTo(
  subjects: readonly Pick<Subject, "name" | "alike">[],
  desired: Desired,
): Map<string, unknown> {
  const forecast = new Forecast(desired, WORLD);
  return new Map(subjects.map((subject) => [
    subject.name,
    [TYPE.A, TYPE.AAAA].map((type) =>
      CLIENTS.map((client) => [...foretold(forecast, subject, { type, client }).shares].sort())
    ),
  ]));
}

/** All that is answered from, as the publisher has it. */
function wholeOf(store: Store, nowMs: number): Desired {
  const source = overriddenSource(store.source(), { overrides: store.overrides.index(), nowMs });
  return desiredOf(TEST_SETTINGS, source, addressesOf);
}

function guardOf(nowMs: () => number): AnswerGuard {
  return new AnswerGuard({
    settings: () => TEST_SETTINGS,
    world: () => WORLD,
    addressesOf,
    nowMs,
    portable: () => {
      throw new Error("There is one thread");
    },
  });
}

function unguarded(store: Store): Changes {
  return new Changes({ store, clock: new ManualClock() });
}

function storeOf(commits: readonly (readonly Edit[])[]): Store {
  const store = Store.memory();
  for (const edits of commits) isMade(() => unguarded(store).commit(edits, ORIGIN));
  return store;
}

async function planned(changes: Changes, model: Parameters<typeof applyModel>[1]) {
  const applied = await applyModel(changes, model, { dryRun: true });
  if (applied.kind !== "applied") throw new Error(applied.kind);
  return applied.plan!;
}

/** An object without what is drawn by chance. */
function keyOf(object: unknown): string {
  const random = ["id", "poolId", "memberId", "fallbackPoolId", "seq", "target"];
  return JSON.stringify(object, (key, value) => random.includes(key) && key !== "" ? undefined : value);
}
