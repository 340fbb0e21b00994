/**
 * What a worker counts, as positions in its lane of the live board. One writer per lane, plain adds; the main
 * thread sums the lanes and turns them into metrics, so an answer costs no metric call.
 *
 * @module
 */

/** Positions in a lane. */
export const COUNTER = {
  queriesUdp: 0,
  /** Of all streams together. */
  queriesTcp: 1,
  /** Packets without a header, and responses: never answered. */
  droppedMalformed: 2,
  droppedResponse: 3,
  /** Answers that the socket refused to send. */
  sendErrors: 4,
  truncated: 5,
  tcpRefused: 7,
  bytesOut: 8,
  /** Exchanges that were to be sampled, and were one too many for this second, or for the block. */
  samplesOverRate: 9,
  samplesOverSize: 10,
  /** What went wrong in a worker and didn't end it. */
  faults: 11,
  /** TCP connections that could not be accepted, for lack of descriptors or memory. */
  acceptErrors: 12,
  /** Idle TCP connections that were closed because another one came and all were taken. */
  tcpEvicted: 13,
  /** Queries that were to be counted for the query sketch, and found no room. */
  trafficLost: 14,
  /** + RCODE, 0–23 (extended RCODEs included). */
  rcode: 16,
  /** Answers that came from a service's pool, and those of `onAllDown`. */
  steered: 40,
  allDown: 41,
  fallback: 42,
  /** Queries that were refused because the license allows no more: + index in `STANDINGS`. */
  overLicense: 48,
  /** Time in the engine of one query in `LATENCY_SAMPLE`: + bucket, 0 … LATENCY_BOUNDS_NS.length. */
  latency: 64,
  /** Sum of the sampled times, nanoseconds. */
  latencySum: 96,
  /** Queries and connections of denied clients, and answers beyond the rate: nothing was said. */
  denied: 128,
  rateDropped: 129,
  /** Answers that became REFUSED, as the client isn't allowed, and short, for the rate's sake and for their size. */
  notAllowed: 130,
  rateSlipped: 131,
  amplificationCut: 132,
  /** Those of the short ones that say BADCOOKIE. */
  badCookies: 133,
  /** Cookies of clients: without a server's, with a good one of ours, with another. */
  cookiesNew: 134,
  cookiesValid: 135,
  cookiesInvalid: 136,
  /** Packets over UDP that had waited for too long, and weren't looked at. */
  stale: 137,
  /** Milliseconds in which a socket of UDP had more to give than could be answered. */
  overloadedMs: 138,
  /** Of balancers: control sessions, datagrams and connections that they handed over, … */
  backendSessions: 139,
  backendDatagrams: 140,
  backendConnections: 141,
  /** … and what was closed for what it said, or since it said nothing. */
  backendCut: 142,
  /** Connections that were taken: + index in `STREAM_TRANSPORTS`. */
  connections: 144,
  /** Messages that came over streams, of `queriesTcp`: + index in `STREAM_TRANSPORTS`. */
  messages: 148,
  /** Answers over HTTPS, those that aren't DNS included: + index in `HTTPS_STATUSES`. */
  httpsStatus: 152,
  /** Connections that were cut: + index in `STREAM_TRANSPORTS` × the number of `CUTS` + index in `CUTS`. */
  streamCuts: 168,
} as const;

/**
 * Why connections are cut. `handshake` = TLS failed; `no_query` = nothing came in time after connecting, the end of the
 * handshake included; `half_query` = the rest of a query, or of a request over HTTPS, didn't come; `idle` = no further
 * query came; `unread` = answers weren't read; `malformed` = what came is no DNS.
 */
export const CUTS = ["handshake", "no_query", "half_query", "idle", "unread", "malformed"] as const;

/** One of them. */
export type Cut = typeof CUTS[number];

/** HTTP statuses counted one by one; all others are faults of ours, as is 500. */
export const HTTPS_STATUSES = [200, 400, 404, 405, 408, 413, 415, 500, 503] as const;

/** RCODEs counted one by one. */
export const RCODES_COUNTED = 24;

/** Upper bounds of the latency buckets, nanoseconds. */
export const LATENCY_BOUNDS_NS = [
  500,
  1_000,
  2_000,
  5_000,
  10_000,
  20_000,
  50_000,
  100_000,
  1_000_000,
  10_000_000,
] as const;

/** One query in so many is timed: the clock costs about as much as an answer. */
export const LATENCY_SAMPLE = 64;
