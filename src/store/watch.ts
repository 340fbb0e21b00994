/**
 * Notices what other processes (the terminal UI, a shell with `sqlite3`) change of the model in the same file.
 *
 * What is polled is the model's mark (`Store.mark`), two look-ups that take microseconds and no lock. Only what is
 * declared moves it: a commit by its number, and a row that was written by hand by a count that triggers keep. SQLite's
 * own counter, `PRAGMA data_version`, moves for everything in the file, and the last verdicts and the addresses of names
 * are in there, too, which others may write a thousand times a second.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { ModelMark, Store } from "./store.ts";
import { EVERYTHING, type Touched } from "./touched.ts";

/** Half of the second within which a foreign write must be noticed. */
export const WATCH_INTERVAL_MS = 500;

/** What another process did: the same shape as a `Commit` of our own. */
export interface ForeignCommit extends Touched {
  /** Of the model now. */
  readonly generation: number;
}

/**
 * Calls `onCommit` after other processes' commits, several at once where they came together; what we committed
 * ourselves in between may be listed too. A write that left no history (by hand, or of a backup) is reported as
 * `everything`; one of observations isn't reported.
 *
 * @returns when `signal` is aborted; rejects when the database can't be read
 */
export async function watch(
  store: Store,
  { clock, signal, onCommit }: {
    readonly clock: Pick<Clock, "sleep">;
    readonly signal: AbortSignal;
    readonly onCommit: (commit: ForeignCommit) => void;
  },
): Promise<void> {
  let mark = store.mark();
  while (!signal.aborted) {
    await clock.sleep(WATCH_INTERVAL_MS, signal);
    if (signal.aborted) return;
    const before = mark;
    mark = store.mark();
    const touched = touchedByOthers(store, before, mark);
    if (touched !== null) onCommit({ generation: mark.generation, ...touched });
  }
}

/** What other processes touched between two marks; `null` = nothing. */
function touchedByOthers(store: Store, before: ModelMark, now: ModelMark): Touched | null {
  if (now.byHand !== before.byHand || !isStill(before, store)) return EVERYTHING;
  if (now.generation === before.generation) return null;
  if (store.isTold({ after: before.generation, until: now.generation })) return null;
  return store.history.touchedSince(before.generation);
}

/** Whether the commit that was the last one then is still there, or is forgotten because so many came after it. */
function isStill({ generation, entry }: ModelMark, { history }: Store): boolean {
  return history.textOf(generation) === entry || generation < history.oldest();
}
