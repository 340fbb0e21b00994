/**
 * The hash table of names: which entry record a name has.
 *
 * @module
 */
import { ENTRY } from "./layout.ts";
import { type Bytes, OutOfRoom, type SharedBytes, type Words } from "./memory.ts";
import { firstSlot, hashLabel, hashSuffix, LABELS_MAX, labelStarts } from "./name_hash.ts";
import { createShared } from "../shared_memory.ts";

/** What a table is made with. */
export interface NameTableOptions {
  /** Where entries lie. */
  readonly records: Words;
  /** Where their names lie. */
  readonly heap: Bytes;
  /** With which hashes begin. */
  readonly seed: number;
  /** How many names there will be, about. */
  readonly expected: number;
}

/** The hash table of names. */
export class NameTable {
  readonly #records: Words;
  readonly #heap: Bytes;
  #count = 0;
  #slots: Int32Array;
  #isSealed = false;
  #seed: number;
  /** Of the name that was hashed last: where its labels begin, and the hash of each of its suffixes. */
  readonly #starts = new Uint8Array(LABELS_MAX);
  readonly #hashes = new Int32Array(LABELS_MAX);

  /** Has no name yet. */
  constructor({ records, heap, seed, expected }: NameTableOptions) {
    this.#records = records;
    this.#heap = heap;
    this.#seed = seed;
    let slots = 1024;
    while (expected * 5 > slots * 2) slots *= 2;
    this.#slots = new Int32Array(createShared(slots * 2 * 4));
  }

  /** What to hand to readers, once sealed. */
  get buffer(): SharedArrayBuffer {
    return this.#slots.buffer as SharedArrayBuffer;
  }

  /** Names in the table. */
  get count(): number {
    return this.#count;
  }

  /** What a later process can take over. */
  inUse(): SharedBytes {
    return new Uint8Array(this.buffer);
  }

  /** Takes over what was in use in an earlier process. */
  load(bytes: SharedBytes, { count, seed }: { readonly count: number; readonly seed: number }): void {
    this.#slots = new Int32Array(bytes.buffer, 0, bytes.length / 4);
    this.#count = count;
    this.#seed = seed;
  }

  /** Hashes every suffix of a lower-case name, for `findFrom` and `add`; returns the number of labels. */
  hash(name: Uint8Array): number {
    const count = labelStarts(name, this.#starts);
    let hash = this.#seed;
    this.#hashes[count - 1] = hash;
    for (let label = count - 2; label >= 0; label--) {
      hash = hashSuffix(hash, hashLabel(this.#seed, name, this.#starts[label]!));
      this.#hashes[label] = hash;
    }
    return count;
  }

  /** Where the given label of the hashed name begins. */
  startOf(label: number): number {
    return this.#starts[label]!;
  }

  /** The entry of a name, or 0; the name is the one that was hashed last then. */
  find(name: Uint8Array): number {
    this.hash(name);
    return this.findFrom(name, 0);
  }

  /** The entry of the suffix of the hashed name that begins with the given label, or 0. */
  findFrom(name: Uint8Array, label: number): number {
    const hash = this.#hashes[label]!;
    const start = this.#starts[label]!;
    const mask = this.#slots.length / 2 - 1;
    for (let slot = firstSlot(hash, mask);; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot * 2 + 1]!;
      if (entry === 0 || (this.#slots[slot * 2] === hash && this.#isOf(entry, name, start))) return entry;
    }
  }

  #isOf(entry: number, name: Uint8Array, start: number): boolean {
    return this.#records.get(entry + ENTRY.nameLength) === name.length - start &&
      this.#heap.holdsAt(this.#records.get(entry + ENTRY.nameAt), name, start);
  }

  /**
   * Adds the entry of the suffix of the hashed name that begins with the given label.
   *
   * @throws {OutOfRoom} when sealed and half full
   */
  add(label: number, entry: number): void {
    if ((this.#count + 1) * 4 > this.#slots.length) {
      if (this.#isSealed) throw new OutOfRoom(`${this.#count} names`);
      this.#grow();
    }
    this.#count++;
    this.#insert(this.#hashes[label]!, entry);
  }

  /** Leaves room for later names and moves no more. */
  seal(): void {
    if (this.#count * 5 > this.#slots.length) this.#grow();
    this.#isSealed = true;
  }

  #insert(hash: number, entry: number): void {
    const mask = this.#slots.length / 2 - 1;
    let slot = firstSlot(hash, mask);
    while (this.#slots[slot * 2 + 1] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot * 2] = hash;
    if (this.#isSealed) Atomics.store(this.#slots, slot * 2 + 1, entry);
    else this.#slots[slot * 2 + 1] = entry;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(createShared(old.byteLength * 2));
    for (let i = 0; i < old.length; i += 2) if (old[i + 1] !== 0) this.#insert(old[i]!, old[i + 1]!);
  }
}
