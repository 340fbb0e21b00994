/**
 * When very much has been read of what other nodes say: each message has taken memory for a moment, and the C library keeps what it
 * has been given back for the next one who asks. That is told of while it lasts, and once behind it, so that it can be given to the
 * system.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** As often it is told of at most, milliseconds. */
export const BURST_LOOK_MS = 3_000;
/** Messages within that time that are very many; nodes that only change something say a few. */
export const BURST_MESSAGES = 1_000;

/** Counts messages. */
export class Bursts {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #over: () => void;
  #count = 0;
  #isLooking = false;

  /** Begins with none. @param over called after each stretch of time with very many */
  constructor({ clock, signal, over }: {
    readonly clock: Clock;
    readonly signal: AbortSignal;
    readonly over: () => void;
  }) {
    this.#clock = clock;
    this.#signal = signal;
    this.#over = over;
  }

  /** Counts so many. */
  count(messages: number): void {
    this.#count += messages;
    if (this.#isLooking) return;
    this.#isLooking = true;
    void this.#look();
  }

  async #look(): Promise<void> {
    for (let isQuiet = false; !isQuiet;) {
      await this.#clock.sleep(BURST_LOOK_MS, this.#signal);
      if (this.#signal.aborted) return;
      if (this.#count >= BURST_MESSAGES) this.#over();
      isQuiet = this.#count === 0;
      this.#count = 0;
    }
    this.#isLooking = false;
  }
}
