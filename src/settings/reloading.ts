/**
 * What a reload does with each key of the settings: it is taken over at once, or at the next start.
 *
 * @module
 */
import type { Settings } from "./settings.ts";

/** Sections and keys that a reload takes over; one with a dot inside is a part of its section. */
export const TAKEN_OVER: readonly string[] = [
  "dns.domain",
  "dns.nameservers",
  "dns.ttl",
  "dns.zones",
  "fallback",
  "health.flipGuard",
  "health.canaries",
  "geoip",
  "mapFile",
  "history",
  "names",
];

/** The others: sockets, threads and files that are opened once, and what metrics are labelled with. */
export const FOR_THE_NEXT_START: readonly string[] = [
  "cluster",
  "node",
  "dns.listenAddr",
  "dns.port",
  "dns.listen",
  "dns.ecs",
  "dns.tcp",
  "dns.transport",
  "dns.nsid",
  "dns.chaos",
  "health.startTimeout",
  "database.path",
  "api",
  "metrics",
  "log",
  "queryLog",
  "workers",
];

/** Keys of which a reload has another value than the start, and that need another start. */
export function needingRestart(atStart: Settings, now: Settings): string[] {
  return FOR_THE_NEXT_START.filter((key) =>
    JSON.stringify(valueAt(atStart, key)) !== JSON.stringify(valueAt(now, key))
  );
}

function valueAt(settings: Settings, key: string): unknown {
  return key.split(".").reduce<unknown>(
    (value, step) =>
      value !== null && typeof value === "object"
        ? Object.entries(value).find(([name]) => name === step)?.[1]
        : undefined,
    settings,
  );
}
