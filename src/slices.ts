/**
 * Long work on the main thread, which also serves the API and probes: it is a generator that yields every tenth of a
 * millisecond or so, and whoever runs it says how often others have their turn.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** How long all slices of a turn are together, milliseconds: what a request or a probe waits for at most, a few times over. */
const TURN_MS = 4;
/** How long one is at least, however many there are: what a turn of the event loop costs must be little beside it. */
const SLICE_MIN_MS = 1;

/** What slices are measured with, and what ends the work early. */
export interface SliceTerms {
  /** Says how long a slice has been, and when it is another's turn. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** The work ends when it is aborted. */
  readonly signal: AbortSignal;
  /** Whether answers wait for it: it shares with its like alone then. Of a dozen others each has a millisecond of every third turn. */
  readonly isUrgent?: boolean;
}

/** How long all slices of a turn are together at least of what answers wait for, whatever else is being done. */
const URGENT_MS = 6;
/**
 * Where a turn is long, because much is done in it or because others have the processors, six milliseconds of it are little: then
 * it is this share of the time for which the work before it has waited, up to a bound.
 */
const URGENT_SHARE = 1 / 4;
const URGENT_MAX_MS = 12;

/** What is called behind each slice. */
const punctual = new Set<() => void>();

/**
 * Has what is short and due by the clock called behind each slice, until the result is disposed of. Where processors
 * are short, a turn of several slices takes a tenth of a second; a timer is looked at once in it.
 *
 * @param call takes a few milliseconds at most, and must not fail
 */
export function betweenSlices(call: () => void): Disposable {
  punctual.add(call);
  return { [Symbol.dispose]: () => void punctual.delete(call) };
}

function sliceEnded(): void {
  for (const call of punctual) call();
}

/** Runs work to its end in one go. */
export function toEnd<Result>(work: Iterator<unknown, Result>): Result {
  let step = work.next();
  while (!step.done) step = work.next();
  return step.value;
}

/** How many works go at the pace of what they are a part of. */
let atOthersPace = 0;

/** Work of which there is more to do. */
interface Unfinished {
  /** @returns whether it has come to its end */
  slice(untilMs: number): boolean;
}

/**
 * The turns of an event loop, as all work in slices shares them. Each work by itself would take a slice of every turn: a dozen of
 * them, and what a probe waits for is all they take together.
 */
class SharedTurns {
  readonly #clock: SliceTerms["clock"];
  readonly #urgent: Unfinished[] = [];
  readonly #others: Unfinished[] = [];
  /** When the last slice ended. */
  #endedMs = 0;
  /** Ends the wait for the next turn. */
  #waiting: AbortController | null = null;

  constructor(clock: SliceTerms["clock"]) {
    this.#clock = clock;
  }

  /** Does the first slice at once, the others in turns to come. */
  begin(work: Unfinished, isUrgent: boolean): void {
    const those = isUrgent ? this.#urgent : this.#others;
    const nowMs = this.#clock.monotonicMs();
    const sliceMs = isUrgent ? sliceOf(URGENT_MS, those.length + 1) : this.sliceMs(1);
    if (work.slice(nowMs + sliceMs)) return;
    those.push(work);
    sliceEnded();
    this.#await();
  }

  /** It has no slice any more. */
  end(work: Unfinished): void {
    for (const those of [this.#urgent, this.#others]) {
      const at = those.indexOf(work);
      if (at !== -1) those.splice(at, 1);
    }
    if (!this.#isAnyLeft()) this.#waiting?.abort();
  }

  /**
   * How long a slice is of what isn't urgent.
   *
   * @param more how many come to those that are being done
   */
  sliceMs(more: 0 | 1): number {
    return sliceOf(TURN_MS, this.#others.length + atOthersPace + more);
  }

  #isAnyLeft(): boolean {
    return this.#urgent.length + this.#others.length > 0;
  }

  #await(): void {
    if (this.#waiting !== null) return;
    this.#waiting = new AbortController();
    this.#endedMs = this.#clock.monotonicMs();
    this.#clock.sleep(0, this.#waiting.signal).then(() => {
      this.#waiting = null;
      const waitedMs = this.#clock.monotonicMs() - this.#endedMs;
      this.#share(this.#urgent, Math.min(Math.max(URGENT_MS, waitedMs * URGENT_SHARE), URGENT_MAX_MS));
      this.#share(this.#others, TURN_MS);
      if (this.#isAnyLeft()) this.#await();
    });
  }

  /** Those that get no slice of this turn are the first in the next. */
  #share(those: Unfinished[], turnMs: number): void {
    const sliceMs = those === this.#others ? this.sliceMs(0) : sliceOf(turnMs, those.length);
    let nowMs = this.#clock.monotonicMs();
    const untilMs = nowMs + turnMs;
    for (let left = those.length; left > 0 && nowMs < untilMs; left--) {
      const work = those.shift();
      if (work === undefined) return;
      if (!work.slice(nowMs + sliceMs)) {
        those.push(work);
        sliceEnded();
      }
      nowMs = this.#clock.monotonicMs();
    }
  }
}

function sliceOf(turnMs: number, works: number): number {
  return Math.max(SLICE_MIN_MS, turnMs / Math.max(works, 1));
}

const turns = new WeakMap<SliceTerms["clock"], SharedTurns>();

function turnsOf(clock: SliceTerms["clock"]): SharedTurns {
  const known = turns.get(clock);
  if (known) return known;
  const first = new SharedTurns(clock);
  turns.set(clock, first);
  return first;
}

/**
 * Runs work a slice at a time, with a turn of the event loop in between.
 *
 * @throws what the work throws, and the signal's reason when it is aborted meanwhile; the work ends then
 */
export async function inSlices<Result>(
  work: Generator<unknown, Result>,
  { clock, signal, isUrgent = false }: SliceTerms,
): Promise<Result> {
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const unfinished: Unfinished = {
    slice(untilMs) {
      try {
        signal.throwIfAborted();
        for (;;) {
          const step = work.next();
          if (step.done) {
            resolve(step.value);
            return true;
          }
          // It may have been given up in its own slice.
          if (signal.aborted) return true;
          if (clock.monotonicMs() >= untilMs) return false;
        }
      } catch (error) {
        reject(error);
        return true;
      }
    },
  };
  const ended = () => {
    turnsOf(clock).end(unfinished);
    reject(signal.reason);
  };
  signal.addEventListener("abort", ended);
  try {
    turnsOf(clock).begin(unfinished, isUrgent);
    return await promise;
  } finally {
    signal.removeEventListener("abort", ended);
    // Whatever the work holds is let go.
    work.return(undefined as Result);
  }
}

/**
 * Gives others their turn in work that waits for streams, which a promise alone doesn't.
 *
 * @returns to be awaited between steps; it returns at once as long as the slice lasts
 * @throws the signal's reason when it is aborted
 */
export function pacer(
  { clock, signal }: Pick<SliceTerms, "clock" | "signal">,
): () => Promise<void> {
  const turns = turnsOf(clock);
  let untilMs = clock.monotonicMs() + turns.sliceMs(0);
  return async () => {
    signal.throwIfAborted();
    if (clock.monotonicMs() < untilMs) return;
    sliceEnded();
    await clock.sleep(0, signal);
    signal.throwIfAborted();
    untilMs = clock.monotonicMs() + turns.sliceMs(0);
  };
}

/**
 * Runs work at the pace of what it is a part of: its slice is what is left of that one's, where one of its own would come on top. Others share the turn with it.
 *
 * @throws what the work throws, and the signal's reason when it is aborted meanwhile; the work ends then
 */
export async function atPace<Result>(
  work: Generator<unknown, Result>,
  pace: () => Promise<void>,
): Promise<Result> {
  atOthersPace++;
  try {
    for (;;) {
      const step = work.next();
      if (step.done) return step.value;
      await pace();
    }
  } finally {
    atOthersPace--;
    // Whatever the work holds is let go.
    work.return(undefined as Result);
  }
}
