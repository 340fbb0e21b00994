/**
 * Which override rules which member at one moment.
 *
 * @module
 */
import { drainShare, type OverrideIndex, rulingOf } from "../desired/overridden.ts";
import type { ExplainSources } from "./situation.ts";

/**
 * Tells of every member which override rules it at `nowMs` (Unix milliseconds).
 *
 * @param authorOf who created an override, by its id; empty when unknown
 */
export function rulingsOf(
  overrides: OverrideIndex,
  nowMs: number,
  authorOf: (id: string) => string,
): ReturnType<ExplainSources["rulings"]> {
  return (poolId, member) => {
    const ruling = rulingOf(overrides.covering(poolId, member), nowMs);
    if (ruling === null) return null;
    const share = ruling.state === "drain" ? drainShare(ruling, nowMs) : 1;
    return { ...ruling, createdBy: authorOf(ruling.id), share };
  };
}
