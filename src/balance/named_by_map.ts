/**
 * Which candidates a map file names.
 *
 * @module
 */
import type { MapFile } from "../geo/map_file_table.ts";
import type { Candidate } from "./ranking.ts";

/**
 * Which of the candidates a map file names for each address. Rules that name the same of them are one here: what a
 * file says of others changes nothing.
 */
export class NamedByMap {
  /** Changes that were looked through, ever: what an answer costs beside its searches. */
  looked = 0;
  readonly #map: MapFile;
  readonly #named: NamedMembers;
  /** Of candidates, by index; negative = it is none. */
  readonly #positions: readonly number[];
  /** By set of `NamedMembers`: who of it is a candidate, as far as that was asked for. */
  readonly #known = new Map<number, NamedCandidates>();

  /** Leaves out of `named` who isn't a candidate. */
  constructor(map: MapFile, named: NamedMembers, positions: readonly number[]) {
    this.#map = map;
    this.#named = named;
    this.#positions = positions;
  }

  /** Who is named for an address: positions, ascending. */
  at(address: Uint8Array): readonly number[] {
    return this.#of(this.setAt(address)).positions;
  }

  /** Which of the sets of members that some rule names is named for an address. */
  setAt(address: Uint8Array): number {
    return this.#named.setAt(this.#map.find(address));
  }

  /** How many bits of an address say who is named for it. */
  depthFor(address: Uint8Array): number {
    const prefix = new Uint8Array(address.length);
    let low = 0;
    let high = address.length * 8;
    while (low < high) {
      const middle = (low + high) >>> 1;
      for (let i = 0; i < prefix.length; i++) {
        const bits = middle - i * 8;
        prefix[i] = address[i]! & (bits >= 8 ? 0xff : bits <= 0 ? 0 : ~(0xff >> bits));
      }
      if (this.isSame(prefix, middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * Whether the same are named for all of a prefix, whose bits behind its length are zero; `false` also where so many
   * others are named within it that to look at each would take too long.
   */
  isSame(prefix: Uint8Array, bits: number): boolean {
    const named = this.#named;
    const from = this.#map.find(prefix);
    const first = named.changesUpTo(from);
    const end = named.changesUpTo(this.#map.findLast(prefix, bits));
    if (first === end) return true;
    if (end - first > LOOKED_MAX) return false;
    const { key } = this.#of(named.setAt(from));
    for (let change = first; change < end; change++) {
      this.looked++;
      if (this.#of(named.setAt(named.changes[change]!)).key !== key) return false;
    }
    return true;
  }

  #of(set: number): NamedCandidates {
    const known = this.#known.get(set);
    if (known !== undefined) return known;
    const positions = this.#named.sets[set]!.map((member) => this.#positions[member]!)
      .filter((position) => position >= 0);
    const made = { positions, key: positions.join() };
    this.#known.set(set, made);
    return made;
  }
}

/** Who of a set is a candidate, ascending; the key is the same where they are. */
interface NamedCandidates {
  readonly positions: readonly number[];
  readonly key: string;
}

/** Changes within a prefix that are looked through. */
const LOOKED_MAX = 32;

/**
 * Which of some members each rule of a map file names, by address. It takes one walk over the file, and doesn't depend on
 * health: worked out once for a list of members.
 */
export class NamedMembers {
  /** Indices of members that some rule names together, ascending; the first set is empty. */
  readonly sets: (readonly number[])[] = [[]];
  /** The ranges whose set isn't that of the range before, in order. */
  readonly changes: Uint32Array;
  readonly #map: MapFile;
  readonly #setOf: Uint32Array;

  /** Walks over the file. */
  constructor(map: MapFile, members: readonly Pick<Candidate, "index" | "address">[]) {
    this.#map = map;
    this.#setOf = this.#walkRules(members);
    const changes: number[] = [];
    for (let range = 1; range < map.ranges; range++) {
      if (this.setAt(range) !== this.setAt(range - 1)) changes.push(range);
    }
    this.changes = Uint32Array.from(changes);
  }

  /** Index into `sets` of a range. */
  setAt(range: number): number {
    return this.#setOf[this.#map.rule(range)]!;
  }

  /** How many changes there are at or before a range. */
  changesUpTo(range: number): number {
    let low = 0;
    let high = this.changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.changes[middle]! <= range) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #walkRules(members: readonly Pick<Candidate, "index" | "address">[]): Uint32Array {
    const map = this.#map;
    const setOf = new Uint32Array(map.rules + 1);
    const numbers = new Map<string, number>([["", 0]]);
    // Nearly no address of a large file is one of ours: its last two bytes say so at once.
    const isOurs = new Uint8Array(65_536);
    const indices = new Map<string, number[]>();
    for (const { index, address } of members) {
      isOurs[address.at(-2)! << 8 | address.at(-1)!] = 1;
      const key = keyOfAddress(address);
      indices.set(key, [...indices.get(key) ?? [], index]);
    }
    for (let rule = 1; rule <= map.rules; rule++) {
      const named: string[] = [];
      for (let i = 0; i < map.endpointCount(rule); i++) {
        const at = map.endpointAt(rule, i);
        if (isOurs[map.bytes[at + 14]! << 8 | map.bytes[at + 15]!] === 0) continue;
        const key = keyOfAddress(map.bytes.subarray(at, at + 16));
        if (indices.has(key)) named.push(key);
      }
      if (named.length === 0) continue;
      const known = numbers.get(named.join());
      setOf[rule] = known ?? this.sets.push(ascending(named.flatMap((key) => indices.get(key)!))) - 1;
      if (known === undefined) numbers.set(named.join(), setOf[rule]!);
    }
    return setOf;
  }
}

function ascending(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}

const MAPPED_PREFIX = "0,0,0,0,0,0,0,0,0,0,255,255,";

/** The same for an IPv4 address of 4 bytes and of 16 (`::ffff:a.b.c.d`). */
function keyOfAddress(address: Uint8Array): string {
  return address.length === 4 ? MAPPED_PREFIX + address.join() : address.join();
}
