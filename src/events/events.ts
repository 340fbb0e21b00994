/**
 * One stream of what happens inside a node: the last events in a ring, to be read from any of them on.
 *
 * **Emitting never waits and never fails.** It writes into the ring and wakes those that follow; what they do with it,
 * they do in a later turn, each at its own pace and with its own errors. A follower has nothing but the number of the event
 * that it saw last, so a slow one costs no memory: when the ring has gone round meanwhile, it is told that it lost some.
 *
 * **Ids ascend over restarts**, too: the first one of a run is the microsecond of its start, and a node doesn't emit a
 * million events a second for long. So an id of the run before is older than all there is, and a reader that comes back with it
 * (`Last-Event-ID`) is told that it lost some, not that it has seen everything.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { NodeEvent } from "./event.ts";

/** Events that are kept: with some 200 bytes each less than a megabyte, and enough for 2,000 members that flap once. */
export const EVENTS_MAX = 4_096;

/** An event as it is kept. */
export interface RecordedEvent {
  /** Larger than those of all events before it, by any number. */
  readonly id: number;
  /** When it happened, Unix milliseconds. */
  readonly at: number;
  /** What happened. */
  readonly event: NodeEvent;
}

/** Events from some id on. */
export interface EventBatch {
  /** The oldest first. */
  readonly events: readonly RecordedEvent[];
  /** Whether there were others in between, which are not kept any more or were of a run before. */
  readonly lost: boolean;
  /** Where to go on from: the id of the last event, or the one asked for when there is none after it. */
  readonly last: number;
}

/**
 * The events of one run of a node.
 *
 * @example
 * ```ts
 * const events = new Events(systemClock);
 * const following = (async () => {
 *   for await (const { events: some, lost } of events.follow({ signal })) console.log(lost, some);
 * })();
 * events.emit({ kind: "node", state: "starting" });
 * ```
 */
export class Events {
  readonly #clock: Pick<Clock, "unixMs">;
  readonly #ring: RecordedEvent[] = [];
  readonly #capacity: number;
  readonly #waiting = new Set<() => void>();
  /** The id before the first one of this run; following from here on misses nothing that is kept. */
  readonly origin: number;
  #last: number;

  /** Nothing has happened yet. */
  constructor(clock: Pick<Clock, "unixMs">, capacity: number = EVENTS_MAX) {
    this.#clock = clock;
    this.#capacity = capacity;
    this.origin = this.#last = Math.floor(clock.unixMs() * 1000);
  }

  /** Id of the last event; `origin` when there was none. */
  get last(): number {
    return this.#last;
  }

  /** Says that something happened. */
  emit(event: NodeEvent): void {
    const id = ++this.#last;
    this.#ring[(id - this.origin - 1) % this.#capacity] = { id, at: this.#clock.unixMs(), event };
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** What happened after the event of this id, as far as it is kept. */
  since(id: number): EventBatch {
    const oldest = Math.max(this.origin, this.#last - this.#capacity);
    // An id that is still to come is of another run, on a clock that was ahead.
    const isKnown = id >= oldest && id <= this.#last;
    const events: RecordedEvent[] = [];
    for (let next = (isKnown ? id : oldest) + 1; next <= this.#last; next++) {
      events.push(this.#ring[(next - this.origin - 1) % this.#capacity]!);
    }
    return { events, lost: !isKnown, last: this.#last };
  }

  /**
   * What happens from now on, or from after an id on, until the signal is aborted: each time all there is, as soon as
   * there is something. What the follower doesn't fetch in time is lost, and it is told so.
   *
   * A follower that waits is ended by its signal only.
   */
  async *follow(
    { after = this.last, signal }: { readonly after?: number; readonly signal: AbortSignal },
  ): AsyncGenerator<EventBatch, void, void> {
    for (let seen = after; !signal.aborted;) {
      const batch = this.since(seen);
      if (batch.events.length === 0 && !batch.lost) {
        await this.#next(signal);
        continue;
      }
      seen = batch.last;
      yield batch;
    }
  }

  /** Resolves when something happens, or the signal is aborted. */
  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}
