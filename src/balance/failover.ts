/**
 * Failover: only the best tier with a member up answers. The tiers below it aren't in the answer at all, because
 * clients pick any of the addresses that they are given.
 *
 * @module
 */
import { type PlainCandidate, rankBy, type Ranking } from "./ranking.ts";

/** Keeps the candidates of the best tier, as equals. */
export function rankByTier(candidates: readonly PlainCandidate[]): Ranking {
  const { order, lead } = rankBy(candidates, tierOf);
  return { order: order.slice(0, lead), lead };
}

/** A candidate without a priority is in the last tier. */
function tierOf({ priority }: PlainCandidate): number {
  return priority === 0 ? Infinity : priority;
}
