/**
 * One stream of what happens inside a node: the last events, to be read from any of them on.
 *
 * **Emitting never waits and never fails.** It keeps the event and wakes those that follow; what they do with it,
 * they do in a later turn, each at its own pace and with its own errors. A follower has nothing but the number of the event
 * that it saw last, so a slow one costs no memory: when that event isn't kept any more, it is told that it lost some.
 *
 * **Ids ascend over restarts**, too: the first one of a run is the microsecond of its start, or the one behind the last
 * that was kept where the clock was set back, and a node doesn't emit a million events a second for long. What was kept
 * of the runs before (`keeper.ts`) is given back at the start, so that a reader that comes back with an id of one of them
 * (`Last-Event-ID`) goes on behind it; one that comes with an id that isn't known is told that it lost some. Hence what
 * will not be kept isn't told either: a process whose place another one takes holds back what happens (`hold`).
 *
 * @module
 */
import { type Clock, rfc3339 } from "../clock.ts";
import type { NodeEvent } from "./event.ts";

/** Events that are kept at most: enough for 5,000 members that flap once. */
export const EVENTS_MAX = 10_000;
/** Characters of JSON that they have at most, more or less: an ordinary one has some 250. */
export const EVENTS_LENGTH_MAX = 8 << 20;

/** An event as it is kept. */
export interface RecordedEvent {
  /** Larger than those of all events before it, by any number. */
  readonly id: number;
  /** When it happened, Unix milliseconds. */
  readonly at: number;
  /** What happened. */
  readonly event: NodeEvent;
  /** All of that as it is sent: a JSON object with `id`, `at` (RFC 3339) and what the event has. */
  readonly json: string;
  /** Characters of JSON of all events of this run up to this one, more or less; 0 = of a run before. */
  readonly end: number;
}

/** What is kept of an event over a restart. */
export type KeptEvent = Pick<RecordedEvent, "id" | "at" | "json">;

/** Events from some id on. */
export interface EventBatch {
  /** The oldest first. */
  readonly events: readonly RecordedEvent[];
  /** Whether there were others in between, which are not kept any more. */
  readonly lost: boolean;
  /** Where to go on from: the id of the last event, or the one asked for when there is none after it. */
  readonly last: number;
}

/** Names of fields that no event has of its own. */
export interface Untaken {
  /** Taken: the event's own id. */
  readonly id?: never;
  /** Taken: the event's own time. */
  readonly at?: never;
}

/** How much is kept. */
export interface EventLimits {
  /** Events. */
  readonly count: number;
  /** Characters of JSON. */
  readonly length: number;
}

/**
 * The last events of a node.
 *
 * @example
 * ```ts
 * const events = new Events(systemClock);
 * const following = (async () => {
 *   for await (const { events: some, lost } of events.follow({ signal })) console.log(lost, some);
 * })();
 * events.emit({ kind: "worker", reason: "died" });
 * ```
 */
export class Events {
  readonly #clock: Pick<Clock, "unixMs">;
  readonly #limits: EventLimits;
  /** Those that are kept are `#all[#first …]`; the others are `FORGOTTEN`. */
  #all: Sized[] = [];
  #first = 0;
  readonly #waiting = new Set<() => void>();
  /** The id before the first one of this run; following from here on misses nothing that is kept of it. */
  readonly origin: number;
  #last: number;
  /** Id of the last event that followers are told of; `null` = there is none behind which they aren't. */
  #heldBehind: number | null = null;
  /** Id of the last event that isn't kept any more; nothing was lost behind it. */
  #floor: number;
  /** Characters of what is kept. */
  #kept = 0;
  #emitted = 0;

  /**
   * Nothing has happened yet in this run.
   *
   * @param before what was kept of the runs before, the oldest first
   * @param skip ids behind the last of those that have been given to events that weren't kept
   */
  constructor(
    clock: Pick<Clock, "unixMs">,
    { before = [], skip = 0, limits = { count: EVENTS_MAX, length: EVENTS_LENGTH_MAX } }: {
      readonly before?: readonly KeptEvent[];
      readonly skip?: number;
      readonly limits?: EventLimits;
    } = {},
  ) {
    this.#clock = clock;
    this.#limits = limits;
    this.origin = Math.max(Math.floor(clock.unixMs() * 1000), (before.at(-1)?.id ?? 0) + skip);
    this.#floor = before.length > 0 ? before[0]!.id - 1 : this.origin;
    this.#last = this.origin;
    for (const kept of before) this.#add(recorded(kept));
  }

  /** Id of the last event that isn't held back; `origin` when there was none in this run. */
  get last(): number {
    return this.#heldBehind ?? this.#last;
  }

  /** Events up to this id aren't kept any more. */
  get floor(): number {
    return this.#floor;
  }

  /** Characters of JSON of all events of this run, kept or not. */
  get emitted(): number {
    return this.#emitted;
  }

  /** Says that something happened. */
  emit(event: NodeEvent & Untaken): void {
    const id = ++this.#last;
    const length = lengthOf(event);
    this.#emitted += length;
    this.#add(new Emitted({ id, at: this.#clock.unixMs(), event, end: this.#emitted }, length));
    if (this.#heldBehind === null) this.#wake();
  }

  /** Tells nothing of what happens from now on, until the result is disposed of: as if it happened only then. */
  hold(): Disposable {
    this.#heldBehind ??= this.#last;
    return {
      [Symbol.dispose]: () => {
        this.#heldBehind = null;
        this.#wake();
      },
    };
  }

  /** All that is kept and not held back, the oldest first. */
  kept(): readonly RecordedEvent[] {
    return this.#all.slice(this.#first, this.#indexAfter(this.last));
  }

  /** What happened after the event of this id, as far as it is kept; at most `max` of it, the oldest first. */
  since(id: number, max = Infinity): EventBatch {
    const next = this.#indexAfter(id);
    const end = this.#heldBehind === null ? this.#all.length : this.#indexAfter(this.#heldBehind);
    const events = this.#all.slice(next, Math.min(next + max, end));
    const lost = !this.#isKnown(id, next) || events.some(({ event }) => event.kind === "node" && event.lost);
    return { events, lost, last: events.at(-1)?.id ?? this.last };
  }

  /**
   * What happens from now on, or from after an id on, until the signal is aborted: each time all there is, or `max` of it,
   * as soon as there is something. What the follower doesn't fetch in time is lost, and it is told so.
   *
   * A follower that waits is ended by its signal only.
   */
  async *follow(
    { after = this.last, max = Infinity, signal }: {
      readonly after?: number;
      readonly max?: number;
      readonly signal: AbortSignal;
    },
  ): AsyncGenerator<EventBatch, void, void> {
    for (let seen = after; !signal.aborted;) {
      const batch = this.since(seen, max);
      if (batch.events.length === 0 && !batch.lost) {
        await this.next(signal);
        continue;
      }
      seen = batch.last;
      yield batch;
    }
  }

  /** Resolves when something happens, or the signal is aborted. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  #add(event: Sized): void {
    this.#all.push(event);
    this.#kept += event.length;
    const { count, length: lengthMax } = this.#limits;
    while (this.#all.length - this.#first > 1) {
      if (this.#all.length - this.#first <= count && this.#kept <= lengthMax) break;
      const { id, length } = this.#all[this.#first]!;
      // What isn't kept must not take memory until the rest is moved.
      this.#all[this.#first++] = FORGOTTEN;
      this.#floor = id;
      this.#kept -= length;
    }
    // Each is moved once on average.
    if (this.#first <= this.#all.length / 2) return;
    this.#all = this.#all.slice(this.#first);
    this.#first = 0;
  }

  /** Whether there is nothing unknown between the event of this id and the one at the index, which is the next. */
  #isKnown(id: number, next: number): boolean {
    if (id === this.last || id === this.#floor || (id === this.origin && id > this.#floor)) return true;
    return next > this.#first && this.#all[next - 1]!.id === id;
  }

  /** Index of the first event behind an id; of the first one of all where the id isn't one of ours. */
  #indexAfter(id: number): number {
    // An id that is still to come is of another run, on a clock that was ahead, or of another node.
    if (id > this.#last) return this.#first;
    let [low, high] = [this.#first, this.#all.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#all[middle]!.id > id) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** An event with the characters that it counts for. */
interface Sized extends RecordedEvent {
  readonly length: number;
}

/** In the place of an event that isn't kept. */
const FORGOTTEN: Sized = {
  ...{ id: 0, at: 0, end: 0, json: "", length: 0 },
  event: { kind: "node", state: "starting", lost: false },
};

/** An event of this run. It is written as JSON when that is asked for: of very many at once most are forgotten before. */
class Emitted implements Sized {
  readonly id: number;
  readonly at: number;
  readonly event: NodeEvent;
  readonly end: number;
  readonly length: number;
  #json: string | null = null;

  constructor({ id, at, event, end }: Omit<RecordedEvent, "json">, length: number) {
    this.id = id;
    this.at = at;
    this.event = event;
    this.end = end;
    this.length = length;
  }

  get json(): string {
    return this.#json ??= JSON.stringify({ id: this.id, at: rfc3339(this.at), ...this.event });
  }
}

/** Of its JSON, more or less, since a hundred thousand targets may go down in one turn: a sixth of what JSON costs. */
function lengthOf(event: NodeEvent): number {
  let length = HEAD_LENGTH;
  for (const value of Object.values(event)) {
    length += typeof value === "object" && value !== null ? JSON.stringify(value).length : FIELD_LENGTH;
    if (typeof value === "string") length += value.length;
  }
  return length;
}

/** Of the id, the time, and names. */
const HEAD_LENGTH = 64;
/** Of a name with its quotes, and a number. */
const FIELD_LENGTH = 16;

/** A kept event as it was; what wrote it was this program, or one of another version with kinds of its own. */
function recorded({ id, at, json }: KeptEvent): Sized {
  const { id: _, at: __, ...event } = JSON.parse(json);
  return { id, at, event, json, end: 0, length: json.length };
}
