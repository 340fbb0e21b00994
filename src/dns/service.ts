/**
 * What a worker answers on, whatever it is.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import type { AdoptedSocket } from "./binding.ts";
import type { UdpTransport } from "./udp.ts";

/** Bound sockets on which answers are given. */
export interface Service {
  /** What it answers on. */
  readonly bound: Bound;
  /** Streams only: serves another certificate. @throws {Error} when it can't be served, and the older one stays */
  certify?(certificate: { readonly cert: string; readonly key: string }): Promise<void>;
  /** UDP only: answers all for so long from now on, however old; 0 = no longer. */
  answerAll?(forMs: number): void;
  /** UDP only: receives nothing more until `resume`; resolves when what was received is answered. */
  pause?(): Promise<void>;
  /** UDP only: goes on. */
  resume?(): void;
  /**
   * Takes nothing new; resolves when all is closed, within `graceMs`.
   *
   * @param isSucceeded whether other sockets have taken the place of these: what is on its way to these is waited for
   */
  stop(graceMs: number, isSucceeded: boolean): Promise<void>;
}

/** What a worker could bind. */
export interface Bound {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly addresses: readonly SocketAddress[];
  /** What needs no socket of its own. */
  readonly covered: readonly SocketAddress[];
  /** What isn't closed with the thread, and has to be closed for a worker that died. */
  readonly descriptors: readonly number[];
  /** Those of them with which another process can go on. */
  readonly sockets: readonly AdoptedSocket[];
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
