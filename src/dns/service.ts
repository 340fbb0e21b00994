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
}

/** How UDP is served. */
export interface UdpBound {
  /** The transport in use. */
  readonly transport: UdpTransport["name"];
  /** Why it isn't the best one; empty = it is, or was asked for. */
  readonly note: string;
}
