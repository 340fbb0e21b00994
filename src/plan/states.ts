/**
 * A state of the model, as far as forecasts of answers ask for it: the stored one, and the one before a change whose
 * transaction is still open.
 *
 * @module
 */
import { OverrideIndex } from "../desired/overridden.ts";
import type { SteeredPool, SteeredService } from "../desired/desired.ts";
import { steeredPool } from "../desired/steered_pool.ts";
import type { Fallback, GeoRule, HealthCheck, Member, Pool, Service, Zone } from "../model/model.ts";
import type { ObjectChange, ObjectKind } from "../store/history.ts";
import type { OverrideRow } from "../store/overrides.ts";
import type { Store } from "../store/store.ts";

/** So many at most are read one by one; … */
const SINGLE_MAX = 1_000;
/** … and of more, those that are fewer than this share of all: to read all in a row costs a tenth for each. */
const SINGLE_SHARE = 0.1;

/** What is declared at one time. */
export interface ModelState {
  /** Those of the pools that there are. */
  pools(ids: ReadonlySet<string>): Iterable<SteeredPool>;
  /** A pool, or `null`. */
  pool(id: string): Pool | null;
  /** Those of the services that there are, by id. */
  services(ids: readonly string[]): ReadonlyMap<string, Service>;
  /** The service of a domain, or `null`. */
  serviceAt(domain: string): Service | null;
  /** The services without a pool. */
  poolless(): Iterable<Service>;
  /** Whether any pool answers from another when it is down. */
  hasChains(): boolean;
  /** The pool that a pool answers from when it is down, or `null`; `undefined` = there is no such pool. */
  fallbackOf(poolId: string): string | null | undefined;
  /** The pools that answer from a pool when they are down themselves. */
  fallingBackTo(poolId: string): readonly string[];
  /** A zone of the database, or `null`. */
  zone(domain: string): Zone | null;
  /** All zones of the database. */
  zoneDomains(): readonly string[];
  /** The fallback of the database, or `null`. */
  fallback(): Fallback | null;
  /** All overrides. */
  overrides(): OverrideIndex<OverrideRow>;
}

/** What is stored. */
export class StoredState implements ModelState {
  readonly #store: Store;
  /** Single pools that were asked for, as they were then. */
  readonly #pools = new Map<string, Pool | null>();
  #overrides: OverrideIndex<OverrideRow> | null = null;

  /** Reads the store as it is when it is asked for the first time: it mustn't change any more. */
  constructor(store: Store) {
    this.#store = store;
  }

  /** Those of the pools that there are. */
  *pools(ids: ReadonlySet<string>): Generator<SteeredPool> {
    if (ids.size > SINGLE_MAX && ids.size > this.#store.pools.count() * SINGLE_SHARE) {
      for (const pool of this.#store.source().pools()) if (ids.has(pool.id)) yield pool;
      return;
    }
    for (const id of ids) {
      const pool = this.pool(id);
      if (pool) yield steeredPool(pool);
    }
  }

  /** A pool, or `null`. */
  pool(id: string): Pool | null {
    const known = this.#pools.get(id);
    if (known !== undefined) return known;
    const pool = this.#store.pools.whole(id);
    if (this.#pools.size < SINGLE_MAX) this.#pools.set(id, pool);
    return pool;
  }

  /** Those of the services that there are, by id. */
  services(ids: readonly string[]): Map<string, Service> {
    const { services } = this.#store;
    if (ids.length > SINGLE_MAX && ids.length > services.count() * SINGLE_SHARE) {
      const meant = new Set(ids);
      return new Map(
        services.each().filter(({ id }) => meant.has(id)).map((service) => [service.id, service]),
      );
    }
    const found = ids.map((id) => services.get(id)).filter((service) => service !== null);
    return new Map(found.map((service) => [service.id, service]));
  }

  /** The service of a domain, or `null`. */
  serviceAt(domain: string): Service | null {
    return this.#store.services.byDomain(domain);
  }

  /** The services that answer from any of the pools. */
  *servicesOf(poolIds: ReadonlySet<string>): Generator<SteeredService> {
    if (poolIds.size > SINGLE_MAX && poolIds.size > this.#store.pools.count() * SINGLE_SHARE) {
      for (const service of this.#store.source().services()) {
        if (service.poolId !== null && poolIds.has(service.poolId)) yield service;
      }
      return;
    }
    for (const id of poolIds) yield* this.#store.services.of(id);
  }

  /** Some of the services strictly below a domain, at most `max`. */
  servicesBelow(domain: string, max: number): Service[] {
    return this.#store.services.below(domain).take(max).toArray();
  }

  /** The pools that answer members by name as names, unless at an apex. */
  poolsWithNames(): Set<string> {
    return new Set(this.#store.resolvedNames.poolsAnsweringNames());
  }

  /** How many services answer from a pool. */
  servicesCount(poolId: string): number {
    return this.#store.services.countOf(poolId);
  }

  /** The services without a pool. */
  poolless(): Iterable<Service> {
    return this.#store.services.of(null);
  }

  /** Whether any pool answers from another when it is down. */
  hasChains(): boolean {
    return this.#store.pools.hasChains();
  }

  /** The pool that a pool answers from when it is down, or `null`; `undefined` = there is no such pool. */
  fallbackOf(poolId: string): string | null | undefined {
    return this.#store.pools.get(poolId)?.fallbackPoolId;
  }

  /** The pools that answer from a pool when they are down themselves. */
  fallingBackTo(poolId: string): string[] {
    return this.#store.pools.fallingBackTo(poolId).map(({ id }) => id);
  }

  /** A zone of the database, or `null`. */
  zone(domain: string): Zone | null {
    return this.#store.zones.get(domain);
  }

  /** All zones of the database. */
  zoneDomains(): string[] {
    return this.#store.zones.domains();
  }

  /** The fallback of the database, or `null`. */
  fallback(): Fallback | null {
    return this.#store.fallback();
  }

  /** All overrides. */
  overrides(): OverrideIndex<OverrideRow> {
    // What is kept for answers is of what is committed: an open transaction may never be.
    return this.#overrides ??= new OverrideIndex(this.#store.overrides.all());
  }

  /** By id, the places of a pool's members or rules in the order of creation. */
  placesOf(kind: "member" | "geoRule", poolId: string): Map<string, number> {
    const { members, geoRules } = this.#store;
    const rows = kind === "member" ? members.rowsOf(poolId) : geoRules.rowsOf(poolId);
    return new Map(rows.map(({ id, seq }) => [id, seq]));
  }
}

/**
 * What was stored before a change: what the change says was different was as it says, everything else is as it is now.
 * For changes that are small enough to be held in memory.
 */
export class StateBefore implements ModelState {
  readonly #after: StoredState;
  /** By domain, those that are touched. */
  readonly #servicesBefore = new Map<string, Service>();
  /** By kind and id, what there was; `null` = nothing. */
  readonly #before: Readonly<Record<ObjectKind, Map<string, Fields | null>>> = {
    pool: new Map(),
    member: new Map(),
    healthCheck: new Map(),
    geoRule: new Map(),
    service: new Map(),
    zone: new Map(),
    fallback: new Map(),
    override: new Map(),
  };

  /** Takes what there was from the changes. @param after as it is now, after them */
  constructor(after: StoredState, changes: Iterable<ObjectChange>) {
    this.#after = after;
    for (const { kind, id, before } of changes) {
      this.#before[kind].set(id, before as Fields | null);
      if (kind === "service" && before !== null) {
        const service = before as Service;
        this.#servicesBefore.set(service.domain, service);
      }
    }
  }

  /** Those of the pools that there were. */
  *pools(ids: ReadonlySet<string>): Generator<SteeredPool> {
    for (const id of ids) {
      const pool = this.pool(id);
      if (pool) yield steeredPool(pool);
    }
  }

  /** A pool, or `null`. */
  pool(id: string): Pool | null {
    const now = this.#after.pool(id);
    const own = this.#before.pool.get(id);
    if (own === null || (own === undefined && now === null)) return null;
    const check = this.#before.healthCheck.get(id);
    return {
      ...(now ?? {}),
      ...(own ?? {}),
      id,
      members: this.#parts<Member>("member", id, now?.members ?? []),
      geoRules: this.#parts<GeoRule>("geoRule", id, now?.geoRules ?? []),
      healthCheck: check === undefined ? now?.healthCheck ?? null : check as HealthCheck | null,
      // The history holds every field of a pool.
    } as Pool;
  }

  /** Those of the services that there were, by id. */
  services(ids: readonly string[]): Map<string, Service> {
    const services = this.#after.services(ids);
    for (const id of ids) {
      const before = this.#before.service.get(id);
      if (before === null) services.delete(id);
      else if (before !== undefined) services.set(id, before as unknown as Service);
    }
    return services;
  }

  /** The service of a domain, or `null`. */
  serviceAt(domain: string): Service | null {
    const now = this.#after.serviceAt(domain);
    if (now && !this.#before.service.has(now.id)) return now;
    return this.#servicesBefore.get(domain) ?? null;
  }

  /** The services without a pool. */
  *poolless(): Generator<Service> {
    for (const service of this.#after.poolless()) if (!this.#before.service.has(service.id)) yield service;
    for (const before of this.#before.service.values()) {
      if (before?.["poolId"] === null) yield before as unknown as Service;
    }
  }

  /** Whether any pool answered from another when it was down. */
  hasChains(): boolean {
    return this.#after.hasChains() ||
      [...this.#before.pool.values()].some((pool) => pool?.["fallbackPoolId"] != null);
  }

  /** The pool that a pool answered from when it was down, or `null`; `undefined` = there was no such pool. */
  fallbackOf(poolId: string): string | null | undefined {
    const before = this.#before.pool.get(poolId);
    if (before === undefined) return this.#after.fallbackOf(poolId);
    return before === null ? undefined : before["fallbackPoolId"] as string | null;
  }

  /** The pools that answered from a pool when they were down themselves. */
  fallingBackTo(poolId: string): string[] {
    const others = this.#after.fallingBackTo(poolId).filter((id) => !this.#before.pool.has(id));
    const changed = [...this.#before.pool].filter(([, before]) => before?.["fallbackPoolId"] === poolId);
    return [...others, ...changed.map(([id]) => id)];
  }

  /** A zone of the database, or `null`. */
  zone(domain: string): Zone | null {
    const before = this.#before.zone.get(domain);
    return before === undefined ? this.#after.zone(domain) : before as Zone | null;
  }

  /** All zones of the database. */
  zoneDomains(): string[] {
    const others = this.#after.zoneDomains().filter((domain) => !this.#before.zone.has(domain));
    const changed = [...this.#before.zone].filter(([, before]) => before !== null);
    return [...others, ...changed.map(([domain]) => domain)];
  }

  /** The fallback of the database, or `null`. */
  fallback(): Fallback | null {
    const before = this.#before.fallback.get("");
    return before === undefined ? this.#after.fallback() : before as Fallback | null;
  }

  /** All overrides. */
  overrides(): OverrideIndex<OverrideRow> {
    const known = this.#before.override;
    const now = this.#after.overrides();
    if (known.size === 0) return now;
    const kept = now.overrides.filter(({ id }) => !known.has(id));
    // Of the change itself none was there before.
    const before = [...known.values()].filter((override) => override !== null)
      .map((override) => ({ ...override, revision: 0 }));
    return new OverrideIndex([...kept, ...before as unknown as OverrideRow[]]);
  }

  /** A pool's members or rules in the order of their creation. */
  #parts<Part extends { readonly id: string }>(
    kind: "member" | "geoRule",
    poolId: string,
    now: readonly Part[],
  ): Part[] {
    const known = this.#before[kind];
    const before = [...known.values()].filter((part) => part?.["poolId"] === poolId) as (Part & Placed)[];
    if (now.every(({ id }) => !known.has(id)) && before.length === 0) return [...now];
    const places = this.#after.placesOf(kind, poolId);
    const placed = now.filter(({ id }) => !known.has(id)).map((part) => ({
      part,
      seq: places.get(part.id)!,
    }));
    return [...placed, ...before.map((part) => ({ part, seq: part.seq }))]
      .sort((a, b) => a.seq - b.seq).map(({ part }) => part);
  }
}

/** Fields of any object, as the history has them. */
type Fields = Readonly<Record<string, unknown>>;

/** What has a place in the order of creation. */
interface Placed {
  readonly seq: number;
}
