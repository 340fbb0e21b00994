/**
 * Map files as tables: which addresses clients of a prefix are sent to, found without a step of allocation.
 *
 * Nested prefixes are laid out flat when the file is compiled: each family becomes ranges of addresses, sorted,
 * disjoint and without gaps, each with the rule of the longest prefix that holds it, or with 0. Then a look-up is a
 * binary search for the last range that begins at or before an address. A *rule* is a list of addresses: lines that
 * name the same ones share it, and neighbouring ranges with the same rule are joined, so two addresses lie in
 * different ranges only if there is a place between them where the rule changes.
 *
 * The table is one buffer of 32-bit words, and bytes at the end:
 *
 * | section        | words                                                                              |
 * | -------------- | ---------------------------------------------------------------------------------- |
 * | head           | `HEAD`: the mark, then how many there are of everything                            |
 * | starts         | first address of each IPv4 range (1 word), then of each IPv6 range (4 words)       |
 * | rules          | of each range, IPv4 first                                                          |
 * | index          | for each value of the first `indexBits` bits: the IPv4 range that holds its start  |
 * | lists          | where the addresses of each rule begin, and where the last ones end                |
 * | prefixes       | address and line of each prefix as written, IPv4 first: what `origin` tells        |
 * | addresses      | of the lists, 16 bytes each, IPv4 as `::ffff:a.b.c.d`                              |
 * | lengths        | a byte for each prefix, IPv4 first                                                 |
 *
 * @module
 */
import {
  ADDRESS,
  type AddressLists,
  LENGTH,
  LINE,
  LIST,
  type MapPrefixes,
  type MapProblem,
  type MapRules,
  readMapText,
} from "./map_file_text.ts";
import { familyOf, maskBits, type Prefix } from "../ip.ts";

/**
 * Compiles a map file.
 *
 * @param text the file, as text or as its bytes (UTF-8)
 * @throws {MapFileFault} with everything that is wrong
 */
export function compileMapFile(text: string | Uint8Array): SharedArrayBuffer {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const { rules, problems } = readMapText(bytes);
  if (problems.length > 0) throw new MapFileFault(problems);
  return write(rules);
}

/** A map file that can't be compiled; line, column and message are those of its first problem. */
export class MapFileFault extends SyntaxError {
  /** For whoever prints it. */
  override readonly name = "MapFileFault";
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;

  /** Keeps the problems, of which there is at least one. */
  constructor(readonly problems: readonly MapProblem[]) {
    const { line, column, message } = problems[0]!;
    super(message);
    this.line = line;
    this.column = column;
  }
}

/** Where a rule comes from. */
export interface MapFileOrigin {
  /** As it stands in the file. */
  readonly prefix: Prefix;
  /** From 1. */
  readonly line: number;
}

/**
 * Reads a compiled map file.
 *
 * Ranges are numbered through both families; every address of 4 or 16 bytes lies in one of them.
 *
 * @example
 * ```ts
 * const map = new MapFile(compileMapFile("192.0.2.0/24 203.0.113.1"));
 * const rule = map.rule(map.find(new Uint8Array([192, 0, 2, 7])));
 * map.bytes.subarray(map.endpointAt(rule, 0), map.endpointAt(rule, 0) + 16); // ::ffff:203.0.113.1
 * ```
 */
export class MapFile {
  /** How many prefixes the file names. */
  readonly prefixes: number;
  /** How many rules there are; they are numbered from 1. */
  readonly rules: number;
  /** How many ranges there are, numbered from 0; those of IPv4 come first. */
  readonly ranges: number;
  /** The buffer as bytes: what `endpointAt` points into. */
  readonly bytes: Uint8Array;
  readonly #ranges4: number;
  readonly #indexShift: number;
  readonly #starts4: Uint32Array;
  readonly #starts6: Uint32Array;
  readonly #rules: Uint32Array;
  readonly #index: Uint32Array;
  readonly #lists: Uint32Array;
  readonly #origins: readonly [Origins, Origins];
  readonly #addresses: number;

  /**
   * Looks into the buffer; it isn't copied, and must not be written.
   *
   * @throws {TypeError} when the buffer isn't what `compileMapFile` makes
   */
  constructor(buffer: SharedArrayBuffer) {
    const head = buffer.byteLength < HEAD_WORDS * 4 ? null : new Uint32Array(buffer, 0, HEAD_WORDS);
    if (head?.[HEAD.mark] !== MARK) throw new TypeError("The buffer holds no compiled map file");
    const sections = layOut(head);
    this.bytes = new Uint8Array(buffer);
    this.#ranges4 = head[HEAD.ranges4]!;
    this.ranges = this.#ranges4 + head[HEAD.ranges6]!;
    this.#indexShift = 32 - head[HEAD.indexBits]!;
    this.rules = head[HEAD.rules]!;
    this.prefixes = head[HEAD.prefixes4]! + head[HEAD.prefixes6]!;
    const words = ({ at, size }: Section) => new Uint32Array(buffer, at, size / 4);
    this.#starts4 = words(sections.starts4);
    this.#starts6 = words(sections.starts6);
    this.#rules = words(sections.ruleOfRange);
    this.#index = words(sections.index);
    this.#lists = words(sections.lists);
    const origins = (rows: Section, lengths: Section, width: number) => ({
      rows: words(rows),
      lengths: new Uint8Array(buffer, lengths.at, lengths.size),
      width,
    });
    this.#origins = [
      origins(sections.prefixes4, sections.lengths4, 1),
      origins(sections.prefixes6, sections.lengths6, 4),
    ];
    this.#addresses = sections.addresses.at;
  }

  /** The range that holds an address of 4 or 16 bytes. */
  find(address: Uint8Array): number {
    if (address.length === 4) return this.#find4(wordAt(address, 0));
    return this.#find6(wordAt(address, 0), wordAt(address, 4), wordAt(address, 8), wordAt(address, 12));
  }

  /**
   * The range that holds the last address of a prefix. If it is also the one that `find` gives for the prefix (whose
   * bits behind its length are zero), all of the prefix is under one rule.
   *
   * @param prefix 4 or 16 bytes
   */
  findLast(prefix: Uint8Array, bits: number): number {
    if (prefix.length === 4) return this.#find4((wordAt(prefix, 0) | behind(bits)) >>> 0);
    return this.#find6(
      (wordAt(prefix, 0) | behind(bits)) >>> 0,
      (wordAt(prefix, 4) | behind(bits - 32)) >>> 0,
      (wordAt(prefix, 8) | behind(bits - 64)) >>> 0,
      (wordAt(prefix, 12) | behind(bits - 96)) >>> 0,
    );
  }

  /** The first address of a range, 4 or 16 bytes. */
  firstOf(range: number): Uint8Array {
    const isIpv4 = range < this.#ranges4;
    const words = isIpv4
      ? this.#starts4.subarray(range, range + 1)
      : this.#starts6.subarray((range - this.#ranges4) * 4, (range - this.#ranges4 + 1) * 4);
    return Uint8Array.from([...words].flatMap((word) => [word >>> 24, word >>> 16, word >>> 8, word]));
  }

  /** The rule of a range; 0 = none. */
  rule(range: number): number {
    return this.#rules[range]!;
  }

  /**
   * The length of the widest prefix around an address that lies in one range, as a whole.
   *
   * @param range the one that `find` gives for the address
   */
  widest(address: Uint8Array, range: number): number {
    const isIpv4 = address.length === 4;
    const starts = isIpv4 ? this.#starts4 : this.#starts6;
    const width = isIpv4 ? 1 : 4;
    const index = isIpv4 ? range : range - this.#ranges4;
    const before = index === 0 ? 0 : 1 + sharedBits(address, starts, index * width, width, 1);
    const isLast = range === this.ranges - 1 || range === this.#ranges4 - 1;
    const after = isLast ? 0 : 1 + sharedBits(address, starts, (index + 1) * width, width, 0);
    return before > after ? before : after;
  }

  /** How many addresses a rule names; 0 for no rule. */
  endpointCount(rule: number): number {
    return rule === 0 ? 0 : this.#lists[rule]! - this.#lists[rule - 1]!;
  }

  /** Where in `bytes` the 16 bytes of a rule's address stand; addresses ascend. */
  endpointAt(rule: number, i: number): number {
    return this.#addresses + (this.#lists[rule - 1]! + i) * 16;
  }

  /** The longest prefix that holds an address, for people; it allocates, and takes as many look-ups as an address has bits. */
  origin(address: Uint8Array): MapFileOrigin | null {
    const origins = this.#origins[address.length === 4 ? 0 : 1];
    for (let length = address.length * 8; length >= 0; length--) {
      const bytes = maskBits(address, length);
      const line = lineOf(origins, bytes, length);
      if (line > 0) return { prefix: { family: familyOf(address), bytes, length }, line };
    }
    return null;
  }

  #find4(address: number): number {
    const starts = this.#starts4;
    const slot = this.#indexShift === 32 ? 0 : address >>> this.#indexShift;
    let low = this.#index[slot]!;
    let high = this.#index[slot + 1]!;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (starts[middle]! <= address) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #find6(a: number, b: number, c: number, d: number): number {
    const starts = this.#starts6;
    let low = 0;
    let high = this.ranges - this.#ranges4 - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const at = middle * 4;
      const first = starts[at]!;
      const isAtOrBefore = first !== a ? first < a : isTailAtOrBefore(starts, at, b, c, d);
      if (isAtOrBefore) low = middle;
      else high = middle - 1;
    }
    return this.#ranges4 + low;
  }
}

interface Origins {
  /** Address and line of each. */
  readonly rows: Uint32Array;
  readonly lengths: Uint8Array;
  /** Words of an address. */
  readonly width: number;
}

/** `MAP1`; another number when the layout changes. */
const MARK = 0x4d415031;

const HEAD = {
  mark: 0,
  prefixes4: 1,
  prefixes6: 2,
  ranges4: 3,
  ranges6: 4,
  rules: 5,
  endpoints: 6,
  indexBits: 7,
} as const;
const HEAD_WORDS = 8;

/** One word of index per two ranges is little, and leaves a step or two of search where ranges lie evenly. */
const INDEX_BITS_MAX = 16;

/** Place and size in bytes. */
interface Section {
  readonly at: number;
  readonly size: number;
}

function layOut(head: Uint32Array): Record<SectionName, Section> & { readonly size: number } {
  const count = (field: keyof typeof HEAD) => head[HEAD[field]]!;
  let at = HEAD_WORDS * 4;
  const section = (size: number) => ({ at: (at += size) - size, size });
  const words = (size: number) => section(size * 4);
  return {
    starts4: words(count("ranges4")),
    starts6: words(count("ranges6") * 4),
    ruleOfRange: words(count("ranges4") + count("ranges6")),
    index: words(2 ** count("indexBits") + 1),
    lists: words(count("rules") + 1),
    prefixes4: words(count("prefixes4") * 2),
    prefixes6: words(count("prefixes6") * 5),
    addresses: section(count("endpoints") * 16),
    lengths4: section(count("prefixes4")),
    lengths6: section(count("prefixes6")),
    size: at,
  };
}

type SectionName =
  | "starts4"
  | "starts6"
  | "ruleOfRange"
  | "index"
  | "lists"
  | "prefixes4"
  | "prefixes6"
  | "addresses"
  | "lengths4"
  | "lengths6";

function write({ ipv4, ipv6, lists }: MapRules): SharedArrayBuffer {
  const ranges = [flatten(ipv4), flatten(ipv6)] as const;
  const head = new Uint32Array(HEAD_WORDS);
  head[HEAD.mark] = MARK;
  head[HEAD.prefixes4] = ipv4.order.length;
  head[HEAD.prefixes6] = ipv6.order.length;
  head[HEAD.ranges4] = ranges[0].count;
  head[HEAD.ranges6] = ranges[1].count;
  head[HEAD.rules] = lists.count;
  head[HEAD.endpoints] = lists.starts[lists.count]!;
  head[HEAD.indexBits] = Math.max(0, Math.min(INDEX_BITS_MAX, 30 - Math.clz32(ranges[0].count)));
  const sections = layOut(head);
  const buffer = new SharedArrayBuffer(sections.size);
  const words = ({ at, size }: Section) => new Uint32Array(buffer, at, size / 4);
  words({ at: 0, size: HEAD_WORDS * 4 }).set(head);
  words(sections.starts4).set(ranges[0].starts.subarray(0, ranges[0].count));
  words(sections.starts6).set(ranges[1].starts.subarray(0, ranges[1].count * 4));
  words(sections.ruleOfRange).set(ranges[0].rules.subarray(0, ranges[0].count));
  words(sections.ruleOfRange).set(ranges[1].rules.subarray(0, ranges[1].count), ranges[0].count);
  writeIndex(words(sections.index), words(sections.starts4), head[HEAD.indexBits]!);
  words(sections.lists).set(lists.starts.subarray(0, lists.count + 1));
  writeAddresses(new Uint8Array(buffer, sections.addresses.at, sections.addresses.size), lists);
  const lengths = ({ at, size }: Section) => new Uint8Array(buffer, at, size);
  writePrefixes(ipv4, words(sections.prefixes4), lengths(sections.lengths4));
  writePrefixes(ipv6, words(sections.prefixes6), lengths(sections.lengths6));
  return buffer;
}

/** The ranges of a family while they are made. */
class Ranges {
  count = 0;
  readonly starts: Uint32Array;
  readonly rules: Uint32Array;

  /** @param sizeMax how many there can be */
  constructor(readonly width: number, sizeMax: number) {
    this.starts = new Uint32Array(sizeMax * width);
    this.rules = new Uint32Array(sizeMax);
  }

  /** From here on this rule applies; `start` doesn't lie before the one given last. */
  begin(start: Uint32Array, at: number, rule: number): void {
    // What began at the same place is covered wholly.
    if (this.count > 0 && this.#startsAt(start, at)) this.count--;
    if (this.count > 0 && this.rules[this.count - 1] === rule) return;
    for (let i = 0; i < this.width; i++) this.starts[this.count * this.width + i] = start[at + i]!;
    this.rules[this.count++] = rule;
  }

  #startsAt(start: Uint32Array, at: number): boolean {
    const last = (this.count - 1) * this.width;
    for (let i = 0; i < this.width; i++) if (this.starts[last + i] !== start[at + i]) return false;
    return true;
  }
}

/** Lays nested prefixes out flat: in the order of their starts, with a stack of those that are open. */
function flatten({ rows: { words, stride, width }, order }: MapPrefixes): Ranges {
  // Each prefix begins a range, and the one behind it another.
  const ranges = new Ranges(width, 2 * order.length + 1);
  const open = new Uint32Array(width * 32 + 1);
  const behindLast = new Uint32Array(width);
  let depth = 0;
  ranges.begin(behindLast, 0, 0);
  for (let i = 0; i < order.length; i++) {
    const row = order[i]! * stride;
    while (depth > 0 && !holds(words, open[depth - 1]!, row, width)) close();
    ranges.begin(words, row + ADDRESS, words[row + LIST]!);
    open[depth++] = row;
  }
  while (depth > 0) close();
  return ranges;

  function close(): void {
    const row = open[--depth]!;
    if (!stepBehind(words, row, behindLast)) return;
    ranges.begin(behindLast, 0, depth === 0 ? 0 : words[open[depth - 1]! + LIST]!);
  }
}

/** Whether the prefix of a row holds that of another, which is no shorter. */
function holds(words: Uint32Array, outer: number, inner: number, width: number): boolean {
  const length = words[outer + LENGTH]!;
  for (let i = 0; i < width; i++) {
    const differing = words[outer + ADDRESS + i]! ^ words[inner + ADDRESS + i]!;
    if ((differing & ~behind(length - 32 * i)) !== 0) return false;
  }
  return true;
}

/** Writes the address behind the last one of a row's prefix; `false` = there is none. */
function stepBehind(words: Uint32Array, row: number, into: Uint32Array): boolean {
  const length = words[row + LENGTH]!;
  let carry = 1;
  for (let i = into.length - 1; i >= 0; i--) {
    const last = (words[row + ADDRESS + i]! | behind(length - 32 * i)) >>> 0;
    into[i] = last + carry;
    carry = carry === 1 && last === 0xffffffff ? 1 : 0;
  }
  return carry === 0;
}

function writeIndex(index: Uint32Array, starts: Uint32Array, bits: number): void {
  let range = 0;
  for (let slot = 0; slot < index.length - 1; slot++) {
    const start = slot * 2 ** (32 - bits);
    while (range + 1 < starts.length && starts[range + 1]! <= start) range++;
    index[slot] = range;
  }
  index[index.length - 1] = starts.length - 1;
}

function writeAddresses(bytes: Uint8Array, { words }: AddressLists): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = words[i >> 2]! >>> (24 - 8 * (i & 3));
}

function writePrefixes({ rows, order }: MapPrefixes, words: Uint32Array, lengths: Uint8Array): void {
  const { width, stride } = rows;
  for (let i = 0; i < order.length; i++) {
    const row = order[i]! * stride;
    for (let j = 0; j < width; j++) words[i * (width + 1) + j] = rows.words[row + ADDRESS + j]!;
    words[i * (width + 1) + width] = rows.words[row + LINE]!;
    lengths[i] = rows.words[row + LENGTH]!;
  }
}

/** The line of exactly this prefix, or 0. */
function lineOf({ rows, lengths, width }: Origins, address: Uint8Array, length: number): number {
  let low = 0;
  let high = lengths.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const row = middle * (width + 1);
    let order = 0;
    for (let i = 0; i < width && order === 0; i++) order = rows[row + i]! - wordAt(address, i * 4);
    if (order === 0) order = lengths[middle]! - length;
    if (order === 0) return rows[row + width]!;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return 0;
}

/** Four bytes as a number, the first one most significant. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

/** The bits of a word behind its first `bits`, of which there may be less than none and more than 32. */
function behind(bits: number): number {
  if (bits <= 0) return 0xffffffff;
  return bits >= 32 ? 0 : 0xffffffff >>> bits;
}

/** How many leading bits an address shares with a start, or with the address before it when `less` is 1. */
function sharedBits(
  address: Uint8Array,
  starts: Uint32Array,
  at: number,
  width: number,
  less: 0 | 1,
): number {
  for (let i = 0; i < width; i++) {
    // Taking 1 away borrows from this word only if all words behind it are 0.
    let borrow = less;
    for (let j = i + 1; j < width; j++) if (starts[at + j] !== 0) borrow = 0;
    const differing = wordAt(address, i * 4) ^ (starts[at + i]! - borrow);
    if (differing !== 0) return i * 32 + Math.clz32(differing);
  }
  return width * 32;
}

/** Whether the words behind the first one of a start are at or before these. */
function isTailAtOrBefore(starts: Uint32Array, at: number, b: number, c: number, d: number): boolean {
  if (starts[at + 1] !== b) return starts[at + 1]! < b;
  if (starts[at + 2] !== c) return starts[at + 2]! < c;
  return starts[at + 3]! <= d;
}
