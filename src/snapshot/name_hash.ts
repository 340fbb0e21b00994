/**
 * Hashes of wire-format names.
 *
 * Each label is hashed on its own (FNV-1a over its length and bytes, which can be done while it is read), then the
 * labels' hashes are joined from the last to the first. So one pass over the bytes and one over the labels yield the
 * hash of every suffix: the exact name, each ancestor, and — by one more step — the wildcard below any ancestor.
 *
 * Hashes are signed 32-bit integers, which the engine handles without allocating. They begin with a seed that every
 * table draws again and carries with it: whoever may add names can't choose such as share a slot, which would make every
 * look-up walk past all of them.
 *
 * @module
 */

/** Most labels a name of 255 bytes can have, the root included (RFC 1035 §2.3.4). */
export const LABELS_MAX = 128;

const PRIME = 0x01000193;

/**
 * The hash of a label, or of its beginning, with one byte more. It begins with the seed, and the first byte is the label's
 * length; the hash of the root name is the seed as it is.
 */
export function hashByte(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, PRIME);
}

/** The hash of a name, from its parent's and its first label's. */
export function hashSuffix(parent: number, label: number): number {
  return Math.imul((parent << 5 | parent >>> 27) ^ label, PRIME);
}

/** The hash of the label that lies at `at`. */
export function hashLabel(seed: number, bytes: Uint8Array, at: number): number {
  let hash = seed;
  const end = at + bytes[at]!;
  for (let i = at; i <= end; i++) hash = hashByte(hash, bytes[i]!);
  return hash;
}

/** The hash of the label `*`; joined with that of NAME it is the hash of `*.NAME`. */
export function hashAsterisk(seed: number): number {
  return hashByte(hashByte(seed, 1), 0x2a);
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

/** FNV-1a over the characters, begun differently for each `seed`. */
export function hashText(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
