/**
 * Algorithms that a pool may name and this version doesn't have: they are kept, and steer as `round-robin`
 * (docs/decisions/0008). Whoever chooses one is told.
 *
 * @module
 */
import type { Algorithm, Pool } from "./model.ts";

/** What this version steers by. */
const STEERING: readonly Algorithm[] = ["round-robin", "weighted-round-robin"];
/** Pools that a remark names at most. */
const NAMED_MAX = 5;

/** Whether a pool that names the algorithm is steered by it. */
export function isSteering(algorithm: Algorithm): boolean {
  return STEERING.includes(algorithm);
}

/** A sentence about those of the pools that don't steer as they say; `null` = all do. */
export function remarkOnSteering(pools: Iterable<Pick<Pool, "name" | "algorithm">>): string | null {
  const unsteered = [...pools].filter(({ algorithm }) => !isSteering(algorithm));
  const [first, ...others] = unsteered;
  if (!first) return null;
  if (others.length === 0) {
    return `Pool ${first.name} answers round-robin, because ${first.algorithm} doesn't steer yet`;
  }
  const named = unsteered.slice(0, NAMED_MAX).map(({ name, algorithm }) => `${name} (${algorithm})`).join(
    ", ",
  );
  const more = unsteered.length - NAMED_MAX;
  return `${unsteered.length} pools answer round-robin, because their algorithms don't steer yet: ${named}` +
    (more > 0 ? ` and ${more} more` : "");
}
