/**
 * The model as it was: at which generations it can be told, what it was there, and what lies between two of them.
 *
 * @module
 */
import type { Fallback, GeoRule, HealthCheck, Member, Model, Pool, Service, Zone } from "../model/model.ts";
import { compareText } from "../input/yaml_source.ts";
import type { History, ObjectChange } from "../store/history.ts";
import { MODEL_KINDS, type ModelKind, type PastChange } from "../store/past.ts";
import type { ChangeCount, ChangeCounts } from "../store/replacement.ts";
import type { Store } from "../store/store.ts";
import { ChangeRefused, type RefusalKind } from "./edit.ts";
import { fallbackOf, objectOf, type Recorded, recordedText, UNPLACED } from "./history_json.ts";

/**
 * The generation to go back to; `null` = that before the last change of the model.
 *
 * @throws {ChangeRefused} when its model can't be told
 */
export function rollbackTarget(history: History, to: number | null): number {
  if (to !== null) return expectReach(history, to);
  const last = history.lastOfModel();
  if (last === null) {
    throw refusal("not-found", "There is nothing to undo: the history has no change of the model");
  }
  return expectReach(history, last - 1);
}

/**
 * Makes sure that the model at a generation can be told.
 *
 * @throws {ChangeRefused} `not-found` when there is none of that number yet, `gone` when it isn't kept
 */
export function expectReach(history: History, generation: number): number {
  const reach = history.reach(generation);
  switch (reach.kind) {
    case "kept":
      return generation;
    case "future":
      throw refusal("not-found", `There is no generation ${generation} yet: the last one is ${reach.now}`);
    case "forgotten":
      throw refusal(
        "gone",
        `The model at generation ${generation} can't be told any more: the history begins with ${reach.oldest}, ` +
          `which tells the model at ${
            reach.oldest - 1
          } (history.keep and history.maxBytes say how much is kept)`,
      );
    case "counted":
      throw refusal(
        "gone",
        `The model at generation ${generation} can't be told: generation ${reach.generation} came after it, and an ` +
          `older release kept only its counts; the earliest that can be told is ${reach.generation}`,
      );
  }
}

/**
 * The whole model at a generation, in memory like that of now; in steps, between which nothing may be written on the connection.
 *
 * @throws {ChangeRefused} when it can't be told
 */
export function* modelAt(store: Store, generation: number): Generator<void, Model> {
  expectReach(store.history, generation);
  const now = store.generation();
  using between = yield* store.history.betweenInSteps({ from: generation, to: now });
  const past = new PastModel(store);
  yield* past.read();
  for (const kind of MODEL_KINDS) {
    for (const change of between.of(kind)) {
      past.put(change);
      yield;
    }
  }
  return yield* past.at(generation);
}

/** What lies between two generations. */
export interface Difference {
  /** How many objects of each kind differ. */
  readonly objects: ChangeCounts;
  /** Some of them, as they are at the first and at the second generation. */
  readonly changes: readonly ObjectChange[];
  /** Whether there are more. */
  readonly truncated: boolean;
}

/**
 * What differs between the models at two generations, whichever came first; overrides aren't part of it. In steps, between which
 * nothing may be written on the connection.
 *
 * @throws {ChangeRefused} when one of them can't be told
 */
export function* differenceBetween(
  history: History,
  { from, to, max }: {
    readonly from: number;
    readonly to: number; /** Objects that are listed. */
    readonly max: number;
  },
): Generator<void, Difference> {
  for (const generation of [from, to]) expectReach(history, generation);
  const isBack = from > to;
  using between = yield* history.betweenInSteps(isBack ? { from: to, to: from } : { from, to });
  const changes: ObjectChange[] = [];
  const counts = new Map<string, { -readonly [Key in keyof ChangeCount]: number }>();
  let total = 0;
  for (const kind of MODEL_KINDS) {
    for (const { id, before: first, after: last } of between.of(kind)) {
      yield;
      if (isSame(kind, first, last)) continue;
      const [before, after] = isBack ? [last, first] : [first, last];
      const count = counts.get(kind) ?? { created: 0, changed: 0, deleted: 0 };
      counts.set(kind, count);
      count[before === null ? "created" : after === null ? "deleted" : "changed"]++;
      if (total++ < max) changes.push({ kind, id, before: parsed(before), after: parsed(after) });
    }
  }
  return { objects: Object.fromEntries(counts), changes, truncated: total > max };
}

/** The same object may have been recorded by two releases, or in two ways. */
function isSame(kind: ModelKind, first: string | null, last: string | null): boolean {
  if (first === last || first === null || last === null) return first === last;
  return recordedText(kind, first) === recordedText(kind, last);
}

function parsed(json: string | null): unknown {
  return json === null ? null : JSON.parse(json);
}

function refusal(kind: RefusalKind, message: string): ChangeRefused {
  return new ChangeRefused(kind, [{ pointer: "", message }]);
}

/** A pool with its parts by id, and the places of those that have one. */
interface PastPool {
  fields: Omit<Pool, "members" | "healthCheck" | "geoRules">;
  readonly members: Map<string, Recorded["member"]>;
  healthCheck: Pool["healthCheck"];
  readonly geoRules: Map<string, Recorded["geoRule"]>;
}

/** The model of now, of which one object after the other is made what it was; pools before their parts. */
class PastModel {
  readonly #store: Store;
  readonly #pools = new Map<string, Pool>();
  /** Pools of which something was touched. */
  readonly #touched = new Map<string, PastPool>();
  readonly #services = new Map<string, Service>();
  readonly #zones = new Map<string, Zone>();
  #fallback: Fallback | null = null;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Begins with the model of now. */
  *read(): Generator<void> {
    const { pools, services, zones, fallback } = this.#store.inOrder();
    for (const pool of pools) {
      this.#pools.set(pool.id, pool);
      yield;
    }
    for (const service of services) {
      this.#services.set(service.id, service);
      yield;
    }
    for (const zone of zones) this.#zones.set(zone.domain, zone);
    this.#fallback = fallback;
  }

  /** Makes an object what it was; `before` is its JSON. */
  put({ kind, id, before }: PastChange): void {
    switch (kind) {
      case "pool":
        return this.#putPool(id, before === null ? null : objectOf(kind, before));
      case "member": {
        const member = before === null ? null : objectOf(kind, before);
        this.#poolOf(this.#store.members.get(id)?.poolId)?.members.delete(id);
        if (member) this.#poolOf(member.poolId)?.members.set(id, member);
        return;
      }
      case "healthCheck": {
        const pool = this.#poolOf(id);
        if (pool) pool.healthCheck = before === null ? null : withoutPool(objectOf(kind, before));
        return;
      }
      case "geoRule": {
        const rule = before === null ? null : objectOf(kind, before);
        this.#poolOf(this.#store.geoRules.get(id)?.poolId)?.geoRules.delete(id);
        if (rule) this.#poolOf(rule.poolId)?.geoRules.set(id, rule);
        return;
      }
      case "service":
        return set(this.#services, id, before === null ? null : objectOf(kind, before));
      case "zone":
        return set(this.#zones, id, before === null ? null : objectOf(kind, before));
      case "fallback":
        this.#fallback = before === null ? null : fallbackOf(before);
    }
  }

  /** In the order in which a store has it. */
  *at(generation: number): Generator<void, Model> {
    for (const [id, pool] of this.#touched) {
      this.#pools.set(id, wholeOf(pool));
      yield;
    }
    return {
      generation,
      pools: sortedBy(this.#pools.values(), ({ name }) => name),
      services: sortedBy(this.#services.values(), ({ domain }) => domain),
      zones: sortedBy(this.#zones.values(), ({ domain }) => domain),
      fallback: this.#fallback,
    };
  }

  #putPool(id: string, fields: PastPool["fields"] | null): void {
    if (fields === null) {
      this.#pools.delete(id);
      return;
    }
    const pool = this.#poolOf(id);
    if (pool) pool.fields = fields;
    else this.#touched.set(id, { fields, members: new Map(), healthCheck: null, geoRules: new Map() });
  }

  /** `null` = there was no such pool then. */
  #poolOf(id: string | undefined): PastPool | null {
    if (id === undefined) return null;
    const touched = this.#touched.get(id);
    if (touched) return touched;
    const pool = this.#pools.get(id);
    if (!pool) return null;
    const { members: _, healthCheck, geoRules: __, ...fields } = pool;
    const past: PastPool = {
      fields,
      members: new Map(this.#store.members.rowsOf(id).map((row) => [row.id, row])),
      healthCheck,
      geoRules: new Map(this.#store.geoRules.rowsOf(id).map((row) => [row.id, row])),
    };
    this.#touched.set(id, past);
    return past;
  }
}

function set<Value>(map: Map<string, Value>, id: string, value: Value | null): void {
  if (value === null) map.delete(id);
  else map.set(id, value);
}

function wholeOf({ fields, members, healthCheck, geoRules }: PastPool): Pool {
  return {
    ...fields,
    members: inOrder(members.values()).map(memberOf),
    healthCheck,
    geoRules: inOrder(geoRules.values()).map(ruleOf),
  };
}

function inOrder<Part extends { readonly seq: number }>(parts: Iterable<Part>): Part[] {
  // What has no place is behind all others, as it would be restored.
  const placeOf = ({ seq }: Part) => seq === UNPLACED ? Infinity : seq;
  return [...parts].sort((a, b) => placeOf(a) === placeOf(b) ? 0 : placeOf(a) - placeOf(b));
}

function withoutPool({ poolId: _, ...check }: Recorded["healthCheck"]): HealthCheck {
  return check;
}

function memberOf(member: Recorded["member"] & { readonly revision?: number }): Member {
  const { poolId: _, seq: __, revision: ___, ...fields } = member;
  return fields;
}

function ruleOf(rule: Recorded["geoRule"] & { readonly revision?: number }): GeoRule {
  const { poolId: _, seq: __, revision: ___, ...fields } = rule;
  return fields;
}

function sortedBy<Item>(items: Iterable<Item>, keyOf: (item: Item) => string): Item[] {
  return [...items].sort((a, b) => compareText(keyOf(a), keyOf(b)));
}
