/**
 * Reading a snapshot: the sections as typed arrays, and the look-up of a name.
 *
 * @module
 */
import { ENTRY, HEADER, MAGIC } from "./layout.ts";
import { firstSlot } from "./names.ts";

/** A compiled state of the world; never written again once it is made. */
export interface Snapshot {
  /** Grows with every snapshot of a process. */
  readonly epoch: number;
  /** Laid out as `layout.ts` says. */
  readonly tables: SharedArrayBuffer;
}

/** A snapshot opened for reading; opening allocates, reading doesn't. */
export class SnapshotView {
  /** Of the snapshot. */
  readonly epoch: number;
  /** See `layout.ts`. */
  readonly records: Uint32Array;
  /** Names, finished resource records and addresses. */
  readonly heap: Uint8Array;
  /** Service record of the static fallback, or 0. */
  readonly fallback: number;
  /** List ids run from 0 to this. */
  readonly listCount: number;
  /** Members of all lists together. */
  readonly listMemberCount: number;
  readonly #names: Int32Array;
  readonly #nameMask: number;

  /**
   * Opens a snapshot.
   *
   * @throws {TypeError} when the buffer is no snapshot
   */
  constructor(snapshot: Snapshot) {
    const header = new Uint32Array(snapshot.tables, 0, HEADER.size);
    if (header[HEADER.magic] !== MAGIC) {
      throw new TypeError("Cannot open a snapshot: the buffer holds something else");
    }
    this.epoch = snapshot.epoch;
    this.records = new Uint32Array(
      snapshot.tables,
      header[HEADER.recordsAt]! * 4,
      header[HEADER.recordWords]!,
    );
    this.heap = new Uint8Array(snapshot.tables, header[HEADER.heapAt]!, header[HEADER.heapBytes]!);
    this.fallback = header[HEADER.fallback]!;
    this.listCount = header[HEADER.lists]!;
    this.listMemberCount = header[HEADER.listMembers]!;
    this.#nameMask = header[HEADER.nameMask]!;
    this.#names = new Int32Array(snapshot.tables, header[HEADER.namesAt]! * 4, (this.#nameMask + 1) * 2);
  }

  /**
   * Finds the entry of a name.
   *
   * @param hash by `names.ts`
   * @param name holds the lower-case wire name from `at` to `end`
   * @returns the entry record, or 0 when the name doesn't exist
   */
  find(hash: number, name: Uint8Array, at: number, end: number): number {
    const names = this.#names;
    for (let slot = firstSlot(hash, this.#nameMask);; slot = (slot + 1) & this.#nameMask) {
      const entry = names[slot * 2 + 1]!;
      if (entry === 0) return 0;
      if (names[slot * 2] === hash && this.#named(entry, name, at, end)) return entry;
    }
  }

  /** Finds `*.NAME`, where NAME lies in `name` from `at` to `end` and `hash` is the wildcard's. */
  findWildcard(hash: number, name: Uint8Array, at: number, end: number): number {
    const names = this.#names;
    for (let slot = firstSlot(hash, this.#nameMask);; slot = (slot + 1) & this.#nameMask) {
      const entry = names[slot * 2 + 1]!;
      if (entry === 0) return 0;
      if (names[slot * 2] === hash && this.#isWildcardOf(entry, name, at, end)) return entry;
    }
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
