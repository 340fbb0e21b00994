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
  registry.onCollect(function* () {
    const isTooMany = store.counts().pools > POOL_METRICS_MAX;
    const counted: {
      readonly name: string;
      readonly id: string;
      readonly members: number;
      readonly up: number;
    }[] = [];
    for (const pool of isTooMany ? [] : store.pools.oneByOne()) {
      const enabled = pool.members.filter((member) => member.enabled);
      const up = enabled.filter((member) =>
        health.memberHealth(pool, { ...member, forcedUp: false }).state !== "unhealthy"
      );
      counted.push({ name: pool.name, id: pool.id, members: enabled.length, up: up.length });
      yield;
    }
    total.clear();
    healthy.clear();
    for (const { name, id, members, up } of counted) {
      total.labels(name, id).set(members);
      healthy.labels(name, id).set(up);
    }
  });
}
