/**
 * Which override rules which member at one moment.
 *
 * @module
 */
import { drainShare, type OverrideIndex, rulingOf } from "../desired/overridden.ts";
import type { ExplainSources } from "./situation.ts";

/** Tells of every member which override rules it at `nowMs` (Unix milliseconds). */
export function rulingsOf(overrides: OverrideIndex, nowMs: number): ReturnType<ExplainSources["rulings"]> {
  return (poolId, member) => {
    const ruling = rulingOf(overrides.covering(poolId, member), nowMs);
    return ruling && { ...ruling, share: ruling.state === "drain" ? drainShare(ruling, nowMs) : 1 };
  };
}
