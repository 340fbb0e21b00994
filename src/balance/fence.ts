/**
 * A geofence: which members a client may be answered, come what may, and what of them can be answered now. Judged
 * among all members of the pool, those that are disabled or of the other family included, so that no failure of what
 * is inside lets a client out.
 *
 * @module
 */
import type { Candidate, Ranking } from "./ranking.ts";

/** What a fence has to know beside the candidates. */
export interface Fence {
  /** By position: whether the candidate may be in the answer at all, as far as health lets it. */
  readonly listed: readonly boolean[];
  /** By position: whether it is answered to questions for the other family. */
  readonly others: readonly boolean[];
  /** Of so many members, how many have to be up. */
  readonly needed: (members: number) => number;
  /** How the algorithm orders candidates that nothing fences, where it doesn't look at the client. */
  readonly rankAlike: (positions: readonly number[]) => Ranking;
}

/** What can be answered from inside. */
export const STATE = {
  /** Enough members are up. */
  up: 0,
  /** Too few are, but enough of the other family's: the client takes these. */
  elsewhere: 1,
  /** Too few are: `onAllDown` decides. */
  down: 2,
} as const;

/** One of them. */
export type State = (typeof STATE)[keyof typeof STATE];

/** A fence as it is now. */
export interface JudgedFence {
  /** What can be answered. */
  readonly state: State;
  /** Positions inside that may be in the answer as far as health lets them, … */
  readonly members: readonly number[];
  /** … those of them that are up, … */
  readonly up: readonly number[];
  /** … and how many have to be. */
  readonly needed: number;
}

/**
 * Judges what is inside as if it were the whole pool.
 *
 * @param inside positions; `null` = nothing fences the client
 */
export function judgeFence(
  fence: Fence,
  candidates: readonly Candidate[],
  inside: readonly number[] | null,
): JudgedFence {
  const all = inside ?? [...candidates.keys()];
  const own = countOf(fence, candidates, {
    among: all.filter((at) => fence.listed[at]),
    isCapped: inside !== null,
  });
  const other = countOf(fence, candidates, {
    among: all.filter((at) => fence.others[at]),
    isCapped: inside !== null,
  });
  const state = isEnough(own) ? STATE.up : isEnough(other) ? STATE.elsewhere : STATE.down;
  return { state, ...own };
}

function countOf(
  fence: Fence,
  candidates: readonly Candidate[],
  { among, isCapped }: { readonly among: readonly number[]; readonly isCapped: boolean },
): Omit<JudgedFence, "state"> {
  const needed = fence.needed(among.length);
  return {
    members: among,
    up: among.filter((at) => candidates[at]!.isUp),
    // A number was meant for the pool; inside a smaller fence it can't be reached.
    needed: isCapped ? Math.max(1, Math.min(needed, among.length)) : needed,
  };
}

function isEnough({ up, needed }: Omit<JudgedFence, "state">): boolean {
  return up.length >= needed;
}
