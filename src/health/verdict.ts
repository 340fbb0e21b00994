/**
 * What is believed of a target, and how a probe's result changes it.
 *
 * @module
 */

/** Healthy or unhealthy as probed; unknown until the first result. */
export type HealthState = "healthy" | "unhealthy" | "unknown";

/** What is believed of one target, as REST shows it. */
export interface Verdict {
  readonly state: HealthState;
  /** Unix milliseconds of the last change of `state`; `null` while unknown. */
  readonly since: number | null;
  /** Why the last probe failed; `null` when it succeeded. */
  readonly lastError: string | null;
  /** Duration of the last successful probe; `null` when there was none. */
  readonly latencyMs: number | null;
  /** Unix milliseconds of the last result; `null` when there was none. */
  readonly checkedAt: number | null;
}

/** The verdict on a target that was never probed. */
export const UNKNOWN_VERDICT: Verdict = {
  state: "unknown",
  since: null,
  lastError: null,
  latencyMs: null,
  checkedAt: null,
};
