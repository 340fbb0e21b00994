/**
 * Time and chance as arguments, so that every loop that waits or draws can be driven by a test.
 *
 * The real ones live here; the manual ones live in `tests/clock.ts`.
 *
 * @module
 */

/** A source of time. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Milliseconds since 1970-01-01T00:00:00Z; may jump when the machine's clock is set. */
  unixMs(): number;
  /** Resolves after `ms` milliseconds, or at once when `signal` is aborted; never rejects. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** Draws the next uniformly distributed unsigned 32-bit integer. */
export type Rng = () => number;

/** The machine's clocks. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  unixMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done, { once: true });
      function done() {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      }
    }),
};

/** Unpredictable draws from the operating system's generator. */
export const systemRng: Rng = () => crypto.getRandomValues(new Uint32Array(1))[0]!;

/**
 * A small, fast, repeatable generator (xorshift32) for jitter and tests; never for secrets.
 *
 * @param seed any integer; 0 is replaced, since xorshift would stay there
 */
export function seededRng(seed: number): Rng {
  let state = seed >>> 0 || 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>>= 0;
  };
}

/** A time as JSON has it. */
export function rfc3339(unixMs: number): string {
  return new Date(unixMs).toISOString();
}
