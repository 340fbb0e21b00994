/**
 * How fast wrong tokens may be tried: a hundred at once, then one a second, from one network and of one beginning. What is
 * over that isn't looked at; and since even saying so takes time from others, a network is told one after the other.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** Wrong tokens that are looked at without a pause between: a script that has a wrong one sends some dozens of requests. */
export const LOGIN_BURST = 100;
/** Time after which another one is looked at, milliseconds. */
export const LOGIN_PAUSE_MS = 1_000;
/** Time between two refusals of a network that isn't looked at, milliseconds: they take some percent of the thread. */
export const REFUSAL_PAUSE_MS = 2;
/** They are told some at a time, milliseconds: what they cost most is a turn of the event loop each. */
export const REFUSAL_TURN_MS = 8;
/** No refusal waits for longer, milliseconds. */
const REFUSAL_WAIT_MAX_MS = 1_000;
/** Networks and beginnings that are remembered, some 100 bytes each; the one heard of longest ago is forgotten first. */
const KEYS_MAX = 4_096;

/** Counts wrong tokens by what they have in common. */
export class LoginLimiter {
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** When the burst of a key is whole again, in the order in which they were counted last. */
  readonly #wholeMs = new Map<string, number>();
  /** When the last refusal of a key is told. */
  readonly #turnsMs = new Map<string, number>();

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

  /** How long a refusal is to be held back, milliseconds, when it is the next one of this key. */
  refusalWaitMs(key: string): number {
    const nowMs = this.#clock.monotonicMs();
    const turnMs = Math.max(nowMs, this.#turnsMs.get(key) ?? nowMs) + REFUSAL_PAUSE_MS;
    remember(this.#turnsMs, key, Math.min(turnMs, nowMs + REFUSAL_WAIT_MAX_MS));
    const toldMs = Math.ceil(turnMs / REFUSAL_TURN_MS) * REFUSAL_TURN_MS;
    return Math.min(toldMs - nowMs, REFUSAL_WAIT_MAX_MS);
  }

  /** Counts a wrong token. */
  count(keys: readonly string[]): void {
    const nowMs = this.#clock.monotonicMs();
    for (const key of keys) {
      remember(this.#wholeMs, key, Math.max(nowMs, this.#wholeMs.get(key) ?? nowMs) + LOGIN_PAUSE_MS);
    }
  }

  /** How many are remembered. */
  get size(): number {
    return this.#wholeMs.size;
  }
}

function remember(times: Map<string, number>, key: string, timeMs: number): void {
  times.delete(key);
  times.set(key, timeMs);
  for (const oldest of times.keys()) {
    if (times.size <= KEYS_MAX) return;
    times.delete(oldest);
  }
}
