/**
 * A MaxMind DB as it lies in the file: from an address to where it is, without allocating anything.
 *
 * The file is a binary tree over the bits of addresses, then 16 zero bytes, then the data that leaves point to,
 * then a marker and metadata. Everything a walk through the tree reads is known to lie within the file once the
 * metadata fits it, and a walk takes as many steps as an address has bits at most; so a corrupt tree can lead to a
 * wrong leaf, but never astray. Data is judged when a leaf is first met: what can't be read there is "nothing
 * known", and what was read is kept by the leaf's number. Hence nothing here throws or hangs after the constructor,
 * whatever is in the file.
 *
 * Source: MaxMind DB File Format Specification, version 2.0.
 *
 * @module
 */
import { continentOf, unitVector } from "./location.ts";

/** The file is no MaxMind DB that this reader takes; the message says what is wrong, and where. */
export class MmdbFault extends Error {
  /** The class, in logs. */
  override readonly name = "MmdbFault";
}

/**
 * One database. Not shared between threads, since it keeps what it has met; its bytes may be.
 *
 * Nodes below `nodeCount` are inner ones, `nodeCount` itself is the leaf without data, larger numbers are leaves with
 * data. IPv4 in a tree of IPv6 begins at `::/96`; aliases (`::ffff:0:0/96`, `2002::/16`) are edges that lead there, so
 * a node may be met at several depths.
 *
 * @example
 * ```ts
 * const database = new Mmdb(Deno.readFileSync("city.mmdb"));
 * const place = database.place(database.find(parseIp("192.0.2.1")!));
 * if (place !== 0) console.log(database.latitude(place), database.longitude(place));
 * ```
 */
export class Mmdb {
  /** What the file calls itself, such as `GeoLite2-City`. */
  readonly databaseType: string;
  /** When the file was made; unix seconds. */
  readonly buildEpoch: number;
  /** How many inner nodes there are, at least 1. */
  readonly nodeCount: number;
  /** Which addresses the tree is over; one over IPv6 may hold IPv4, too. */
  readonly ipVersion: 4 | 6;
  /** How many bits of the address the last `find` used: all addresses that share them have the same leaf. */
  depth = 0;

  readonly #bytes: Uint8Array;
  readonly #recordSize: number;
  readonly #root4: number;
  readonly #records: Records;

  // Open addressing: leaves that were met (0 = free), and the place of each.
  #leaves = new Uint32Array(LEAVES_AT_FIRST);
  #locationOf = new Uint32Array(LEAVES_AT_FIRST);
  #leafCount = 0;

  // Facts by place; place 0 is nowhere.
  #coordinates = new Float64Array(COORDINATES * PLACES_AT_FIRST).fill(NaN, 0, COORDINATES);
  #codes = new Uint32Array(CODES * PLACES_AT_FIRST);
  #placeCount = 1;

  /**
   * Takes a whole file, of which it keeps the bytes; nothing may write to them any more.
   *
   * @throws {MmdbFault} when the metadata is missing, strange, or doesn't fit the file
   */
  constructor(bytes: Uint8Array) {
    const metadata = readMetadata(bytes);
    const { nodeCount, recordSize, ipVersion } = metadata;
    const dataBegin = nodeCount * recordSize / 4 + SEPARATOR_BYTES;
    if (dataBegin > metadata.dataEnd) {
      throw new MmdbFault(
        `its tree of ${nodeCount} nodes of ${recordSize / 4} bytes doesn't fit before the metadata at byte ` +
          `${metadata.dataEnd} (the file is cut short or corrupt)`,
      );
    }
    for (let at = dataBegin - SEPARATOR_BYTES; at < dataBegin; at++) {
      if (bytes[at] !== 0) {
        throw new MmdbFault(
          `byte ${at}, between tree and data, is ${bytes[at]} instead of 0 (the file is corrupt)`,
        );
      }
    }
    this.databaseType = metadata.databaseType;
    this.buildEpoch = metadata.buildEpoch;
    this.nodeCount = nodeCount;
    this.ipVersion = ipVersion;
    this.#bytes = bytes;
    this.#recordSize = recordSize;
    this.#records = new Records(new Section(bytes, dataBegin, metadata.dataEnd));
    this.#root4 = this.#findRoot4();
  }

  /**
   * Where to begin with addresses of a family; −1 = the file knows nothing of it. A whole family under one leaf has
   * that leaf for its root.
   */
  root(family: 4 | 6): number {
    if (family === 4) return this.#root4;
    return this.ipVersion === 6 ? 0 : -1;
  }

  /**
   * The node or leaf behind an inner node.
   *
   * @param node less than `nodeCount`
   * @param bit 0 or 1
   */
  child(node: number, bit: number): number {
    const bytes = this.#bytes;
    switch (this.#recordSize) {
      case 24: {
        const at = node * 6 + bit * 3;
        return bytes[at]! << 16 | bytes[at + 1]! << 8 | bytes[at + 2]!;
      }
      case 28: {
        // The byte in the middle holds the highest four bits of both.
        const at = node * 7 + bit * 4;
        const middle = bytes[node * 7 + 3]!;
        const high = bit === 0 ? middle >> 4 : middle & 15;
        return high << 24 | bytes[at]! << 16 | bytes[at + 1]! << 8 | bytes[at + 2]!;
      }
      default: {
        const at = node * 8 + bit * 4;
        return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
      }
    }
  }

  /**
   * The leaf of an address; `depth` then says how many of its bits led there.
   *
   * @param address 4 or 16 bytes
   */
  find(address: Uint8Array): number {
    const { nodeCount } = this;
    const bits = address.length * 8;
    let node = address.length === 4 ? this.#root4 : this.root(6);
    let depth = 0;
    if (node < 0) node = nodeCount;
    while (node < nodeCount && depth < bits) {
      node = this.child(node, address[depth >> 3]! >> (7 - (depth & 7)) & 1);
      depth++;
    }
    this.depth = depth;
    // Inner nodes below the last bit are there in corrupt files only.
    return node < nodeCount ? nodeCount : node;
  }

  /** What is known of a leaf, as a number to ask the others about; 0 = nothing. */
  place(leaf: number): number {
    if (leaf <= this.nodeCount) return 0;
    const leaves = this.#leaves;
    const mask = leaves.length - 1;
    for (let slot = Math.imul(leaf, SPREAD) >>> 7 & mask;; slot = slot + 1 & mask) {
      const met = leaves[slot]!;
      if (met === leaf) return this.#locationOf[slot]!;
      if (met === 0) return this.#meet(leaf);
    }
  }

  /**
   * Whether all of what the file says of a leaf can be read, down to what is of no interest here. Costs as much as the
   * record is long, each time: for trying a file out.
   */
  isWhole(leaf: number): boolean {
    return leaf <= this.nodeCount || this.#records.isWhole(leaf - this.nodeCount - SEPARATOR_BYTES);
  }

  /** Degrees, north is positive; NaN = unknown, and then so is the longitude. */
  latitude(place: number): number {
    return this.#coordinates[place * COORDINATES]!;
  }

  /** Degrees, east is positive; NaN = unknown. */
  longitude(place: number): number {
    return this.#coordinates[place * COORDINATES + 1]!;
  }

  /** The place as a point of the unit sphere (see `unitVector`); NaN = unknown. */
  x(place: number): number {
    return this.#coordinates[place * COORDINATES + 2]!;
  }

  /** See `x`. */
  y(place: number): number {
    return this.#coordinates[place * COORDINATES + 3]!;
  }

  /** See `x`. */
  z(place: number): number {
    return this.#coordinates[place * COORDINATES + 4]!;
  }

  /** ISO 3166-1 as `(first << 8) | second`; 0 = unknown. */
  country(place: number): number {
    return this.#codes[place * CODES]!;
  }

  /** `AF`, `AN`, `AS`, `EU`, `NA`, `OC` or `SA` as `(first << 8) | second`; 0 = unknown. */
  continent(place: number): number {
    return this.#codes[place * CODES + 1]!;
  }

  /** Number of the autonomous system; 0 = unknown. */
  asn(place: number): number {
    return this.#codes[place * CODES + 2]!;
  }

  #findRoot4(): number {
    if (this.ipVersion === 4) return 0;
    let node = 0;
    for (let i = 0; i < 96 && node < this.nodeCount; i++) node = this.child(node, 0);
    return node === this.nodeCount ? -1 : node;
  }

  /** Reads a leaf that is met for the first time. */
  #meet(leaf: number): number {
    const place = this.#records.read(leaf - this.nodeCount - SEPARATOR_BYTES) ? this.#keepPlace() : 0;
    if (++this.#leafCount * 2 > this.#leaves.length) this.#growLeaves();
    this.#keepLeaf(leaf, place);
    return place;
  }

  #keepPlace(): number {
    const { latitude, longitude, country, registeredCountry, continent, asn } = this.#records;
    // NaN fails both comparisons.
    const isPlaced = Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180;
    const knownCountry = country || registeredCountry;
    const knownContinent = continent || continentOf(knownCountry);
    if (!isPlaced && knownCountry === 0 && knownContinent === 0 && asn === 0) return 0;
    const place = this.#placeCount++;
    if (place * CODES === this.#codes.length) this.#growPlaces();
    const at = place * COORDINATES;
    if (isPlaced) {
      unitVector(latitude, longitude, UNIT);
      this.#coordinates[at] = latitude;
      this.#coordinates[at + 1] = longitude;
      this.#coordinates.set(UNIT, at + 2);
    } else {
      this.#coordinates.fill(NaN, at, at + COORDINATES);
    }
    this.#codes[place * CODES] = knownCountry;
    this.#codes[place * CODES + 1] = knownContinent;
    this.#codes[place * CODES + 2] = asn;
    return place;
  }

  #keepLeaf(leaf: number, place: number): void {
    const mask = this.#leaves.length - 1;
    let slot = Math.imul(leaf, SPREAD) >>> 7 & mask;
    while (this.#leaves[slot] !== 0) slot = slot + 1 & mask;
    this.#leaves[slot] = leaf;
    this.#locationOf[slot] = place;
  }

  #growLeaves(): void {
    const [leaves, locationOf] = [this.#leaves, this.#locationOf];
    this.#leaves = new Uint32Array(leaves.length * 2);
    this.#locationOf = new Uint32Array(leaves.length * 2);
    for (let slot = 0; slot < leaves.length; slot++) {
      if (leaves[slot] !== 0) this.#keepLeaf(leaves[slot]!, locationOf[slot]!);
    }
  }

  #growPlaces(): void {
    const coordinates = new Float64Array(this.#coordinates.length * 2);
    coordinates.set(this.#coordinates);
    this.#coordinates = coordinates;
    const codes = new Uint32Array(this.#codes.length * 2);
    codes.set(this.#codes);
    this.#codes = codes;
  }
}

/** Room to begin with; a city database has some 300,000 leaves' data, of which few are ever met. */
const LEAVES_AT_FIRST = 4096;
const PLACES_AT_FIRST = 1024;
/** Numbers by place: latitude, longitude, x, y, z. */
const COORDINATES = 5;
/** Numbers by place: country, continent, autonomous system. */
const CODES = 3;
/** 2³² divided by the golden ratio: neighbouring leaves come to lie far apart. */
const SPREAD = 0x9e3779b1;
const SEPARATOR_BYTES = 16;
const UNIT = new Float64Array(3);

/** Types of values, by their numbers in the file. */
const TYPE = {
  pointer: 1,
  text: 2,
  double: 3,
  bytes: 4,
  uint16: 5,
  uint32: 6,
  map: 7,
  int32: 8,
  uint64: 9,
  uint128: 10,
  array: 11,
  boolean: 14,
  float: 15,
};

/** The types that the byte after a control byte of type 0 stands for; the rest are none. */
const EXTENDED = [0, 8, 9, 10, 11, 0, 0, 14, 15];

/** Largest size of a value of each type; −1 = there is no such type. */
const SIZE_MAX = [-1, -1, Infinity, 8, Infinity, 2, 4, Infinity, 4, 8, 16, Infinity, -1, -1, 1, 4];

/** Values of one record, or of the metadata, that are read when a file is tried out; MaxMind's have some 200. */
const WHOLE_VALUES_MAX = 65_536;

/** How deeply values may be nested: what libmaxminddb takes. */
const DEPTH_MAX = 512;

/** What pointers of each length count from. */
const POINTER_BASE = [0, 2048, 526336, 0];

/**
 * A part of the file that holds values: a cursor over it. Positions are those in the file; −1 stands for what lies
 * outside or makes no sense.
 */
class Section {
  /** Of the value that `enter` came to: its type, … */
  type = 0;
  /** … its bytes, or how many elements it has, … */
  size = 0;
  /** … and where these begin. */
  at = 0;

  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #begin: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, begin: number, end: number) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#begin = begin;
    this.#end = end;
  }

  /** From what leaves and pointers say to a position. */
  position(offset: number): number {
    const at = this.#begin + offset;
    return at >= this.#begin && at < this.#end ? at : -1;
  }

  /**
   * Comes to the value at a position, or to the one that a pointer there leads to.
   *
   * @returns the position behind it, which for a map or an array that lies here is that of its first element
   */
  enter(at: number): number {
    const next = this.#readHead(at);
    if (next < 0 || this.type !== TYPE.pointer) return next;
    // The format forbids pointers to pointers, and so there are no circles.
    const inside = this.#readHead(this.at);
    return inside < 0 || this.type === TYPE.pointer ? -1 : next;
  }

  /** The position behind the value at a position, pointers not followed. */
  skip(at: number, valuesMax: number): number {
    let values = 1;
    for (let left = valuesMax; values > 0; values--) {
      if (left-- === 0) return -1;
      at = this.#readHead(at);
      if (at < 0) return -1;
      if (this.type === TYPE.map) values += this.size * 2;
      else if (this.type === TYPE.array) values += this.size;
    }
    return at;
  }

  /**
   * Whether a value can be read to its end with all that its pointers lead to: within the section, of types that there
   * are and sizes that they have, nested and long within reason.
   */
  isWhole(at: number): boolean {
    return this.#readWhole(at, { left: WHOLE_VALUES_MAX }, 0) >= 0;
  }

  /** Reads a value with all it has; gives the position behind it, −1 = corrupt. */
  #readWhole(at: number, budget: { left: number }, depth: number): number {
    if (depth === DEPTH_MAX || budget.left-- === 0) return -1;
    const next = this.enter(at);
    if (next < 0) return -1;
    const { type, size } = this;
    if (type === TYPE.double || type === TYPE.float) return size === SIZE_MAX[type] ? next : -1;
    if (type !== TYPE.map && type !== TYPE.array) return next;
    const isHere = this.at === next;
    let inside = this.at;
    for (let i = 0; i < size; i++) {
      if (type === TYPE.map) {
        inside = this.enter(inside);
        if (inside < 0 || this.type !== TYPE.text) return -1;
      }
      inside = this.#readWhole(inside, budget, depth + 1);
      if (inside < 0) return -1;
    }
    return isHere ? inside : next;
  }

  /** The number that was come to; NaN when it is none. */
  number(): number {
    switch (this.type) {
      case TYPE.double:
        return this.size === 8 ? this.#view.getFloat64(this.at) : NaN;
      case TYPE.float:
        return this.size === 4 ? this.#view.getFloat32(this.at) : NaN;
      case TYPE.uint16:
      case TYPE.uint32:
      case TYPE.uint64: {
        let number = 0;
        for (let i = 0; i < this.size; i++) number = number * 256 + this.bytes[this.at + i]!;
        return number;
      }
      default:
        return NaN;
    }
  }

  /** The two capital letters that were come to, as `(first << 8) | second`; 0 when it is something else. */
  letters(): number {
    if (this.type !== TYPE.text || this.size !== 2) return 0;
    const first = this.bytes[this.at]!;
    const second = this.bytes[this.at + 1]!;
    return isCapital(first) && isCapital(second) ? first << 8 | second : 0;
  }

  /** Whether the text that was come to is this one. */
  equals(text: Uint8Array): boolean {
    if (this.type !== TYPE.text || this.size !== text.length) return false;
    for (let i = 0; i < text.length; i++) if (this.bytes[this.at + i] !== text[i]) return false;
    return true;
  }

  /**
   * Reads type, size and place of the value at a position. `at` of a pointer is where it leads.
   *
   * @returns as `enter`
   */
  #readHead(at: number): number {
    // Heads are read to their end even if that lies behind the section's: the checks below find it.
    if (at < this.#begin || at >= this.#end) return -1;
    const { bytes } = this;
    const control = bytes[at++]!;
    this.type = control >> 5;
    if (this.type === TYPE.pointer) return this.#readPointer(control, at);
    if (this.type === 0) this.type = EXTENDED[bytes[at++]!] ?? 0;
    const size = control & 31;
    if (size < 29) this.size = size;
    else if (size === 29) this.size = 29 + this.#read(at, 1);
    else if (size === 30) this.size = 285 + this.#read(at, 2);
    else this.size = 65821 + this.#read(at, 3);
    this.at = at + Math.max(0, size - 28);
    // A size that the file ends in is NaN, and no more than nothing.
    if (!(this.size <= SIZE_MAX[this.type]!)) return -1;
    const isCount = this.type === TYPE.map || this.type === TYPE.array || this.type === TYPE.boolean;
    return this.#within(isCount ? this.at : this.at + this.size);
  }

  #readPointer(control: number, at: number): number {
    const length = control >> 3 & 3;
    const high = length === 3 ? 0 : control & 7;
    this.at = this.position(POINTER_BASE[length]! + high * 256 ** (length + 1) + this.#read(at, length + 1));
    return this.at < 0 ? -1 : this.#within(at + length + 1);
  }

  /** An unsigned number of 1 to 4 bytes; NaN behind the end of the file. */
  #read(at: number, length: number): number {
    let number = 0;
    for (let i = 0; i < length; i++) number = number * 256 + this.bytes[at + i]!;
    return number;
  }

  #within(at: number): number {
    return at <= this.#end ? at : -1;
  }
}

/** What a map in a record is about: the address itself, or something about it. */
const ABOUT = { address: 0, location: 1, country: 2, registeredCountry: 3, continent: 4 } as const;

/** What is read out of records. */
const FACT = { latitude: 1, longitude: 2, country: 3, registeredCountry: 4, continent: 5, asn: 6 } as const;

/** What stands behind a key: a map about something, or a fact. */
interface Key {
  readonly about: number;
  readonly text: Uint8Array;
  readonly inner: number;
  readonly fact: number;
}

/** MaxMind's records are nested, others' are flat. */
const KEYS: readonly Key[] = [
  { about: ABOUT.address, text: textBytes("location"), inner: ABOUT.location, fact: 0 },
  { about: ABOUT.address, text: textBytes("country"), inner: ABOUT.country, fact: 0 },
  {
    about: ABOUT.address,
    text: textBytes("registered_country"),
    inner: ABOUT.registeredCountry,
    fact: 0,
  },
  { about: ABOUT.address, text: textBytes("continent"), inner: ABOUT.continent, fact: 0 },
  { about: ABOUT.address, text: textBytes("latitude"), inner: 0, fact: FACT.latitude },
  { about: ABOUT.address, text: textBytes("longitude"), inner: 0, fact: FACT.longitude },
  { about: ABOUT.address, text: textBytes("country_code"), inner: 0, fact: FACT.country },
  { about: ABOUT.address, text: textBytes("continent_code"), inner: 0, fact: FACT.continent },
  { about: ABOUT.address, text: textBytes("autonomous_system_number"), inner: 0, fact: FACT.asn },
  { about: ABOUT.location, text: textBytes("latitude"), inner: 0, fact: FACT.latitude },
  { about: ABOUT.location, text: textBytes("longitude"), inner: 0, fact: FACT.longitude },
  { about: ABOUT.country, text: textBytes("iso_code"), inner: 0, fact: FACT.country },
  { about: ABOUT.registeredCountry, text: textBytes("iso_code"), inner: 0, fact: FACT.registeredCountry },
  { about: ABOUT.continent, text: textBytes("code"), inner: 0, fact: FACT.continent },
];

/** A record may have so many values; MaxMind's largest, with names in eight languages, have some 200. */
const VALUES_MAX = 4096;

/** Reads what is of interest here out of a record, into itself. */
class Records {
  /** Degrees; NaN = not said. */
  latitude = NaN;
  /** Degrees; NaN = not said. */
  longitude = NaN;
  /** Two letters; 0 = not said. Likewise the next two. */
  country = 0;
  registeredCountry = 0;
  continent = 0;
  /** 0 = not said. */
  asn = 0;

  readonly #section: Section;
  #keysLeft = 0;

  constructor(section: Section) {
    this.#section = section;
  }

  /** Whether there is a whole record at an offset. */
  read(offset: number): boolean {
    this.latitude = NaN;
    this.longitude = NaN;
    this.country = 0;
    this.registeredCountry = 0;
    this.continent = 0;
    this.asn = 0;
    this.#keysLeft = VALUES_MAX;
    const at = this.#section.position(offset);
    return this.#section.enter(at) >= 0 && this.#section.type === TYPE.map &&
      this.#readMap(at, ABOUT.address) >= 0;
  }

  /** Whether all of a record can be read. */
  isWhole(offset: number): boolean {
    return this.#section.isWhole(this.#section.position(offset));
  }

  /** Reads a value that may be a map; gives the position behind it, −1 = corrupt. */
  #readMap(at: number, about: number): number {
    const section = this.#section;
    const next = section.enter(at);
    if (next < 0) return -1;
    if (section.type !== TYPE.map) return section.skip(at, VALUES_MAX);
    const isHere = section.at === next;
    let inside = section.at;
    for (let left = section.size; left > 0; left--) {
      if (this.#keysLeft-- === 0) return -1;
      const value = section.enter(inside);
      if (value < 0 || section.type !== TYPE.text) return -1;
      const key = this.#keyOf(about);
      if (key === undefined) inside = section.skip(value, VALUES_MAX);
      else if (key.inner !== 0) inside = this.#readMap(value, key.inner);
      else inside = this.#readFact(value, key.fact);
      if (inside < 0) return -1;
    }
    return isHere ? inside : next;
  }

  /** What the section came to, if that is a key of interest. */
  #keyOf(about: number): Key | undefined {
    for (let i = 0; i < KEYS.length; i++) {
      const key = KEYS[i]!;
      if (key.about === about && this.#section.equals(key.text)) return key;
    }
    return undefined;
  }

  /** Reads a fact; gives the position behind it. What is there in another type than it should be isn't said. */
  #readFact(at: number, fact: number): number {
    const section = this.#section;
    if (section.enter(at) < 0) return -1;
    switch (fact) {
      case FACT.latitude:
        this.latitude = section.number();
        break;
      case FACT.longitude:
        this.longitude = section.number();
        break;
      case FACT.country:
        this.country = section.letters();
        break;
      case FACT.registeredCountry:
        this.registeredCountry = section.letters();
        break;
      case FACT.continent:
        this.continent = section.letters();
        break;
      case FACT.asn:
        this.asn = section.number() >>> 0;
        break;
    }
    return section.skip(at, VALUES_MAX);
  }
}

function isCapital(byte: number): boolean {
  return byte >= 65 && byte <= 90;
}

interface Metadata {
  readonly databaseType: string;
  readonly buildEpoch: number;
  readonly nodeCount: number;
  readonly recordSize: number;
  readonly ipVersion: 4 | 6;
  /** Where the marker begins. */
  readonly dataEnd: number;
}

/** `\xAB\xCD\xEFMaxMind.com`. */
const MARKER = Uint8Array.of(0xab, 0xcd, 0xef, ...textBytes("MaxMind.com"));
/** The metadata, with the marker, is among the last 128 KiB of the file. */
export const METADATA_BYTES_MAX: number = 128 * 1024;

/**
 * When a database was made, unix seconds, by the end of its file alone.
 *
 * @param end its last `METADATA_BYTES_MAX` bytes at least, or all of it
 * @throws {MmdbFault} when there is no metadata in it
 */
export function buildEpochIn(end: Uint8Array): number {
  return readMetadata(end).buildEpoch;
}

function readMetadata(bytes: Uint8Array): Metadata {
  const dataEnd = findMarker(bytes);
  if (dataEnd < 0) {
    throw new MmdbFault(
      `the marker before its metadata isn't in the last ${METADATA_BYTES_MAX} of its ${bytes.length} bytes ` +
        "(the file is cut short, or no MaxMind DB)",
    );
  }
  const facts = readFacts(new Section(bytes, dataEnd + MARKER.length, bytes.length));
  const oneOf = <Value extends number>(key: string, allowed: readonly Value[]): Value => {
    const value = allowed.find((each) => each === facts.get(key));
    if (value !== undefined) return value;
    throw new MmdbFault(
      `${key} in its metadata is ${facts.get(key) ?? "missing"}; ${allowed.join(" or ")} can be read`,
    );
  };
  oneOf("binary_format_major_version", [2]);
  const nodeCount = facts.get("node_count");
  if (typeof nodeCount !== "number" || nodeCount < 1) {
    throw new MmdbFault(`node_count in its metadata is ${nodeCount ?? "missing"}; at least 1 is needed`);
  }
  const databaseType = facts.get("database_type");
  const buildEpoch = facts.get("build_epoch");
  return {
    ...{ nodeCount, dataEnd },
    recordSize: oneOf("record_size", [24, 28, 32]),
    ipVersion: oneOf("ip_version", [4, 6]),
    databaseType: typeof databaseType === "string" ? databaseType : "",
    buildEpoch: typeof buildEpoch === "number" ? buildEpoch : 0,
  };
}

function findMarker(bytes: Uint8Array): number {
  const first = Math.max(0, bytes.length - METADATA_BYTES_MAX);
  for (let at = bytes.length - MARKER.length; at >= first; at--) {
    if (MARKER.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

/** The numbers and texts of the metadata's map. */
function readFacts(section: Section): ReadonlyMap<string, number | string> {
  const corrupt = new MmdbFault("its metadata can't be read to its end (the file is cut short or corrupt)");
  const facts = new Map<string, number | string>();
  if (!section.isWhole(section.position(0))) throw corrupt;
  let at = section.enter(section.position(0));
  if (section.type !== TYPE.map) throw corrupt;
  for (let left = section.size; left > 0; left--) {
    const value = section.enter(at);
    if (value < 0 || section.type !== TYPE.text) throw corrupt;
    const key = textOf(section);
    if (section.enter(value) < 0) throw corrupt;
    const number = section.number();
    if (section.type === TYPE.text) facts.set(key, textOf(section));
    else if (!Number.isNaN(number)) facts.set(key, number);
    at = section.skip(value, VALUES_MAX);
    if (at < 0) throw corrupt;
  }
  return facts;
}

function textOf({ bytes, at, size }: Section): string {
  // A decoder takes no shared memory, hence the copy.
  return new TextDecoder().decode(bytes.slice(at, at + size));
}

function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
