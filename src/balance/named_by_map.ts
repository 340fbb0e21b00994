/**
 * Which candidates a map file names.
 *
 * @module
 */
import type { MapFile } from "../geo/map_file_table.ts";
import type { NamedMembers } from "./named_members.ts";

/**
 * Which of the candidates a map file names for each address. Rules that name the same of them are one here: what a
 * file says of others changes nothing.
 */
export class NamedByMap {
  /** Changes, and ranges and addresses in them, that were looked through, ever: what an answer costs beside its searches. */
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
    const last = this.#map.findLast(prefix, bits);
    if (from === last) return true;
    if (!named.isWalked) return this.#areSame(from, last);
    const first = named.changesUpTo(from);
    const end = named.changesUpTo(last);
    if (first === end) return true;
    if (end - first > LOOKED_MAX) return false;
    const { key } = this.#of(named.setAtChange(first - 1));
    for (let change = first; change < end; change++) {
      this.looked++;
      if (this.#of(named.setAtChange(change)).key !== key) return false;
    }
    return true;
  }

  /** Likewise while it isn't known where changes are. */
  #areSame(from: number, last: number): boolean {
    if (last - from > LOOKED_MAX) return false;
    const named = this.#named;
    const { looked } = this;
    const { key } = this.#of(named.setAt(from));
    for (let range = from + 1; range <= last; range++) {
      const before = named.looked;
      const isSame = this.#of(named.setAt(range)).key === key;
      this.looked += 1 + (named.looked - before) / ADDRESSES_A_CHANGE;
      if (!isSame || this.looked - looked > LOOKED_MAX) return false;
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
/** To look at so many addresses of a rule takes as long as to look at a change. */
const ADDRESSES_A_CHANGE = 8;
