/**
 * Finds the record of a pool by the pool's id.
 *
 * @module
 */
import { POOL } from "./layout.ts";
import type { Words } from "./memory.ts";
import { hashText } from "./name_hash.ts";

/**
 * Pool records by id: open addressing over their positions, since a map of a million strings would take more memory
 * than the pools. A record that was removed stays in its slot, nameless, so that probing goes on behind it.
 */
export class PoolIndex {
  readonly #records: Words;
  #slots: Uint32Array<ArrayBuffer>;
  #used = 0;
  readonly #words = new Uint32Array(4);
  /**
   * Records in the order in which they were added, and the one after the last that was found there: services mostly
   * come in the order of their pools, and then no look-up has to go where no cache reaches. Only while all is written.
   */
  #order: number[] | null = [];
  #next = 0;

  /** Finds nothing yet. @param expected how many pools there will be, about */
  constructor(records: Words, expected: number) {
    this.#records = records;
    let slots = 2048;
    while (expected * 2 > slots) slots *= 2;
    this.#slots = new Uint32Array(slots);
  }

  /** What is looked up from now on comes in no order. */
  seal(): void {
    this.#order = null;
  }

  /** Slots in use, those of removed pools included. */
  get used(): number {
    return this.#used;
  }

  /** What a later process can take over. */
  inUse(): Uint8Array {
    return new Uint8Array(this.#slots.buffer);
  }

  /** Takes over what an earlier process had in use. */
  load(bytes: Uint8Array, used: number): void {
    this.#slots = new Uint32Array(bytes.length / 4);
    new Uint8Array(this.#slots.buffer).set(bytes);
    this.#used = used;
  }

  /** The record, or 0. */
  find(id: string): number {
    this.#read(id);
    const guess = this.#order?.[this.#next];
    if (guess !== undefined && this.#isRead(guess)) {
      this.#next++;
      return guess;
    }
    const mask = this.#slots.length - 1;
    for (let slot = mixed(this.#words) & mask;; slot = (slot + 1) & mask) {
      const record = this.#slots[slot]!;
      if (record === 0 || this.#isRead(record)) return this.#found(record);
    }
  }

  /** Goes on guessing behind a record that was found otherwise; records ascend in the order of their making. */
  #found(record: number): number {
    const order = this.#order;
    if (record === 0 || order === null) return record;
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (order[middle]! <= record) low = middle + 1;
      else high = middle;
    }
    this.#next = low;
    return record;
  }

  /** Places for records, most of them empty. */
  get places(): number {
    return this.#slots.length;
  }

  /** The records of pools that lie between two places. */
  *between(from: number, to: number): Generator<number> {
    for (let place = from; place < Math.min(to, this.#slots.length); place++) {
      const record = this.#slots[place]!;
      if (record !== 0 && !this.#isRemoved(record)) yield record;
    }
  }

  /** The id that a record was given, if it was 32 hex digits. */
  idOf(record: number): string {
    let id = "";
    for (let i = 0; i < 4; i++) {
      id += (this.#records.get(record + POOL.id + i) >>> 0).toString(16).padStart(8, "0");
    }
    return id;
  }

  #isRemoved(record: number): boolean {
    for (let i = 0; i < 4; i++) if (this.#records.get(record + POOL.id + i) !== 0) return false;
    return true;
  }

  /** Gives a record its id. */
  add(id: string, record: number): void {
    if (++this.#used * 2 > this.#slots.length) this.#grow();
    this.#order?.push(record);
    this.#read(id);
    for (let i = 0; i < 4; i++) this.#records.set(record + POOL.id + i, this.#words[i]!);
    this.#insert(record);
  }

  /** Takes its id from a record. */
  remove(id: string): void {
    const record = this.find(id);
    if (record !== 0) { for (let i = 0; i < 4; i++) this.#records.publish(record + POOL.id + i, 0); }
  }

  #isRead(record: number): boolean {
    for (let i = 0; i < 4; i++) if (this.#records.get(record + POOL.id + i) !== this.#words[i]) return false;
    return true;
  }

  /** 32 hex digits as they are; what isn't, the fallback's name and ids of tests, by hash. */
  #read(id: string): void {
    if (id.length === 32 && this.#readHex(id)) return;
    for (let i = 0; i < 4; i++) this.#words[i] = hashText(id, i);
  }

  #readHex(id: string): boolean {
    for (let i = 0; i < 4; i++) {
      let word = 0;
      for (let at = i * 8; at < i * 8 + 8; at++) {
        const code = id.charCodeAt(at);
        const digit = code >= 0x61 && code <= 0x66 ? code - 0x57 : code - 0x30;
        if (digit < 0 || digit > 15 || (digit > 9 && code < 0x61)) return false;
        word = word << 4 | digit;
      }
      this.#words[i] = word;
    }
    return true;
  }

  #insert(record: number): void {
    const mask = this.#slots.length - 1;
    for (let i = 0; i < 4; i++) this.#words[i] = this.#records.get(record + POOL.id + i);
    let slot = mixed(this.#words) & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = record;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (const record of old) if (record !== 0) this.#insert(record);
  }
}

/** Four words in one; ids may be random in any part of theirs, or in none. */
function mixed(words: Uint32Array): number {
  let hash = 0;
  for (let i = 0; i < 4; i++) hash = Math.imul(hash ^ words[i]!, 0x9e3779b1) ^ (hash >>> 15);
  return hash ^ (hash >>> 16);
}
