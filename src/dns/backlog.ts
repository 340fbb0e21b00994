/**
 * Keeps young what is answered where more comes than can be answered.
 *
 * The kernel queues what a worker can't take yet, and drops the newest when its buffer is full. In a worker that can't keep
 * up the queue is always full, so that every answer is as old as the buffer is deep: 4 MiB are 10,000 queries, which are
 * 100 ms at 100,000 answers a second, and 0.3 s at 30,000. Their clients may have asked again by then, which makes the
 * overload worse.
 *
 * So a queue that isn't emptied any more is watched: how long has it kept what was received last? Beyond a bound its batches
 * are discarded, which costs a fraction of answering them, and the buffer is made smaller, step by step, until it is just
 * so deep that what it holds is young; from then on the kernel drops what is too much, which costs the worker nothing.
 * When the queue has been emptied for a while the buffer is what it was, for bursts to find room. What a worker that was kept
 * from its work finds old says nothing of the buffer, and leaves it as it is.
 *
 * A queue that is emptied now and then costs one comparison a batch. What waited because the worker itself was kept from
 * its work is answered, however old: discarding begins only where the queue stands and doesn't get younger.
 *
 * @module
 */
import { HANDED_OVER_BUFFER_BYTES, RECEIVE_BUFFER_BYTES } from "../sockets/batch_socket.ts";
import { BATCH } from "../sockets/message_memory.ts";

/** The socket, as far as its queue goes. */
export interface QueueingSocket {
  /**
   * How long the datagram that was received last had been in the queue, by the system's clock; a system that doesn't tell
   * says 0.
   *
   * @param nowUnixMs that clock
   */
  ageMs(nowUnixMs: number): number;
  /** Has the kernel queue so many bytes from now on, as it counts them. */
  resizeQueue(bytes: number): void;
}

/** Two clocks: what goes on evenly, and what the kernel stamps packets with, which may be set. */
export interface BacklogClocks {
  /** Milliseconds since any moment. */
  readonly monotonicMs: () => number;
  /** Milliseconds since 1970. */
  readonly unixMs: () => number;
}

/** A queue that hasn't been emptied for so long is watched; less happens after any pause of the worker. */
const STANDING_MS = 20;
/** What has waited for longer isn't answered. With the time that an answer takes, half of what is promised. */
export const STALE_MS = 50;
/** By how much the buffer shrinks at a time: what waited for `STALE_MS` in a full one waits for 20 ms in the next. */
const SHRINKING = 0.4;
/** By how much it grows again in a second in which nothing waited for half of `STALE_MS`: a worker kept from its work shrinks it, too. */
const GROWTH = 1.6;
/** A worker that catches up sees the queue get younger by so much in such a time: it takes a quarter more than what comes. */
const WINDOW_MS = 50;
const CATCHING_UP_MS = 10;
/** Time for a smaller buffer to show, and for a queue that is emptied again to be trusted. */
const SETTLE_MS = 2 * STALE_MS;
const CALM_MS = 1000;
/** Bytes that any queue has: a batch of small packets, which the kernel counts as some 830 bytes, half of them ours. */
const QUEUE_MIN_BYTES = 64 * 1024;
/** A worker that didn't come back to its queue for so long was kept from its work; what aged meanwhile says nothing of the buffer. */
const PAUSE_MS = 30;
/** The clock was set when it and the even one differ by so much more or less than before; stamps mean nothing then. */
const CLOCK_STEP_MS = 5;

/** What is known of one socket's queue. */
export class Backlog {
  readonly #socket: QueueingSocket;
  readonly #clocks: BacklogClocks;
  /** Until when all is answered, however old. */
  #answersAllUntilMs = -Infinity;
  #isWatching = false;
  /** Since when the queue hasn't been emptied; `null` = it has been. */
  #standsSinceMs: number | null = null;
  #lastMs = 0;
  /** Whether it gets no younger by itself: what is stale is discarded until the queue is emptied. */
  #isShedding = false;
  #windowMs = 0;
  #windowAgeMs = 0;
  /** When what was received before came, at the latest, by the clock on the wall; all that is received now came later. */
  #cameUnixMs: number | null = null;
  #overloadedMs = 0;
  #bytes = RECEIVE_BUFFER_BYTES;
  /** No smaller than what waits may be, or what comes would be dropped. */
  #bytesMax = RECEIVE_BUFFER_BYTES;
  #resizedMs = -Infinity;
  /** When the worker was last seen to have been kept from its work. */
  #pausedMs = -Infinity;
  /** The greatest age since then. */
  #oldestMs = 0;
  /** When the queue was last known to stand. */
  #stoodMs = -Infinity;
  /** What the two clocks differ by, and until when stamps mean nothing. */
  #difference: number;
  #trustedFromMs = -Infinity;

  /** Knows nothing yet. */
  constructor(socket: QueueingSocket, clocks: BacklogClocks) {
    this.#socket = socket;
    this.#clocks = clocks;
    this.#difference = clocks.unixMs() - clocks.monotonicMs();
  }

  /** Whether it wants to know of each `receive`, not only of those that fill a batch. */
  get isWatching(): boolean {
    return this.#isWatching;
  }

  /**
   * To be told of a `receive`.
   *
   * @param received datagrams in it; fewer than `BATCH` = the queue is empty
   * @returns whether they are too old to be answered
   */
  isStale(received: number): boolean {
    if (received < BATCH) this.#emptied();
    else if (this.#clocks.monotonicMs() < this.#answersAllUntilMs) this.#standsSinceMs = null;
    else return this.#stands();
    return false;
  }

  /** Has all be answered for so long from now on, however old; 0 = no longer. */
  answerAll(forMs: number): void {
    this.#answersAllUntilMs = this.#clocks.monotonicMs() + forMs;
  }

  /** Has the kernel keep more than ever, until the queue is emptied: for a while nothing will be received. */
  makeRoom(): void {
    this.#isWatching = true;
    this.#bytes = this.#bytesMax = HANDED_OVER_BUFFER_BYTES;
    this.#socket.resizeQueue(this.#bytes);
  }

  /** Whole milliseconds for which the queue has stood since the last call. */
  takeOverloadedMs(): number {
    const whole = Math.floor(this.#overloadedMs);
    this.#overloadedMs -= whole;
    return whole;
  }

  #emptied(): void {
    const nowMs = this.#clocks.monotonicMs();
    this.#standsSinceMs = null;
    this.#isShedding = false;
    this.#bytesMax = RECEIVE_BUFFER_BYTES;
    if (nowMs - this.#stoodMs < CALM_MS) {
      // A queue that is emptied may be deeper: a worker with half of a processor finds it full after each turn of the other.
      if (nowMs - this.#resizedMs >= SETTLE_MS) this.#resize(this.#bytes * GROWTH, nowMs);
      return;
    }
    this.#isWatching = false;
    this.#resize(RECEIVE_BUFFER_BYTES, nowMs);
  }

  #stands(): boolean {
    const nowMs = this.#clocks.monotonicMs();
    this.#isWatching = true;
    if (this.#standsSinceMs === null) {
      this.#standsSinceMs = this.#lastMs = nowMs;
      this.#windowMs = -Infinity;
      this.#cameUnixMs = null;
      return false;
    }
    if (nowMs - this.#standsSinceMs < STANDING_MS) {
      if (nowMs - this.#lastMs > PAUSE_MS) this.#pausedMs = nowMs;
      this.#lastMs = nowMs;
      return false;
    }
    if (nowMs - this.#lastMs > PAUSE_MS) {
      this.#pausedMs = nowMs;
      // What has aged meanwhile doesn't say that the worker can't keep up.
      this.#windowMs = -Infinity;
    }
    this.#overloadedMs += nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.#stoodMs = nowMs;
    const ageMs = this.#age(nowMs);
    this.#judge(ageMs, nowMs);
    this.#oldestMs = Math.max(this.#oldestMs, ageMs);
    if (ageMs <= STALE_MS || !this.#isShedding) {
      if (nowMs - this.#resizedMs >= CALM_MS) this.#review(nowMs);
      return false;
    }
    const isSettled = Math.min(nowMs - this.#resizedMs, nowMs - this.#pausedMs) >= SETTLE_MS;
    if (isSettled) this.#resize(this.#bytes * SHRINKING, nowMs);
    return true;
  }

  #review(nowMs: number): void {
    this.#resize(this.#oldestMs < STALE_MS / 2 ? this.#bytes * GROWTH : this.#bytes, nowMs);
  }

  /** Looks once in a window whether the queue gets younger. */
  #judge(ageMs: number, nowMs: number): void {
    const elapsedMs = nowMs - this.#windowMs;
    if (elapsedMs < WINDOW_MS) return;
    if (elapsedMs < Infinity && ageMs > this.#windowAgeMs - CATCHING_UP_MS) this.#isShedding = true;
    this.#windowMs = nowMs;
    this.#windowAgeMs = ageMs;
  }

  /** For how long what was received now has waited at most, which may be more than any of it has; 0 where that can't be known. */
  #age(nowMs: number): number {
    const unixMs = this.#clocks.unixMs();
    // Between two looks at clocks other threads may have had their turn, which is no step of a clock.
    const difference = unixMs - (nowMs + this.#clocks.monotonicMs()) / 2;
    // What waits now was stamped by the clock as it was before; in a second it is gone.
    if (Math.abs(difference - this.#difference) > CLOCK_STEP_MS) {
      this.#trustedFromMs = nowMs + CALM_MS;
      this.#cameUnixMs = null;
    }
    this.#difference = difference;
    if (nowMs < this.#trustedFromMs) return 0;
    const before = this.#cameUnixMs;
    this.#cameUnixMs = unixMs - this.#socket.ageMs(unixMs);
    return unixMs - (before ?? this.#cameUnixMs);
  }

  #resize(wanted: number, nowMs: number): void {
    const bytes = Math.round(Math.min(this.#bytesMax, Math.max(QUEUE_MIN_BYTES, wanted)));
    this.#resizedMs = nowMs;
    this.#oldestMs = 0;
    if (bytes === this.#bytes) return;
    this.#bytes = bytes;
    this.#socket.resizeQueue(bytes);
  }
}
