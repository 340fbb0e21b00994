/**
 * Which of our addresses a client has asked: frames don't carry it, and an answer must leave from there. Kept for the last
 * 65,536 senders, by address and port, in a table of one place a hash: a sender whose place another one has taken
 * gets the address that the system chooses. Only a wildcard socket has more than one address.
 *
 * @module
 */
import { isLoopback } from "../ip.ts";
import type { Peer } from "../sockets/peer.ts";

/** Senders that are remembered. */
const PLACES = 65_536;
/** Of a place: length of the address, port, address, our address. */
const SIZE = 36;
const PORT_AT = 1;
const ADDRESS_AT = 4;
const LOCAL_AT = 20;
/** Own addresses that are known. */
const OWN_MAX = 256;

/** Own addresses by sender. */
export class LocalAddresses {
  readonly #isWildcard: boolean;
  readonly #seed: number;
  readonly #places: Uint8Array;
  readonly #own = new Map<string, Uint8Array>();
  readonly #local4 = new Uint8Array(4);
  readonly #local16 = new Uint8Array(16);

  /**
   * Knows none yet.
   *
   * @param bound what the socket is bound to
   * @param seed of the hash, unpredictable
   */
  constructor(bound: Uint8Array, seed: number) {
    this.#isWildcard = bound.every((byte) => byte === 0);
    this.#seed = seed;
    this.#places = new Uint8Array(this.#isWildcard ? PLACES * SIZE : 0);
    if (!this.#isWildcard) this.#own.set(bound.toHex(), bound);
  }

  /** Remembers the address that a sender has used. */
  note(peer: Peer): void {
    if (!this.#isWildcard) return;
    const local = peer.localAddress();
    if (local === null) return;
    const places = this.#places;
    const address = peer.address();
    const at = this.#placeOf(address, peer.port);
    const isKnown = this.#holds(at, address, peer.port);
    if (isKnown && isSame(places, at + LOCAL_AT, local)) return;
    places[at] = address.length;
    places[at + PORT_AT] = peer.port >>> 8;
    places[at + PORT_AT + 1] = peer.port;
    for (let i = 0; i < address.length; i++) places[at + ADDRESS_AT + i] = address[i]!;
    for (let i = 0; i < local.length; i++) places[at + LOCAL_AT + i] = local[i]!;
    const name = local.toHex();
    if (!this.#own.has(name) && this.#own.size < OWN_MAX) this.#own.set(name, local.slice());
  }

  /** The address that a sender has used, until the next call; `null` = it isn't known any more. */
  of(address: Uint8Array, port: number): Uint8Array | null {
    if (!this.#isWildcard) return null;
    const at = this.#placeOf(address, port);
    if (!this.#holds(at, address, port)) return null;
    const local = address.length === 4 ? this.#local4 : this.#local16;
    for (let i = 0; i < local.length; i++) local[i] = this.#places[at + LOCAL_AT + i]!;
    return local;
  }

  /** Whether it is an address of this machine, as far as that is known. */
  isOurs(address: Uint8Array): boolean {
    return this.#own.has(address.toHex()) || this.#isWildcard && isLoopback(address);
  }

  #placeOf(address: Uint8Array, port: number): number {
    let hash = this.#seed ^ port;
    for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address[i]!, 0x01000193);
    hash = Math.imul(hash ^ hash >>> 15, 0x85ebca6b);
    return ((hash ^ hash >>> 13) >>> 0) % PLACES * SIZE;
  }

  #holds(at: number, address: Uint8Array, port: number): boolean {
    const places = this.#places;
    return places[at] === address.length && places[at + PORT_AT] === port >>> 8 &&
      places[at + PORT_AT + 1] === (port & 0xff) && isSame(places, at + ADDRESS_AT, address);
  }
}

function isSame(bytes: Uint8Array, at: number, other: Uint8Array): boolean {
  for (let i = 0; i < other.length; i++) if (bytes[at + i] !== other[i]) return false;
  return true;
}
