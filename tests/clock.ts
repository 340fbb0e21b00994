/**
 * A clock that stands still until a test moves it, and that wakes its sleepers in the order of their deadlines.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Clock } from "../src/clock.ts";

/** The wall time at which every `ManualClock` starts unless told otherwise: 2026-01-01T00:00:00Z. */
export const MANUAL_START_UNIX_MS = 1_767_225_600_000;

/**
 * A clock for tests.
 *
 * @example
 * ```ts
 * const clock = new ManualClock();
 * const slept = clock.sleep(1_000, new AbortController().signal);
 * await clock.advance(1_000);
 * await slept;
 * ```
 */
export class ManualClock implements Clock {
  #monotonicMs = 0;
  #unixMs: number;
  #sleepers: Sleeper[] = [];

  constructor(startUnixMs: number = MANUAL_START_UNIX_MS) {
    this.#unixMs = startUnixMs;
  }

  /** How many sleepers wait, so that a test can see that a loop has gone to sleep. */
  get sleeperCount(): number {
    return this.#sleepers.length;
  }

  /** Milliseconds until the next sleeper wakes; `null` when nobody sleeps. */
  get nextWakeMs(): number | null {
    const next = this.#next(Infinity);
    return next && next.deadlineMs - this.#monotonicMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  unixMs(): number {
    return this.#unixMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const sleeper: Sleeper = { deadlineMs: this.#monotonicMs + Math.max(0, ms), wake };
      this.#sleepers.push(sleeper);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  /**
   * Moves both clocks forward, waking each sleeper at its own deadline; what a woken one does before its next
   * real wait (and a sleep that it starts inside the span) happens before the next is woken.
   */
  async advance(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms;
    await settle();
    for (let next = this.#next(endMs); next; next = this.#next(endMs)) {
      this.#moveTo(Math.max(next.deadlineMs, this.#monotonicMs));
      next.wake();
      await settle();
    }
    this.#moveTo(endMs);
  }

  /**
   * Moves both clocks forward at one stroke, as when the process was stopped or its event loop was blocked:
   * everyone whose deadline has passed wakes late, and all at the same time.
   */
  async stall(ms: number): Promise<void> {
    await settle();
    this.#moveTo(this.#monotonicMs + ms);
    await this.advance(0);
  }

  /** Sets the wall clock, as an operator or NTP might; the monotonic clock goes on undisturbed. */
  setUnixMs(unixMs: number): void {
    this.#unixMs = unixMs;
  }

  #next(untilMs: number): Sleeper | null {
    let next: Sleeper | null = null;
    for (const sleeper of this.#sleepers) {
      if (sleeper.deadlineMs <= untilMs && (!next || sleeper.deadlineMs < next.deadlineMs)) next = sleeper;
    }
    return next;
  }

  #moveTo(monotonicMs: number): void {
    this.#unixMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}

/** Resolves when every promise that can go on without real input has gone on. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * In a loop that waits for another thread or process, which gets the processor meanwhile: some milliseconds, and the longer it has
 * waited the more, up to fifty, for each look takes processor time as well.
 *
 * @param turn how many times it has waited before
 */
export function pause(turn = 0): Promise<void> {
  const ms = Math.min(5 * 1.2 ** turn, 50);
  return new Promise((resolve) => setTimeout(resolve, ms)); // Time is the subject: another side's.
}

interface Sleeper {
  readonly deadlineMs: number;
  wake(): void;
}
