/**
 * The memory of a snapshot while it is written: shared buffers that grow by being copied as long as no one else
 * reads them, and are full when they are full from then on.
 *
 * @module
 */
import { weightOf } from "../shared_weight.ts";
import { createShared } from "../shared_memory.ts";

/** Bytes in shared memory. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>;

/** There is no room for a change; a whole new snapshot has it. */
export class OutOfRoom extends Error {
  /** The class, in logs. */
  override readonly name = "OutOfRoom";
}

/** Room left for later changes: this share of what is in use, and at least so many bytes. */
const SPARE_SHARE = 1 / 8;
const SPARE_BYTES_MIN = 64 * 1024;

/** Bytes of a memory in which so many are in use and there is room for later changes. */
export function withSpare(used: number): number {
  return Math.ceil((used + Math.max(SPARE_BYTES_MIN, used * SPARE_SHARE)) / 4096) * 4096;
}

/** Shared bytes of which the first `used` are in use. Pages that were never touched cost no memory. */
class Memory {
  buffer: SharedArrayBuffer;
  used = 0;
  /** Of the buffer: to ask a shared buffer for its `byteLength` is slow. */
  #size: number;
  #sealed = false;
  /** Lets the garbage collector know what each step of growing leaves behind. */
  #weight: ArrayBuffer | null = null;

  constructor(bytes: number) {
    this.#size = withSpare(bytes);
    this.buffer = createShared(this.#size);
  }

  /** Whether others read it. */
  get isSealed(): boolean {
    return this.#sealed;
  }

  /** Takes over what was in use in an earlier process: the memory itself, from its beginning. */
  load(bytes: SharedBytes): void {
    this.buffer = bytes.buffer;
    this.#size = bytes.buffer.byteLength;
    this.used = bytes.length;
  }

  /** What is in use. */
  inUse(): SharedBytes {
    return new Uint8Array(this.buffer, 0, this.used);
  }

  /**
   * Makes room behind what is in use.
   *
   * @throws {OutOfRoom} when it would have to grow and is sealed
   */
  reserve(bytes: number): number {
    const at = this.used;
    if (at + bytes > this.#size) this.#grow(at + bytes);
    this.used += bytes;
    return at;
  }

  /** From now on others read it: nothing in use moves any more. */
  seal(): void {
    const size = withSpare(this.used);
    if (size > this.#size) this.#grow(size);
    this.#sealed = true;
    this.#weight = null;
  }

  #grow(bytes: number): void {
    if (this.#sealed) throw new OutOfRoom(`${this.#size} bytes are in use`);
    this.#size = Math.max(this.#size * 2, Math.ceil(bytes / 4096) * 4096);
    const grown = createShared(this.#size);
    new Uint8Array(grown).set(new Uint8Array(this.buffer, 0, this.used));
    this.buffer = grown;
    this.#weight = weightOf([grown]);
  }
}

/** Records: 32-bit words. */
export class Words {
  readonly #memory: Memory;
  #words: Uint32Array<SharedArrayBuffer>;
  /** What is held back, by position; `null` = nothing is. */
  #pending: Map<number, number> | null = null;
  /** The view's, since to ask a view for its buffer is slow. */
  #viewed: SharedArrayBuffer;

  /** Empty, with room for so many bytes before it has to grow. */
  constructor(bytes: number) {
    this.#memory = new Memory(Math.max(64 * 1024, bytes));
    this.#viewed = this.#memory.buffer;
    this.#words = new Uint32Array(this.#viewed);
  }

  /** What to hand to readers, once sealed. */
  get buffer(): SharedArrayBuffer {
    return this.#memory.buffer;
  }

  /** What is in use, to be kept for a later process. */
  inUse(): SharedBytes {
    return this.#memory.inUse();
  }

  /** Takes over what was in use in an earlier process: the memory itself, from its beginning. */
  load(bytes: SharedBytes): void {
    this.#memory.load(bytes);
    this.#view();
  }

  /** Bytes in use. */
  get bytes(): number {
    return this.#memory.used;
  }

  /**
   * Makes room for `count` zero words and returns the position of the first.
   *
   * @throws {OutOfRoom} when sealed and full
   */
  reserve(count: number): number {
    const at = this.#memory.reserve(count * 4) / 4;
    if (this.#viewed !== this.#memory.buffer) this.#view();
    return at;
  }

  /** The word at a position, as it will be. */
  get(at: number): number {
    return this.#pending === null ? this.#words[at]! : this.#pending.get(at) ?? this.#words[at]!;
  }

  /** Writes a word that no reader can reach yet, or that only the writer looks at. */
  set(at: number, word: number): void {
    this.#words[at] = word;
  }

  /** Writes a word that readers may be looking at; whoever sees it sees all that was written before it. */
  publish(at: number, word: number): void {
    if (this.#pending !== null) this.#pending.set(at, word);
    else if (this.#memory.isSealed) Atomics.store(this.#words, at, word);
    else this.#words[at] = word;
  }

  /** Holds back what is published from now on until `commit`. */
  begin(): void {
    this.#pending = new Map();
  }

  /**
   * Lets readers see what was held back.
   *
   * @param sequenceAt a word that is odd meanwhile, and has moved on by two afterwards
   */
  commit(sequenceAt: number): void {
    const pending = this.#pending!;
    this.#pending = null;
    if (pending.size === 0) return;
    Atomics.add(this.#words, sequenceAt, 1);
    for (const [at, word] of pending) Atomics.store(this.#words, at, word);
    Atomics.add(this.#words, sequenceAt, 1);
  }

  /** Drops what was held back. */
  rollBack(): void {
    this.#pending = null;
  }

  /** Leaves room for changes and moves no more. */
  seal(): void {
    this.#memory.seal();
    this.#view();
  }

  #view(): void {
    this.#viewed = this.#memory.buffer;
    this.#words = new Uint32Array(this.#viewed);
  }
}

/** The heap: bytes. */
export class Bytes {
  readonly #memory: Memory;
  #bytes: Uint8Array<SharedArrayBuffer>;
  /** The view's, since to ask a view for its buffer is slow. */
  #viewed: SharedArrayBuffer;

  /** Empty, with room for so many bytes before it has to grow. */
  constructor(bytes: number) {
    this.#memory = new Memory(Math.max(256 * 1024, bytes));
    this.#viewed = this.#memory.buffer;
    this.#bytes = new Uint8Array(this.#viewed);
  }

  /** What to hand to readers, once sealed. */
  get buffer(): SharedArrayBuffer {
    return this.#memory.buffer;
  }

  /** What is in use, to be kept for a later process. */
  inUse(): SharedBytes {
    return this.#memory.inUse();
  }

  /** Takes over what was in use in an earlier process: the memory itself, from its beginning. */
  load(bytes: SharedBytes): void {
    this.#memory.load(bytes);
    this.#view();
  }

  /** Bytes in use. */
  get length(): number {
    return this.#memory.used;
  }

  /**
   * Copies `bytes`, or those from `start` on, to the end and returns where they begin.
   *
   * @throws {OutOfRoom} when sealed and full
   */
  append(bytes: Uint8Array, start = 0): number {
    const at = this.#memory.reserve(bytes.length - start);
    if (this.#viewed !== this.#memory.buffer) this.#view();
    // What comes is short: a call of `set` would cost more than the bytes do.
    for (let i = start; i < bytes.length; i++) this.#bytes[at + i - start] = bytes[i]!;
    return at;
  }

  /** A copy of the bytes at a position. */
  read(at: number, length: number): Uint8Array {
    return this.#bytes.slice(at, at + length);
  }

  /** Whether these bytes, or those from `start` on, lie at a position. */
  holdsAt(at: number, bytes: Uint8Array, start = 0): boolean {
    for (let i = start; i < bytes.length; i++) if (this.#bytes[at + i - start] !== bytes[i]) return false;
    return true;
  }

  /** Leaves room for changes and moves no more. */
  seal(): void {
    this.#memory.seal();
    this.#view();
  }

  #view(): void {
    this.#viewed = this.#memory.buffer;
    this.#bytes = new Uint8Array(this.#viewed);
  }
}
