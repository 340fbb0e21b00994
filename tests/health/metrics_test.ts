/**
 * Health as Prometheus sees it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { registerHealthMetrics } from "../../src/health/metrics.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
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
    ]
  ) assert.ok(lines.includes(line), line);
});

Deno.test({
  name: "promtool accepts the names that the interface promises, but for its advice about _total on gauges",
  ignore: promtool === null,
  async fn() {
    const registry = new Registry({ node: "n1" });
    registerHealthMetrics(registry, () => [{ family: 4, total: 1, healthy: 1 }]).probed("tcp", "success", 1);
    const { output } = await promtool!(["check", "metrics"], registry.expose());
    assert.equal(
      output.trim(),
      'pleiades_health_endpoints_total non-counter metrics should not have "_total" suffix',
    );
  },
});
