/** @module Tests of the memory of failovers. */
import { deepEqual, equal } from "node:assert/strict";
import { Failovers, FAILOVERS_KEPT } from "../../src/explain/failovers.ts";
import type { PassedChange } from "../../src/health/flip_guard.ts";
import { type HealthState, UNKNOWN_VERDICT } from "../../src/health/verdict.ts";

const NOW_MS = 1_000_000;

function change(state: HealthState, fields: Partial<PassedChange> = {}): PassedChange {
  return {
    key: "tcp 192.0.2.1 80",
    verdict: { ...UNKNOWN_VERDICT, state, since: NOW_MS },
    previous: { ...UNKNOWN_VERDICT, state: state === "healthy" ? "unhealthy" : "healthy" },
    agreedAt: NOW_MS - 2_300,
    isTakenBack: false,
    ...fields,
  };
}

Deno.test("a failover took from the last good probe to the verdict, and what the flip guard held on top", () => {
  const failovers = new Failovers({ unixMs: () => NOW_MS + 30_000 });
  failovers.note([change("unhealthy")]);
  deepEqual(failovers.of("tcp 192.0.2.1 80"), [
    { direction: "down", at: NOW_MS + 30_000, detectedMs: 2_300, heldMs: 30_000 },
  ]);
});

Deno.test("a first verdict of healthy is no failover, and one of unhealthy has no time of detection", () => {
  const failovers = new Failovers({ unixMs: () => NOW_MS });
  const first = { previous: UNKNOWN_VERDICT, agreedAt: null };
  failovers.note([change("healthy", first), change("unhealthy", { ...first, key: "b" })]);
  equal(failovers.of("tcp 192.0.2.1 80").length, 0);
  equal(failovers.of("b")[0]?.detectedMs, null);
});

Deno.test("a down that is taken back was none", () => {
  const failovers = new Failovers({ unixMs: () => NOW_MS });
  failovers.note([change("unhealthy")]);
  failovers.note([change("healthy", { isTakenBack: true })]);
  equal(failovers.of("tcp 192.0.2.1 80").length, 0);
});

Deno.test("only the last ones of a target are kept", () => {
  let nowMs = NOW_MS;
  const failovers = new Failovers({ unixMs: () => nowMs });
  for (let i = 0; i < FAILOVERS_KEPT + 5; i++) {
    nowMs++;
    failovers.note([change(i % 2 === 0 ? "unhealthy" : "healthy")]);
  }
  const kept = failovers.of("tcp 192.0.2.1 80");
  equal(kept.length, FAILOVERS_KEPT);
  equal(kept.at(-1)?.at, nowMs);
});
