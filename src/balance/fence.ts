/**
 * A geofence: which members a client may be answered, come what may, and what of them can be answered now. Judged
 * among all members of the pool, those that are disabled or of the other family included, so that no failure of what
 * is inside lets a client out.
 *
 * @module
 */
import type { Ranking } from "./ranking.ts";

/** What a fence has to know beside the candidates. */
export interface Fence {
  /** By position: whether the candidate may be in the answer at all, as far as health lets it. */
  readonly listed: readonly boolean[];
  /** By position: whether it is answered to questions for the other family; empty = none is. */
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
  /** Of those inside that may be in the answer so many are up, … */
  readonly up: number;
  /** … and so many have to be. */
  readonly needed: number;
}

/**
 * Judges what is inside as if it were the whole pool.
 *
 * @param inside positions; `null` = nothing fences the client
 * @param isUp whether the candidate at a position is
 */
export function judgeFence(
  fence: Omit<Fence, "rankAlike">,
  inside: readonly number[] | null,
  isUp: (position: number) => boolean,
): JudgedFence {
  const own = countOf(fence, fence.listed, inside, isUp);
  if (isEnough(own)) return { state: STATE.up, ...own };
  const isElsewhere = fence.others.length > 0 && isEnough(countOf(fence, fence.others, inside, isUp));
  return { state: isElsewhere ? STATE.elsewhere : STATE.down, ...own };
}

/** The positions inside that may be in the answer and are up; likewise. */
export function upInside(
  { listed }: Pick<Fence, "listed">,
  inside: readonly number[] | null,
  isUp: (position: number) => boolean,
): number[] {
  const up: number[] = [];
  const count = inside === null ? listed.length : inside.length;
  for (let i = 0; i < count; i++) {
    const at = inside === null ? i : inside[i]!;
    if (listed[at] && isUp(at)) up.push(at);
  }
  return up;
}

function countOf(
  { needed: neededOf }: Pick<Fence, "needed">,
  among: readonly boolean[],
  inside: readonly number[] | null,
  isUp: (position: number) => boolean,
): Omit<JudgedFence, "state"> {
  let up = 0;
  let members = 0;
  const count = inside === null ? among.length : inside.length;
  for (let i = 0; i < count; i++) {
    const at = inside === null ? i : inside[i]!;
    if (!among[at]) continue;
    members++;
    if (isUp(at)) up++;
  }
  const needed = neededOf(members);
  // A number was meant for the pool; inside a smaller fence it can't be reached.
  return { up, needed: inside === null ? needed : Math.max(1, Math.min(needed, members)) };
}

function isEnough({ up, needed }: Omit<JudgedFence, "state">): boolean {
  return up >= needed;
}
