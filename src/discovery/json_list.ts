/**
 * Lists in JSON that come again and again, and of which little is another each time: what stands between the bytes that are as
 * they were is taken apart, and nothing else.
 *
 * ```text
 * as it was   {"instances":[ {…1…} , {…2…} , {…3…} ]}
 * as it is    {"instances":[ {…1…} , {…new…} , {…3…} ]}
 *             as it was ─────────┘           └──────── as it was
 * ```
 *
 * The bytes before and behind stood in a document that was right, and end and begin between two of its elements. So where what is
 * between them is elements of a list by itself, the whole is a document that is right, and these are its elements.
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** Elements that stand where others stood. */
export interface ListDifference {
  /** The first of those that stood there. */
  readonly from: number;
  /** The one behind the last of them. */
  readonly to: number;
  /** Those that stand there now. */
  readonly elements: readonly unknown[];
  /** Their text. */
  readonly text: string;
  /** Where that begins in the document. */
  readonly at: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const LIST = 0x5b;
const BACKSLASH = 0x5c;
const LIST_END = 0x5d;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;

/** A list as it was when it came last. */
export class JsonList {
  /** The document; there may be room behind it. */
  #bytes: Uint8Array = new Uint8Array(0);
  #size = 0;
  /** Where the list begins, the comma behind each element but the last, and where it ends; there may be room behind them. */
  #bounds: Uint32Array = new Uint32Array(0);
  #length = 0;

  private constructor(bytes: Uint8Array, bounds: readonly number[]) {
    this.#bounds = Uint32Array.from(bounds);
    this.#length = bounds.length - 1;
    this.#keep(bytes);
  }

  /**
   * A list of a document that is JSON.
   *
   * @param opening how it begins, with its bracket, where it isn't the first of the document: nothing before it may be written so
   * @returns `null` = there is none, or it is empty
   */
  static of(bytes: Uint8Array, opening = "["): JsonList | null {
    const at = asBuffer(bytes).indexOf(opening);
    if (at < 0) return null;
    const start = at + opening.length - 1;
    const commas = commasIn(bytes, start + 1, bytes.length);
    const list = new JsonList(bytes, [start, ...commas.at, commas.end]);
    return list.length === 1 && list.#difference(bytes, 0, 1) === null ? null : list;
  }

  /** How many elements it has. */
  get length(): number {
    return this.#length;
  }

  /** Bytes that it takes. */
  get size(): number {
    return this.#bytes.length + this.#bounds.byteLength;
  }

  /**
   * What is another in this document.
   *
   * @param bytesMax what may be taken apart at once
   * @returns `null` = it is to be read as a whole
   */
  difference(bytes: Uint8Array, bytesMax = Infinity): ListDifference | null {
    const common = Math.min(this.#size, bytes.length);
    let before = 0;
    while (before < common && this.#bytes[before] === bytes[before]) before++;
    if (before === this.#size && before === bytes.length) {
      return { from: 0, to: 0, elements: [], text: "", at: 0 };
    }
    const from = this.#lastBefore(before);
    if (from < 0 || from === this.#length) return null;
    const behindMax = common - this.#bounds[from]! - 1;
    const [end, endBefore] = [bytes.length - 1, this.#size - 1];
    let behind = 0;
    while (behind < behindMax && this.#bytes[endBefore - behind] === bytes[end - behind]) behind++;
    const to = Math.max(from, this.#lastBefore(this.#size - behind)) + 1;
    if (to > this.#length) return null;
    const size = bytes.length - (this.#size - this.#bounds[to]!) - this.#bounds[from]!;
    return size > bytesMax ? null : this.#difference(bytes, from, to);
  }

  /** Makes it what the document says. @param difference of the same document */
  follow(bytes: Uint8Array, { from, to, at, elements }: ListDifference): void {
    if (to === 0) return;
    const delta = bytes.length - this.#size;
    const { at: commas } = commasIn(bytes, at, this.#bounds[to]! + delta);
    const length = this.#length - (to - from) + elements.length;
    const before = this.#bounds;
    if (length + 1 > before.length) {
      this.#bounds = new Uint32Array(roomFor(length + 1));
      this.#bounds.set(before.subarray(0, from + 1));
    }
    const behind = from + elements.length;
    this.#bounds.set(before.subarray(to, this.#length + 1), behind);
    this.#bounds.set(commas, from + 1);
    if (delta !== 0) { for (let i = behind; i <= length; i++) this.#bounds[i]! += delta; }
    this.#length = length;
    this.#keep(bytes);
  }

  /** @returns the last bound before a place; −1 = there is none */
  #lastBefore(place: number): number {
    let [low, high] = [0, this.#length + 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#bounds[middle]! < place) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #difference(bytes: Uint8Array, from: number, to: number): ListDifference | null {
    const at = this.#bounds[from]! + 1;
    let text: string;
    let elements: unknown[];
    try {
      text = DECODER.decode(bytes.subarray(at, bytes.length - (this.#size - this.#bounds[to]!)));
      elements = JSON.parse(`[${text}]`);
    } catch (cause) {
      if (cause instanceof SyntaxError || cause instanceof TypeError) return null;
      throw cause;
    }
    // Nothing between two commas isn't JSON.
    if (elements.length === 0) return null;
    return { from, to, elements, text, at };
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length > this.#bytes.length) this.#bytes = new Uint8Array(roomFor(bytes.length));
    this.#bytes.set(bytes);
    this.#size = bytes.length;
  }
}

/** Room for the lists of one registry, which aren't compared any more beyond it. */
export class ListRoom {
  readonly #max: number;
  readonly #sizes = new Map<JsonList, number>();
  #taken = 0;

  /** Nothing is kept yet. @param max bytes */
  constructor(max: number) {
    this.#max = max;
  }

  /** Takes what a list takes now. @returns whether there is so much; otherwise it is to be let go */
  keep(list: JsonList): boolean {
    this.drop(list);
    if (this.#taken + list.size > this.#max) return false;
    this.#sizes.set(list, list.size);
    this.#taken += list.size;
    return true;
  }

  /** Gives back what it takes; one that takes nothing gives nothing back. */
  drop(list: JsonList | null): void {
    if (list === null) return;
    this.#taken -= this.#sizes.get(list) ?? 0;
    this.#sizes.delete(list);
  }
}

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Room for so many, and some that may come. */
function roomFor(count: number): number {
  return count + (count >>> 3) + 16;
}

/** The commas between elements, from the start of the first to the end of the list, or to a place. */
function commasIn(bytes: Uint8Array, from: number, until: number): { at: number[]; end: number } {
  const at: number[] = [];
  let depth = 0;
  let end = from;
  for (; end < until; end++) {
    const byte = bytes[end]!;
    if (byte === QUOTE) {
      for (end++; end < until && bytes[end] !== QUOTE; end++) if (bytes[end] === BACKSLASH) end++;
    } else if (byte === LIST || byte === OBJECT) depth++;
    else if (byte === LIST_END || byte === OBJECT_END) {
      if (depth-- === 0) break;
    } else if (byte === COMMA && depth === 0) at.push(end);
  }
  return { at, end };
}
