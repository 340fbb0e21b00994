/**
 * Notices what other processes (the terminal UI, a shell with `sqlite3`) write into the same file.
 *
 * SQLite keeps a counter for this, `PRAGMA data_version`: it moves when another connection commits, and never for
 * our own commits. Reading it takes microseconds and no lock, so it is simply polled.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Store } from "./store.ts";
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
 * ourselves since the last look may be listed too. A write that left no history (by hand, or of verdicts) is
 * reported as `everything`.
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
  let seen = store.dataVersion();
  let generation = store.generation();
  while (!signal.aborted) {
    await clock.sleep(WATCH_INTERVAL_MS, signal);
    if (signal.aborted) return;
    const version = store.dataVersion();
    const now = store.generation();
    const told = version === store.toldVersion;
    if (version !== seen && !told) onCommit({ generation: now, ...touchedBetween(store, generation, now) });
    seen = version;
    generation = now;
  }
}

function touchedBetween(store: Store, before: number, now: number): Touched {
  return now > before ? store.history.touchedSince(before) : EVERYTHING;
}
