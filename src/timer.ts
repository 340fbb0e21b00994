/**
 * A timer that doesn't run once it is cleared.
 *
 * Deno 2.6 gathers the timers that are due at the beginning of a turn of the event loop, and runs them behind whatever else came
 * in that turn, cleared or not: where a thread had other work, and a client's bytes and the end of its time came meanwhile, the
 * connection was closed over a query that was being answered. Where a call that comes too late does nothing, `setTimeout` does.
 *
 * @module
 */

/** At most one call to come. */
export class Timer {
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Calls after so many milliseconds, in place of the call that was to come before. */
  set(call: () => void, ms: number): void {
    clearTimeout(this.#timer);
    const timer = this.#timer = setTimeout(() => {
      if (this.#timer === timer) call();
    }, ms);
  }

  /** No call is to come. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
