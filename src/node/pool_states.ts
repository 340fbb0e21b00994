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
import type { Fallback } from "../model/model.ts";
import { FALLBACK_POOL } from "../desired/fallback.ts";
import type { Settings } from "../settings/settings.ts";
import type { Store } from "../store/store.ts";

/** What the states of pools follow from. */
export interface PoolStateSources {
  /** The model. */
  readonly store: Store;
  /** What is believed of members. */
  readonly health: Pick<NodeHealth, "memberHealth">;
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
  if (store.members.page(id, { limit: 1 }).items.length === 0) return null;
  const pool = store.pools.whole(id);
  return pool && poolStateOf(pool, {
    healthOf: (member) => health.memberHealth(pool, { ...member, forcedUp: false }),
    overrides: store.overrides.index(),
    nowMs: clock.unixMs(),
    fallbackName: pool.fallbackPoolId && (store.pools.get(pool.fallbackPoolId)?.name ?? null),
  }, family);
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
    healthOf: (member) => health.memberHealth(pool, { ...member, forcedUp: false }),
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
