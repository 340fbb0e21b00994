/**
 * What every algorithm works on and what it gives: candidates in, a ranking out.
 *
 * @module
 */
import type { Location } from "../geo/location.ts";

/** A member, as far as any algorithm looks at it. */
export interface Candidate {
  /** Index in the list that answers are written from. */
  readonly index: number;
  /** Whether it may be answered now; only a geofence is shown those that may not. */
  readonly isUp: boolean;
  /** 1–65535. */
  readonly weight: number;
  /** 0 = unset, sorts last; 1 = first tier. */
  readonly priority: number;
  /** What is left of it while it drains, 0–1; 1 = it doesn't. */
  readonly left: number;
  /** Measured round trip, microseconds; 0 = unknown. */
  readonly rttUs: number;
  /** Degrees, or `null` = its place isn't known. */
  readonly place: Location | null;
  /** 4 or 16 bytes; says who it is, on every node alike. */
  readonly address: ArrayLike<number>;
}

/** As far as algorithms look at one that don't look at the client. */
export type PlainCandidate = Pick<Candidate, "index" | "isUp" | "weight" | "priority" | "rttUs">;

/** Candidates in order of preference; `rankGroups` makes one. */
export interface Ranking {
  /** Positions among the candidates; those that must not be answered aren't there. */
  readonly order: readonly number[];
  /** So many at the head are equals: they rotate, by weight. */
  readonly lead: number;
  /** Where the groups of equals behind the head end, in `order`; those of a group rotate. Absent = all differ. */
  readonly ends?: readonly number[];
}

/** Groups of equals, the best first. */
export function rankGroups(groups: readonly (readonly number[])[]): Ranking {
  const order: number[] = [];
  const ends: number[] = [];
  for (const group of groups) {
    if (group.length === 0) continue;
    for (const position of group) order.push(position);
    ends.push(order.length);
  }
  return rankRuns(order, ends);
}

/** Groups of equals that stand one behind the other, and where each of them ends; none is empty. */
export function rankRuns(order: readonly number[], ends: readonly number[]): Ranking {
  const lead = ends[0] ?? 0;
  const isPlain = ends.length === 0 || order.length - lead === ends.length - 1;
  return isPlain ? { order, lead } : { order, lead, ends: ends.slice(1) };
}

/**
 * The ranking without those that aren't kept.
 *
 * @param before who goes before all of them, as equals; none of them is kept
 */
export function keepRanked(
  ranking: Ranking,
  isKept: (position: number) => boolean,
  before: readonly number[] = [],
): Ranking {
  const order = [...before];
  const ends = before.length > 0 ? [before.length] : [];
  for (let from = 0, group = 0, end = ranking.lead; from < ranking.order.length; group++) {
    const kept = order.length;
    for (let i = from; i < end; i++) if (isKept(ranking.order[i]!)) order.push(ranking.order[i]!);
    if (order.length > kept) ends.push(order.length);
    from = end;
    end = ranking.ends ? ranking.ends[group]! : from + 1;
  }
  return rankRuns(order, ends);
}

/** The indices of candidates at these positions. `Uint32Array.from` would take ten times as long for hundreds. */
export function indicesOf(
  positions: readonly number[],
  candidates: readonly Pick<Candidate, "index">[],
): Uint32Array {
  const indices = new Uint32Array(positions.length);
  for (let i = 0; i < indices.length; i++) indices[i] = candidates[positions[i]!]!.index;
  return indices;
}

/** All are equals. */
export function rankEqual(candidates: readonly unknown[]): Ranking {
  return { order: firstPositions(candidates.length), lead: candidates.length };
}

function firstPositions(count: number): number[] {
  const order = new Array<number>(count);
  for (let i = 0; i < count; i++) order[i] = i;
  return order;
}

/** By a number, least first; those whose numbers are the same as the first one's are equals. */
export function rankBy<T>(candidates: readonly T[], cost: (candidate: T) => number): Ranking {
  const costs = costsFor(candidates.length);
  for (let i = 0; i < candidates.length; i++) costs[i] = cost(candidates[i]!);
  const order = orderBy(costs, candidates.length);
  let lead = 0;
  while (lead < order.length && costs[order[lead]!] === costs[order[0]!]) lead++;
  return { order, lead };
}

/** Room for the costs of so many candidates, the same one each time: what is in it holds until it is asked for again. */
export function costsFor(count: number): Float64Array {
  if (count > costsOf.length) costsOf = new Float64Array(2 * count);
  return costsOf;
}

let costsOf = new Float64Array(256);

/**
 * Positions by cost, least first; among equals the first comes first. What is in order stays so, and few are inserted
 * one by one. Many are sorted by the bytes of their costs, as 32-bit floats, and those that these don't tell apart are
 * inserted: with nothing to compare there is no branch to mispredict, and hundreds take half of what merging them does.
 *
 * @param costs none of them `NaN`; those behind `count` aren't looked at
 */
export function orderBy(costs: Float64Array, count: number): number[] {
  if (isAscending(costs, count)) return firstPositions(count);
  if (count > scratch.room) scratch = scratchFor(2 * count);
  const sorted = count > INSERTED_MAX ? sortByBytes(costs, count, scratch) : numbered(scratch.from, count);
  for (let i = 1; i < count; i++) {
    const position = sorted[i]!;
    const cost = costs[position]!;
    let at = i;
    for (; at > 0 && costs[sorted[at - 1]!]! > cost; at--) sorted[at] = sorted[at - 1]!;
    sorted[at] = position;
  }
  const order = new Array<number>(count);
  for (let i = 0; i < count; i++) order[i] = sorted[i]!;
  return order;
}

function isAscending(costs: Float64Array, count: number): boolean {
  for (let i = 1; i < count; i++) if (!(costs[i - 1]! <= costs[i]!)) return false;
  return true;
}

function numbered(positions: Uint32Array, count: number): Uint32Array {
  for (let i = 0; i < count; i++) positions[i] = i;
  return positions;
}

/** Positions by cost, but for costs that are the same as 32-bit floats: these stay as they are. */
function sortByBytes(
  costs: Float64Array,
  count: number,
  { floats, keys, counts, from, to }: Scratch,
): Uint32Array {
  counts.fill(0);
  for (let i = 0; i < count; i++) {
    // −0 is equal to 0, and its bits are not.
    floats[i] = costs[i]! + 0;
    const bits = keys[i]!;
    // As whole numbers floats are in order where the sign is turned, and below zero all other bits.
    const key = bits ^ (bits >> 31 | 1 << 31);
    keys[i] = key;
    counts[key & 0xff]!++;
    counts[0x100 + (key >>> 8 & 0xff)]!++;
    counts[0x200 + (key >>> 16 & 0xff)]!++;
    counts[0x300 + (key >>> 24)]!++;
  }
  numbered(from, count);
  for (let byte = 0; byte < 4; byte++) {
    const first = byte << 8;
    const shift = byte << 3;
    if (counts[first + (keys[0]! >>> shift & 0xff)] === count) continue;
    for (let i = first, begin = 0; i < first + 0x100; i++) {
      const many = counts[i]!;
      counts[i] = begin;
      begin += many;
    }
    for (let i = 0; i < count; i++) {
      const position = from[i]!;
      to[counts[first + (keys[position]! >>> shift & 0xff)]!++] = position;
    }
    [from, to] = [to, from];
  }
  return from;
}

/** So many are inserted one by one. */
const INSERTED_MAX = 32;

/** What sorting works in: to make it takes ten times as long as to sort a few. */
interface Scratch {
  /** For so many. */
  readonly room: number;
  readonly floats: Float32Array;
  /** The bits of `floats`. */
  readonly keys: Int32Array;
  /** How often each byte occurs: the lowest of the keys, then the others. */
  readonly counts: Uint32Array;
  readonly from: Uint32Array;
  readonly to: Uint32Array;
}

function scratchFor(room: number): Scratch {
  const floats = new Float32Array(room);
  return {
    ...{ room, floats, keys: new Int32Array(floats.buffer), counts: new Uint32Array(4 << 8) },
    ...{ from: new Uint32Array(room), to: new Uint32Array(room) },
  };
}

let scratch = scratchFor(256);
