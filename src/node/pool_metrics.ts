/**
 * The part that counts the members of pools at each scrape.
 *
 * @module
 */
import type { NodeHealth } from "../health/node_health.ts";
import type { Store } from "../store/store.ts";
import type { Registry } from "../telemetry/metrics.ts";
import type { Start } from "./part.ts";

/** Pools shown one by one in the metrics; with more, only the sums are. */
export const POOL_METRICS_MAX = 2_000;

/** Shows them as long as the registry is asked. */
export const poolMetrics: Start = (core) => {
  registerPoolMetrics(core);
  return null;
};

/** Adds the gauges of each pool's members. */
export function registerPoolMetrics(
  { registry, store, health }: {
    readonly registry: Registry;
    readonly store: Pick<Store, "counts" | "pools">;
    readonly health: Pick<NodeHealth, "memberHealth">;
  },
): void {
  const total = registry.gauge("pleiades_pool_members_total", "Enabled members of a pool.", [
    "pool",
    "pool_id",
  ]);
  const healthy = registry.gauge(
    "pleiades_pool_members_healthy",
    "Enabled members of a pool that are not known to be unhealthy.",
    ["pool", "pool_id"],
  );
  registry.onCollect(() => {
    total.clear();
    healthy.clear();
    if (store.counts().pools > POOL_METRICS_MAX) return;
    for (const pool of store.pools.each()) {
      const enabled = pool.members.filter((member) => member.enabled);
      const up = enabled.filter((member) =>
        health.memberHealth(pool, { ...member, forcedUp: false }).state !== "unhealthy"
      );
      total.labels(pool.name, pool.id).set(enabled.length);
      healthy.labels(pool.name, pool.id).set(up.length);
    }
  });
}
