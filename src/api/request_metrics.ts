/**
 * Requests as metrics.
 *
 * @module
 */
import { type Registry } from "../telemetry/metrics.ts";
import { type ObservedRequest } from "./ports.ts";

/** Registers `pleiades_api_requests_total` and `pleiades_api_request_duration_seconds`, and gives what feeds them. */
export function countRequests(registry: Registry): (request: ObservedRequest) => void {
  const requests = registry.counter(
    "pleiades_api_requests_total",
    "Requests answered by the REST API.",
    ["method", "route", "status"],
  );
  const durations = registry.histogram(
    "pleiades_api_request_duration_seconds",
    "Time from a request to its answer, the wait for DNS included.",
    DURATION_BUCKETS,
  ).labels();
  return ({ method, route, status, durationMs }) => {
    requests.labels(method, route, String(status)).inc();
    durations.observe(durationMs / 1000);
  };
}

/** Seconds: reads take well under 1 ms, writes wait for DNS workers, 5 s is where that wait ends. */
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
