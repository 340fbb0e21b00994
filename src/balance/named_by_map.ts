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
  readonly #map: MapFile;
  readonly #named: NamedMembers;
  /** By set of `NamedMembers`: the positions of its candidates, … */
  readonly #positions: readonly (readonly number[])[];
  /** … and the ranges from which on other candidates are named, in order. */
  readonly #changes: Uint32Array;

  /** Leaves out of `named` who isn't a candidate. */
  constructor(map: MapFile, named: NamedMembers, candidates: readonly Candidate[]) {
    this.#map = map;
    this.#named = named;
    const positions = new Map<string, number[]>();
    for (const [position, { address }] of candidates.entries()) {
      const key = keyOfAddress(address);
      positions.set(key, [...positions.get(key) ?? [], position]);
    }
    this.#positions = named.sets.map((set) =>
      set.flatMap((address) => positions.get(address) ?? []).sort((a, b) => a - b)
    );
    const keys = this.#positions.map((positions) => positions.join());
    const changes = named.changes.filter((range) =>
      keys[named.setAt(range)] !== keys[named.setAt(range - 1)]
    );
    this.#changes = Uint32Array.from(changes);
  }

  /** Who is named for an address. */
  at(address: Uint8Array): readonly number[] {
    return this.#positions[this.setAt(address)]!;
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

  /** Whether the same are named for all of a prefix, whose bits behind its length are zero. */
  isSame(prefix: Uint8Array, bits: number): boolean {
    return this.#changesUpTo(this.#map.find(prefix)) === this.#changesUpTo(this.#map.findLast(prefix, bits));
  }

  /** How many changes there are at or before a range. */
  #changesUpTo(range: number): number {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#changes[middle]! <= range) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Which of some addresses each rule of a map file names. It takes one walk over the file, and doesn't depend on
 * health: worked out once for a list of members.
 */
export class NamedMembers {
  /** Keys of addresses that some rule names together; the first set is empty. */
  readonly sets: string[][] = [[]];
  /** The ranges whose set isn't that of the range before, in order. */
  readonly changes: Uint32Array;
  readonly #map: MapFile;
  readonly #setOf: Uint32Array;

  /** Walks over the file. */
  constructor(map: MapFile, addresses: readonly Uint8Array[]) {
    this.#map = map;
    this.#setOf = this.#walkRules(addresses);
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

  #walkRules(addresses: readonly Uint8Array[]): Uint32Array {
    const map = this.#map;
    const setOf = new Uint32Array(map.rules + 1);
    const numbers = new Map<string, number>([["", 0]]);
    // Nearly no address of a large file is one of ours: its last two bytes say so at once.
    const isOurs = new Uint8Array(65_536);
    for (const address of addresses) isOurs[address.at(-2)! << 8 | address.at(-1)!] = 1;
    const keys = new Set(addresses.map(keyOfAddress));
    for (let rule = 1; rule <= map.rules; rule++) {
      const named: string[] = [];
      for (let i = 0; i < map.endpointCount(rule); i++) {
        const at = map.endpointAt(rule, i);
        if (isOurs[map.bytes[at + 14]! << 8 | map.bytes[at + 15]!] === 0) continue;
        const key = keyOfAddress(map.bytes.subarray(at, at + 16));
        if (keys.has(key)) named.push(key);
      }
      if (named.length === 0) continue;
      const known = numbers.get(named.join());
      setOf[rule] = known ?? this.sets.push(named) - 1;
      if (known === undefined) numbers.set(named.join(), setOf[rule]!);
    }
    return setOf;
  }
}

const MAPPED_PREFIX = "0,0,0,0,0,0,0,0,0,0,255,255,";

/** The same for an IPv4 address of 4 bytes and of 16 (`::ffff:a.b.c.d`). */
function keyOfAddress(address: Uint8Array): string {
  return address.length === 4 ? MAPPED_PREFIX + address.join() : address.join();
}
