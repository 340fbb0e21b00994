/** @module The metrics of the cluster's log. */
import type { Registry } from "../telemetry/metrics.ts";
import type { LogStatus } from "./port.ts";

/** Adds them. */
export function registerLogMetrics(registry: Registry, log: { status(): LogStatus }): void {
  const gauge = (name: string, help: string, value: (status: LogStatus) => number) =>
    registry.gauge(name, help, { collect: () => value(log.status()) });
  gauge(
    "pleiades_log_current",
    "1 while the node has all that the cluster's log has.",
    ({ isCurrent }) => isCurrent ? 1 : 0,
  );
  gauge("pleiades_log_entries", "Entries of the cluster's log that the model has.", ({ stamp }) => stamp);
  gauge("pleiades_log_pending", "Commits that the cluster's log hasn't yet.", ({ pending }) => pending);
  gauge(
    "pleiades_log_behind",
    "Messages of the cluster's log that weren't taken yet.",
    ({ behind }) => behind,
  );
  gauge(
    "pleiades_log_conflicts",
    "Changes that are kept as they didn't fit what others changed before them.",
    ({ conflicts }) => conflicts,
  );
  gauge(
    "pleiades_log_unreadable",
    "Messages of the cluster's log since the start that were left out.",
    ({ unreadable }) => unreadable,
  );
}
