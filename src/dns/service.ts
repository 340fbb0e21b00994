/**
 * What a worker answers on, whatever it is.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import type { UdpTransport } from "./udp.ts";

/** Bound sockets on which answers are given. */
export interface Service {
  /** What it answers on. */
  readonly bound: Bound;
  /** Streams only: serves another certificate. @throws {Error} when it can't be served, and the older one stays */
  certify?(certificate: { readonly cert: string; readonly key: string }): Promise<void>;
  /** Takes nothing new; resolves when all is closed, within `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/** What a worker could bind. */
export interface Bound {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly addresses: readonly SocketAddress[];
  /** What needs no socket of its own. */
  readonly covered: readonly SocketAddress[];
  /** What isn't closed with the thread, and has to be closed for a worker that died. */
  readonly descriptors: readonly number[];
  /** How UDP is served; `null` = it isn't. */
  readonly udp: UdpBound | null;
  /** Where DNS over TLS and over HTTPS are answered. */
  readonly encrypted: EncryptedBound;
}

/** Where encrypted DNS is answered: ports that were found included. */
export interface EncryptedBound {
  /** DNS over TLS. */
  readonly tls: readonly SocketAddress[];
  /** DNS over HTTPS. */
  readonly https: readonly SocketAddress[];
}

/** Nothing encrypted. */
export const PLAIN_ONLY: EncryptedBound = { tls: [], https: [] };

/** How UDP is served. */
export interface UdpBound {
  /** The transport in use. */
  readonly transport: UdpTransport["name"];
  /** Why it isn't the Linux one; `null` = it is, or another was asked for. */
  readonly whyPortable: string | null;
}
