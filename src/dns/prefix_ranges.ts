/**
 * Sets of addresses, given as prefixes: compiled to ranges that a worker searches without allocating anything.
 *
 * @module
 */
import type { Prefix } from "../ip.ts";

/**
 * Ranges of addresses, disjoint and in order, each as its first and its last address in big-endian words: two words a
 * range for IPv4, eight for IPv6. Plain data, so it may be posted to a thread.
 */
export interface PrefixRanges {
  /** IPv4. */
  readonly four: Uint32Array;
  /** IPv6. */
  readonly six: Uint32Array;
}

/** Compiles prefixes in any order, overlapping or not. */
export function rangesOf(prefixes: readonly Prefix[]): PrefixRanges {
  return { four: compile(prefixes, 32), six: compile(prefixes, 128) };
}

/** Whether an address of 4 or 16 bytes is in one of the ranges: a binary search. */
export function isInRanges(ranges: PrefixRanges, address: Uint8Array): boolean {
  const words = address.length / 4;
  const bounds = words === 1 ? ranges.four : ranges.six;
  let low = 0;
  let high = bounds.length / (2 * words);
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = middle * 2 * words;
    if (compare(bounds, at, address) > 0) high = middle;
    else if (compare(bounds, at + words, address) < 0) low = middle + 1;
    else return true;
  }
  return false;
}

/** Whether there is no range at all. */
export function isEmpty(ranges: PrefixRanges): boolean {
  return ranges.four.length + ranges.six.length === 0;
}

/** Below 0 where the bound is the lower one, above 0 where the address is. */
function compare(bounds: Uint32Array, at: number, address: Uint8Array): number {
  for (let i = 0; i < address.length; i += 4) {
    const word = (address[i]! << 24 | address[i + 1]! << 16 | address[i + 2]! << 8 | address[i + 3]!) >>> 0;
    const bound = bounds[at + i / 4]!;
    if (bound !== word) return bound < word ? -1 : 1;
  }
  return 0;
}

function compile(prefixes: readonly Prefix[], bits: 32 | 128): Uint32Array {
  const ranges = prefixes.filter(({ bytes }) => bytes.length * 8 === bits).map(({ bytes, length }) => {
    const first = BigInt(`0x${bytes.toHex()}`);
    return { first, last: first + (1n << BigInt(bits - length)) - 1n };
  }).sort((a, b) => a.first < b.first ? -1 : a.first > b.first ? 1 : 0);
  const merged: { first: bigint; last: bigint }[] = [];
  for (const range of ranges) {
    const before = merged.at(-1);
    if (!before || range.first > before.last) merged.push(range);
    else if (range.last > before.last) before.last = range.last;
  }
  return Uint32Array.from(
    merged.flatMap(({ first, last }) => [...wordsOf(first, bits), ...wordsOf(last, bits)]),
  );
}

function wordsOf(address: bigint, bits: number): number[] {
  return Array.from(
    { length: bits / 32 },
    (_, i) => Number(address >> BigInt(bits - 32 * (i + 1)) & 0xffffffffn),
  );
}
