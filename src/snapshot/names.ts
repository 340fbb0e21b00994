/**
 * Hashes of wire-format names.
 *
 * A name is hashed from its last label to its first, so one pass yields the hash of every suffix: the exact name,
 * each ancestor, and — by one more step — the wildcard below any ancestor. FNV-1a (32 bit) over the labels with
 * their length bytes; names that clients choose are only looked up, never stored, so no key is needed.
 *
 * @module
 */

/** Most labels a name of 255 bytes can have, the root included (RFC 1035 §2.3.4). */
export const LABELS_MAX = 128;

/** Hash of the root name. */
export const ROOT_HASH = 0x811c9dc5;

const PRIME = 0x01000193;

/** The hash of a name whose first label lies at `at` and whose parent has hash `parent`. */
export function hashLabel(parent: number, bytes: Uint8Array, at: number): number {
  let hash = parent;
  const end = at + bytes[at]!;
  for (let i = at; i <= end; i++) hash = Math.imul(hash ^ bytes[i]!, PRIME);
  return hash >>> 0;
}

/** The hash of `*.NAME` where NAME has hash `parent`. */
export function hashWildcard(parent: number): number {
  return Math.imul(Math.imul(parent ^ 1, PRIME) ^ 0x2a, PRIME) >>> 0;
}

/** The slot at which to begin to look for a hash; folds the high bits in, since tables are powers of two. */
export function firstSlot(hash: number, mask: number): number {
  return (hash ^ (hash >>> 15)) & mask;
}

/**
 * Positions of the labels of an uncompressed wire name, the root's included.
 *
 * @returns how many there are; `starts[0]` is 0 and `starts[count - 1]` points at the root's zero byte
 */
export function labelStarts(name: Uint8Array, starts: Uint8Array): number {
  let count = 0;
  let at = 0;
  for (;;) {
    starts[count++] = at;
    const length = name[at]!;
    if (length === 0) return count;
    at += length + 1;
  }
}
