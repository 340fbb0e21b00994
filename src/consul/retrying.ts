/**
 * What is tried again after a fault: it waits longer and longer, and says each fault once.
 *
 * @module
 */
import type { Clock, Rng } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";

/** What it is made of. */
export interface RetryingOptions {
  /** Paces. */
  readonly clock: Pick<Clock, "sleep">;
  /** Spreads. */
  readonly rng: Rng;
  /** Hears of faults. */
  readonly log: Logger;
  /** What it says then. */
  readonly message: string;
}

/** Wait after the first fault, milliseconds; it doubles. */
const FIRST_MS = 500;
/** The longest wait. */
const MAX_MS = 10_000;

/** Something that is tried again. */
export class Retrying {
  readonly #options: RetryingOptions;
  #said = "";
  #failures = 0;

  /** Nothing has failed yet. */
  constructor(options: RetryingOptions) {
    this.#options = options;
  }

  /** It has succeeded: the next fault is said again, and waited for shortly. */
  succeed(): void {
    this.#said = "";
    this.#failures = 0;
  }

  /** It has failed. Resolves when it should be tried again, and at once when `signal` is aborted. */
  async fail(error: unknown, signal: AbortSignal): Promise<void> {
    const { clock, rng, log, message } = this.#options;
    if (signal.aborted) return;
    if (String(error) !== this.#said) {
      this.#said = String(error);
      log.warn(message, { error });
    }
    const longestMs = Math.min(FIRST_MS * 2 ** Math.min(this.#failures++, 10), MAX_MS);
    await clock.sleep(longestMs * (0.5 + rng() / 2 ** 33), signal);
  }
}
