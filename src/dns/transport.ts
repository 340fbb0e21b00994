/** @module How a query comes and its answer goes. */

/** By their numbers: of UDP 0. */
export const TRANSPORTS = ["udp", "tcp", "tls", "https"] as const;

/** A transport. */
export type Transport = typeof TRANSPORTS[number];

/** One of those that connect; `tls` is DNS over TLS (RFC 7858), `https` DNS over HTTPS (RFC 8484). */
export type StreamTransport = Exclude<Transport, "udp">;

/** Those that connect. */
export const STREAM_TRANSPORTS = ["tcp", "tls", "https"] as const satisfies readonly StreamTransport[];
