/**
 * Keeps the last events over a restart: writes them behind, a tenth of a second after they happened, in transactions of
 * some milliseconds. They are observations: nothing waits for them, and where they can't be written all goes on.
 *
 * A run that ends in order writes its last events, the very last of which says `stopped`. Where the next run finds another
 * one, the last events of the run before weren't kept, and it says so (`NodeStateEvent.lost`).
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { Events, EVENTS_MAX, type KeptEvent } from "./events.ts";

/** Where events are kept. */
export interface EventMemory {
  /** The last ones, the oldest first. */
  last(count: number): KeptEvent[];
  /**
   * Keeps some more, and forgets those up to an id, in one transaction.
   *
   * @throws {Error} when it can't be done; it can be tried again
   */
  keep(events: readonly KeptEvent[], forget: { readonly upTo: number; readonly wait: boolean }): void;
}

/** What events are kept with. */
export interface EventKeeperOptions {
  /** `null` = none are kept. */
  readonly memory: EventMemory | null;
  /** Whether the run before goes on until this one has begun; it has kept its events. */
  readonly isSuccessor?: boolean;
  /** Dates events, and paces the writing. */
  readonly clock: Clock;
  /** Hears when they can't be kept. */
  readonly log: Logger;
}

/** How long events gather: what a killed process loses. */
export const GATHER_MS = 100;
/** Events of one transaction, which takes 2–3 ms. */
const BATCH_MAX = 500;
/** After how long what couldn't be written is tried again. */
const RETRY_MS = 1_000;
/** More events than a run has that aren't kept yet when it is killed: their ids are given to no others. */
const UNKEPT_MAX = 10_000_000;

/** Writes what happens, until it is disposed of. */
export class EventKeeper implements AsyncDisposable {
  /** What happens, and what happened in the runs before. */
  readonly events: Events;
  readonly #options: EventKeeperOptions;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #written: number;
  #isFailing = false;
  #isHeld = false;

  /** Begins where the run before ended, and says that the node starts. */
  constructor(options: EventKeeperOptions) {
    this.#options = options;
    const before = this.#restored();
    const lost = before.length > 0 && !isEnd(before.at(-1)!) && options.isSuccessor !== true;
    this.events = new Events(options.clock, { before, skip: lost ? UNKEPT_MAX : 0 });
    this.#written = this.events.origin;
    this.events.emit({ kind: "node", state: "starting", lost });
    this.#running = this.#run();
  }

  /** Says that the node has stopped, and writes what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    this.events.emit({ kind: "node", state: "stopped", lost: false });
    while (this.#written < this.events.last && this.#write({ wait: true }));
  }

  /**
   * Writes what has happened so far, and nothing more until the result is disposed of, not even at the end. What happens
   * meanwhile is told as little: a listener that came back to another process with its id would have lost its place.
   */
  hold(): Disposable {
    while (this.#written < this.events.last && this.#write({ wait: true }));
    const held = this.events.hold();
    this.#isHeld = true;
    return {
      [Symbol.dispose]: () => {
        this.#isHeld = false;
        held[Symbol.dispose]();
      },
    };
  }

  #restored(): KeptEvent[] {
    const { memory, log } = this.#options;
    try {
      return memory?.last(EVENTS_MAX) ?? [];
    } catch (error) {
      log.warn("Cannot read the events of the runs before", { error });
      return [];
    }
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    if (this.#options.memory === null) return;
    while (!signal.aborted) {
      if (this.#written === this.events.last) await this.events.next(signal);
      await clock.sleep(GATHER_MS, signal);
      if (!signal.aborted && !this.#write({ wait: false })) await clock.sleep(RETRY_MS, signal);
    }
  }

  /** Writes the oldest ones that aren't. @returns whether that went well */
  #write({ wait }: { readonly wait: boolean }): boolean {
    const { memory, log } = this.#options;
    if (memory === null || this.#isHeld) return false;
    const { events, last } = this.events.since(this.#written, BATCH_MAX);
    try {
      memory.keep(events, { upTo: this.events.floor, wait });
      this.#written = last;
      this.#isFailing = false;
      return true;
    } catch (error) {
      // Once, until it works again.
      if (!this.#isFailing) log.warn("Cannot keep events in the database", { error });
      this.#isFailing = true;
      return false;
    }
  }
}

/** Whether it is the last event of a run that ended in order. */
function isEnd({ json }: KeptEvent): boolean {
  const { kind, state } = JSON.parse(json);
  return kind === "node" && state === "stopped";
}
