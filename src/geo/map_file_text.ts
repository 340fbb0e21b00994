/**
 * Map-file text: which addresses the clients of which prefixes are sent to.
 *
 * One rule a line, `CIDR ADDRESS[,ADDRESS…]`; `#` begins a comment, blank lines are skipped. The order of lines means
 * nothing, since the longest prefix wins. So rules are given back sorted by their first address, the wider before the
 * narrower, which puts every prefix behind all that contain it.
 *
 * Files of a million lines are read, hence: bytes instead of strings, numbers in rows of one array instead of objects.
 * What the quick readers of addresses don't take is read by `ip.ts`, which has the last word on what an address is;
 * only then does a line cost an allocation.
 *
 * @module
 */
import { type Family, formatIp, parseIp } from "../ip.ts";

/** What a map file's text holds. */
export interface MapText {
  /** Fit for use when there are no problems. */
  readonly rules: MapRules;
  /** In the order of lines, at most `PROBLEMS_MAX`; line and column count from 1, columns in UTF-16 code units. */
  readonly problems: readonly MapProblem[];
}

/** Something wrong with a map file. */
export interface MapProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** What is wrong, with the value, and the fix. */
  readonly message: string;
}

/** The rules of both families, and the lists of addresses that they share. */
export interface MapRules {
  /** Of IPv4 clients. */
  readonly ipv4: MapPrefixes;
  /** Of IPv6 clients. */
  readonly ipv6: MapPrefixes;
  /** What `LIST` of a row is a number of. */
  readonly lists: AddressLists;
}

/** Prefixes of a family, sorted by first address and then by length; `order[i]` is the row of the i-th. */
export interface MapPrefixes {
  /** As they came. */
  readonly rows: PrefixRows;
  /** Numbers of rows, from 0. */
  readonly order: Uint32Array;
}

/** How many faults are told: as many as fit a screen. */
export const PROBLEMS_MAX = 20;

/** Four times the routes of today's Internet; compiled they take 250 MB at most. */
const RULES_MAX = 4_000_000;

/** So many bytes a map file of `RULES_MAX` rules has, at 128 a line. */
export const MAP_FILE_SIZE_MAX = 128 * RULES_MAX;

/** More endpoints than this aren't a choice, but a mistake. */
const ADDRESSES_MAX = 256;

/** Longest piece of a line that a message repeats. */
const QUOTED_MAX = 60;

/** Reads and judges the text of a map file (UTF-8, with or without byte-order mark, any line ends). */
export function readMapText(bytes: Uint8Array): MapText {
  return new MapReader(bytes).read();
}

/**
 * Prefixes of a family, a row each: length, line, number of its list (from 1), offset in the text, then the address
 * in one or four words, the most significant first.
 */
export class PrefixRows {
  /** How many rows are filled. */
  count = 0;
  /** Words of an address. */
  readonly width: 1 | 4;
  /** Words of a row. */
  readonly stride: number;
  /** The rows; longer than `count` of them. */
  words: Uint32Array = new Uint32Array(64);

  /** No rows yet. */
  constructor(family: Family) {
    this.width = family === 4 ? 1 : 4;
    this.stride = ADDRESS + this.width;
  }

  /** Makes room for one more row and gives its place in `words`. */
  append(): number {
    const at = this.count++ * this.stride;
    if (at + this.stride > this.words.length) this.words = grown(this.words);
    return at;
  }
}

/** Column of `PrefixRows`: bits that the prefix fixes. */
export const LENGTH = 0;
/** Column of `PrefixRows`: the line, from 1. */
export const LINE = 1;
/** Column of `PrefixRows`: the list of addresses, from 1. */
export const LIST = 2;
/** Where in the text the prefix stands, so that faults seen after sorting have a column. */
const OFFSET = 3;
/** Column of `PrefixRows`: the first word of the address. */
export const ADDRESS = 4;

/** Lists of addresses, each kept once whatever the order in which lines name them; numbered from 1. */
export class AddressLists {
  /** How many there are. */
  count = 0;
  /** `starts[n - 1]` to `starts[n]` are the addresses of list n. */
  starts: Uint32Array = new Uint32Array(64);
  /** Four words an address, IPv4 as `::ffff:a.b.c.d`, ascending within a list. */
  words: Uint32Array = new Uint32Array(64);
  /** Open addressing on a hash of the list; 0 = free. */
  #slots = new Uint32Array(64);

  /** The number of the list that consists of the first `length` addresses of `words`, which are sorted. */
  intern(words: Uint32Array, length: number): number {
    const mask = this.#slots.length - 1;
    let slot = hashOf(words, length * 4) & mask;
    for (;; slot = (slot + 1) & mask) {
      const number = this.#slots[slot]!;
      if (number === 0) break;
      if (this.#equals(number, words, length)) return number;
    }
    this.#slots[slot] = this.#append(words, length);
    if (this.count * 2 > this.#slots.length) this.#rehash();
    return this.count;
  }

  #equals(number: number, words: Uint32Array, length: number): boolean {
    const start = this.starts[number - 1]!;
    if (this.starts[number]! - start !== length) return false;
    for (let i = 0; i < length * 4; i++) if (this.words[start * 4 + i] !== words[i]) return false;
    return true;
  }

  #append(words: Uint32Array, length: number): number {
    const start = this.starts[this.count]!;
    while ((start + length) * 4 > this.words.length) this.words = grown(this.words);
    this.words.set(words.subarray(0, length * 4), start * 4);
    const number = ++this.count;
    if (number === this.starts.length) this.starts = grown(this.starts);
    this.starts[number] = start + length;
    return number;
  }

  #rehash(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2);
    const mask = this.#slots.length - 1;
    for (let number = 1; number <= this.count; number++) {
      const list = this.words.subarray(this.starts[number - 1]! * 4, this.starts[number]! * 4);
      let slot = hashOf(list, list.length) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = number;
    }
  }
}

/** One pass over the bytes. */
class MapReader {
  readonly #bytes: Uint8Array;
  readonly #ipv4 = new PrefixRows(4);
  readonly #ipv6 = new PrefixRows(6);
  readonly #lists = new AddressLists();
  readonly #problems: MapProblem[] = [];
  /** The addresses of the line at hand, as `AddressLists` keeps them, and how many they are. */
  readonly #listed = new Uint32Array(ADDRESSES_MAX * 4);
  #listedCount = 0;
  /** The prefix of the line at hand: four words, IPv4 in the last one. */
  readonly #address = new Uint32Array(4);
  #length = 0;
  #line = 0;
  #lineStart = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(): MapText {
    if (this.#isReadable()) this.#readLines();
    const sorted = [this.#ipv4, this.#ipv6].map((rows) => ({ rows, order: sortedOrder(rows) }));
    const [ipv4, ipv6] = [sorted[0]!, sorted[1]!];
    const repeated = [...this.#repeated(ipv4), ...this.#repeated(ipv6)];
    const problems = [...this.#problems, ...repeated].sort((a, b) => a.line - b.line || a.column - b.column);
    return { rules: { ipv4, ipv6, lists: this.#lists }, problems: problems.slice(0, PROBLEMS_MAX) };
  }

  #isReadable(): boolean {
    const [first, second] = this.#bytes;
    const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
    if (this.#bytes.length > MAP_FILE_SIZE_MAX) {
      this.#refuseFile(
        `the file has ${this.#bytes.length} bytes, at most ${MAP_FILE_SIZE_MAX} are read (join prefixes)`,
      );
    } else if (isUtf16) this.#refuseFile("the file is UTF-16 (save it as UTF-8)");
    return this.#problems.length === 0;
  }

  #refuseFile(message: string): void {
    this.#problems.push({ line: 1, column: 1, message });
  }

  #readLines(): void {
    const bytes = this.#bytes;
    const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    for (let at = hasMark ? 3 : 0; at < bytes.length && this.#problems.length < PROBLEMS_MAX;) {
      const lineEnd = bytes.indexOf(LINE_FEED, at);
      const end = lineEnd < 0 ? bytes.length : lineEnd;
      this.#line++;
      this.#lineStart = at;
      this.#readLine(at, end);
      if (this.#ipv4.count + this.#ipv6.count > RULES_MAX) {
        this.#problem(
          at,
          `there are more than ${RULES_MAX} rules (join prefixes that name the same addresses)`,
        );
        return;
      }
      at = end + 1;
    }
  }

  #readLine(lineStart: number, lineEnd: number): void {
    const bytes = this.#bytes;
    const prefixAt = skipBlanks(bytes, lineStart, lineEnd);
    if (isEnd(bytes, prefixAt, lineEnd)) return;
    const prefixEnd = skipWord(bytes, prefixAt, lineEnd);
    const listAt = skipBlanks(bytes, prefixEnd, lineEnd);
    if (isEnd(bytes, listAt, lineEnd)) {
      this.#problem(
        prefixEnd,
        `${this.#quote(prefixAt, prefixEnd)} has no address (write CIDR ADDRESS[,ADDRESS…])`,
      );
      return;
    }
    const listEnd = skipWord(bytes, listAt, lineEnd);
    const restAt = skipBlanks(bytes, listEnd, lineEnd);
    if (!isEnd(bytes, restAt, lineEnd)) {
      this.#problem(
        restAt,
        `${this.#quote(restAt, skipWord(bytes, restAt, lineEnd))} follows the addresses ` +
          "(separate addresses by a comma without blanks, begin a comment with #)",
      );
      return;
    }
    this.#readRule(prefixAt, prefixEnd, listAt, listEnd);
  }

  #readRule(prefixAt: number, prefixEnd: number, listAt: number, listEnd: number): void {
    const isListed = this.#readList(listAt, listEnd);
    const rows = this.#readPrefix(prefixAt, prefixEnd);
    if (!isListed || !rows) return;
    const at = rows.append();
    rows.words[at + LENGTH] = this.#length;
    rows.words[at + LINE] = this.#line;
    rows.words[at + LIST] = this.#lists.intern(this.#listed, this.#listedCount);
    rows.words[at + OFFSET] = prefixAt;
    for (let i = 0; i < rows.width; i++) rows.words[at + ADDRESS + i] = this.#address[4 - rows.width + i]!;
  }

  /** Leaves the addresses in `#listed`, sorted. */
  #readList(from: number, to: number): boolean {
    this.#listedCount = 0;
    for (let at = from; at <= to;) {
      const end = indexOf(this.#bytes, COMMA, at, to);
      if (!this.#readListed(at, end)) return false;
      at = end + 1;
    }
    return true;
  }

  #readListed(from: number, to: number): boolean {
    if (from === to) {
      return this.#problem(from, "an address is missing beside the comma (write ADDRESS[,ADDRESS…])");
    }
    const family = readAddress(this.#bytes, { from, to, into: this.#address });
    if (family === 0) {
      return this.#problem(
        from,
        `${this.#quote(from, to)} is no IP address (write such as 192.0.2.1 or 2001:db8::1)`,
      );
    }
    if (this.#listedCount === ADDRESSES_MAX) {
      return this.#problem(from, `a rule names more than ${ADDRESSES_MAX} addresses (leave some out)`);
    }
    if (family === 4) this.#address[2] = 0xffff;
    if (insert(this.#listed, this.#listedCount, this.#address)) this.#listedCount++;
    else return this.#problem(from, `${this.#quote(from, to)} is named twice (leave one out)`);
    return true;
  }

  /** Leaves the prefix in `#address` and `#length`, and says where it belongs. */
  #readPrefix(from: number, to: number): PrefixRows | null {
    const slash = indexOf(this.#bytes, SLASH, from, to);
    const family = readAddress(this.#bytes, { from, to: slash, into: this.#address });
    if (family === 0) {
      this.#problem(
        from,
        `${this.#quote(from, slash)} is no IP address (write such as 192.0.2.0/24 or 2001:db8::/32)`,
      );
      return null;
    }
    const bits = family === 4 ? 32 : 128;
    this.#length = slash === to ? bits : readNumber(this.#bytes, slash + 1, to);
    if (!(this.#length <= bits)) {
      this.#problem(
        slash,
        `${this.#quote(slash, to)} is no length of an IPv${family} prefix (write /0 to /${bits})`,
      );
      return null;
    }
    if (!clearBehind(this.#address, 128 - bits + this.#length)) return family === 4 ? this.#ipv4 : this.#ipv6;
    const meant = `${addressText(this.#address, family)}/${this.#length}`;
    this.#problem(
      from,
      `${this.#quote(from, to)} has bits set behind its length (did you mean ${meant}?)`,
    );
    return null;
  }

  /** What stands more than once, told at the later line; rows with equal prefixes are in the order of lines. */
  #repeated({ rows, order }: MapPrefixes): MapProblem[] {
    const later: number[] = [];
    for (let i = 1; i < order.length; i++) {
      if (isSamePrefix(rows, order[i - 1]!, order[i]!)) later.push(i);
    }
    const line = (i: number) => rows.words[order[i]! * rows.stride + LINE]!;
    return later.sort((a, b) => line(a) - line(b)).slice(0, PROBLEMS_MAX).map((i) => {
      const offset = rows.words[order[i]! * rows.stride + OFFSET]!;
      const lineStart = offset === 0 ? 0 : this.#bytes.lastIndexOf(LINE_FEED, offset - 1) + 1;
      const text = this.#quote(offset, skipWord(this.#bytes, offset, this.#bytes.length));
      const message = `${text} is in line ${line(i - 1)} already (keep one of the two)`;
      return { line: line(i), column: this.#columnOf(lineStart, offset), message };
    });
  }

  /** Notes it; `false`, so that readers can return it. */
  #problem(at: number, message: string): false {
    this.#problems.push({ line: this.#line, column: this.#columnOf(this.#lineStart, at), message });
    return false;
  }

  #columnOf(lineStart: number, at: number): number {
    return UTF_8.decode(this.#bytes.subarray(lineStart, at)).length + 1;
  }

  #quote(from: number, to: number): string {
    const text = UTF_8.decode(this.#bytes.subarray(from, Math.min(to, from + 4 * QUOTED_MAX)));
    return JSON.stringify(text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}…` : text);
  }
}

const LINE_FEED = 0x0a;
const HASH = 0x23;
const COMMA = 0x2c;
const DOT = 0x2e;
const SLASH = 0x2f;
const COLON = 0x3a;

/** Strips a byte-order mark, and shows what isn't UTF-8 as U+FFFD. */
const UTF_8 = new TextDecoder();

function grown(words: Uint32Array): Uint32Array {
  const larger = new Uint32Array(words.length * 2);
  larger.set(words);
  return larger;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}

function skipBlanks(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && isBlank(bytes[at]!)) at++;
  return at;
}

/** The end of the word that begins here: a blank, a comment or the end of the line. */
function skipWord(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && !isBlank(bytes[at]!) && bytes[at] !== HASH && bytes[at] !== LINE_FEED) at++;
  return at;
}

/** Whether nothing but a comment follows. */
function isEnd(bytes: Uint8Array, at: number, lineEnd: number): boolean {
  return at >= lineEnd || bytes[at] === HASH;
}

/** Where the byte is, or `to`. */
function indexOf(bytes: Uint8Array, byte: number, from: number, to: number): number {
  let at = from;
  while (at < to && bytes[at] !== byte) at++;
  return at;
}

/** A decimal number of one to three digits, or `NaN`. */
function readNumber(bytes: Uint8Array, from: number, to: number): number {
  if (to - from < 1 || to - from > 3) return NaN;
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return NaN;
    value = value * 10 + digit;
  }
  return value;
}

interface AddressPlace {
  readonly from: number;
  readonly to: number;
  /** Four words, IPv4 in the last one behind three zeros. */
  readonly into: Uint32Array;
}

/** Reads an address into four words; its family, or 0 when there is none. */
function readAddress(bytes: Uint8Array, { from, to, into }: AddressPlace): Family | 0 {
  if (readIpv4(bytes, from, to)) {
    into.fill(0);
    into[3] = groups[0]!;
    return 4;
  }
  if (readIpv6(bytes, from, to)) {
    for (let i = 0; i < 4; i++) into[i] = groups[2 * i]! << 16 | groups[2 * i + 1]!;
    return 6;
  }
  return readRare(UTF_8.decode(bytes.subarray(from, to)), into);
}

/** What the quick readers left: faults, IPv6 with a dotted quad, IPv4 as IPv6. */
function readRare(text: string, into: Uint32Array): Family | 0 {
  const parsed = parseIp(text);
  if (!parsed) return 0;
  into.fill(0);
  for (const [i, byte] of parsed.entries()) {
    into[4 - parsed.length / 4 + (i >> 2)]! |= byte << (24 - 8 * (i & 3));
  }
  return parsed.length === 4 ? 4 : 6;
}

/** What the quick readers read: the groups of an IPv6 address, or an IPv4 address in the first. */
const groups = new Uint32Array(8);

function readIpv4(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < 7 || to - from > 15) return false;
  let [value, part, digits, dots] = [0, 0, 0, 0];
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit >= 0 && digit <= 9) {
      if (digits > 0 && part === 0) return false;
      part = part * 10 + digit;
      digits++;
      if (part > 255) return false;
    } else {
      if (bytes[at] !== DOT || digits === 0) return false;
      value = value << 8 | part;
      part = digits = 0;
      dots++;
    }
  }
  groups[0] = value << 8 | part;
  return dots === 3 && digits > 0;
}

function readIpv6(bytes: Uint8Array, from: number, to: number): boolean {
  let [at, count, gap] = [from, 0, -1];
  if (to - from < 2) return false;
  if (bytes[at] === COLON) {
    if (bytes[at + 1] !== COLON) return false;
    gap = 0;
    at += 2;
  }
  while (at < to) {
    let [group, digits] = [0, 0];
    for (let digit = 0; at < to && (digit = hexDigit(bytes[at]!)) >= 0; at++, digits++) {
      group = group << 4 | digit;
    }
    if (digits === 0 || digits > 4 || count === 8) return false;
    groups[count++] = group;
    if (at === to) break;
    if (bytes[at++] !== COLON || at === to) return false;
    if (bytes[at] === COLON) {
      if (gap >= 0) return false;
      gap = count;
      at++;
    }
  }
  if (gap < 0 ? count !== 8 : count > 7) return false;
  if (gap >= 0) openGap(gap, count);
  return !isMapped();
}

/** Moves what stands behind `::` to the end. */
function openGap(gap: number, count: number): void {
  const missing = 8 - count;
  for (let i = 7; i >= gap; i--) groups[i] = i - missing >= gap ? groups[i - missing]! : 0;
}

/** IPv4 as IPv6, which is for `ip.ts` to read. */
function isMapped(): boolean {
  for (let i = 0; i < 5; i++) if (groups[i] !== 0) return false;
  return groups[5] === 0xffff;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Clears all bits behind the first `kept`; says whether one was set. */
function clearBehind(address: Uint32Array, kept: number): boolean {
  let wasSet = false;
  for (let i = 0; i < 4; i++) {
    const inWord = Math.max(0, Math.min(32, kept - 32 * i));
    const behind = inWord === 32 ? 0 : 0xffffffff >>> inWord;
    if ((address[i]! & behind) !== 0) wasSet = true;
    address[i]! &= ~behind;
  }
  return wasSet;
}

function addressText(address: Uint32Array, family: Family): string {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = address[i >> 2]! >>> (24 - 8 * (i & 3));
  return formatIp(family === 4 ? bytes.subarray(12) : bytes);
}

/** Puts the address among the `count` that are in order; `false` = it is there already. */
function insert(listed: Uint32Array, count: number, address: Uint32Array): boolean {
  let place = count;
  for (; place > 0; place--) {
    const order = compareAt(listed, place - 1, address);
    if (order === 0) return false;
    if (order < 0) break;
  }
  listed.copyWithin((place + 1) * 4, place * 4, count * 4);
  listed.set(address, place * 4);
  return true;
}

function compareAt(listed: Uint32Array, index: number, address: Uint32Array): number {
  for (let i = 0; i < 4; i++) {
    const difference = listed[index * 4 + i]! - address[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** FNV-1a over words, mixed so that the low bits depend on all. */
function hashOf(words: Uint32Array, length: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ words[i]!, 0x01000193) ^ hash >>> 15;
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  return (hash ^ hash >>> 13) >>> 0;
}

function isSamePrefix({ words, stride, width }: PrefixRows, a: number, b: number): boolean {
  const [one, other] = [a * stride, b * stride];
  if (words[one + LENGTH] !== words[other + LENGTH]) return false;
  for (let i = ADDRESS; i < ADDRESS + width; i++) if (words[one + i] !== words[other + i]) return false;
  return true;
}

/** Rows by address, then by length, then as they came: a radix sort, byte by byte from the least significant one. */
function sortedOrder({ words, count, stride, width }: PrefixRows): Uint32Array {
  let order = Uint32Array.from({ length: count }, (_, i) => i);
  let next = new Uint32Array(count);
  const places = new Uint32Array(256);
  for (let digit = 0; digit <= 4 * width; digit++) {
    const column = digit === 0 ? LENGTH : ADDRESS + width - 1 - ((digit - 1) >> 2);
    const shift = digit === 0 ? 0 : 8 * ((digit - 1) & 3);
    places.fill(0);
    for (let i = 0; i < count; i++) places[words[i * stride + column]! >>> shift & 255]!++;
    // All the same, as the last bytes of most IPv6 prefixes are: the order stays.
    if (places.includes(count)) continue;
    let place = 0;
    for (let value = 0; value < 256; value++) {
      const size = places[value]!;
      places[value] = place;
      place += size;
    }
    for (let i = 0; i < count; i++) {
      const row = order[i]!;
      next[places[words[row * stride + column]! >>> shift & 255]!++] = row;
    }
    [order, next] = [next, order];
  }
  return order;
}
