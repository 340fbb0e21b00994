/**
 * Tells what is published: what there is, that this was all, and then what changes.
 *
 * A message on the stream's subject is taken as a hint to look, and without one a look comes every few seconds; what is told is
 * always what the bucket has. So it doesn't matter how a document got there, nor whether a hint was lost.
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import type { Clock } from "../clock.ts";
import { type ClusterDocument, DocumentFault, type DocumentPlace, snapshotCluster } from "./documents.ts";

/** What has happened to the document. */
export type ClusterEvent =
  | { readonly type: "put"; readonly document: ClusterDocument }
  /** It is gone. */
  | { readonly type: "delete" }
  /** It isn't believed, or can't be read. */
  | { readonly type: "fault"; readonly fault: DocumentFault };

/** Events that wait for a reader. */
export const WAITING_MAX = 16;

/** Where hints come from. */
export interface Hints {
  /** Calls the listener at each, until the result is disposed of. */
  subscribe(listener: () => void): Disposable;
}

/**
 * Watches the document until the signal is aborted: first what there is, then `null`, then what changes. A reader that is slow
 * holds up nothing: of more than `WAITING_MAX` events that wait the oldest are dropped, and the newest is always told.
 */
export async function* watchCluster(
  place: DocumentPlace,
  { hints, lookMs, clock, signal }: {
    readonly hints: Hints;
    readonly lookMs: number;
    readonly clock: Pick<Clock, "sleep">;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<ClusterEvent | null, void> {
  const ended = new AbortController();
  const end = anySignal([signal, ended.signal]);
  const waiting = new Waiting();
  const looking = lookOnAndOn(place, {
    hints,
    lookMs,
    clock,
    signal: end,
    tell: (event) => waiting.add(event),
  })
    .then(() => waiting.end(null), (error) => waiting.end(error));
  try {
    for (;;) {
      const event = await waiting.next();
      if (event === undefined) return;
      yield event;
    }
  } finally {
    ended.abort();
    await looking;
  }
}

/** Looks until the signal is aborted. @throws what the bucket throws */
async function lookOnAndOn(
  place: DocumentPlace,
  { hints, lookMs, clock, signal, tell }: {
    readonly hints: Hints;
    readonly lookMs: number;
    readonly clock: Pick<Clock, "sleep">;
    readonly signal: AbortSignal;
    readonly tell: (event: ClusterEvent | null) => void;
  },
): Promise<void> {
  let wake = new AbortController();
  let isHinted = false;
  using _ = hints.subscribe(() => {
    isHinted = true;
    wake.abort();
  });
  // Asked before the look: what is written in between is looked at once more.
  let edition = await place.bucket.edition();
  const first = await look(place);
  let known = keyOf(first);
  if (first.type !== "delete") tell(first);
  tell(null);
  while (!signal.aborted) {
    if (!isHinted) await clock.sleep(lookMs, anySignal([signal, wake.signal]));
    if (signal.aborted) return;
    isHinted = false;
    wake = new AbortController();
    const now = await place.bucket.edition();
    if (now === edition) continue;
    edition = now;
    const event = await look(place);
    const key = keyOf(event);
    if (key === known) continue;
    known = key;
    tell(event);
  }
}

async function look(place: DocumentPlace): Promise<ClusterEvent> {
  try {
    const document = await snapshotCluster(place);
    return document === null ? { type: "delete" } : { type: "put", document };
  } catch (error) {
    if (!(error instanceof DocumentFault)) throw error;
    return { type: "fault", fault: error };
  }
}

/** Equal for what was told already. */
function keyOf(event: ClusterEvent): string {
  if (event.type === "put") return `${event.document.revision} ${event.document.id}`;
  return event.type === "delete" ? "" : event.fault.message;
}

/** A few events between a watch and its reader. */
class Waiting {
  readonly #events: (ClusterEvent | null)[] = [];
  #wake: () => void = () => {};
  #isOver = false;
  #fault: unknown = null;

  add(event: ClusterEvent | null): void {
    this.#events.push(event);
    if (this.#events.length > WAITING_MAX) {
      // The marker stays where it is among them: without it a reader would wait for ever.
      this.#events.splice(this.#events[0] === null ? 1 : 0, 1);
    }
    this.#wake();
  }

  end(fault: unknown): void {
    this.#isOver = true;
    this.#fault = fault;
    this.#wake();
  }

  /** `undefined` = there are no more. @throws why the watch ended */
  async next(): Promise<ClusterEvent | null | undefined> {
    while (this.#events.length === 0) {
      if (this.#isOver) {
        if (this.#fault !== null) throw this.#fault;
        return undefined;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#events.shift();
  }
}
