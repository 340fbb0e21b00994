/**
 * The metrics of the four services, with the names that their dashboards know: without the prefix and the labels of a node, and
 * spelt as they always were.
 *
 * @module
 */
import type { Counter, Family, Histogram, Registry } from "../telemetry/metrics.ts";

/** A counter with these labels. */
export type Counted<Names extends readonly string[] = readonly []> = Family<Names, Counter>;

/** What the API proxy counts. */
export interface ProxyMetrics {
  /** Requests that were handed on. */
  readonly requests: Counter;
  /** Events that were published. */
  readonly events: Counted<readonly ["event_type"]>;
  /** Events that were given up because too many waited for a connection. */
  readonly lost: Counter;
}

/** Registers them. */
export function proxyMetrics(registry: Registry): ProxyMetrics {
  return {
    requests: registry.counter(
      "apiproxy_powerdns_api_requests_total",
      "Requests that were handed on to the API of PowerDNS.",
    ).labels(),
    events: registry.counter("apiproxy_published_zone_events_total", "Events that were published.", [
      "event_type",
    ]),
    lost: registry.counter(
      "apiproxy_lost_zone_events_total",
      "Events that were given up because too many waited for a connection to NATS.",
    ).labels(),
  };
}

/** What a zone provider counts. */
export interface ProviderMetrics {
  /** Questions for zones. */
  readonly requests: Counter;
  /** Answers. */
  readonly responses: Counter;
  /** Questions that can't be read. */
  readonly broken: Counter;
  /** Calls of the DNS side of PowerDNS. */
  readonly dnsCalls: Counted<readonly ["protocol", "state"]>;
  /** The same by what was asked. */
  readonly dnsQueries: Counted<readonly ["qtype", "state"]>;
}

/** Registers them. */
export function providerMetrics(registry: Registry): ProviderMetrics {
  // Whether a zone is signed shows in what is transferred: the API isn't asked, and dashboards find their name.
  const apiCalls = registry.counter(
    "zoneprovider_powerdns_api_call_total",
    "Calls of the API of PowerDNS: none.",
    [
      "state",
    ],
  );
  for (const state of ["successful", "failed"]) apiCalls.labels(state);
  return {
    requests: registry.counter("zoneprovider_request_total", "Questions for zones.").labels(),
    responses: registry.counter("zoneprovider_response_total", "Questions that were answered.").labels(),
    broken: registry.counter("zoneprovider_broken_request_total", "Questions that can't be read.").labels(),
    dnsCalls: registry.counter("zoneprovider_powerdns_dns_call_total", "Calls of the name server.", [
      "protocol",
      "state",
    ]),
    dnsQueries: registry.counter("zoneprovider_powerdns_dns_query_total", "Queries to the name server.", [
      "qtype",
      "state",
    ]),
  };
}

/** What a secondary syncer counts. */
export interface SyncerMetrics {
  /** Events and orders that came. */
  readonly events: Counted<readonly ["event_type"]>;
  /** Those that can't be read, or are of a checker that leads no more. */
  readonly ignored: Counted<readonly ["reason"]>;
  /** Calls of the API of PowerDNS. */
  readonly apiCalls: Counted<readonly ["state", "type"]>;
  /** Questions to providers. */
  readonly dataRequests: Counted<readonly ["state"]>;
  /** Questions of checkers. */
  readonly stateRequests: Counter;
  /** Answers to them. */
  readonly stateResponses: Counted<readonly ["state"]>;
  /** Queries of the local PowerDNS. */
  readonly queries: Counted<readonly ["qtype", "state"]>;
  /** Transfers that PowerDNS has taken. */
  readonly transfers: Counter;
  /** How long each step of a zone took that is in step, seconds. */
  readonly stages: {
    /** From its event until a worker was free. */
    readonly wait: Histogram;
    /** Until PowerDNS came for it. */
    readonly fetch: Histogram;
    /** Until all of it was sent to PowerDNS. */
    readonly transfer: Histogram;
    /** Until PowerDNS was seen to have stored it. */
    readonly store: Histogram;
  };
}

/** Upper bounds, seconds: an answer is wanted within half a second of its event. */
const STAGE_BUCKETS = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30];

/** Registers them. @param counts asked for the jobs that run, and for those that failed */
export function syncerMetrics(
  registry: Registry,
  counts: { readonly running: () => number; readonly failing: () => number },
): SyncerMetrics {
  registry.gauge("secondarysyncer_worker_lock_count", "Zones that are worked on.", {
    collect: counts.running,
  });
  registry.gauge(
    "secondarysyncer_failing_zones",
    "Zones that PowerDNS refused last, and that are tried again.",
    {
      collect: counts.failing,
    },
  );
  const stages = registry.histogram(
    "secondarysyncer_sync_duration_seconds",
    "How long zones took that are in step, by step: wait for a worker, fetch until PowerDNS comes, transfer, store.",
    STAGE_BUCKETS,
    ["stage"],
  );
  return {
    stages: {
      wait: stages.labels("wait"),
      fetch: stages.labels("fetch"),
      transfer: stages.labels("transfer"),
      store: stages.labels("store"),
    },
    events: registry.counter("secondarysyncer_received_zone_events_total", "Events that came.", [
      "event_type",
    ]),
    ignored: registry.counter("secondarysyncer_ignored_zone_events_total", "Events that were ignored.", [
      "reason",
    ]),
    apiCalls: registry.counter("secondarysyncer_powerdns_api_call_total", "Calls of the API of PowerDNS.", [
      "state",
      "type",
    ]),
    dataRequests: registry.counter("secondarysyncer_zone_data_request_total", "Questions to providers.", [
      "state",
    ]),
    stateRequests: registry.counter(
      "secondarysyncer_zone_state_request_total",
      "Questions for the state of zones.",
    ).labels(),
    stateResponses: registry.counter("secondarysyncer_zone_state_response_total", "Answers to them.", [
      "state",
    ]),
    queries: registry.counter(
      "secondarysyncer_local_dns_proxy_queries_total",
      "Queries of the local PowerDNS.",
      [
        "qtype",
        "state",
      ],
    ),
    transfers: registry.counter(
      "secondarysyncer_transferred_zones_total",
      "Transfers that the local PowerDNS has taken.",
    ).labels(),
  };
}

/** What a health checker counts. */
export interface CheckerMetrics {
  /** Events that came. */
  readonly received: Counted<readonly ["event_type"]>;
  /** Orders that followed from them. */
  readonly ordered: Counted<readonly ["event_type"]>;
  /** Orders of the periodic check. */
  readonly periodicOrders: Counted<readonly ["event_type"]>;
  /** Orders because of signatures. */
  readonly signingOrders: Counted<readonly ["event_type"]>;
  /** Periodic checks. */
  readonly periodicCycles: Counter;
  /** Times that zones were listed. */
  readonly refreshCycles: Counter;
  /** Weekly checks of signatures that began, and half-daily ones that have come to their last zone. */
  readonly signingCycles: Counter;
  /** Looks at NSEC3 parameters. */
  readonly nsec3Cycles: Counter;
  /** Events that can't be read. */
  readonly broken: Counter;
}

/** What gauges tell of each secondary. */
export type States = readonly {
  readonly host: string;
  readonly isMissed: boolean;
  readonly differing: number;
}[];

/** Registers them. @param counts asked for the gauges */
export function checkerMetrics(
  registry: Registry,
  counts: () => {
    readonly zones: number;
    readonly signedZones: number;
    readonly secondaries: number;
    readonly looks: number;
    readonly isLeading: boolean;
    readonly states: States;
    readonly services: readonly { readonly service: string; readonly host: string }[];
  },
): CheckerMetrics {
  const gauge = (name: string, help: string, collect: () => number) =>
    registry.gauge(`healthchecker_${name}`, help, { collect });
  gauge("actual_primary_zone_count", "Zones of the primary.", () => counts().zones);
  gauge("actual_secondary_count", "Secondaries.", () => counts().secondaries);
  gauge("actual_dnssec_primary_zone_count", "Signed zones of the primary.", () => counts().signedZones);
  gauge("waiting_checks", "Zones that wait to be looked at one by one, or are.", () => counts().looks);
  gauge("leading", "Whether this checker is the one that checks.", () => counts().isLeading ? 1 : 0);
  registry.gauge("healthchecker_known_services", "Services that have said that they are there.", {
    labelNames: ["service", "host"],
    collect: () => counts().services.map(({ service, host }) => [[service, host], 1] as const),
  });
  const bySecondary = (name: string, help: string, valueOf: (state: States[number]) => number) =>
    registry.gauge(`healthchecker_${name}`, help, {
      labelNames: ["secondary"],
      // One that doesn't check knows nothing.
      collect: () =>
        counts().isLeading ? counts().states.map((each) => [[each.host], valueOf(each)] as const) : [],
    });
  bySecondary(
    "secondary_answers",
    "Whether a secondary answered when it was last asked.",
    ({ isMissed }) => isMissed ? 0 : 1,
  );
  bySecondary(
    "differing_zones",
    "Zones of a secondary that weren't in step at the last periodic check.",
    ({ differing }) => differing,
  );
  const byType = (name: string, help: string) =>
    registry.counter(`healthchecker_${name}`, help, ["event_type"]);
  const plain = (name: string, help: string) => registry.counter(`healthchecker_${name}`, help).labels();
  return {
    received: byType("event_health_check_received_zone_events_total", "Events that came."),
    ordered: byType("event_health_check_published_zone_events_total", "Orders that followed from events."),
    periodicOrders: byType("interval_health_published_zone_events_total", "Orders of the periodic check."),
    signingOrders: byType(
      "interval_signing_sync_published_zone_events_total",
      "Orders because of signatures.",
    ),
    periodicCycles: plain("interval_health_cycles_total", "Periodic checks."),
    refreshCycles: plain("refresh_cycles_total", "Times that zones and secondaries were listed."),
    signingCycles: plain("singing_sync_cycles_total", "Checks of signatures."),
    nsec3Cycles: plain("ensure_nsec3_cyles_total", "Looks at NSEC3 parameters."),
    broken: plain("broken_zone_events_total", "Events that can't be read."),
  };
}
