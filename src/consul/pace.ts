/**
 * How much is asked of Consul: each change of a service wakes every question about it, and a megabyte of answers takes Consul some
 * 40 ms to write. What wakes more than it can bear would keep it from all else.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** Bytes a second, of all answers that were waited for. */
export const BYTES_PER_SECOND_MAX = 24e6;
/** Bytes that may come at once before the next ones wait. */
export const BYTES_AT_ONCE = 8e6;

/** So many bytes a second, however many questions they answer. */
export class Pace {
  readonly #clock: Pick<Clock, "sleep" | "monotonicMs">;
  /** When all that has come is due. */
  #dueMs = -Infinity;

  /** Nothing has come yet. */
  constructor(clock: Pick<Clock, "sleep" | "monotonicMs">) {
    this.#clock = clock;
  }

  /** Resolves when whoever got these bytes may ask again, and when the signal is aborted. */
  async after(bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const earliestMs = nowMs - BYTES_AT_ONCE / BYTES_PER_SECOND_MAX * 1000;
    this.#dueMs = Math.max(this.#dueMs, earliestMs) + bytes / BYTES_PER_SECOND_MAX * 1000;
    if (this.#dueMs > nowMs) await this.#clock.sleep(this.#dueMs - nowMs, signal);
  }
}

/** Wait after what had news, or was waited for long, milliseconds; after what hadn't, it doubles. */
export const PAUSE_MS = 20;
/** The longest one. */
export const PAUSE_MAX_MS = 640;
/** Whoever has waited for so long is asked seldom. */
export const CALM_MS = 1_000;

/** How long to wait with a question that is answered at each change of anything, mostly without news. */
export class Pause {
  #ms = PAUSE_MS;

  /**
   * Milliseconds before it is asked again.
   *
   * @param waitedMs how long the answer was waited for
   */
  after(isNews: boolean, waitedMs: number): number {
    return this.#ms = isNews || waitedMs >= CALM_MS ? PAUSE_MS : Math.min(2 * this.#ms, PAUSE_MAX_MS);
  }
}
