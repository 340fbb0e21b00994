/**
 * Weighted round robin: in each cycle every member is first exactly as often as its weight says, and the turns of a
 * heavy member are spread over the cycle instead of coming in a row.
 *
 * A short cycle is *smooth*: every turn, each member's credit grows by its weight; the one with the most credit is
 * chosen and pays the sum of all weights. After sum(weights) turns all credits are 0 again: that is the cycle, computed
 * once and then only indexed.
 *
 * That takes a step for each member and turn, far too many where weights are large and unlike. The turns of a long cycle
 * are laid side by side by member, and taken in strides of the golden ratio: as every stride is new until all have been
 * taken, shares are as exact, and wherever one begins they come out evenly. It takes no table but the sums of weights.
 *
 * @module
 */

/** Steps that the table of a short cycle may take; 4096 turns for two members. */
const STEPS_MAX = 8192;
/** Longest cycle: the product of two turns is still exact. */
const CYCLE_MAX = 2 ** 26;
/** Of so many in a row some have no divisor in common with a cycle. */
const STRIDES_TRIED = 64;
const GOLDEN_RATIO = 0.6180339887498949;

/** The order in which members are first. */
export class Schedule {
  /** Length of the cycle. */
  readonly cycle: number;
  /** Positions by turn, of a short cycle. */
  readonly #turns: Uint16Array | null;
  /** The turns of each member and of those before it, of a long one. */
  readonly #sums: Float64Array;
  readonly #stride: number;

  /** Of members by position. @param weights at least one, each ≥ 1 */
  constructor(weights: readonly number[]) {
    const shares = shorten(weights);
    let sum = 0;
    this.#sums = new Float64Array(shares.length);
    for (let i = 0; i < shares.length; i++) this.#sums[i] = sum += shares[i]!;
    this.cycle = sum;
    this.#turns = sum * shares.length <= STEPS_MAX ? smoothTurns(shares, sum) : null;
    this.#stride = this.#turns ? 1 : strideOf(sum);
  }

  /** How many numbers it keeps. */
  get size(): number {
    return this.#turns ? this.#turns.length : this.#sums.length;
  }

  /** How many turns of a cycle a position has; at least one. */
  turnsOf(position: number): number {
    return this.#sums[position]! - (position === 0 ? 0 : this.#sums[position - 1]!);
  }

  /** A turn of a position, from 0. */
  turnOf(position: number): number {
    if (this.#turns !== null) return this.#turns.indexOf(position);
    return (this.#sums[position]! - 1) * inverse(this.#stride, this.cycle) % this.cycle;
  }

  /** The position whose turn it is. @param ticket any unsigned number */
  at(ticket: number): number {
    // Unsigned, both: see `rotate`.
    const turn = (ticket >>> 0) % (this.cycle >>> 0);
    if (this.#turns !== null) return this.#turns[turn]!;
    const place = turn * this.#stride % this.cycle;
    const sums = this.#sums;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The schedule of these weights; `null` = all are the same, and turns go round. */
export function scheduleOf(weights: readonly number[]): Schedule | null {
  return weights.some((weight) => weight !== weights[0]) ? new Schedule(weights) : null;
}

/**
 * A stride that comes to every turn and leaves no large gaps on the way: of those near the golden ratio the one whose
 * ratio to the cycle has the smallest partial quotients as a continued fraction.
 */
function strideOf(cycle: number): number {
  const first = Math.round(cycle * GOLDEN_RATIO);
  let stride = 1;
  let least = Infinity;
  for (let tried = first; tried < first + STRIDES_TRIED; tried++) {
    let quotients = 0;
    let a = cycle;
    let b = tried;
    // Whole and unsigned, as in `at`: hundreds of divisions are done for a long cycle.
    while (b !== 0 && quotients < least) {
      const quotient = (a >>> 0) / (b >>> 0) >>> 0;
      quotients += quotient;
      const rest = a - quotient * b;
      a = b;
      b = rest;
    }
    if (b !== 0 || a !== 1 || quotients >= least) continue;
    least = quotients;
    stride = tried;
  }
  return stride;
}

/** What makes 1 of a number when multiplied modulo a cycle that has no divisor in common with it (Euclid). */
function inverse(number: number, cycle: number): number {
  let [rest, next] = [cycle, number % cycle];
  let [factor, nextFactor] = [0, 1];
  while (next !== 0) {
    const quotient = Math.floor(rest / next);
    [rest, next] = [next, rest - quotient * next];
    [factor, nextFactor] = [nextFactor, factor - quotient * nextFactor];
  }
  return (factor + cycle) % cycle;
}

function smoothTurns(shares: readonly number[], cycle: number): Uint16Array {
  const turns = new Uint16Array(cycle);
  const credits = new Float64Array(shares.length);
  for (let turn = 0; turn < cycle; turn++) {
    let best = 0;
    for (let i = 0; i < shares.length; i++) {
      credits[i]! += shares[i]!;
      if (credits[i]! > credits[best]!) best = i;
    }
    credits[best]! -= cycle;
    turns[turn] = best;
  }
  return turns;
}

/** Divides by the greatest common divisor; what is still too long is scaled down, each keeping a turn. */
function shorten(weights: readonly number[]): readonly number[] {
  let divisor = 0;
  for (let i = 0; i < weights.length && divisor !== 1; i++) {
    divisor = greatestCommonDivisor(weights[i]!, divisor);
  }
  const shares = divisor === 1 ? weights : weights.map((weight) => weight / divisor);
  const sum = shares.reduce((sum, share) => sum + share, 0);
  if (sum <= CYCLE_MAX) return shares;
  return shares.map((share) => Math.max(1, Math.floor(share * CYCLE_MAX / sum)));
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
