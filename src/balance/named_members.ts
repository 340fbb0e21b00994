/**
 * Which of some members a map file names where. That takes a walk over all of the file, so it is found out in parts, while nothing else
 * is to be done: until it is known, ranges are looked at one by one, as far as they are asked about.
 *
 * @module
 */
import type { MapFile } from "../geo/map_file_table.ts";
import type { Candidate } from "./ranking.ts";

/**
 * Members that a map file names together, by the ranges of its addresses. It doesn't depend on health: worked out once for a list of
 * members.
 */
export class NamedMembers {
  /** Indices of members that some rule names together, ascending; the first set is empty. More come as they are found. */
  readonly sets: (readonly number[])[] = [[]];
  /** How many of the ranges that were walked over have another set than the one before, the first of them included. */
  changes = 0;
  /** Addresses of rules that were looked at, ever. */
  looked = 0;
  readonly #map: MapFile;
  /** Range and set of each change, in order. In parts: to copy megabytes when there are more takes milliseconds. */
  readonly #parts: Uint32Array[] = [];
  /** What is needed to walk on; `null` = it is done. */
  #walk: Walk | null;

  /** Knows nothing of the file yet. */
  constructor(map: MapFile, members: readonly Pick<Candidate, "index" | "address">[]) {
    this.#map = map;
    this.#walk = {
      members: new MemberAddresses(members),
      numbers: new Map([["", 0]]),
      setOf: new Uint32Array(map.rules + 1),
      range: 0,
    };
  }

  /** Whether all ranges were walked over. */
  get isWalked(): boolean {
    return this.#walk === null;
  }

  /** What it takes in memory, bytes. */
  get bytes(): number {
    const known = this.#walk === null ? 0 : this.#walk.setOf.byteLength;
    return known + this.#parts.length * PART_WORDS * Uint32Array.BYTES_PER_ELEMENT;
  }

  /**
   * Walks over the next ranges, each of which may name `ADDRESSES_MAX` of the map file's.
   *
   * @returns whether there are more
   */
  walk(ranges: number): boolean {
    const walk = this.#walk;
    if (walk === null) return false;
    const end = Math.min(walk.range + ranges, this.#map.ranges);
    for (; walk.range < end; walk.range++) {
      const set = this.#setOfRule(walk, this.#map.rule(walk.range));
      if (this.changes === 0 || this.setAtChange(this.changes - 1) !== set) this.#add(walk.range, set);
    }
    if (end < this.#map.ranges) return true;
    this.#walk = null;
    return false;
  }

  /** Index into `sets` of a range. */
  setAt(range: number): number {
    const walk = this.#walk;
    return walk === null
      ? this.setAtChange(this.changesUpTo(range) - 1)
      : this.#setOfRule(walk, this.#map.rule(range));
  }

  /** Index into `sets` of a change. */
  setAtChange(change: number): number {
    return this.#parts[change >>> PART_BITS]![(change & PART_MASK) * 2 + 1]!;
  }

  /** The range of a change. */
  rangeOfChange(change: number): number {
    return this.#parts[change >>> PART_BITS]![(change & PART_MASK) * 2]!;
  }

  /** How many changes there are at or before a range; once all are walked over. */
  changesUpTo(range: number): number {
    let low = 0;
    let high = this.changes;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.rangeOfChange(middle) <= range) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #add(range: number, set: number): void {
    const change = this.changes++;
    if ((change & PART_MASK) === 0) this.#parts.push(new Uint32Array(PART_WORDS));
    const part = this.#parts[change >>> PART_BITS]!;
    part[(change & PART_MASK) * 2] = range;
    part[(change & PART_MASK) * 2 + 1] = set;
  }

  #setOfRule(walk: Walk, rule: number): number {
    if (rule === 0) return 0;
    const known = walk.setOf[rule]!;
    if (known !== 0) return known - 1;
    const set = this.#lookAt(walk, rule);
    walk.setOf[rule] = set + 1;
    return set;
  }

  #lookAt({ members, numbers }: Walk, rule: number): number {
    const map = this.#map;
    const count = map.endpointCount(rule);
    this.looked += count;
    members.found.length = 0;
    for (let i = 0; i < count; i++) members.find(map.bytes, map.endpointAt(rule, i));
    if (members.found.length === 0) return 0;
    const set = ascending(members.found);
    const key = set.join();
    const known = numbers.get(key);
    if (known !== undefined) return known;
    numbers.set(key, this.sets.length);
    return this.sets.push(set) - 1;
  }
}

/** What is known in the middle of a walk. */
interface Walk {
  readonly members: MemberAddresses;
  /** Of sets, by what is in them. */
  readonly numbers: Map<string, number>;
  /** By rule: its set, and 1 more; 0 = it wasn't looked at. */
  readonly setOf: Uint32Array;
  /** The next one. */
  range: number;
}

/** A part has so many changes, as a power of two. */
const PART_BITS = 8;
const PART_MASK = 2 ** PART_BITS - 1;
const PART_WORDS = 2 * 2 ** PART_BITS;

function ascending(numbers: readonly number[]): number[] {
  return numbers.length === 1 ? [numbers[0]!] : [...new Set(numbers)].sort((a, b) => a - b);
}

/** Bits of an address by which members are found. */
const SLOT_BITS = 10;
const ADDRESS_BYTES = 16;

/** Members by address: nearly no address of a large file is one of theirs, and a look at two bytes of it mostly says so. */
class MemberAddresses {
  /** Indices of members that were found since it was emptied last. */
  readonly found: number[] = [];
  /** Of each member, as `::ffff:a.b.c.d` where it is of IPv4. */
  readonly #bytes: Uint8Array;
  readonly #indices: readonly number[];
  /** By slot: the first member, and 1 more; 0 = none. */
  readonly #first = new Uint16Array(2 ** SLOT_BITS);
  /** By member: the next one in the same slot, likewise. */
  readonly #next: Uint16Array;

  constructor(members: readonly Pick<Candidate, "index" | "address">[]) {
    this.#bytes = new Uint8Array(members.length * ADDRESS_BYTES);
    this.#next = new Uint16Array(members.length);
    this.#indices = members.map(({ index }) => index);
    for (let i = 0; i < members.length; i++) {
      const { address } = members[i]!;
      const at = i * ADDRESS_BYTES;
      if (address.length === 4) this.#bytes[at + 10] = this.#bytes[at + 11] = 0xff;
      const from = at + ADDRESS_BYTES - address.length;
      for (let byte = 0; byte < address.length; byte++) this.#bytes[from + byte] = address[byte]!;
      const slot = slotOf(this.#bytes, at);
      this.#next[i] = this.#first[slot]!;
      this.#first[slot] = i + 1;
    }
  }

  /** Adds those to `found` that have the address of 16 bytes at a place. */
  find(bytes: Uint8Array, at: number): void {
    for (let next = this.#first[slotOf(bytes, at)]!; next !== 0; next = this.#next[next - 1]!) {
      if (this.#isAt(next - 1, bytes, at)) this.found.push(this.#indices[next - 1]!);
    }
  }

  #isAt(member: number, bytes: Uint8Array, at: number): boolean {
    const own = member * ADDRESS_BYTES;
    for (let i = ADDRESS_BYTES - 1; i >= 0; i--) if (this.#bytes[own + i] !== bytes[at + i]) return false;
    return true;
  }
}

/** The last two bytes, folded. */
function slotOf(bytes: Uint8Array, at: number): number {
  return (bytes[at + 14]! << 2 ^ bytes[at + 15]!) & 2 ** SLOT_BITS - 1;
}
