/**
 * Health as Prometheus sees it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { registerGuardMetrics, registerHealthMetrics } from "../../src/health/metrics.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { testWith } from "../programs.ts";
import { promtool } from "../telemetry/promtool.ts";

Deno.test("probes, detections and endpoints are counted", () => {
  const registry = new Registry({ node: "n1" });
  const observer = registerHealthMetrics(registry, () => [
    { family: 4, total: 3, healthy: 2 },
    { family: 6, total: 1, healthy: 1 },
  ]);
  observer.probed("tcp", "success", 2);
  observer.probed("tcp", "success", 30);
  observer.probed("https", "failure", 2_000);
  observer.detected("down", 21.5);
  observer.detected("up", 4);
  const lines = registry.expose().split("\n");
  for (
    const line of [
      'pleiades_health_endpoints_total{node="n1",family="v4"} 3',
      'pleiades_health_endpoints_healthy{node="n1",family="v4"} 2',
      'pleiades_health_endpoints_healthy{node="n1",family="v6"} 1',
      'pleiades_health_probes_total{node="n1",type="tcp",result="success"} 2',
      'pleiades_health_probes_total{node="n1",type="https",result="failure"} 1',
      'pleiades_health_probes_total{node="n1",type="http",result="error"} 0',
      'pleiades_health_probe_duration_seconds_bucket{node="n1",type="tcp",le="0.005"} 1',
      'pleiades_health_probe_duration_seconds_sum{node="n1",type="https"} 2',
      'pleiades_health_failover_detection_seconds_bucket{node="n1",direction="down",le="30"} 1',
      'pleiades_health_failover_detection_seconds_count{node="n1",direction="up"} 1',
      'pleiades_health_failover_detection_seconds_sum{node="n1",direction="up"} 4',
    ]
  ) assert.ok(lines.includes(line), line);
});

Deno.test("holds, blindness and trips are told, every outcome from the start", () => {
  const registry = new Registry({ node: "n1" });
  let state: Parameters<typeof registerGuardMetrics>[1] = () => ({ holding: null, held: 0, isBlind: false });
  const countTrip = registerGuardMetrics(registry, () => state());
  const lines = () => registry.expose().split("\n").filter((line) => line.startsWith("pleiades_"));
  assert.deepEqual(lines().filter((line) => !line.endsWith(" 0")), []);
  assert.equal(lines().length, 7);
  countTrip("confirmed");
  state = () => ({ holding: "flips", held: 6, isBlind: true });
  assert.deepEqual(lines().filter((line) => !line.endsWith(" 0")).sort(), [
    'pleiades_health_blind{node="n1"} 1',
    'pleiades_health_flip_guard_active{node="n1"} 1',
    'pleiades_health_flip_guard_trips_total{node="n1",outcome="confirmed"} 1',
    'pleiades_health_held_targets{node="n1"} 6',
  ]);
});

testWith(
  ["promtool"],
  "promtool accepts the names that the interface promises, but for its advice about _total on gauges",
  async () => {
    const registry = new Registry({ node: "n1" });
    registerHealthMetrics(registry, () => [{ family: 4, total: 1, healthy: 1 }]).probed("tcp", "success", 1);
    registerGuardMetrics(registry, () => ({ holding: null, held: 0, isBlind: false }));
    const { output } = await promtool(["check", "metrics"], registry.expose());
    assert.equal(
      output.trim(),
      'pleiades_health_endpoints_total non-counter metrics should not have "_total" suffix',
    );
  },
);
