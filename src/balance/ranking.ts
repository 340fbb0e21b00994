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
  readonly address: Uint8Array;
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
  if (groups.every((group) => group.length === 1)) {
    return { order: groups.map((group) => group[0]!), lead: groups.length > 0 ? 1 : 0 };
  }
  const filled = groups.filter((group) => group.length > 0);
  const order = filled.flat();
  const lead = filled[0]?.length ?? 0;
  if (filled.every((group, i) => i === 0 || group.length === 1)) return { order, lead };
  let end = lead;
  return { order, lead, ends: filled.slice(1).map((group) => end += group.length) };
}

/** What `rankGroups` made a ranking from. */
export function groupsOf({ order, lead, ends }: Ranking): readonly (readonly number[])[] {
  const behind = ends ?? order.slice(lead).map((_, i) => lead + i + 1);
  return [order.slice(0, lead), ...behind.map((end, i) => order.slice(i === 0 ? lead : behind[i - 1], end))];
}

/** The ranking without those that aren't kept. */
export function keepRanked(ranking: Ranking, isKept: (position: number) => boolean): Ranking {
  return rankGroups(groupsOf(ranking).map((group) => group.filter(isKept)));
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
  const order = new Array<number>(candidates.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  return { order, lead: order.length };
}

/** By a number, least first; those whose numbers are the same as the first one's are equals. */
export function rankBy<T>(candidates: readonly T[], cost: (candidate: T) => number): Ranking {
  const costs = new Float64Array(candidates.length);
  for (let i = 0; i < costs.length; i++) costs[i] = cost(candidates[i]!);
  const order = orderBy(costs);
  let lead = 0;
  while (lead < order.length && costs[order[lead]!] === costs[order[0]!]) lead++;
  return { order, lead };
}

/**
 * Positions by cost, least first; among equals the first comes first. Merged from below, without a function to compare
 * by: for hundreds that takes a tenth of what `Array.sort` does, and half of sorting the numbers and looking them up.
 */
export function orderBy(costs: Float64Array): number[] {
  const count = costs.length;
  let from = new Uint32Array(count);
  let to = new Uint32Array(count);
  for (let i = 0; i < count; i++) from[i] = i;
  for (let width = 1; width < count; width *= 2) {
    for (let begin = 0; begin < count; begin += 2 * width) {
      const middle = Math.min(begin + width, count);
      const end = Math.min(middle + width, count);
      let a = begin;
      let b = middle;
      for (let at = begin; at < end; at++) {
        const isFirst = b === end || (a < middle && costs[from[a]!]! <= costs[from[b]!]!);
        to[at] = from[isFirst ? a++ : b++]!;
      }
    }
    [from, to] = [to, from];
  }
  const order = new Array<number>(count);
  for (let i = 0; i < count; i++) order[i] = from[i]!;
  return order;
}
