/**
 * How a node's pools are doing, of its model, its health and its overrides of this moment.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { OverrideIndex } from "../desired/overridden.ts";
import type { NodeHealth } from "../health/node_health.ts";
import { type PoolState, poolStateOf } from "../health/pool_state.ts";
import type { Family } from "../ip.ts";
import type { Fallback, Pool } from "../model/model.ts";
import { FALLBACK_POOL } from "../desired/fallback.ts";
import type { Settings } from "../settings/settings.ts";
import type { ModelMark, Store } from "../store/store.ts";

/** What the states of pools follow from. */
export interface PoolStateSources {
  /** The model. */
  readonly store: Store;
  /** What is believed of members. */
  readonly health: Pick<NodeHealth, "isEligible">;
  /** Those of now. */
  readonly settings: () => Pick<Settings, "fallback">;
  /** Says which override has begun. */
  readonly clock: Pick<Clock, "unixMs">;
}

/**
 * How a pool is doing; `null` = there is no such pool, or it has no members.
 *
 * @param family the one that matters; `null` = both
 */
export function stateOfPool(
  id: string,
  family: Family | null,
  { store, health, settings, clock }: PoolStateSources,
): PoolState | null {
  if (id === FALLBACK_POOL) return stateOfFallback(store.fallback() ?? settings().fallback, family, health);
  const read = readPool(id, store);
  return read && stateOfRead(read, family, { store, health, clock });
}

/** A pool of the model, and the name of the one that answers instead; `null` = there is none. */
interface ReadPool {
  readonly pool: Pool;
  readonly fallbackName: string | null;
}

function readPool(id: string, store: Store): ReadPool | null {
  if (store.members.page(id, { limit: 1 }).items.length === 0) return null;
  const pool = store.pools.whole(id);
  return pool && {
    pool,
    fallbackName: pool.fallbackPoolId && (store.pools.get(pool.fallbackPoolId)?.name ?? null),
  };
}

function stateOfRead(
  { pool, fallbackName }: ReadPool,
  family: Family | null,
  { store, health, clock }: Omit<PoolStateSources, "settings">,
): PoolState {
  return poolStateOf(pool, {
    isEligible: (member) => health.isEligible(pool, { ...member, forcedUp: false }),
    overrides: store.overrides.index(),
    nowMs: clock.unixMs(),
    fallbackName,
  }, family);
}

/** Members of pools that are kept: some megabytes. */
const KEPT_MEMBERS_MAX = 20_000;

/**
 * The states of pools for whoever looks at the same ones again and again, while their model stays what it is: to read hundreds of
 * them takes a tenth of a second, and is most of what there is to collect in a node that has nothing else to do.
 */
export class PoolStates {
  readonly #sources: PoolStateSources;
  readonly #read = new Map<string, ReadPool | null>();
  #mark: ModelMark | null = null;
  #members = 0;

  /** Has read nothing yet. */
  constructor(sources: PoolStateSources) {
    this.#sources = sources;
  }

  /** Begins a look: what was read of another model is forgotten. */
  begin(): void {
    const mark = this.#sources.store.mark();
    const before = this.#mark;
    this.#mark = mark;
    if (before !== null && isSameMark(before, mark)) return;
    this.#read.clear();
    this.#members = 0;
  }

  /** The same as `stateOfPool`, of the model when the look began or later. */
  of(id: string, family: Family | null): PoolState | null {
    if (id === FALLBACK_POOL) return stateOfPool(id, family, this.#sources);
    const read = this.#pool(id);
    return read && stateOfRead(read, family, this.#sources);
  }

  #pool(id: string): ReadPool | null {
    const known = this.#read.get(id);
    if (known !== undefined) return known;
    const read = readPool(id, this.#sources.store);
    this.#members += read?.pool.members.length ?? 0;
    if (this.#members <= KEPT_MEMBERS_MAX) this.#read.set(id, read);
    return read;
  }
}

function isSameMark(a: ModelMark, b: ModelMark): boolean {
  return a.generation === b.generation && a.byHand === b.byHand && a.entry === b.entry;
}

function stateOfFallback(
  fallback: Fallback | null,
  family: Family | null,
  health: PoolStateSources["health"],
): PoolState | null {
  if (fallback === null) return null;
  const { endpoints, onAllDown, healthCheck } = fallback;
  const pool = {
    id: FALLBACK_POOL,
    name: "static fallback",
    onAllDown,
    healthCheck,
    failback: "auto",
    failbackDelayMs: 0,
    members: endpoints.map((ipAddress) => ({ ...FALLBACK_MEMBER, ipAddress, port: healthCheck?.port ?? 0 })),
  } as const;
  return poolStateOf(pool, {
    isEligible: (member) => health.isEligible(pool, { ...member, forcedUp: false }),
    overrides: new OverrideIndex([]),
    nowMs: 0,
    fallbackName: null,
  }, family);
}

const FALLBACK_MEMBER = {
  id: "",
  target: null,
  weight: 1,
  priority: 0,
  enabled: true,
  latitude: null,
  longitude: null,
  region: "",
} as const;
