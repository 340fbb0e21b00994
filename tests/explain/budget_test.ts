/**
 * The formulae of the budget, against what plays out when a fault comes at any point between two probes.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { budgetOf, detectionOf, returnOf } from "../../src/explain/budget.ts";
import { HEALTH_CHECK_DEFAULTS, type HealthCheck, type Pool, POOL_DEFAULTS } from "../../src/model/model.ts";

const CHECK: HealthCheck = { ...HEALTH_CHECK_DEFAULTS, intervalMs: 2_000, timeoutMs: 500, fall: 3, rise: 2 };
const POOL: Pool = {
  ...POOL_DEFAULTS,
  id: "0".repeat(32),
  name: "web",
  members: [],
  geoRules: [],
  healthCheck: CHECK,
};

/** When the verdict comes after a fault at each of so many points between two starts, ms. */
function played({ intervalMs, timeoutMs, fall }: HealthCheck, kind: "refusing" | "hanging"): number[] {
  const points = 1_000;
  return Array.from({ length: points }, (_, i) => {
    const firstStartMs = intervalMs * (i + 0.5) / points;
    return firstStartMs + (fall - 1) * intervalMs + (kind === "hanging" ? timeoutMs : 0);
  });
}

for (const kind of ["refusing", "hanging"] as const) {
  Deno.test(`a fault of a ${kind} backend takes as long as the formula says, typically and at worst`, () => {
    for (const fall of [1, 2, 5]) {
      const check = { ...CHECK, fall };
      const times = played(check, kind);
      const { typicalMs, worstMs } = detectionOf(check, kind);
      const mean = times.reduce((sum, ms) => sum + ms, 0) / times.length;
      ok(Math.abs(typicalMs - mean) < 1, `${typicalMs} ms, played ${mean} ms`);
      ok(worstMs >= Math.max(...times) && worstMs - Math.max(...times) < 2, `${worstMs} ms`);
    }
  });
}

Deno.test("the last cached answer is the TTL behind the verdict", () => {
  const { refusing, hanging } = budgetOf(POOL, 30);
  deepEqual(refusing, {
    detection: { typicalMs: 5_000, worstMs: 6_000 },
    lastCachedAnswer: { typicalMs: 35_000, worstMs: 36_000 },
  });
  deepEqual(hanging, {
    detection: { typicalMs: 5_500, worstMs: 6_500 },
    lastCachedAnswer: { typicalMs: 35_500, worstMs: 36_500 },
  });
});

Deno.test("a calculated check is down when too many of its checks are, and back when enough are", () => {
  const fast = { ...CHECK, intervalMs: 1_000 };
  const slow = { ...CHECK, intervalMs: 10_000 };
  const calculated = (require: HealthCheck["require"]) =>
    ({ ...CHECK, type: "calculated", require, checks: [slow, fast, CHECK] }) as const;
  const refusing = (check: HealthCheck) => detectionOf(check, "refusing").worstMs;
  equal(refusing(calculated("all")), refusing(fast));
  equal(refusing(calculated(2)), refusing(CHECK));
  equal(refusing(calculated("any")), refusing(slow));
  equal(returnOf(calculated("all")).worstMs, returnOf(slow).worstMs);
  equal(returnOf(calculated("any")).worstMs, returnOf(fast).worstMs);
});

Deno.test("failback delays the way back, or leaves it to an operator", () => {
  equal(budgetOf(POOL, 30).back?.worstMs, 4_500);
  const delayed = budgetOf({ ...POOL, failbackDelayMs: 60_000 }, 30);
  equal(delayed.back?.worstMs, 64_500);
  equal(delayed.failback, "when it has been healthy for 60 s");
  const manual = budgetOf({ ...POOL, failback: "manual" }, 30);
  equal(manual.back, null);
  ok(manual.failback?.includes("operator"));
});

Deno.test("without a check a fault is never seen", () => {
  deepEqual(budgetOf({ ...POOL, healthCheck: null }, 30), {
    pool: "web",
    check: null,
    refusing: null,
    hanging: null,
    back: null,
    failback: null,
  });
});
