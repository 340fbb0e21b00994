/**
 * How fast wrong tokens may be tried: a hundred at once, then one a second, from one network and of one beginning. Whoever is
 * over that is told to come again later, at once: an answer that is held back would hold a connection.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** Wrong tokens that are looked at without a pause between: a script that has a wrong one sends some dozens of requests. */
export const LOGIN_BURST = 100;
/** Time after which another one is looked at, milliseconds. */
export const LOGIN_PAUSE_MS = 1_000;
/** Networks and beginnings that are remembered, some 100 bytes each; the one heard of longest ago is forgotten first. */
const KEYS_MAX = 4_096;

/** Counts wrong tokens by what they have in common. */
export class LoginLimiter {
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** When the burst of a key is whole again, in the order in which they were counted last. */
  readonly #wholeMs = new Map<string, number>();

  /** Has counted none. */
  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** How long until another token is looked at that has these in common with others, milliseconds; 0 = none. */
  waitMs(keys: readonly string[]): number {
    const nowMs = this.#clock.monotonicMs();
    const waits = keys.map((key) =>
      (this.#wholeMs.get(key) ?? nowMs) - nowMs - (LOGIN_BURST - 1) * LOGIN_PAUSE_MS
    );
    return Math.max(0, ...waits);
  }

  /** Counts a wrong token. */
  count(keys: readonly string[]): void {
    const nowMs = this.#clock.monotonicMs();
    for (const key of keys) {
      const wholeMs = Math.max(nowMs, this.#wholeMs.get(key) ?? nowMs) + LOGIN_PAUSE_MS;
      this.#wholeMs.delete(key);
      this.#wholeMs.set(key, wholeMs);
    }
    for (const key of this.#wholeMs.keys()) {
      if (this.#wholeMs.size <= KEYS_MAX) return;
      this.#wholeMs.delete(key);
    }
  }

  /** How many are remembered. */
  get size(): number {
    return this.#wholeMs.size;
  }
}
