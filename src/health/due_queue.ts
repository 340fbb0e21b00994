/**
 * A queue ordered by time: a binary heap that knows where each entry lies, so that one can be moved or taken out.
 *
 * All operations are O(log n); 10,000 targets cost one timer instead of 10,000.
 *
 * @module
 */

/** Something that is due at a time. An entry lies in one queue at most. */
export interface Due {
  /** Monotonic milliseconds; changed by the queue's `put` only. */
  dueMs: number;
  /** Where the entry lies in its queue, −1 = nowhere; the queue's own. */
  heapIndex: number;
}

/** Entries, the earliest first. */
export class DueQueue<Entry extends Due> {
  /** Invariant: no entry is due before its parent, `(i − 1) >> 1`; `heap[i].heapIndex === i`. */
  readonly #heap: Entry[] = [];

  /** How many entries wait. */
  get size(): number {
    return this.#heap.length;
  }

  /** The entry that is due first; it stays in the queue. */
  peek(): Entry | undefined {
    return this.#heap[0];
  }

  /** Puts an entry in, or moves it when it is in already. */
  put(entry: Entry, dueMs: number): void {
    entry.dueMs = dueMs;
    if (entry.heapIndex < 0) {
      entry.heapIndex = this.#heap.length;
      this.#heap.push(entry);
    }
    this.#settle(entry);
  }

  /** Takes an entry out; does nothing when it isn't in. */
  remove(entry: Entry): void {
    const index = entry.heapIndex;
    if (this.#heap[index] !== entry) return;
    const last = this.#heap.pop()!;
    entry.heapIndex = -1;
    if (last === entry) return;
    this.#heap[index] = last;
    last.heapIndex = index;
    this.#settle(last);
  }

  #settle(entry: Entry): void {
    this.#rise(entry);
    this.#sink(entry);
  }

  #rise(entry: Entry): void {
    while (entry.heapIndex > 0) {
      const parent = this.#heap[(entry.heapIndex - 1) >> 1]!;
      if (parent.dueMs <= entry.dueMs) return;
      this.#swap(parent, entry);
    }
  }

  #sink(entry: Entry): void {
    for (;;) {
      const left = this.#heap[entry.heapIndex * 2 + 1];
      const right = this.#heap[entry.heapIndex * 2 + 2];
      const child = right && right.dueMs < left!.dueMs ? right : left;
      if (!child || child.dueMs >= entry.dueMs) return;
      this.#swap(entry, child);
    }
  }

  #swap(upper: Entry, lower: Entry): void {
    const index = upper.heapIndex;
    upper.heapIndex = lower.heapIndex;
    lower.heapIndex = index;
    this.#heap[upper.heapIndex] = upper;
    this.#heap[lower.heapIndex] = lower;
  }
}
