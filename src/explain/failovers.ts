/**
 * The last failovers of every target, and how long they took: what the node did, beside what its settings promise.
 * Kept in memory only.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { PassedChange } from "../health/flip_guard.ts";

/** A target that left the answers or came back. Times are Unix milliseconds. */
export interface Failover {
  /** Which way. */
  readonly direction: "down" | "up";
  /** When it was in the answers. */
  readonly at: number;
  /**
   * From the last probe that still said otherwise to the verdict: the fault was seen at most so long after it came;
   * `null` = this run had no such probe.
   */
  readonly detectedMs: number | null;
  /** For how long the flip guard held the verdict back before. */
  readonly heldMs: number;
}

/** Failovers that are kept of a target. */
export const FAILOVERS_KEPT = 10;
/** Targets of which any are kept: 50,000 × 10 are some 40 MB, and those that changed longest ago go first. */
const TARGETS_MAX = 50_000;

/** Hears of verdicts that count, and keeps the last of each target. */
export class Failovers {
  readonly #clock: Pick<Clock, "unixMs">;
  readonly #byTarget = new Map<string, Failover[]>();

  /** Knows of none yet. */
  constructor(clock: Pick<Clock, "unixMs">) {
    this.#clock = clock;
  }

  /** Takes changes when they are in the answers. */
  note(changes: readonly PassedChange[]): void {
    for (const change of changes) this.#note(change);
    for (const key of this.#byTarget.keys()) {
      if (this.#byTarget.size <= TARGETS_MAX) return;
      this.#byTarget.delete(key);
    }
  }

  /** The last of a target, oldest first. */
  of(key: string): readonly Failover[] {
    return this.#byTarget.get(key) ?? [];
  }

  #note({ key, verdict, previous, agreedAt = null, isTakenBack }: PassedChange): void {
    const kept = this.#byTarget.get(key) ?? [];
    if (isTakenBack) {
      kept.pop();
      return;
    }
    // The first verdict on a target moves nothing where it is what was assumed.
    if (previous.state === "unknown" && verdict.state === "healthy") return;
    const at = this.#clock.unixMs();
    const since = verdict.since ?? at;
    kept.push({
      direction: verdict.state === "unhealthy" ? "down" : "up",
      at,
      detectedMs: agreedAt === null ? null : Math.max(0, since - agreedAt),
      heldMs: Math.max(0, at - since),
    });
    if (kept.length > FAILOVERS_KEPT) kept.shift();
    // Those that changed last stand last.
    this.#byTarget.delete(key);
    this.#byTarget.set(key, kept);
  }
}
