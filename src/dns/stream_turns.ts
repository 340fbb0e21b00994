/**
 * Turns for the streams of a worker: however many connections have something to be answered, together they get two
 * milliseconds, then it is the event loop's turn: new connections, messages of the main thread, the heartbeat.
 *
 * Who comes when the time is over waits in line, and the line is served in order. What a connection has read is answered
 * in one go, unless the time is over meanwhile: then it goes to the end of the line with the rest.
 *
 * There are two lines. The first few messages of what a connection has read go before the rest of what others have read, so that who asks
 * one question doesn't wait for those who pipeline hundreds (as RFC 8290 §4.2 has it for flows). Of those with the rest one is
 * served in each turn, however many come with something new.
 *
 * What costs the same for one message as for many, such as a look at the clock, is done once a turn ({@linkcode TurnBatch}).
 *
 * @module
 */
import { turnEventLoop } from "./event_loop.ts";

/** What all streams of a worker may take of one turn, milliseconds. */
const TURN_MS = 2;

/** Messages of what a connection has read that go before the rest of others: as many as a resolver asks at a time. */
const FIRST_FEW = 8;

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
  /** Those who wait with the first few messages of what they have read. */
  readonly #first: (() => void)[] = [];
  /** Those who wait with the rest. */
  readonly #rest: (() => void)[] = [];
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
    return this.#first.length > 0 || this.#isOver();
  }

  /**
   * Whether the one whose turn it is must go to the end of the line; asked before each further message.
   *
   * @param answered messages that it has answered of what it has read
   */
  isOver(answered: number): boolean {
    return this.#isOver() || answered === FIRST_FEW && this.#first.length + this.#rest.length > 0;
  }

  /**
   * Resolves when it is the connection's turn: it may answer one message at least.
   *
   * @param answered messages that it has answered of what it has read
   */
  next(answered: number): Promise<void> {
    return new Promise((resolve) => (answered < FIRST_FEW ? this.#first : this.#rest).push(resolve));
  }

  async #serve(): Promise<void> {
    this.#isServing = true;
    this.#begin();
    await turnEventLoop();
    this.#batch?.endTurn();
    while (this.#first.length + this.#rest.length > 0) {
      this.#begin();
      await this.#serveFrom(this.#first, 0);
      await this.#serveFrom(this.#rest, 1);
      await this.#turn();
      this.#batch?.endTurn();
    }
    this.#isServing = false;
  }

  /** Serves a line until the time is over, and of it so many at least. */
  async #serveFrom(line: (() => void)[], least: number): Promise<void> {
    let at = 0;
    for (; at < line.length && (at < least || !this.#isOver()); at++) {
      line[at]!();
      await null; // it answers now
    }
    line.splice(0, at);
  }

  #isOver(): boolean {
    return performance.now() >= this.#endsMs;
  }

  #begin(): void {
    this.#endsMs = performance.now() + TURN_MS;
    this.#batch?.beginTurn();
  }
}
