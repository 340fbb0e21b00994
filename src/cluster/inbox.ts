/**
 * What comes in from other nodes waits here and is read in slices: a snapshot of 50,000 values would else stop the thread,
 * on which probes start and the API answers, for most of a second.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { inSlices } from "../slices.ts";

/** Messages that may wait: a snapshot of ten nodes with 10,000 addresses each. */
const WAITING_MAX = 100_000;
/** Bytes that may wait. */
const WAITING_SIZE_MAX = 64 * 1024 * 1024;

/** A message that waits. */
export interface Waiting {
  /** Its subject, or its key. */
  readonly name: string;
  /** What it says; empty = the key was deleted. */
  readonly data: Uint8Array;
  /** Whether it is a value of the bucket. */
  readonly isValue: boolean;
  /** When it came in, monotonic milliseconds. */
  readonly atMs: number;
}

/** What an inbox is made with. */
export interface InboxNeeds {
  /** Says when others have their turn. */
  readonly clock: Clock;
  /** Takes a message; it mustn't fail. */
  readonly read: (message: Waiting) => void;
  /** Called after each slice, and at the end. */
  readonly sliceEnded: () => void;
  /** More came in than can wait: what did is dropped, and must be asked for again. */
  readonly overflowed: () => void;
}

/** Messages in the order in which they came. */
export class Inbox {
  readonly #needs: InboxNeeds;
  /** Messages, and what is to be called when those before it are read. */
  #waiting: (Waiting | (() => void))[] = [];
  #size = 0;
  #isReading = false;
  #reading: Promise<void> = Promise.resolve();

  /** An empty one. */
  constructor(needs: InboxNeeds) {
    this.#needs = needs;
  }

  /** Takes a message in; it is read soon. */
  add(message: Waiting, signal: AbortSignal): void {
    this.#waiting.push(message);
    this.#size += message.data.length;
    if (this.#waiting.length > WAITING_MAX || this.#size > WAITING_SIZE_MAX) {
      this.#waiting = this.#waiting.filter((each) => typeof each === "function");
      this.#size = 0;
      this.#needs.overflowed();
      return;
    }
    if (this.#isReading) return;
    this.#isReading = true;
    this.#reading = this.#readAll(signal);
  }

  /** Calls it when what waits now is read, whatever comes after it: at once, if nothing does. It mustn't fail. */
  whenRead(then: () => void): void {
    if (this.#isReading) this.#waiting.push(then);
    else then();
  }

  /** Resolves when nothing is being read. */
  async idle(): Promise<void> {
    await this.#reading;
  }

  async #readAll(signal: AbortSignal): Promise<void> {
    const { clock, sliceEnded } = this.#needs;
    try {
      // What came in the same turn of the event loop is told of together.
      await Promise.resolve();
      await inSlices(this.#work(), { clock, signal, isUrgent: true });
    } catch (error) {
      if (!signal.aborted) throw error;
      this.#takeAll();
    } finally {
      sliceEnded();
    }
  }

  #takeAll(): (Waiting | (() => void))[] {
    const all = this.#waiting;
    this.#waiting = [];
    this.#size = 0;
    return all;
  }

  *#work(): Generator<void, void> {
    const { clock, read, sliceEnded } = this.#needs;
    let toldMs = clock.monotonicMs();
    try {
      while (this.#waiting.length > 0) {
        // From the end, so that what is read is let go of.
        const batch = this.#takeAll().reverse();
        for (let message = batch.pop(); message !== undefined; message = batch.pop()) {
          if (typeof message === "function") {
            // What was read before counts before it.
            sliceEnded();
            message();
            continue;
          }
          read(message);
          yield;
          const nowMs = clock.monotonicMs();
          if (nowMs - toldMs < TELL_MS) continue;
          toldMs = nowMs;
          sliceEnded();
        }
      }
    } finally {
      // In the turn in which nothing waits any more: what comes next is read from the start.
      this.#isReading = false;
    }
  }
}

/** How long what was read waits at most until it is told of, milliseconds. */
const TELL_MS = 20;
