/**
 * What is believed of a target, and how a probe's result changes it.
 *
 * @module
 */

/** Healthy or unhealthy as probed; unknown until the first result. */
export type HealthState = "healthy" | "unhealthy" | "unknown";

/** What is believed of one target, as REST shows it. */
export interface Verdict {
  /** As probed; a target without a verdict counts as healthy. */
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

/** What came out of one probe. */
export type ProbeResult =
  | { readonly ok: true; readonly latencyMs: number }
  | { readonly ok: false; readonly error: string };

/** A verdict and what is needed to judge the next result. */
export interface Judgement {
  /** What is believed. */
  readonly verdict: Verdict;
  /** Results in a row that contradict the verdict's state. */
  readonly contradictions: number;
  /**
   * Unix milliseconds of the last result that agreed with the state; a change was therefore seen at most the time
   * since then after it happened. `null` when no result of this run agreed.
   */
  readonly agreedAt: number | null;
}

/** How many contradicting results in a row it takes to change a state. */
export interface Thresholds {
  /** Successes that turn an unhealthy target healthy, ≥ 1. */
  readonly rise: number;
  /** Failures that turn a healthy target unhealthy, ≥ 1. */
  readonly fall: number;
}

/** The judgement to start from. */
export function judgementOf(verdict: Verdict): Judgement {
  return { verdict, contradictions: 0, agreedAt: null };
}

/**
 * What is believed after one more result.
 *
 * The first result decides an unknown target at once, since there is nothing that it could contradict; after that a
 * state changes when `fall` failures or `rise` successes come in a row.
 */
export function judge(
  before: Judgement,
  result: ProbeResult,
  { rise, fall, unixMs }: Thresholds & { readonly unixMs: number },
): Judgement {
  const { state, since, latencyMs } = before.verdict;
  const seen: HealthState = result.ok ? "healthy" : "unhealthy";
  const contradictions = seen === state ? 0 : before.contradictions + 1;
  const needed = state === "unknown" ? 1 : result.ok ? rise : fall;
  const changes = seen !== state && contradictions >= needed;
  return {
    verdict: {
      state: changes ? seen : state,
      since: changes ? unixMs : since,
      lastError: result.ok ? null : result.error,
      latencyMs: result.ok ? result.latencyMs : latencyMs,
      checkedAt: unixMs,
    },
    contradictions: changes ? 0 : contradictions,
    agreedAt: changes || seen === state ? unixMs : before.agreedAt,
  };
}
