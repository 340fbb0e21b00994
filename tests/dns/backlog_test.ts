/**
 * What is answered of a queue that stands, by a kernel and a worker whose time is simulated.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Backlog, type QueueingSocket, STALE_MS } from "../../src/dns/backlog.ts";
import { HANDED_OVER_BUFFER_BYTES, RECEIVE_BUFFER_BYTES } from "../../src/sockets/batch_socket.ts";
import { BATCH } from "../../src/sockets/message_memory.ts";

/** Bytes that the kernel counts for a packet, of which the size asked for is half. */
const PACKET_BYTES = 832;
/** What a packet costs that is received and discarded, of what an answer costs. */
const DISCARDED_COST = 0.2;
/** What a call costs that finds the queue empty, milliseconds. */
const EMPTY_MS = 0.05;

/** What became of packets. */
interface Seen {
  answered: number;
  stale: number;
  dropped: number;
  /** Of the answer that was oldest. */
  oldestMs: number;
}

/** A socket to which packets come evenly, and a worker that answers so many a second. */
class Simulated implements QueueingSocket {
  nowMs = 0;
  perSecond = 0;
  bytes = RECEIVE_BUFFER_BYTES;
  /** How long the worker works until others have the processor, and for how long they have it. */
  slices = { onMs: Infinity, offMs: 0 };
  /** How far the clock on the wall is from where it was. */
  stepMs = 0;
  readonly #capacity: number;
  readonly #backlog: Backlog;
  /** When each packet came, by the clock on the wall. */
  readonly #queue: number[] = [];
  #last = 0;
  #due = 0;
  #arrivedMs = 0;
  #sliceMs = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    const unixMs = () => 1.8e12 + this.nowMs + this.stepMs;
    this.#backlog = new Backlog(this, { monotonicMs: () => this.nowMs, unixMs });
  }

  ageMs(nowUnixMs: number): number {
    return Math.max(0, nowUnixMs - this.#last);
  }

  resizeQueue(bytes: number): void {
    this.bytes = bytes;
  }

  run(seconds: number): Seen {
    const seen: Seen = { answered: 0, stale: 0, dropped: 0, oldestMs: 0 };
    for (const endMs = this.nowMs + seconds * 1000; this.nowMs < endMs;) {
      if (this.nowMs - this.#sliceMs > this.slices.onMs) {
        this.nowMs += this.slices.offMs;
        this.#sliceMs = this.nowMs;
      }
      this.#arrive(seen);
      const batch = this.#queue.splice(0, BATCH);
      this.#last = batch.at(-1) ?? this.#last;
      const isStale = (batch.length === BATCH || this.#backlog.isWatching) &&
        this.#backlog.isStale(batch.length);
      if (isStale) seen.stale += batch.length;
      else seen.answered += batch.length;
      if (batch.length === 0) this.nowMs += EMPTY_MS;
      this.nowMs += (isStale ? DISCARDED_COST : 1) * batch.length * 1000 / this.#capacity;
      if (!isStale) {
        for (const came of batch) {
          seen.oldestMs = Math.max(seen.oldestMs, 1.8e12 + this.nowMs + this.stepMs - came);
        }
      }
    }
    return seen;
  }

  /** The worker is kept from its work. */
  pause(ms: number): void {
    this.nowMs += ms;
  }

  /** The worker hands its socket over, and receives nothing for so long. */
  handOver(ms: number, graceMs: number): void {
    this.#backlog.makeRoom();
    this.#backlog.answerAll(ms + graceMs);
    this.nowMs += ms;
  }

  overloadedMs(): number {
    return this.#backlog.takeOverloadedMs();
  }

  #arrive(seen: Seen): void {
    this.#due += (this.nowMs - this.#arrivedMs) * this.perSecond / 1000;
    const count = Math.floor(this.#due);
    this.#due -= count;
    for (let i = 1; i <= count; i++) {
      const atMs = this.#arrivedMs + (this.nowMs - this.#arrivedMs) * i / count;
      if (this.#queue.length * PACKET_BYTES >= 2 * this.bytes) seen.dropped++;
      else this.#queue.push(1.8e12 + atMs + this.stepMs);
    }
    this.#arrivedMs = this.nowMs;
  }
}

for (const capacity of [3_000, 30_000, 100_000, 300_000]) {
  for (const times of [1.2, 2, 10]) {
    Deno.test(`at ${times} times of ${capacity} answers a second, what is answered is young and nearly as much`, () => {
      const socket = new Simulated(capacity);
      socket.perSecond = capacity * times;
      const first = socket.run(2);
      const then = socket.run(3);
      assert(first.oldestMs < 2 * STALE_MS, `${first.oldestMs} ms in the first seconds`);
      assert(then.oldestMs < 2 * STALE_MS, `${then.oldestMs} ms`);
      assert(then.answered > 0.9 * 3 * capacity, `${then.answered} answers in 3 s, and ${then.stale} stale`);
      assert(socket.overloadedMs() > 4_000);
    });
  }
}

for (const [onMs, offMs] of [[4, 4], [20, 20], [100, 60], [200, 100]] as const) {
  Deno.test(`a worker that has its processor for ${onMs} ms, and ${offMs} ms not, answers about as much as it can`, () => {
    const socket = new Simulated(200_000);
    socket.slices = { onMs, offMs };
    const share = onMs / (onMs + offMs);
    socket.perSecond = 2 * share * 200_000;
    socket.run(3);
    const seen = socket.run(6);
    assert(seen.answered > 0.8 * 6 * share * 200_000, `${seen.answered} of ${6 * share * 200_000}`);
    socket.perSecond = share * 100_000;
    socket.run(1);
    const after = socket.run(2);
    assert(after.answered > 0.95 * 2 * share * 100_000, `${after.answered} afterwards`);
  });
}

Deno.test("a burst that the buffer takes is answered whole, and the buffer stays", () => {
  const socket = new Simulated(30_000);
  socket.perSecond = 10_000;
  socket.run(1);
  socket.pause(300);
  const seen = socket.run(1);
  assert.deepEqual([seen.stale, seen.dropped, socket.bytes], [0, 0, RECEIVE_BUFFER_BYTES]);
});

for (const graceMs of [0, 1_000]) {
  const who = graceMs > 0
    ? "of a socket that was another process's"
    : "that goes on with its socket after all";
  Deno.test(`a worker ${who} answers more than the buffer takes at other times, which is then what it was`, () => {
    const socket = new Simulated(100_000);
    socket.perSecond = 50_000;
    socket.handOver(1_000, graceMs);
    assert.equal(socket.bytes, HANDED_OVER_BUFFER_BYTES);
    const seen = socket.run(3);
    assert.equal(seen.dropped, 0);
    assert.equal(socket.bytes, RECEIVE_BUFFER_BYTES);
    if (graceMs > 0) assert.equal(seen.stale, 0);
  });
}

Deno.test("when the overload is over the buffer is what it was after a second, and nothing is lost any more", () => {
  const socket = new Simulated(30_000);
  socket.perSecond = 90_000;
  socket.run(2);
  assert(socket.bytes < RECEIVE_BUFFER_BYTES / 2);
  socket.perSecond = 15_000;
  socket.run(0.1);
  const seen = socket.run(1);
  assert.deepEqual([seen.stale, seen.dropped, socket.bytes], [0, 0, RECEIVE_BUFFER_BYTES]);
  socket.overloadedMs();
  socket.run(1);
  assert.equal(socket.overloadedMs(), 0);
});

for (const stepMs of [-3_600_000, 3_600_000]) {
  Deno.test(`a clock that is set by ${stepMs / 1000} s makes nothing stale that is young`, () => {
    const socket = new Simulated(30_000);
    socket.perSecond = 33_000;
    socket.run(2);
    socket.stepMs = stepMs;
    const seen = socket.run(0.5);
    assert.equal(seen.stale, 0);
    assert(seen.answered > 14_000);
  });
}

Deno.test("a worker that is kept from its work now and then keeps its buffer, since what aged meanwhile says nothing of it", () => {
  const socket = new Simulated(300_000);
  // Its full buffer is 34 ms deep, which is young; with a pause before, it isn't.
  socket.perSecond = 310_000;
  socket.slices = { onMs: 300, offMs: 60 };
  const seen = socket.run(5);
  assert(socket.overloadedMs() > 2_000, "the queue must stand");
  assert(seen.stale > 0, "what aged in pauses must be there");
  assert.equal(socket.bytes, RECEIVE_BUFFER_BYTES);
});
