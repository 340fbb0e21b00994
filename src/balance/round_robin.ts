/**
 * Round robin: every eligible member is first in turn, the others follow in order.
 *
 * @module
 */

/**
 * Writes up to `max` members, beginning with the one whose turn it is.
 *
 * Over n·k consecutive tickets each of n members is first exactly k times.
 *
 * @param eligible indices of members; the `count` from `at` on are looked at
 * @param ticket any unsigned 32-bit number; consecutive ones give consecutive turns
 * @param out receives indices of members
 * @returns how many were written
 */
export function rotate(
  eligible: Uint32Array,
  at: number,
  count: number,
  ticket: number,
  max: number,
  out: Uint32Array,
): number {
  const n = Math.min(count, max);
  // Said to be unsigned, both, it is one instruction; else it is a call of C's `fmod`.
  let turn = (ticket >>> 0) % (count >>> 0);
  for (let i = 0; i < n; i++) {
    out[i] = eligible[at + turn]!;
    if (++turn === count) turn = 0;
  }
  return n;
}
