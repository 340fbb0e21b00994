/**
 * Health as metrics: how many endpoints are up, what probes come to, and how fast a fault is seen.
 *
 * @module
 */
import type { Registry } from "../telemetry/metrics.ts";
import { type HoldCause, TRIP_OUTCOMES, type TripOutcome } from "./flip_guard.ts";
import type { EndpointCounts, HealthObserver } from "./health_checker.ts";

/**
 * Adds the health metrics and makes what a `HealthChecker` counts with.
 *
 * @param endpoints asked at each scrape, so it may name a checker that is made afterwards
 */
export function registerHealthMetrics(
  registry: Registry,
  endpoints: () => readonly EndpointCounts[],
): HealthObserver {
  const total = registry.gauge("pleiades_health_endpoints_total", "Endpoints that are probed.", ["family"]);
  const healthy = registry.gauge(
    "pleiades_health_endpoints_healthy",
    "Probed endpoints that are not known to be unhealthy.",
    ["family"],
  );
  registry.onCollect(() => {
    for (const counts of endpoints()) {
      const family = `v${counts.family}`;
      total.labels(family).set(counts.total);
      healthy.labels(family).set(counts.healthy);
    }
  });
  const probes = registry.counter(
    "pleiades_health_probes_total",
    "Probes by result; error means that the probe could not be made, whatever the endpoint's state.",
    ["type", "result"],
  );
  const durations = registry.histogram(
    "pleiades_health_probe_duration_seconds",
    "Time from the start of a probe to its result.",
    PROBE_SECONDS,
    ["type"],
  );
  const detections = registry.histogram(
    "pleiades_health_failover_detection_seconds",
    "Time from the last result that agreed with an endpoint's old state to its change; a fault is never older.",
    DETECTION_SECONDS,
    ["direction"],
  );
  // All series are there from the start: a rate needs the zero before the first event.
  const byType = {
    tcp: seriesOf("tcp"),
    http: seriesOf("http"),
    https: seriesOf("https"),
  };
  const byDirection = { down: detections.labels("down"), up: detections.labels("up") };
  return {
    probed: (type, result, durationMs) => {
      if (type === "calculated") return; // probes nothing
      byType[type][result].inc();
      byType[type].duration.observe(durationMs / 1000);
    },
    detected: (direction, seconds) => byDirection[direction].observe(seconds),
  };

  function seriesOf(type: string) {
    return {
      success: probes.labels(type, "success"),
      failure: probes.labels(type, "failure"),
      error: probes.labels(type, "error"),
      duration: durations.labels(type),
    };
  }
}

/**
 * Adds the metrics of the flip guard and the canaries.
 *
 * @param state asked at each scrape
 * @returns counts a trip that has ended
 */
export function registerGuardMetrics(
  registry: Registry,
  state: () => { readonly holding: HoldCause | null; readonly held: number; readonly isBlind: boolean },
): (outcome: TripOutcome) => void {
  registry.gauge(
    "pleiades_health_flip_guard_active",
    "1 while the flip guard holds the last good set because too many targets went down at once.",
    { collect: () => Number(state().holding === "flips") },
  );
  registry.gauge("pleiades_health_blind", "1 while no canary answers, or most peers contradict this node.", {
    collect: () => Number(state().isBlind),
  });
  registry.gauge(
    "pleiades_health_held_targets",
    "Targets that are down and held in the answers all the same.",
    {
      collect: () => state().held,
    },
  );
  const trips = registry.counter(
    "pleiades_health_flip_guard_trips_total",
    "Trips of the flip guard that have ended: the hold ran out, all came back, canaries answered, or none did.",
    ["outcome"],
  );
  const byOutcome = new Map(TRIP_OUTCOMES.map((outcome) => [outcome, trips.labels(outcome)]));
  return (outcome) => byOutcome.get(outcome)!.inc();
}

/** From a neighbour in the rack to the default time-out of 2 s and beyond. */
const PROBE_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** From sub-second intervals to three rounds of the default 10 s and beyond. */
const DETECTION_SECONDS = [0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 40, 60, 120];
