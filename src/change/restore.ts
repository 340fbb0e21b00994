/**
 * The model as it was at a generation, made the stored one within a commit: exactly the objects that were touched since
 * are put as they were, with the ids and the places in order that they had.
 *
 * What they were is in the history. First all that differs is recorded, then rows are deleted and put in an order in
 * which no unique key is in the way and no cascade takes anything along, and at the end the objects are judged like those
 * of any edit: a program of today may refuse what an older one accepted.
 *
 * @module
 */
import { readZoneText } from "../model/zone_text.ts";
import { sqliteCode } from "../store/database.ts";
import { RECORDED_MAX } from "../store/history.ts";
import { type Between, MODEL_KINDS, type ModelKind, type PastChange } from "../store/past.ts";
import type { ChangeCount, ChangeCounts } from "../store/replacement.ts";
import type { Store } from "../store/store.ts";
import type { Writer } from "../store/write.ts";
import { ChangeRefused, type RefusalKind } from "./edit.ts";
import {
  domainFault,
  fallbackFault,
  type Fault,
  geoRulesFault,
  memberOwnNameFault,
  membersFault,
  ruleMemberFault,
  serviceCutFault,
  serviceOwnNameFault,
  servicePoolFault,
  zoneCutsFault,
} from "./faults.ts";
import {
  fallbackJson,
  fallbackOf,
  jsonOf,
  objectOf,
  type Recorded,
  recordedText,
  storedJson,
  UNPLACED,
} from "./history_json.ts";

/** Where a model is restored, and who hears of it. */
export interface RestoreInto {
  /** The stored model. */
  readonly store: Store;
  /** Writes it. */
  readonly writer: Writer;
  /** Told of each object that isn't as it was. */
  touch(key: { readonly kind: ModelKind; readonly id: string; readonly poolId: string | null }): void;
  /** Told of each fault of the model as it would be; throws when there are too many. */
  refuse(kind: RefusalKind, pointer: string, message: string): void;
}

/** Makes the objects what they were, and records it. @returns how many differ */
export function restore(between: Between, into: RestoreInto): ChangeCounts {
  const restoration = new Restoration(between, into);
  const counts = restoration.record();
  if (between.size > 0) {
    restoration.make();
    restoration.judge();
  }
  return counts;
}

type Placed = "member" | "geoRule";

class Restoration {
  readonly #between: Between;
  readonly #into: RestoreInto;
  readonly #counts = new Map<ModelKind, { -readonly [Key in keyof ChangeCount]: number }>();
  /** The next place behind all others and those that are wanted, once one was needed. */
  readonly #next: Partial<Record<Placed, number>> = {};
  readonly #moved: Partial<Record<Placed, ReadonlyMap<string, number>>> = {};
  /** Pools that are known to be there. */
  readonly #knownPools = new Set<string>();

  constructor(between: Between, into: RestoreInto) {
    this.#between = between;
    this.#into = into;
  }

  /** Leaves out what is as it was already, and records the rest. */
  record(): ChangeCounts {
    const { writer } = this.#into;
    const isMany = this.#between.size > RECORDED_MAX;
    for (const change of this.#all()) {
      const { kind, id } = change;
      const now = this.#now(change);
      const past = this.#past(change);
      if (past === now) {
        this.#between.drop(kind, id);
        continue;
      }
      if (past !== null && past !== change.before) this.#between.correct(kind, id, past);
      for (const json of [past, now]) {
        if (json !== null) this.#into.touch({ kind, id, poolId: poolIdIn(kind, id, json) });
      }
      this.#count(kind, { isThere: now !== null, wasThere: past !== null });
      const recorded = { kind, id, before: now, after: past };
      if (isMany && kind !== "fallback") writer.recordInParts(recorded);
      else writer.record(recorded);
    }
    const counts = Object.fromEntries(this.#counts);
    if (isMany && this.#between.size > 0) writer.summarize(counts);
    return counts;
  }

  /** Writes the rows. */
  make(): void {
    try {
      this.#into.writer.restore(() => {
        for (const change of this.#all()) this.#put(change);
      });
    } catch (cause) {
      // Everything that history knows of was moved out of the way.
      if (sqliteCode(cause) !== SQLITE_CONSTRAINT || !(cause instanceof Error)) throw cause;
      throw new ChangeRefused("duplicate", [{
        pointer: "",
        message: `Rows that were written past the history are in the way (${cause.message}): ` +
          "delete them, or give them other names, and try again",
      }]);
    }
  }

  /** Looks at every object that was put or taken away, and at those that refer to it. */
  judge(): void {
    const { store } = this.#into;
    const hasCuts = !store.zones.cuts.isEmpty;
    const hasNames = store.resolvedNames.targets().length > 0;
    for (const { kind, id, before } of this.#all()) {
      const faults = before === null
        ? faultsWithout(store, kind, id)
        : kind === "service"
        ? this.#serviceFaults(objectOf(kind, before), { hasCuts, hasNames })
        : faultsOf(store, kind, id);
      for (const fault of faults) {
        if (fault) this.#into.refuse(fault.kind, "", `${kind} ${id} as it was: ${fault.message}`);
      }
    }
  }

  /** There may be a million: so nothing is looked up that can't be at fault, and no pool twice. */
  *#serviceFaults(
    { id, domain, poolId }: Recorded["service"],
    { hasCuts, hasNames }: {
      /** Whether some zone delegates names. */
      readonly hasCuts: boolean;
      /** Whether some member goes by a name. */
      readonly hasNames: boolean;
    },
  ): Generator<Fault | null> {
    const { store } = this.#into;
    yield domainFaultOf(domain, { wildcard: true });
    if (poolId !== null && !this.#knownPools.has(poolId)) {
      const fault = servicePoolFault(store, id);
      if (fault) yield fault;
      else this.#knownPools.add(poolId);
    }
    if (hasNames) yield serviceOwnNameFault(store, id);
    if (hasCuts) yield serviceCutFault(store, id);
  }

  *#all(): Generator<PastChange> {
    for (const kind of MODEL_KINDS) yield* this.#between.of(kind);
  }

  #now({ kind, id }: PastChange): string | null {
    const { store } = this.#into;
    if (kind !== "fallback") return storedJson(store, { kind, id, poolId: null });
    const fallback = store.fallback();
    return fallback && fallbackJson(fallback);
  }

  /** As this release records it. */
  #past({ kind, id, before }: PastChange): string | null {
    if (before === null) return null;
    return kind === "member" || kind === "geoRule"
      ? this.#placed(kind, id, before)
      : recordedText(kind, before);
  }

  #placed(kind: Placed, id: string, before: string): string {
    const { store } = this.#into;
    const [object, row] = kind === "member"
      ? [objectOf(kind, before), store.members.get(id)]
      : [objectOf(kind, before), store.geoRules.get(id)];
    const seq = this.#seqOf(kind, { id, wanted: object.seq, stored: row?.seq ?? null });
    return jsonOf(kind, { ...object, seq });
  }

  /**
   * An object keeps the place that it has when it had an unknown one. Another one has its former place where this comes from
   * another model, or rows were written by hand.
   */
  #seqOf(
    kind: Placed,
    { id, wanted, stored }: { readonly id: string; readonly wanted: number; readonly stored: number | null },
  ): number {
    if (wanted === stored) return wanted;
    if (wanted === UNPLACED) return stored ?? this.#nextSeq(kind);
    if (stored === null) return this.#movedOf(kind).get(id) ?? wanted;
    const { members, geoRules } = this.#into.store;
    const holder = kind === "member" ? members.idAt(wanted) : geoRules.idAt(wanted);
    return holder === null || this.#leaves(kind, holder, wanted) ? wanted : this.#nextSeq(kind);
  }

  /** New objects from the first one on of which another has the place, and where they go: in their order, behind all others. */
  #movedOf(kind: Placed): ReadonlyMap<string, number> {
    const known = this.#moved[kind];
    if (known !== undefined) return known;
    const first = this.#between.firstTakenSeq(kind);
    const ids = first === null ? [] : this.#between.newFromSeq(kind, first);
    return this.#moved[kind] = new Map(ids.map((id) => [id, this.#nextSeq(kind)]));
  }

  /** Whether whatever has a place goes, or goes to another one. */
  #leaves(kind: Placed, holder: string, place: number): boolean {
    const change = this.#between.get(kind, holder);
    if (change === null || change.before === null) return change !== null;
    const { seq } = objectOf(kind, change.before);
    return seq !== place && seq !== UNPLACED;
  }

  #nextSeq(kind: Placed): number {
    const { writer } = this.#into;
    const free = this.#next[kind] ??
      Math.max(
        kind === "member" ? writer.nextMemberSeq() : writer.nextGeoRuleSeq(),
        this.#between.lastSeq(kind) + 1,
      );
    this.#next[kind] = free + 1;
    return free;
  }

  #put({ kind, id, before }: PastChange): void {
    const { writer } = this.#into;
    if (kind === "fallback") return writer.putFallback(before === null ? null : fallbackOf(before));
    if (before === null) return;
    switch (kind) {
      case "pool":
        return writer.putPool(objectOf(kind, before));
      case "member":
        return writer.putMember(objectOf(kind, before));
      case "healthCheck": {
        const { poolId, ...check } = objectOf(kind, before);
        return writer.putHealthCheck(poolId, check);
      }
      case "geoRule":
        return writer.putGeoRule(objectOf(kind, before));
      case "service":
        return writer.putService(objectOf(kind, before));
      case "zone":
        return this.#putZone(id, objectOf(kind, before).text);
    }
  }

  #putZone(domain: string, text: string): void {
    const { cuts, problems } = readZoneText(text, { domain });
    for (const { line, column, message } of problems) {
      this.#into.refuse("invalid", "", `Zone "${domain}": line ${line}, column ${column}: ${message}`);
    }
    this.#into.writer.putZone({ domain, text }, cuts);
  }

  #count(kind: ModelKind, { isThere, wasThere }: { isThere: boolean; wasThere: boolean }): void {
    const count = this.#counts.get(kind) ?? { created: 0, changed: 0, deleted: 0 };
    this.#counts.set(kind, count);
    if (!isThere) count.created++;
    else if (wasThere) count.changed++;
    else count.deleted++;
  }
}

const SQLITE_CONSTRAINT = 19;

/** What may be wrong with an object that was put. */
function* faultsOf(
  store: Store,
  kind: Exclude<ModelKind, "service">,
  id: string,
): Generator<Fault | null> {
  switch (kind) {
    case "pool":
      yield fallbackFault(store, id);
      yield membersFault(store, id);
      yield geoRulesFault(store, id);
      return;
    case "member":
      yield memberOwnNameFault(store, id);
      return;
    case "geoRule":
      yield ruleMemberFault(store, id);
      return;
    case "zone":
      yield domainFaultOf(id, { wildcard: false });
      yield zoneCutsFault(store, id);
  }
}

/** What may be wrong with what an object has left behind. */
function* faultsWithout(store: Store, kind: ModelKind, id: string): Generator<Fault | null> {
  if (kind === "pool") {
    for (const pool of store.pools.fallingBackTo(id)) {
      yield fallbackFault(store, pool.id);
    }
  }
  if (kind === "member") {
    for (const rule of store.geoRules.towards(id)) yield ruleMemberFault(store, rule.id);
  }
  if (kind === "zone") yield zoneCutsFault(store, store.zones.cuts.enclosing(id));
}

function domainFaultOf(domain: string, of: { readonly wildcard: boolean }): Fault | null {
  const message = domainFault(domain, of);
  return message === null ? null : { kind: "invalid", message };
}

/** The pool that an object is, or is a part of. */
function poolIdIn(kind: ModelKind, id: string, json: string): string | null {
  if (kind === "pool" || kind === "healthCheck") return id;
  return kind === "member" || kind === "geoRule" ? JSON.parse(json).poolId : null;
}
