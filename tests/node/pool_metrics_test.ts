/**
 * The gauges of each pool's members.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { UNKNOWN_VERDICT, type Verdict } from "../../src/health/verdict.ts";
import { MEMBER_DEFAULTS, type Pool, POOL_DEFAULTS } from "../../src/model/model.ts";
import { POOL_METRICS_MAX, registerPoolMetrics } from "../../src/node/pool_metrics.ts";
import { Store } from "../../src/store/store.ts";
import { Registry } from "../../src/telemetry/metrics.ts";

const WEB: Pool = {
  ...POOL_DEFAULTS,
  ...{ id: "p", name: "web", healthCheck: null, geoRules: [] },
  members: ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map((ipAddress, i) => ({
    ...MEMBER_DEFAULTS,
    ...{ id: `${i}`, poolId: "p", ipAddress, port: 443, enabled: ipAddress !== "192.0.2.4" },
  })),
};

const STATES: Readonly<Record<string, Verdict["state"]>> = {
  "192.0.2.1": "healthy",
  "192.0.2.2": "unhealthy",
  "192.0.2.3": "unknown",
  "192.0.2.4": "healthy",
};

/** The samples of a node with so many pools, of which one can be seen. */
function samples(pools: number): readonly string[] {
  using store = Store.memory();
  const counts = store.counts();
  store.counts = () => ({ ...counts, pools });
  store.pools.oneByOne = function* () {
    yield WEB;
  };
  const registry = new Registry({});
  registerPoolMetrics({
    registry,
    store,
    health: {
      memberHealth: (_, { ipAddress }) => ({
        ...UNKNOWN_VERDICT,
        ...{ state: STATES[ipAddress!]!, eligible: true, why: null },
      }),
    },
  });
  return registry.expose().split("\n").filter((line) => line.startsWith("pleiades_pool_"));
}

Deno.test("of each pool the enabled members are counted, and those that aren't known to be unhealthy", () => {
  deepEqual(samples(POOL_METRICS_MAX), [
    'pleiades_pool_members_healthy{pool="web",pool_id="p"} 2',
    'pleiades_pool_members_total{pool="web",pool_id="p"} 3',
  ]);
});

Deno.test("of very many pools none is shown by itself", () => {
  deepEqual(samples(POOL_METRICS_MAX + 1), []);
});
