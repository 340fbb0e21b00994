/**
 * Smooth weighted round robin: in each cycle every member is first exactly as often as its weight says, and the
 * turns of a heavy member are spread over the cycle instead of coming in a row.
 *
 * Every turn, each member's credit grows by its weight; the one with the most credit is chosen and pays the sum of
 * all weights. After sum(weights) turns all credits are 0 again: that is the cycle, computed once and then only
 * indexed.
 *
 * @module
 */

/** Longest schedule: 4096 turns of 2 bytes keep a pool's schedule in 8 KiB. */
export const SCHEDULE_MAX = 4096;

/**
 * The order in which members are first during one cycle.
 *
 * Weights are divided by their greatest common divisor; when the cycle is still longer than `SCHEDULE_MAX`, they
 * are scaled down to it by largest remainder, and each member keeps at least one turn.
 *
 * @param weights one weight ≥ 1 for each eligible member
 * @returns positions in `weights`; empty when `weights` is
 */
export function smoothSchedule(weights: readonly number[]): Uint16Array {
  const shares = shorten(weights);
  const total = shares.reduce((sum, share) => sum + share, 0);
  const schedule = new Uint16Array(total);
  const credits = new Float64Array(shares.length);
  for (let turn = 0; turn < total; turn++) {
    let best = 0;
    for (let i = 0; i < shares.length; i++) {
      credits[i]! += shares[i]!;
      if (credits[i]! > credits[best]!) best = i;
    }
    credits[best]! -= total;
    schedule[turn] = best;
  }
  return schedule;
}

function shorten(weights: readonly number[]): number[] {
  const divisor = weights.reduce(greatestCommonDivisor, 0) || 1;
  const shares = weights.map((weight) => weight / divisor);
  const total = shares.reduce((sum, share) => sum + share, 0);
  return total <= SCHEDULE_MAX ? shares : apportion(shares, total);
}

/** Largest-remainder apportionment of `SCHEDULE_MAX` turns. */
function apportion(shares: readonly number[], total: number): number[] {
  const exact = shares.map((share) => share * SCHEDULE_MAX / total);
  const turns = exact.map((value) => Math.max(1, Math.floor(value)));
  const left = SCHEDULE_MAX - turns.reduce((sum, turn) => sum + turn, 0);
  const byRemainder = [...exact.keys()].sort((a, b) => (exact[b]! % 1) - (exact[a]! % 1) || a - b);
  for (let i = 0; i < left; i++) turns[byRemainder[i % byRemainder.length]!]!++;
  return turns;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
