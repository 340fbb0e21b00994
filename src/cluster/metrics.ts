/** @module The metrics of what nodes tell each other. */
import type { Counter, Family, Registry } from "../telemetry/metrics.ts";

/** The buckets, as labels have them. */
export type BucketName = "health" | "membership";

/** Counts what happens. */
export interface ClusterCounters {
  /** A message was sent. */
  published(type: "heartbeat" | "health"): void;
  /** A message came, or one that can't be read. */
  received(type: "heartbeat" | "health" | "invalid"): void;
  /** A value was written, or couldn't be. */
  put(bucket: BucketName, result: "ok" | "error"): void;
  /** A value was delivered by a bucket's watch; `error` = it can't be read. */
  got(bucket: BucketName, result: "ok" | "error"): void;
  /** What came in was taken over after so many seconds. */
  merged(seconds: number): void;
}

/** From a turn of the event loop to a large snapshot on a busy machine, seconds. */
const LAG_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** Adds them. */
export function registerClusterMetrics(
  registry: Registry,
  { isConnected, active, differing }: {
    readonly isConnected: () => boolean;
    readonly active: () => number;
    readonly differing: () => number;
  },
): ClusterCounters {
  registry.gauge("pleiades_state_nats_connected", "1 while the node is connected to a NATS server.", {
    collect: () => isConnected() ? 1 : 0,
  });
  registry.gauge(
    "pleiades_state_active_members",
    "Nodes of the cluster whose heartbeat is fresh, this one included.",
    { collect: active },
  );
  registry.gauge(
    "pleiades_state_models_differing",
    "Active nodes that have as much of the cluster's log as this one, and another model.",
    { collect: differing },
  );
  const published = registry.counter(
    "pleiades_state_nats_published_total",
    "Messages sent to other nodes.",
    ["type"],
  );
  const received = registry.counter(
    "pleiades_state_nats_received_total",
    "Messages of other nodes, invalid for those that can't be read.",
    ["type"],
  );
  const put = registry.counter("pleiades_state_kv_put_total", "Values written to buckets of NATS.", [
    "bucket",
    "result",
  ]);
  const got = registry.counter("pleiades_state_kv_get_total", "Values read from buckets of NATS.", [
    "bucket",
    "result",
  ]);
  const lag = registry.histogram(
    "pleiades_state_merge_lag_seconds",
    "Time from when a message of another node came in to when it was taken over.",
    LAG_BUCKETS,
  ).labels();
  return {
    published: (type) => published.labels(type).inc(),
    received: (type) => received.labels(type).inc(),
    put: counting(put),
    got: counting(got),
    merged: (seconds) => lag.observe(seconds),
  };
}

/** Counts by bucket and result. Values come by ten thousands, and to look for a series takes more memory than to read one. */
function counting(
  family: Family<readonly ["bucket", "result"], Counter>,
): (bucket: BucketName, result: "ok" | "error") => void {
  const known = new Map<string, Map<string, Counter>>();
  return (bucket, result) => {
    let ofBucket = known.get(bucket);
    if (ofBucket === undefined) known.set(bucket, ofBucket = new Map());
    let series = ofBucket.get(result);
    if (series === undefined) ofBucket.set(result, series = family.labels(bucket, result));
    series.inc();
  };
}
