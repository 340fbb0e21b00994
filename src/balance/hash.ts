/**
 * Rendezvous hashing: a client's network goes to the same member on every node, whatever the order of the members,
 * and when a member goes only its own clients move.
 *
 * Each candidate's score is −weight / ln h, h being a hash of (client prefix, candidate) in (0, 1); the highest wins
 * (Thaler & Ravishankar 1998; weighted as in Schindelhauer & Schomaker 2005).
 *
 * @module
 */
import type { Candidate, Ranking } from "./ranking.ts";

/** Bits of an IPv4 client's address that count: what resolvers send by RFC 7871 §11.1. */
export const HASH_BITS_V4 = 24;
/** Bits of an IPv6 client's address that count. */
export const HASH_BITS_V6 = 56;

/**
 * By score, highest first.
 *
 * @param prefix the client's address; only its first 24 (of 4 bytes) or 56 bits (of 16) are looked at
 */
export function rankByHash(candidates: readonly Candidate[], prefix: Uint8Array): Ranking {
  const client = hashBytes(prefix, (prefix.length === 4 ? HASH_BITS_V4 : HASH_BITS_V6) / 8);
  const scores = candidates.map(({ address, weight }) => {
    const h = (mix(client ^ hashBytes(address, address.length)) + 0.5) / 2 ** 32;
    return -weight / Math.log(h);
  });
  const order = [...candidates.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);
  return { order, lead: Math.min(1, order.length) };
}

/** FNV-1a, 32 bits, and mixed once more. */
function hashBytes(bytes: Uint8Array, count: number): number {
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
