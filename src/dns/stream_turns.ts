/**
 * Turns for the streams of a worker: however many connections have something to be answered, together they get two
 * milliseconds, then it is the event loop's turn: new connections, messages of the main thread, the heartbeat.
 *
 * Who comes when the time is over waits in line, and the line is served in order. What a connection has read is answered
 * in one go, unless the time is over meanwhile: then it goes to the end of the line with the rest.
 *
 * What costs the same for one message as for many, such as a look at the clock, is done once a turn ({@linkcode TurnBatch}).
 *
 * @module
 */
import { turnEventLoop } from "./event_loop.ts";

/** What all streams of a worker may take of one turn, milliseconds. */
const TURN_MS = 2;

/** What is begun and ended with each turn. */
export interface TurnBatch {
  /** Called before the first message of a turn. */
  beginTurn(): void;
  /** Called behind the last one. */
  endTurn(): void;
}

/** The turns of one worker's streams. */
export class StreamTurns {
  readonly #batch: TurnBatch | null;
  readonly #turn: () => Promise<void>;
  readonly #line: (() => void)[] = [];
  #endsMs = 0;
  #isServing = false;

  /**
   * Nothing is waiting.
   *
   * @param turn a turn of the event loop in which new connections are looked for, too, as long as there is a line
   */
  constructor(batch: TurnBatch | null = null, turn: () => Promise<void> = turnEventLoop) {
    this.#batch = batch;
    this.#turn = turn;
  }

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
    this.#begin();
    await turnEventLoop();
    this.#batch?.endTurn();
    for (let at = 0; this.#line.length > 0;) {
      this.#begin();
      for (at = 0; at < this.#line.length && !this.isOver(); at++) {
        this.#line[at]!();
        await null; // it answers now
      }
      this.#line.splice(0, at);
      await this.#turn();
      this.#batch?.endTurn();
    }
    this.#isServing = false;
  }

  #begin(): void {
    this.#endsMs = performance.now() + TURN_MS;
    this.#batch?.beginTurn();
  }
}
