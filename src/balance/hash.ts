/**
 * Rendezvous hashing: a client's network goes to the same member on every node, whatever the order of the members,
 * and when a member goes only its own clients move.
 *
 * Each candidate's score is −weight / ln h, h being a hash of (client prefix, candidate) in (0, 1); the highest wins
 * (Thaler & Ravishankar 1998; weighted as in Schindelhauer & Schomaker 2005).
 *
 * @module
 */
import { type Candidate, costsFor, orderBy, type Ranking } from "./ranking.ts";

/** Bits of an IPv4 client's address that count: what resolvers send by RFC 7871 §11.1. */
const HASH_BITS_V4 = 24;
/** Bits of an IPv6 client's address that count. */
const HASH_BITS_V6 = 56;

/** Members that are ranked by hashing, their own part of it done ahead. */
export class Rendezvous {
  /** By index of the member. */
  readonly #hashes: Uint32Array;

  /** Looks at addresses. @param size one more than the highest index */
  constructor(members: readonly Pick<Candidate, "index" | "address">[], size: number) {
    this.#hashes = new Uint32Array(size);
    for (const { index, address } of members) this.#hashes[index] = hashBytes(address, address.length);
  }

  /**
   * Some of the members by score, highest first; no two are equals.
   *
   * @param prefix the client's address; only its first 24 (of 4 bytes) or 56 bits (of 16) are looked at
   * @param max how many are needed: 1 = only the first is found, else all are
   */
  rank(candidates: readonly Pick<Candidate, "index" | "weight">[], prefix: Uint8Array, max: number): Ranking {
    const client = hashBytes(prefix, hashBits(prefix) / 8);
    const count = candidates.length;
    const costs = costsFor(count);
    let first = 0;
    for (let position = 0; position < count; position++) {
      const { index, weight } = candidates[position]!;
      const h = (mix(client ^ this.#hashes[index]!) + 0.5) / 2 ** 32;
      costs[position] = weight / Math.log(h);
      if (costs[position]! < costs[first]!) first = position;
    }
    const order = max === 1 && count > 0 ? [first] : orderBy(costs, count);
    return { order, lead: Math.min(1, order.length) };
  }
}

/** Bits of a client's address that count. */
export function hashBits(address: Uint8Array): number {
  return address.length === 4 ? HASH_BITS_V4 : HASH_BITS_V6;
}

/** FNV-1a, 32 bits, and mixed once more. */
function hashBytes(bytes: ArrayLike<number>, count: number): number {
  let hash = 0x811c9dc5 ^ bytes.length;
  for (let i = 0; i < count; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return mix(hash);
}

/** The finalizer of MurmurHash3: each bit of the result depends on each bit of the argument. */
function mix(word: number): number {
  let hash = word;
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}
