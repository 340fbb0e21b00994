/**
 * Bounds of everything below a node of a database's tree, so that "all addresses of this prefix are decided alike"
 * can be proved without a visit to each of them.
 *
 * They are worked out once for a database, for every node with many leaves below; what is below the others is
 * visited as quickly. The box around unit vectors bounds dot products, and thereby distances.
 *
 * Layout, in `u32`: [words of the bitmap, extents], then for each 32 nodes [which of them have an extent, how many
 * extents there are before], then 7 for each extent, in the order of nodes: minimum and maximum (`f32`, rounded
 * outwards) of x, y and z, then country << 16 | whether a place is unknown << 15 | continent.
 *
 * @module
 */
import type { Mmdb } from "./mmdb.ts";

/** What `country` and `continent` say when there are several below a node. */
export const SEVERAL = 0xffff;

/** Nodes with more leaves than this have an extent: then one node in 10 to 20 has, and it takes 28 bytes. */
const LEAVES_MAX = 32;

const HEAD_WORDS = 2;
const EXTENT_WORDS = 7;
const UNKNOWN_BIT = 0x8000;
/** `SEVERAL` without the bit that says that a place is unknown. */
const SEVERAL_CONTINENTS = 0x7fff;

/** Reads what `workOutExtents` has written; any number of threads may. */
export class Extents {
  readonly #words: Uint32Array;
  readonly #floats: Float32Array;
  readonly #first: number;

  /** Looks at a buffer, which nothing writes to any more. */
  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Uint32Array(buffer);
    this.#floats = new Float32Array(buffer);
    this.#first = HEAD_WORDS + this.#words[0]! * 2;
  }

  /** How many nodes have an extent. */
  get count(): number {
    return this.#words[1]!;
  }

  /** The extent of an inner node as a number to ask the others about; −1 = it has few leaves and hence none. */
  find(node: number): number {
    const at = HEAD_WORDS + (node >>> 5) * 2;
    const bits = this.#words[at]!;
    const bit = 1 << (node & 31);
    if ((bits & bit) === 0) return -1;
    return this.#words[at + 1]! + countOnes(bits & (bit - 1));
  }

  /**
   * Bounds of the unit vectors of all known places below (see `Mmdb.x`). When none is known, minima are infinite and
   * maxima minus infinite.
   */
  minX(extent: number): number {
    return this.#floats[this.#first + extent * EXTENT_WORDS]!;
  }

  /** See `minX`. */
  maxX(extent: number): number {
    return this.#floats[this.#first + extent * EXTENT_WORDS + 1]!;
  }

  /** See `minX`. */
  minY(extent: number): number {
    return this.#floats[this.#first + extent * EXTENT_WORDS + 2]!;
  }

  /** See `minX`. */
  maxY(extent: number): number {
    return this.#floats[this.#first + extent * EXTENT_WORDS + 3]!;
  }

  /** See `minX`. */
  minZ(extent: number): number {
    return this.#floats[this.#first + extent * EXTENT_WORDS + 4]!;
  }

  /** See `minX`. */
  maxZ(extent: number): number {
    return this.#floats[this.#first + extent * EXTENT_WORDS + 5]!;
  }

  /** The one country of all leaves below, as `Mmdb.country`: 0 = of none of them it is known; or `SEVERAL`. */
  country(extent: number): number {
    return this.#words[this.#first + extent * EXTENT_WORDS + 6]! >>> 16;
  }

  /** The one continent of all leaves below, likewise. */
  continent(extent: number): number {
    const continent = this.#words[this.#first + extent * EXTENT_WORDS + 6]! & SEVERAL_CONTINENTS;
    return continent === SEVERAL_CONTINENTS ? SEVERAL : continent;
  }

  /** Whether there is a leaf below of which no coordinates are known. */
  hasUnknown(extent: number): boolean {
    return (this.#words[this.#first + extent * EXTENT_WORDS + 6]! & UNKNOWN_BIT) !== 0;
  }
}

/** Looks at every leaf of a database: about a second for 10 million nodes, so not on a thread that has other work. */
export function workOutExtents(mmdb: Mmdb): SharedArrayBuffer {
  const survey = new Survey(mmdb);
  survey.visit(0, 0);
  return survey.write();
}

/** One walk over a whole tree, bounds coming up from the leaves. */
class Survey {
  readonly #mmdb: Mmdb;
  readonly #bits: number;
  /** What is known so far of the nodes between the root and where the walk is, by depth. */
  readonly #path: readonly Bounds[];
  /** By node: number of its extent, counted from 1 in the order in which they were finished; 0 = none. */
  readonly #extentOf: Uint32Array;
  #extents = new Float64Array(BOUNDS * 4096);
  #count = 0;

  constructor(mmdb: Mmdb) {
    this.#mmdb = mmdb;
    this.#bits = mmdb.ipVersion === 6 ? 128 : 32;
    this.#path = Array.from({ length: this.#bits + 1 }, () => new Bounds());
    this.#extentOf = new Uint32Array(mmdb.nodeCount);
  }

  /** Works out the bounds below an inner node, to be found at its depth in the path. */
  visit(node: number, depth: number): void {
    const bounds = this.#path[depth]!;
    // Only a corrupt tree is deeper than addresses are long, and may even go in circles: nothing is promised of it.
    if (depth === this.#bits) return bounds.open();
    // Aliases lead to nodes that were visited before.
    const known = this.#extentOf[node]!;
    if (known !== 0) return bounds.load(this.#extents, known - 1);
    bounds.clear();
    this.#add(bounds, { child: this.#mmdb.child(node, 0), depth });
    this.#add(bounds, { child: this.#mmdb.child(node, 1), depth });
    if (bounds.leaves > LEAVES_MAX && this.#extentOf[node] === 0) this.#keep(node, bounds);
  }

  write(): SharedArrayBuffer {
    const bitmapWords = Math.ceil(this.#extentOf.length / 32);
    const first = HEAD_WORDS + bitmapWords * 2;
    const buffer = new SharedArrayBuffer((first + this.#count * EXTENT_WORDS) * 4);
    const words = new Uint32Array(buffer);
    const floats = new Float32Array(buffer);
    words[0] = bitmapWords;
    words[1] = this.#count;
    const bounds = new Bounds();
    let written = 0;
    for (let node = 0; node < this.#extentOf.length; node++) {
      const at = HEAD_WORDS + (node >>> 5) * 2;
      if ((node & 31) === 0) words[at + 1] = written;
      if (this.#extentOf[node] === 0) continue;
      words[at]! |= 1 << (node & 31);
      bounds.load(this.#extents, this.#extentOf[node]! - 1);
      bounds.write({ words, floats, at: first + EXTENT_WORDS * written++ });
    }
    return buffer;
  }

  #add(bounds: Bounds, { child, depth }: { readonly child: number; readonly depth: number }): void {
    if (child >= this.#mmdb.nodeCount) return bounds.addPlace(this.#mmdb, this.#mmdb.place(child));
    this.visit(child, depth + 1);
    bounds.add(this.#path[depth + 1]!);
  }

  #keep(node: number, bounds: Bounds): void {
    if (this.#count * BOUNDS === this.#extents.length) {
      const grown = new Float64Array(this.#extents.length * 2);
      grown.set(this.#extents);
      this.#extents = grown;
    }
    bounds.store(this.#extents, this.#count);
    this.#extentOf[node] = ++this.#count;
  }
}

/** Numbers that bounds are kept as: six sides, country, continent, whether a place is unknown. */
const BOUNDS = 9;
/** No country, and no continent, has been seen yet. */
const NONE_YET = -1;

/** A box around places, and what they have in common. */
class Bounds {
  leaves = 0;
  #minX = 0;
  #maxX = 0;
  #minY = 0;
  #maxY = 0;
  #minZ = 0;
  #maxZ = 0;
  #country = NONE_YET;
  #continent = NONE_YET;
  #hasUnknown = false;

  clear(): void {
    this.leaves = 0;
    this.#minX = this.#minY = this.#minZ = Infinity;
    this.#maxX = this.#maxY = this.#maxZ = -Infinity;
    this.#country = this.#continent = NONE_YET;
    this.#hasUnknown = false;
  }

  /** Makes room for everything. */
  open(): void {
    this.leaves = 1;
    this.#minX = this.#minY = this.#minZ = -1;
    this.#maxX = this.#maxY = this.#maxZ = 1;
    this.#country = this.#continent = SEVERAL;
    this.#hasUnknown = true;
  }

  addPlace(mmdb: Mmdb, place: number): void {
    this.leaves++;
    this.#addCodes(mmdb.country(place), mmdb.continent(place));
    const x = mmdb.x(place);
    if (Number.isNaN(x)) {
      this.#hasUnknown = true;
      return;
    }
    const y = mmdb.y(place);
    const z = mmdb.z(place);
    if (x < this.#minX) this.#minX = x;
    if (x > this.#maxX) this.#maxX = x;
    if (y < this.#minY) this.#minY = y;
    if (y > this.#maxY) this.#maxY = y;
    if (z < this.#minZ) this.#minZ = z;
    if (z > this.#maxZ) this.#maxZ = z;
  }

  add(other: Bounds): void {
    this.leaves += other.leaves;
    this.#addCodes(other.#country, other.#continent);
    if (other.#hasUnknown) this.#hasUnknown = true;
    if (other.#minX < this.#minX) this.#minX = other.#minX;
    if (other.#maxX > this.#maxX) this.#maxX = other.#maxX;
    if (other.#minY < this.#minY) this.#minY = other.#minY;
    if (other.#maxY > this.#maxY) this.#maxY = other.#maxY;
    if (other.#minZ < this.#minZ) this.#minZ = other.#minZ;
    if (other.#maxZ > this.#maxZ) this.#maxZ = other.#maxZ;
  }

  store(numbers: Float64Array, index: number): void {
    const at = index * BOUNDS;
    numbers[at] = this.#minX;
    numbers[at + 1] = this.#maxX;
    numbers[at + 2] = this.#minY;
    numbers[at + 3] = this.#maxY;
    numbers[at + 4] = this.#minZ;
    numbers[at + 5] = this.#maxZ;
    numbers[at + 6] = this.#country;
    numbers[at + 7] = this.#continent;
    numbers[at + 8] = this.#hasUnknown ? 1 : 0;
  }

  /** What is kept has many leaves, and how many doesn't matter any more. */
  load(numbers: Float64Array, index: number): void {
    const at = index * BOUNDS;
    this.leaves = LEAVES_MAX + 1;
    this.#minX = numbers[at]!;
    this.#maxX = numbers[at + 1]!;
    this.#minY = numbers[at + 2]!;
    this.#maxY = numbers[at + 3]!;
    this.#minZ = numbers[at + 4]!;
    this.#maxZ = numbers[at + 5]!;
    this.#country = numbers[at + 6]!;
    this.#continent = numbers[at + 7]!;
    this.#hasUnknown = numbers[at + 8] === 1;
  }

  write({ words, floats, at }: {
    readonly words: Uint32Array;
    readonly floats: Float32Array;
    readonly at: number;
  }): void {
    floats[at] = this.#minX - ROUNDING;
    floats[at + 1] = this.#maxX + ROUNDING;
    floats[at + 2] = this.#minY - ROUNDING;
    floats[at + 3] = this.#maxY + ROUNDING;
    floats[at + 4] = this.#minZ - ROUNDING;
    floats[at + 5] = this.#maxZ + ROUNDING;
    words[at + 6] = (this.#country << 16 | (this.#hasUnknown ? UNKNOWN_BIT : 0) |
      this.#continent & SEVERAL_CONTINENTS) >>> 0;
  }

  #addCodes(country: number, continent: number): void {
    if (this.#country === NONE_YET) this.#country = country;
    else if (this.#country !== country) this.#country = SEVERAL;
    if (this.#continent === NONE_YET) this.#continent = continent;
    else if (this.#continent !== continent) this.#continent = SEVERAL;
  }
}

/** More than storing a number up to 1 as `f32` can change it, which is 2⁻²⁵. */
const ROUNDING = 2 ** -24;

function countOnes(bits: number): number {
  bits -= bits >>> 1 & 0x55555555;
  bits = (bits & 0x33333333) + (bits >>> 2 & 0x33333333);
  return Math.imul(bits + (bits >>> 4) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
