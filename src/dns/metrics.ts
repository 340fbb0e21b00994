/**
 * The workers' counters as metrics.
 *
 * @module
 */
import { STANDINGS } from "../license/allowance.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { rcodeName } from "../wire/record_type.ts";
import { COUNTER, CUTS, HTTPS_STATUSES, LATENCY_BOUNDS_NS, RCODES_COUNTED } from "./counters.ts";
import type { Replacement } from "./supervised_worker.ts";
import { Tally } from "./tally.ts";
import { STREAM_TRANSPORTS } from "./transport.ts";

/** What DNS has done since the start. */
export interface DnsTotals {
  /** Answers sent, of any RCODE. */
  answers(): number;
  /** Queries that weren't answered as they were asked, by what limited them. */
  limited(): LimitedTotals;
  /** Exchanges that were to be sampled: too many for their second, and too many for the memory they wait in. */
  missedSamples(): { readonly overRate: number; readonly overSize: number };
  /** Queries that were to be counted for the query sketch, and found no room. */
  lostTraffic(): number;
  /** Counts a worker that was replaced. */
  workerReplaced(why: Replacement): void;
  /** Adds what was counted since the last call; needed at least every ten minutes. */
  update(): void;
}

/** Queries since the start that weren't answered as they were asked. */
export interface LimitedTotals {
  /** Of clients that `dns.deny` names. */
  readonly denied: number;
  /** Of clients that `dns.allow` doesn't name. */
  readonly refused: number;
  /** Beyond `dns.rateLimit`: answered short, or not at all. */
  readonly rate: number;
  /** Answered short for `dns.amplificationMax`. */
  readonly amplification: number;
  /** Dropped because more came over UDP than could be answered, as far as the system tells. */
  readonly overload: number;
}

/** What of a fleet is a metric. */
export interface Answering {
  /** Whether streams are answered. */
  readonly isAnsweringStreams: boolean;
  /** Whether what balancers hand over is answered. */
  readonly isAnsweringBalancers: boolean;
}

/** Adds what is known of the workers themselves. */
export function registerFleetMetrics(registry: Registry, fleet: Answering): void {
  registry.gauge(
    "pleiades_dns_streams_answering",
    "1 while DNS over TCP is answered, 0 while its worker is being replaced or can't be.",
    { collect: () => fleet.isAnsweringStreams ? 1 : 0 },
  );
  registry.gauge(
    "pleiades_dns_backend_answering",
    "1 while what a balancer hands over is answered; 0 while its worker can't, and where there is no dns.backendSocket.",
    { collect: () => fleet.isAnsweringBalancers ? 1 : 0 },
  );
}

/**
 * Adds the DNS metrics.
 *
 * @param board the live board of now
 * @param kernelDrops packets that never reached us; `null` where that isn't known
 */
export function registerDnsMetrics(
  registry: Registry,
  { board, kernelDrops }: { readonly board: () => LiveBoard; readonly kernelDrops: () => number | null },
): DnsTotals {
  const tally = new Tally();
  const requests = registry.counter("pleiades_dns_requests_total", "Packets and messages received.", [
    "transport",
  ]);
  const responses = registry.counter("pleiades_dns_responses_total", "Answers given.", ["rcode"]);
  const dropped = registry.counter("pleiades_dns_dropped_total", "Packets and connections not answered.", [
    "reason",
  ]);
  const overloaded = registry.counter(
    "pleiades_dns_overloaded_seconds_total",
    "Time in which UDP workers had more to answer than they could, all sockets together.",
  ).labels();
  const truncated = registry.counter("pleiades_dns_truncated_total", "Answers with TC set.").labels();
  const bytes = registry.counter("pleiades_dns_response_bytes_total", "Bytes of all answers.").labels();
  const connections = [
    registry.counter("pleiades_dns_tcp_connections_total", "TCP connections accepted."),
    registry.counter("pleiades_dns_tls_connections_total", "Connections of DNS over TLS accepted."),
    registry.counter("pleiades_dns_https_connections_total", "Connections of DNS over HTTPS accepted."),
  ].map((counter) => counter.labels());
  const cut = registry.counter(
    "pleiades_dns_streams_cut_total",
    "Connections closed before their clients did so.",
    ["transport", "reason"],
  );
  const https = registry.counter("pleiades_dns_https_responses_total", "Responses of DNS over HTTPS.", [
    "status",
  ]);
  const decisions = registry.counter(
    "pleiades_dns_decisions_total",
    "Address answers by source.",
    ["source"],
  );
  const ofBalancers = [
    ["sessions", "Sessions that balancers began.", COUNTER.backendSessions],
    ["datagrams", "Datagrams that balancers handed over.", COUNTER.backendDatagrams],
    ["connections", "Connections that balancers handed over.", COUNTER.backendConnections],
    [
      "cut",
      "Sessions and connections of balancers closed for what they said, or didn't.",
      COUNTER.backendCut,
    ],
  ] as const;
  const backend = ofBalancers.map(([name, help, counter]) => ({
    ...{ counter, series: registry.counter(`pleiades_dns_backend_${name}_total`, help).labels() },
  }));
  const faults = registry.counter(
    "pleiades_dns_faults_total",
    "Errors in a DNS worker that went on; each is a fault of the program, and is logged.",
  ).labels();
  const overLicense = registry.counter(
    "pleiades_license_refused_total",
    "Queries refused because the license allows no more; reason rate = its token counts, and its rate was used up.",
    ["reason"],
  );
  const replaced = registry.counter(
    "pleiades_dns_workers_replaced_total",
    "DNS workers that died or hung and were replaced.",
    ["reason"],
  );
  for (const why of ["died", "hung"]) replaced.labels(why).mirror(0);
  const limited = registry.counter(
    "pleiades_dns_limited_total",
    "Answers that a limit made short or refused, and those that cost a cookie.",
    ["limit"],
  );
  const cookies = registry.counter("pleiades_dns_cookies_total", "Queries with a DNS cookie.", ["cookie"]);
  const duration = registry.histogram(
    "pleiades_dns_query_duration_seconds",
    "Time to make an answer, without the socket; one query in 64 is timed.",
    LATENCY_BOUNDS_NS.map((ns) => ns / 1e9),
  ).labels();
  registry.onCollect(() => {
    tally.update(board());
    requests.labels("udp").mirror(tally.total(COUNTER.queriesUdp));
    for (const [i, transport] of STREAM_TRANSPORTS.entries()) {
      requests.labels(transport).mirror(tally.total(COUNTER.messages + i));
      connections[i]!.mirror(tally.total(COUNTER.connections + i));
      for (const [j, why] of CUTS.entries()) {
        cut.labels(transport, why).mirror(tally.total(COUNTER.streamCuts + i * CUTS.length + j));
      }
    }
    for (const [i, status] of HTTPS_STATUSES.entries()) {
      https.labels(String(status)).mirror(tally.total(COUNTER.httpsStatus + i));
    }
    for (let rcode = 0; rcode < RCODES_COUNTED; rcode++) {
      const total = tally.total(COUNTER.rcode + rcode);
      if (total > 0) responses.labels(rcodeName(rcode)).mirror(total);
    }
    dropped.labels("malformed").mirror(tally.total(COUNTER.droppedMalformed));
    dropped.labels("response").mirror(tally.total(COUNTER.droppedResponse));
    dropped.labels("send_error").mirror(tally.total(COUNTER.sendErrors));
    const overflowed = kernelDrops();
    if (overflowed !== null) dropped.labels("kernel_buffer").mirror(overflowed);
    dropped.labels("stale").mirror(tally.total(COUNTER.stale));
    overloaded.mirror(tally.total(COUNTER.overloadedMs) / 1000);
    dropped.labels("tcp_limit").mirror(tally.total(COUNTER.tcpRefused));
    dropped.labels("tcp_evicted").mirror(tally.total(COUNTER.tcpEvicted));
    faults.mirror(tally.total(COUNTER.faults));
    dropped.labels("tcp_accept").mirror(tally.total(COUNTER.acceptErrors));
    for (const [i, standing] of STANDINGS.entries()) {
      const reason = standing === "valid" ? "rate" : standing;
      overLicense.labels(reason).mirror(tally.total(COUNTER.overLicense + i));
    }
    for (const { series, counter } of backend) series.mirror(tally.total(counter));
    dropped.labels("denied").mirror(tally.total(COUNTER.denied));
    dropped.labels("rate_limit").mirror(tally.total(COUNTER.rateDropped));
    limited.labels("allow").mirror(tally.total(COUNTER.notAllowed));
    limited.labels("rate").mirror(tally.total(COUNTER.rateSlipped));
    limited.labels("amplification").mirror(tally.total(COUNTER.amplificationCut));
    limited.labels("bad_cookie").mirror(tally.total(COUNTER.badCookies));
    cookies.labels("new").mirror(tally.total(COUNTER.cookiesNew));
    cookies.labels("valid").mirror(tally.total(COUNTER.cookiesValid));
    cookies.labels("invalid").mirror(tally.total(COUNTER.cookiesInvalid));
    truncated.mirror(tally.total(COUNTER.truncated));
    bytes.mirror(tally.total(COUNTER.bytesOut));
    decisions.labels("pool").mirror(tally.total(COUNTER.steered));
    decisions.labels("all_down").mirror(tally.total(COUNTER.allDown));
    decisions.labels("fallback").mirror(tally.total(COUNTER.fallback));
    duration.mirror(
      Array.from({ length: LATENCY_BOUNDS_NS.length + 1 }, (_, i) => tally.total(COUNTER.latency + i)),
      tally.total(COUNTER.latencySum) / 1e9,
    );
  });
  return {
    workerReplaced: (why) => replaced.labels(why).inc(),
    update: () => tally.update(board()),
    limited: () => {
      tally.update(board());
      return {
        denied: tally.total(COUNTER.denied),
        refused: tally.total(COUNTER.notAllowed),
        rate: tally.total(COUNTER.rateDropped) + tally.total(COUNTER.rateSlipped),
        amplification: tally.total(COUNTER.amplificationCut),
        overload: tally.total(COUNTER.stale) + (kernelDrops() ?? 0),
      };
    },
    missedSamples: () => {
      tally.update(board());
      return {
        overRate: tally.total(COUNTER.samplesOverRate),
        overSize: tally.total(COUNTER.samplesOverSize),
      };
    },
    lostTraffic: () => {
      tally.update(board());
      return tally.total(COUNTER.trafficLost);
    },
    answers: () => {
      tally.update(board());
      let answers = 0;
      for (let rcode = 0; rcode < RCODES_COUNTED; rcode++) answers += tally.total(COUNTER.rcode + rcode);
      return answers;
    },
  };
}
