/**
 * Simulated time: whoever sleeps is woken in order, and nothing takes any time in between.
 *
 * @module
 */
import type { Clock } from "../../../src/clock.ts";

/** As many promises in a row go on before the next is woken; the longest chain from a wake-up to a verdict is shorter. */
const HOPS = 24;

interface Waking {
  readonly atMs: number;
  readonly order: number;
  wake: (() => void) | null;
}

/** What is to happen, and when. */
export class Schedule {
  /** A binary heap. */
  readonly #heap: Waking[] = [];
  #order = 0;
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Has something happen; gives what calls it off. */
  at(atMs: number, wake: () => void): () => void {
    const waking: Waking = { atMs: Math.max(atMs, this.#nowMs), order: this.#order++, wake };
    this.#push(waking);
    return () => {
      waking.wake = null;
    };
  }

  /** Lets time pass. */
  async run(untilMs: number): Promise<void> {
    for (let next = this.#heap[0]; next && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      if (next.wake === null) continue;
      this.#nowMs = next.atMs;
      next.wake();
      for (let hop = 0; hop < HOPS; hop++) await null;
    }
    this.#nowMs = untilMs;
  }

  /** The clocks of one node: its monotonic one began some time ago, its wall clock may be set. */
  clockOf(wall: { offsetMs: number }, startedMs: number): Clock {
    return {
      monotonicMs: () => this.#nowMs + startedMs,
      unixMs: () => this.#nowMs + wall.offsetMs,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          if (signal.aborted) return resolve();
          const end = () => {
            callOff();
            signal.removeEventListener("abort", end);
            resolve();
          };
          const callOff = this.at(this.#nowMs + Math.max(0, ms), end);
          signal.addEventListener("abort", end, { once: true });
        }),
    };
  }

  #push(waking: Waking): void {
    const heap = this.#heap;
    let at = heap.push(waking) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(waking, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = waking;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Waking, b: Waking): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
