/**
 * Fetching from memory for several queries at once.
 *
 * With more names than the processor keeps at hand a look-up waits for memory five to nine times, each time for what it needs
 * to know where to look next: the slot, the entry, the name, the service, its pool, the list. Those of one query can't
 * overlap, those of different queries can: here each step is taken for all of them before the next one, so that the
 * processor has many fetches under way. What is read is thrown away; the engine then finds it at hand. With 10,000
 * names this saves a tenth of an answer, with a million a sixth (docs/performance.md).
 *
 * What is found is only a guess, since names are not compared: a wrong one costs a fetch and nothing else.
 *
 * @module
 */
import { ENTRY, LIST, POOL, RRSET, SERVICE } from "./layout.ts";
import { firstSlot } from "./name_hash.ts";
import type { SnapshotView } from "./view.ts";

/** The fetching for one snapshot. */
export class Prefetch {
  /** Hashes of the names asked for, by `name_hash.ts`. */
  readonly hashes: Int32Array;
  /** Something that depends on all that was read, or the compiler would leave it out. */
  touched = 0;
  readonly #names: Int32Array;
  readonly #mask: number;
  readonly #records: Uint32Array;
  readonly #heap: Uint8Array;
  readonly #entries: Uint32Array;
  readonly #services: Uint32Array;
  readonly #rrsets: Uint32Array;
  readonly #heapAt: Uint32Array;

  /**
   * Reads nothing yet.
   *
   * @param max queries at once
   */
  constructor(view: SnapshotView, max: number) {
    this.hashes = new Int32Array(max);
    this.#names = view.names;
    this.#mask = view.nameMask;
    this.#records = view.records;
    this.#heap = view.heap;
    this.#entries = new Uint32Array(max);
    this.#services = new Uint32Array(max);
    this.#rrsets = new Uint32Array(max);
    this.#heapAt = new Uint32Array(max);
  }

  /** Reads what the first `count` of `hashes` lead to. */
  touch(count: number): void {
    const { hashes } = this;
    const names = this.#names;
    const mask = this.#mask;
    const records = this.#records;
    const heap = this.#heap;
    const entries = this.#entries;
    const services = this.#services;
    const rrsets = this.#rrsets;
    const heapAt = this.#heapAt;
    let touched = 0;
    for (let i = 0; i < count; i++) entries[i] = names[firstSlot(hashes[i]!, mask) * 2 + 1]!;
    for (let i = 0; i < count; i++) {
      const entry = entries[i]!;
      heapAt[i] = records[entry + ENTRY.nameAt]!;
      services[i] = records[entry + ENTRY.service]!;
      rrsets[i] = records[entry + ENTRY.rrset]!;
    }
    for (let i = 0; i < count; i++) {
      touched ^= heap[heapAt[i]!]!;
      heapAt[i] = records[rrsets[i]! + RRSET.at]!;
      services[i] = records[services[i]! + SERVICE.pool]!;
    }
    for (let i = 0; i < count; i++) {
      touched ^= heap[heapAt[i]!]!;
      services[i] = records[services[i]! + POOL.list4]!;
    }
    for (let i = 0; i < count; i++) touched ^= records[services[i]! + LIST.members]!;
    this.touched = touched;
  }
}
