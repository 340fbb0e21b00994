/**
 * Requests as metrics.
 *
 * @module
 */
import assert from "node:assert/strict";
import { countRequests } from "../../src/api/request_metrics.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { apiWorld } from "./api_world.ts";

Deno.test("requests are counted by method, route and status, and nothing from the wire becomes a label", async () => {
  const registry = new Registry({});
  using world = apiWorld({ observe: countRequests(registry) });
  await world.send("GET /api/v1/pools");
  await world.send(`GET /api/v1/pools/${"0".repeat(32)}`);
  await world.send(`GET /api/v1/pools/${"1".repeat(32)}`);
  await world.send("BREW /api/v1/teapots");
  const lines = registry.expose().split("\n").filter((line) =>
    line.startsWith("pleiades_api_requests_total")
  );
  assert.deepEqual(lines.sort(), [
    `pleiades_api_requests_total{method="GET",route="/api/v1/pools",status="200"} 1`,
    `pleiades_api_requests_total{method="GET",route="/api/v1/pools/{id}",status="404"} 2`,
    `pleiades_api_requests_total{method="other",route="unknown",status="404"} 1`,
  ]);
  assert.match(registry.expose(), /pleiades_api_request_duration_seconds_count 4/);
});
