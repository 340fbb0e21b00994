/**
 * Turns for the streams of a worker: however many connections have something to be answered, together they get two
 * milliseconds, then it is the event loop's turn: new connections, messages of the main thread, the heartbeat.
 *
 * Who comes when the time is over waits in line, and the line is served in order. What a connection has read is answered
 * in one go, unless the time is over meanwhile: then it goes to the end of the line with the rest.
 *
 * @module
 */
import { turnEventLoop } from "./event_loop.ts";

/** What all streams of a worker may take of one turn, milliseconds. */
const TURN_MS = 2;

/** The turns of one worker's streams. */
export class StreamTurns {
  readonly #line: (() => void)[] = [];
  #endsMs = 0;
  #isServing = false;

  /** Whether a connection that has read something must wait for its turn. */
  mustWait(): boolean {
    if (!this.#isServing) this.#serve();
    return this.#line.length > 0 || this.isOver();
  }

  /** Whether the one whose turn it is must go to the end of the line; asked before each further message. */
  isOver(): boolean {
    return performance.now() >= this.#endsMs;
  }

  /** Resolves when it is the connection's turn: it may answer one message at least. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#line.push(resolve));
  }

  async #serve(): Promise<void> {
    this.#isServing = true;
    this.#endsMs = performance.now() + TURN_MS;
    await turnEventLoop();
    for (let at = 0; this.#line.length > 0;) {
      this.#endsMs = performance.now() + TURN_MS;
      for (at = 0; at < this.#line.length && !this.isOver(); at++) {
        this.#line[at]!();
        await null; // it answers now
      }
      this.#line.splice(0, at);
      await turnEventLoop();
    }
    this.#isServing = false;
  }
}
