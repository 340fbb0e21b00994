/**
 * Long work on the main thread, which also serves the API and probes: it is a generator that yields every tenth of a
 * millisecond or so, and whoever runs it says how often others have their turn.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** How long all slices of a turn are together, milliseconds: what a request or a probe waits for at most, a few times over. */
const SLICE_MS = 4;
/** How long one is at least, however many there are: what a turn of the event loop costs must be little beside it. */
const SLICE_MIN_MS = 1;

/** What slices are measured with, and what ends the work early. */
export interface SliceTerms {
  /** Says how long a slice has been, and when it is another's turn. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** The work ends when it is aborted. */
  readonly signal: AbortSignal;
  /** Whether answers wait for it: it shares with nothing then. Of a dozen works each has a millisecond of some ten. */
  readonly isUrgent?: boolean;
}

/** How long one is at least of what answers wait for, whatever else is being done. */
const URGENT_SLICE_MS = 6;
/**
 * Where a turn is long, because much is done in it or because others have the processors, six milliseconds of it are little: then
 * it is this share of the time for which the work before it has waited, up to a bound.
 */
const URGENT_SHARE = 1 / 4;
const URGENT_SLICE_MAX_MS = 12;

/** How many works are being done that share a turn of the event loop. */
let underWay = 0;

function sliceMs(): number {
  return Math.max(SLICE_MIN_MS, SLICE_MS / Math.max(underWay, 1));
}

function urgentSliceMs(waitedMs: number): number {
  return Math.min(Math.max(URGENT_SLICE_MS, waitedMs * URGENT_SHARE), URGENT_SLICE_MAX_MS);
}

/** What is called behind each slice. */
const punctual = new Set<() => void>();

/**
 * Has what is short and due by the clock called behind each slice, until the result is disposed of. Where a dozen works have a
 * slice each of one turn, and processors are short, a turn takes a tenth of a second; a timer is looked at once in it.
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

/**
 * Runs work a slice at a time, with a turn of the event loop in between.
 *
 * @throws what the work throws, and the signal's reason when it is aborted meanwhile; the work ends then
 */
export async function inSlices<Result>(
  work: Generator<unknown, Result>,
  { clock, signal, isUrgent = false }: SliceTerms,
): Promise<Result> {
  const share = isUrgent ? 0 : 1;
  underWay += share;
  let endedMs: number | null = null;
  try {
    for (;;) {
      signal.throwIfAborted();
      const fromMs = clock.monotonicMs();
      const untilMs = fromMs + (isUrgent ? urgentSliceMs(fromMs - (endedMs ?? fromMs)) : sliceMs());
      do {
        const step = work.next();
        if (step.done) return step.value;
        endedMs = clock.monotonicMs();
      } while (endedMs < untilMs);
      sliceEnded();
      await clock.sleep(0, signal);
    }
  } finally {
    underWay -= share;
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
  let untilMs = clock.monotonicMs() + sliceMs();
  return async () => {
    signal.throwIfAborted();
    if (clock.monotonicMs() < untilMs) return;
    sliceEnded();
    await clock.sleep(0, signal);
    signal.throwIfAborted();
    untilMs = clock.monotonicMs() + sliceMs();
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
  underWay++;
  try {
    for (;;) {
      const step = work.next();
      if (step.done) return step.value;
      await pace();
    }
  } finally {
    underWay--;
    // Whatever the work holds is let go.
    work.return(undefined as Result);
  }
}
