/**
 * Reading a snapshot: the sections as typed arrays, and the look-up of a name.
 *
 * @module
 */
import type { Atlas } from "../geo/geo_data.ts";
import { ENTRY, MAGIC, NEED_PERCENT, ROOT } from "./layout.ts";
import { weightOf } from "../shared_weight.ts";
import { firstSlot, hashAsterisk } from "./name_hash.ts";

/** A compiled state of the world; laid out as `layout.ts` says. */
export interface Snapshot {
  /** Grows with every snapshot of a process. */
  readonly epoch: number;
  /** Hash table of names. */
  readonly names: SharedArrayBuffer;
  /** Everything that refers to something. */
  readonly records: SharedArrayBuffer;
  /** Bytes that records refer to. */
  readonly heap: SharedArrayBuffer;
  /** What is known of clients. */
  readonly atlas: Atlas;
}

/** A snapshot opened for reading; opening allocates, reading doesn't. */
export class SnapshotView {
  /** Of the snapshot. */
  readonly epoch: number;
  /** See `layout.ts`. */
  readonly records: Uint32Array;
  /** Names, finished resource records and addresses. */
  readonly heap: Uint8Array;
  /** With which hashes of names begin. */
  readonly seed: number;
  /** Hash of the label `*`. */
  readonly asterisk: number;
  readonly #names: Int32Array;
  readonly #nameMask: number;
  /** Lets the garbage collector know what goes when this goes. */
  readonly weight: ArrayBuffer;

  /**
   * Opens a snapshot.
   *
   * @throws {TypeError} when the buffers are no snapshot
   */
  constructor(snapshot: Snapshot) {
    this.epoch = snapshot.epoch;
    this.records = new Uint32Array(snapshot.records);
    if (this.records[ROOT.magic] !== MAGIC) {
      throw new TypeError("Cannot open a snapshot: the buffer holds something else");
    }
    this.heap = new Uint8Array(snapshot.heap);
    this.seed = this.records[ROOT.seed]! | 0;
    this.asterisk = hashAsterisk(this.seed);
    this.#names = new Int32Array(snapshot.names);
    this.#nameMask = this.#names.length / 2 - 1;
    this.weight = weightOf([snapshot.names, snapshot.records, snapshot.heap]);
  }

  /** Service record of the static fallback, or 0. */
  get fallback(): number {
    return this.records[ROOT.fallback]!;
  }

  /** List ids run from 0 to this. */
  get listsMax(): number {
    return this.records[ROOT.listsMax]!;
  }

  /** Members that all lists together may have. */
  get listMembersMax(): number {
    return this.records[ROOT.listMembersMax]!;
  }

  /**
   * Finds the entry of a name.
   *
   * @param hash by `names.ts`
   * @param name holds the lower-case wire name from `at` to `end`
   * @returns the entry record, or 0 when there is neither the name nor one below it. An entry without a zone has a name
   *   below it that is a zone of its own: it exists if any name above it is in a zone
   */
  find(hash: number, name: Uint8Array, at: number, end: number): number {
    const names = this.#names;
    for (let slot = firstSlot(hash, this.#nameMask);; slot = (slot + 1) & this.#nameMask) {
      const entry = names[slot * 2 + 1]!;
      if (entry === 0) return 0;
      if (names[slot * 2] === hash && this.#named(entry, name, at, end)) return this.#living(entry);
    }
  }

  /** Finds `*.NAME`, where NAME lies in `name` from `at` to `end` and `hash` is the wildcard's. */
  findWildcard(hash: number, name: Uint8Array, at: number, end: number): number {
    const names = this.#names;
    for (let slot = firstSlot(hash, this.#nameMask);; slot = (slot + 1) & this.#nameMask) {
      const entry = names[slot * 2 + 1]!;
      if (entry === 0) return 0;
      if (names[slot * 2] === hash && this.#isWildcardOf(entry, name, at, end)) return this.#living(entry);
    }
  }

  /** A name that was taken away keeps its entry, with no zone, and no name below it. */
  #living(entry: number): number {
    return this.records[entry + ENTRY.zone] === 0 && this.records[entry + ENTRY.children] === 0 ? 0 : entry;
  }

  #named(entry: number, name: Uint8Array, at: number, end: number): boolean {
    const length = end - at;
    if (this.records[entry + ENTRY.nameLength] !== length) return false;
    return this.#equal(this.records[entry + ENTRY.nameAt]!, name, at, length);
  }

  #isWildcardOf(entry: number, name: Uint8Array, at: number, end: number): boolean {
    const length = end - at;
    if (this.records[entry + ENTRY.nameLength] !== length + 2) return false;
    const nameAt = this.records[entry + ENTRY.nameAt]!;
    return this.heap[nameAt] === 1 && this.heap[nameAt + 1] === 0x2a &&
      this.#equal(nameAt + 2, name, at, length);
  }

  #equal(heapAt: number, name: Uint8Array, at: number, length: number): boolean {
    const heap = this.heap;
    for (let i = 0; i < length; i++) if (heap[heapAt + i] !== name[at + i]) return false;
    return true;
  }
}

/** How many of `count` members have to be up for a pool not to count as down; `minHealthy` as in its record. */
export function neededOf(count: number, minHealthy: number): number {
  if (minHealthy < NEED_PERCENT) return minHealthy > 1 ? minHealthy : 1;
  return Math.max(1, Math.ceil(count * (minHealthy - NEED_PERCENT) / 100));
}
