/**
 * Attempts that were refused, as events: one for each source and minute, however many there were, so that those who try
 * tokens push nothing else out of what is kept, and no webhook is called more often than people can read.
 *
 * The first attempt of a source is told of at once, what follows at the end of each minute. Few sources are told of by
 * address; what comes from any others in that time is one event more.
 *
 * @module
 */
import { type Clock, rfc3339 } from "../clock.ts";
import type { AttemptEvent } from "./event.ts";

/** Time from one event of a source to the next, milliseconds. */
export const ATTEMPT_WINDOW_MS = 60_000;
/** Sources that are told of by address within that time. */
export const ATTEMPT_SOURCES_MAX = 8;

/** A refused attempt. */
export interface RefusedAttempt {
  /** Address of the client; empty when unknown. */
  readonly from: string;
  /** Of the answer. */
  readonly status: number;
}

/** What a source has tried since it was told of. */
interface Source {
  /** When it may be told of, on the monotonic clock. */
  nextMs: number;
  count: number;
  statuses: Record<string, number>;
  /** When the first of these attempts was made, Unix milliseconds. */
  sinceMs: number;
}

/** Counts attempts until they are told of. */
export class AttemptSummaries {
  readonly #clock: Pick<Clock, "monotonicMs" | "unixMs">;
  readonly #sources = new Map<string, Source>();

  /** Has seen none. */
  constructor(clock: Pick<Clock, "monotonicMs" | "unixMs">) {
    this.#clock = clock;
  }

  /** Counts one. */
  note({ from, status }: RefusedAttempt): void {
    const source = this.#sourceOf(from);
    if (source.count === 0) source.sinceMs = this.#clock.unixMs();
    source.count++;
    source.statuses[status] = (source.statuses[status] ?? 0) + 1;
  }

  /** What is to be told now: of each source whose time has come, or, in the end, of all. */
  take({ isEnd = false }: { readonly isEnd?: boolean } = {}): AttemptEvent[] {
    const nowMs = this.#clock.monotonicMs();
    const due = [...this.#sources].filter(([, { nextMs }]) => isEnd || nowMs >= nextMs);
    return due.flatMap(([from, { count, statuses, sinceMs }]) => {
      if (count === 0) {
        this.#sources.delete(from);
        return [];
      }
      this.#sources.set(from, newSource(nowMs + ATTEMPT_WINDOW_MS));
      return [{ kind: "attempt", from, count, statuses, since: rfc3339(sinceMs) }];
    });
  }

  #sourceOf(from: string): Source {
    const known = this.#sources.get(from);
    if (known !== undefined) return known;
    const isNamed = [...this.#sources.keys()].filter((key) => key !== OTHERS).length < ATTEMPT_SOURCES_MAX;
    const key = isNamed ? from : OTHERS;
    const source = this.#sources.get(key) ?? newSource(this.#clock.monotonicMs());
    this.#sources.set(key, source);
    return source;
  }
}

/** Stands for all sources that aren't told of by address. */
const OTHERS = "";

function newSource(nextMs: number): Source {
  return { nextMs, count: 0, statuses: {}, sinceMs: 0 };
}
