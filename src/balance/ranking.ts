/**
 * What every algorithm works on and what it gives: candidates in, a ranking out.
 *
 * @module
 */
import type { Place } from "../geo/geo.ts";

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
  /** Degrees, or `null` = nobody knows where it is. */
  readonly place: Place | null;
  /** 4 or 16 bytes; says who it is, on every node alike. */
  readonly address: Uint8Array;
}

/** As far as algorithms look at one that don't look at the client. */
export type PlainCandidate = Pick<Candidate, "index" | "isUp" | "weight" | "priority" | "rttUs">;

/** Candidates in order of preference; `rankGroups` makes one. */
export interface Ranking {
  /** Positions among the candidates; those that must not be answered aren't there. */
  readonly order: readonly number[];
  /** So many at the head are equals: they take turns, by weight. */
  readonly lead: number;
  /** Where the groups of equals behind the head end, in `order`; those of a group take turns. Absent = all differ. */
  readonly ends?: readonly number[];
}

/** Groups of equals, the best first. */
export function rankGroups(groups: readonly (readonly number[])[]): Ranking {
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

/** All are equals. */
export function rankEqual(candidates: readonly unknown[]): Ranking {
  return { order: [...candidates.keys()], lead: candidates.length };
}

/** By a number, least first; those whose numbers are the same as the first one's are equals. */
export function rankBy<T>(candidates: readonly T[], cost: (candidate: T) => number): Ranking {
  const costs = Float64Array.from(candidates, cost);
  const order = orderBy(costs);
  let lead = 0;
  while (lead < order.length && costs[order[lead]!] === costs[order[0]!]) lead++;
  return { order, lead };
}

/**
 * Positions by cost, least first; among equals the first comes first. Numbers are sorted by themselves and then looked
 * up, which for hundreds takes a tenth of what comparing them by a function does.
 */
export function orderBy(costs: Float64Array): number[] {
  const sorted = costs.slice().sort();
  const order = new Array<number>(costs.length);
  const taken = new Uint32Array(costs.length);
  for (let position = 0; position < costs.length; position++) {
    let low = 0;
    let high = sorted.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]! < costs[position]!) low = middle + 1;
      else high = middle;
    }
    order[low + taken[low]!++] = position;
  }
  return order;
}
