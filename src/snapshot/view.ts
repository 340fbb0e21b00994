/**
 * Reading a snapshot: the sections as typed arrays, the look-up of a name, and every field of every record.
 *
 * Whoever reads knows references and asks here what lies behind one; offsets are known in this folder only. The readers
 * of fields are free functions of the records and a reference, which the compiler puts in their callers' place.
 * Reference 0 stands for "none", and reads as zeros.
 *
 * @module
 */
import type { GeoData } from "../geo/geo_data.ts";
import type { Family } from "../ip.ts";
import {
  ENTRY,
  FACTS,
  GLUE,
  IN_BOTH_LISTS,
  LEFT_UNITS,
  LIST,
  MAGIC,
  NAMED,
  NEED_PERCENT,
  NO_PLACE,
  NO_SLOT,
  OUTSIDER,
  PLACE_UNITS,
  POOL,
  ROOT,
  RRSET,
  SERVICE,
  TWINS,
  ZONE,
} from "./layout.ts";
import { TABLE } from "../balance/rule_table.ts";
import { weightOf } from "../shared_weight.ts";
import { firstSlot, hashAsterisk } from "./name_hash.ts";

/** A compiled state of the world; laid out as `layout.ts` says. */
export interface Snapshot {
  /** Grows with every snapshot of a process. */
  readonly epoch: number;
  /** Hash table of names. */
  readonly names: SharedArrayBuffer;
  /** Everything that refers to something. */
  readonly records: SharedArrayBuffer;
  /** Bytes that records refer to. */
  readonly heap: SharedArrayBuffer;
  /** What is known of clients. */
  readonly geoData: GeoData;
}

/** A snapshot opened for reading; opening allocates, reading doesn't. */
export class SnapshotView {
  /** Of the snapshot. */
  readonly epoch: number;
  /** See `layout.ts`. */
  readonly records: Uint32Array;
  /** Names, finished resource records and addresses. */
  readonly heap: Uint8Array;
  /** With which hashes of names begin. */
  readonly seed: number;
  /** Hash of the label `*`. */
  readonly asterisk: number;
  /** Slots of the hash table of names: hash, entry. */
  readonly names: Int32Array;
  /** Slots less one; their number is a power of two. */
  readonly nameMask: number;
  /** Lets the garbage collector know what goes when this goes. */
  readonly weight: ArrayBuffer;

  /**
   * Opens a snapshot.
   *
   * @throws {TypeError} when the buffers are no snapshot
   */
  constructor(snapshot: Snapshot) {
    this.epoch = snapshot.epoch;
    this.records = new Uint32Array(snapshot.records);
    if (this.records[ROOT.magic] !== MAGIC) {
      throw new TypeError("Cannot open a snapshot: the buffer holds something else");
    }
    this.heap = new Uint8Array(snapshot.heap);
    this.seed = this.records[ROOT.seed]! | 0;
    this.asterisk = hashAsterisk(this.seed);
    this.names = new Int32Array(snapshot.names);
    this.nameMask = this.names.length / 2 - 1;
    this.weight = weightOf([snapshot.names, snapshot.records, snapshot.heap]);
  }

  /** Moves on by two with each change that takes several words, and is odd while these are written. */
  get changes(): number {
    // A plain read, since an atomic one takes 8 ns, twice an answer. x86 keeps loads in order; where a processor doesn't,
    // an answer may combine objects of two commits, never halves of an object.
    return this.records[ROOT.changes]!;
  }

  /** Service record of the static fallback, or 0. */
  get fallback(): number {
    return this.records[ROOT.fallback]!;
  }

  /** List ids run from 0 to this. */
  get listsMax(): number {
    return this.records[ROOT.listsMax]!;
  }

  /** Members that all lists together may have. */
  get listMembersMax(): number {
    return this.records[ROOT.listMembersMax]!;
  }

  /**
   * Finds the entry of a name.
   *
   * @param hash by `name_hash.ts`
   * @param name holds the lower-case wire name from `at` to `end`
   * @returns the entry record, or 0 when there is neither the name nor one below it. An entry without a zone has a name
   *   below it that is a zone of its own: it exists if any name above it is in a zone
   */
  find(hash: number, name: Uint8Array, at: number, end: number): number {
    const names = this.names;
    for (let slot = firstSlot(hash, this.nameMask);; slot = (slot + 1) & this.nameMask) {
      const entry = names[slot * 2 + 1]!;
      if (entry === 0) return 0;
      if (names[slot * 2] === hash && this.#named(entry, name, at, end)) return this.#living(entry);
    }
  }

  /** Finds `*.NAME`, where NAME lies in `name` from `at` to `end` and `hash` is the wildcard's. */
  findWildcard(hash: number, name: Uint8Array, at: number, end: number): number {
    const names = this.names;
    for (let slot = firstSlot(hash, this.nameMask);; slot = (slot + 1) & this.nameMask) {
      const entry = names[slot * 2 + 1]!;
      if (entry === 0) return 0;
      if (names[slot * 2] === hash && this.#isWildcardOf(entry, name, at, end)) return this.#living(entry);
    }
  }

  /** A name that was taken away keeps its entry, with no zone, and no name below it. */
  #living(entry: number): number {
    return this.records[entry + ENTRY.zone] === 0 && this.records[entry + ENTRY.children] === 0 ? 0 : entry;
  }

  #named(entry: number, name: Uint8Array, at: number, end: number): boolean {
    const length = end - at;
    if (this.records[entry + ENTRY.nameLength] !== length) return false;
    return this.#equal(this.records[entry + ENTRY.nameAt]!, name, at, length);
  }

  #isWildcardOf(entry: number, name: Uint8Array, at: number, end: number): boolean {
    const length = end - at;
    if (this.records[entry + ENTRY.nameLength] !== length + 2) return false;
    const nameAt = this.records[entry + ENTRY.nameAt]!;
    return this.heap[nameAt] === 1 && this.heap[nameAt + 1] === 0x2a &&
      this.#equal(nameAt + 2, name, at, length);
  }

  #equal(heapAt: number, name: Uint8Array, at: number, length: number): boolean {
    const heap = this.heap;
    for (let i = 0; i < length; i++) if (heap[heapAt + i] !== name[at + i]) return false;
    return true;
  }
}

/** How many of `count` members have to be up for a pool not to count as down; `minHealthy` as in its record. */
export function neededOf(count: number, minHealthy: number): number {
  if (minHealthy < NEED_PERCENT) return minHealthy > 1 ? minHealthy : 1;
  return Math.max(1, Math.ceil(count * (minHealthy - NEED_PERCENT) / 100));
}

/** The words of a snapshot's records. */
export type Records = Uint32Array;

// Names.

/** Heap offset of the entry's lower-case wire name. */
export function nameAtOf(records: Records, entry: number): number {
  return records[entry + ENTRY.nameAt]!;
}

/** Bytes of the entry's wire name, root label included. */
export function nameLengthOf(records: Records, entry: number): number {
  return records[entry + ENTRY.nameLength]!;
}

/** The zone record of an entry, or 0; see `ENTRY.zone`. */
export function zoneOf(records: Records, entry: number): number {
  return records[entry + ENTRY.zone]!;
}

/** The service record of an entry, or 0. */
export function serviceOf(records: Records, entry: number): number {
  return records[entry + ENTRY.service]!;
}

/** The entry of the delegation or DNAME at or above an entry's name, or 0. */
export function cutOf(records: Records, entry: number): number {
  return records[entry + ENTRY.cut]!;
}

/** The first RRset record of an entry, or 0. */
export function firstRrsetOf(records: Records, entry: number): number {
  return records[entry + ENTRY.rrset]!;
}

// RRsets.

/** The next RRset of the same name, or 0. */
export function nextRrsetOf(records: Records, rrset: number): number {
  return records[rrset + RRSET.next]!;
}

/** The RRset of a type at an entry, or 0. */
export function findRrset(records: Records, entry: number, type: number): number {
  let rrset = records[entry + ENTRY.rrset]!;
  while (rrset !== 0 && records[rrset + RRSET.type] !== type) rrset = records[rrset + RRSET.next]!;
  return rrset;
}

/** The type of an RRset. */
export function typeOf(records: Records, rrset: number): number {
  return records[rrset + RRSET.type]!;
}

/** How many records an RRset has. */
export function recordsIn(records: Records, rrset: number): number {
  return records[rrset + RRSET.count]!;
}

/** Heap offset of an RRset's finished records. */
export function recordsAt(records: Records, rrset: number): number {
  return records[rrset + RRSET.at]!;
}

/** Bytes of an RRset's finished records. */
export function recordBytesOf(records: Records, rrset: number): number {
  return records[rrset + RRSET.bytes]!;
}

/** The glue record of a delegation's NS RRset, or 0. */
export function glueOf(records: Records, rrset: number): number {
  return records[rrset + RRSET.glue]!;
}

/** How many sets of addresses a glue record has. */
export function glueSetsIn(records: Records, glue: number): number {
  return records[glue + GLUE.count]!;
}

/** How many of the sets, from the first, belong to servers inside the delegation. */
export function neededGlueSetsIn(records: Records, glue: number): number {
  return records[glue + GLUE.needed]!;
}

/** The index-th set of a glue record. */
export function glueSetAt(glue: number, index: number): number {
  return glue + GLUE.sets + index * GLUE.setSize;
}

/** Bytes from the start of the NS RRset to the name in its RDATA of the server to which a set of glue belongs. */
export function glueNameAt(records: Records, set: number): number {
  return records[set + GLUE.setName]!;
}

/** Heap offset of the finished records of a set of glue. */
export function glueRecordsAt(records: Records, set: number): number {
  return records[set + GLUE.setAt]!;
}

/** Their bytes. */
export function glueBytesOf(records: Records, set: number): number {
  return records[set + GLUE.setBytes]!;
}

/** How many they are; 0 = those of an entry count, see `glueEntryOf`. */
export function glueCountOf(records: Records, set: number): number {
  return records[set + GLUE.setCount]!;
}

/** The entry whose records are the glue of a set without records of its own. */
export function glueEntryOf(records: Records, set: number): number {
  return records[set + GLUE.setAt]!;
}

/** The type of those. */
export function glueTypeOf(records: Records, set: number): number {
  return records[set + GLUE.setBytes]!;
}

// Zones.

/** Bytes of the wire name of a zone's apex. */
export function apexLengthOf(records: Records, zone: number): number {
  return records[zone + ZONE.apexLength]!;
}

/** Heap offset of a zone's finished SOA record. */
export function soaAtOf(records: Records, zone: number): number {
  return records[zone + ZONE.soaAt]!;
}

/** Bytes of it. */
export function soaBytesOf(records: Records, zone: number): number {
  return records[zone + ZONE.soaBytes]!;
}

// Services and pools.

/** The pool of a service, or 0. */
export function poolOf(records: Records, service: number): number {
  return records[service + SERVICE.pool]!;
}

/** The TTL of a service, seconds. */
export function ttlOf(records: Records, service: number): number {
  return records[service + SERVICE.ttl]!;
}

/** Seconds below which a planned change doesn't lower it. */
export function minTtlOf(records: Records, service: number): number {
  return records[service + SERVICE.minTtl]!;
}

/** The ticket slot of a service's answers of a family. */
export function cursorOf(records: Records, service: number, family: Family): number {
  return records[service + (family === 4 ? SERVICE.cursor4 : SERVICE.cursor6)]!;
}

/** Whether a service looks at the client subnet. */
export function takesSubnet(records: Records, service: number): boolean {
  return records[service + SERVICE.ignoresSubnet] === 0;
}

/** The pool that a pool falls back to, or 0. */
export function fallbackOf(records: Records, pool: number): number {
  return records[pool + POOL.fallback]!;
}

/** The list of a pool's addresses of a family. */
export function listOf(records: Records, pool: number, family: Family): number {
  return records[pool + (family === 4 ? POOL.list4 : POOL.list6)]!;
}

/** Index into `ON_ALL_DOWN`. */
export function onAllDownOf(records: Records, pool: number): number {
  return records[pool + POOL.onAllDown]!;
}

/** Milliseconds between two probes of a member; 0 = there are none. */
export function intervalMsOf(records: Records, pool: number): number {
  return records[pool + POOL.intervalMs]!;
}

/** Addresses in an answer of a pool; 0 = all. */
export function maxAnswersOf(records: Records, pool: number): number {
  return records[pool + POOL.maxAnswers]!;
}

/** How many of a family must be up; for `neededOf`. */
export function minHealthyOf(records: Records, pool: number): number {
  return records[pool + POOL.minHealthy]!;
}

/** When a pool's answers change next by plan, for `millisecondsUntil`; 0 = never. */
export function changesAtOf(records: Records, pool: number): number {
  return records[pool + POOL.changesAt]!;
}

/** What a pool answers where it may answer names, or 0: addresses. */
export function namedOf(records: Records, pool: number): number {
  return records[pool + POOL.named]!;
}

/** The list of a named record for a family. */
export function namedListOf(records: Records, named: number, family: Family): number {
  return records[named + (family === 4 ? NAMED.list4 : NAMED.list6)]!;
}

/** The aliases that belong to the list of a named record, for `aliasAt`. */
export function aliasesOf(records: Records, named: number, family: Family): number {
  return records[named + (family === 4 ? NAMED.aliases4 : NAMED.aliases6)]!;
}

/** Heap offset of the name as which the index-th member is answered; 0 = by its address. */
export function aliasAt(records: Records, aliases: number, index: number): number {
  return records[aliases + index]!;
}

// Lists of members.

/**
 * A list of so many members or fewer, unless it is weighted, has no id: who of them is up is seen at a glance, and
 * what a worker derived for it would be one more memory access that misses every cache among a million lists.
 */
export const SMALL_LIST_MAX = 8;
/** The id of such a list. */
export const NO_LIST_ID = 0xffffffff;

/** Index of what a worker derives for a list, or `NO_LIST_ID`. */
export function listIdOf(records: Records, list: number): number {
  return records[list + LIST.id]!;
}

/** Index of a list's first member among all lists' members. */
export function baseOf(records: Records, list: number): number {
  return records[list + LIST.base]!;
}

/** How many members a list has. */
export function membersIn(records: Records, list: number): number {
  return records[list + LIST.count]!;
}

/** Index into `ALGORITHMS`. */
export function algorithmOf(records: Records, list: number): number {
  return records[list + LIST.algorithm]!;
}

/** The health slot of the index-th member. */
export function slotOf(records: Records, list: number, index: number): number {
  return records[list + LIST.members + index * LIST.memberSize + LIST.memberSlot]!;
}

/** Weight in the low 16 bits, priority in the high 16, of the index-th member. */
export function rankOf(records: Records, list: number, index: number): number {
  return records[list + LIST.members + index * LIST.memberSize + LIST.memberRank]!;
}

/** Bytes of an address of a list, 4 or 16. */
export function addressSizeOf(records: Records, list: number): number {
  return records[list + LIST.addressSize]! & ~TWINS;
}

/** Where the addresses of a list begin, in words: one for each IPv4 address, four big-endian ones for IPv6. */
export function addressesAt(records: Records, list: number): number {
  return list + LIST.members + records[list + LIST.count]! * LIST.memberSize;
}

/** Whether some address stands twice in a list. */
export function hasTwins(records: Records, list: number): boolean {
  return (records[list + LIST.addressSize]! & TWINS) !== 0;
}

/** Where the words of a list with twins begin that say of each member which is the first with the same address. */
export function twinsAt(records: Records, list: number): number {
  const words = LIST.memberSize + addressSizeOf(records, list) / 4;
  return list + LIST.members + records[list + LIST.count]! * words;
}

// What lists know of clients.

/** The facts record of a list, or 0: then the answer doesn't depend on the client. */
export function factsOf(records: Records, list: number): number {
  return records[list + LIST.facts]!;
}

/** Whether clients get no members but those that a rule, the nearest site or the map file names. */
export function isGeofenced(records: Records, list: number): boolean {
  const facts = records[list + LIST.facts]!;
  return facts !== 0 && records[facts + FACTS.geofence] === 1;
}

/** The table of a list's rules (`balance/rule_table.ts`), as it lies; empty = there are none. */
export function rulesOf(records: Records, list: number): Uint32Array {
  const at = records[factsOf(records, list) + FACTS.rules]!;
  return at === 0 ? NO_RULES : records.subarray(at, at + records[at + TABLE.size]!);
}

/** The table of no rules. */
const NO_RULES = new Uint32Array(0);

/** How many outsiders a list has. */
export function outsidersIn(records: Records, list: number): number {
  return records[factsOf(records, list) + FACTS.outsiders]!;
}

/** What is left of the index-th member while it drains; 1 = all. */
export function leftOf(records: Records, list: number, index: number): number {
  const facts = factsOf(records, list);
  return facts === 0 ? 1 : (records[placeAt(facts, index) + FACTS.placeLeft]! & ~IN_BOTH_LISTS) / LEFT_UNITS;
}

/** Whether the index-th member of a list with facts stands in the list of the other family, too. */
export function isInBothLists(records: Records, list: number, index: number): boolean {
  return (records[placeAt(factsOf(records, list), index) + FACTS.placeLeft]! & IN_BOTH_LISTS) !== 0;
}

/** Where the index-th member stands, degrees; `null` = that isn't known. */
export function locationOf(records: Records, list: number, index: number): Location | null {
  const facts = factsOf(records, list);
  return facts === 0 ? null : locationAt(records, placeAt(facts, index) + FACTS.placeLatitude);
}

/** Where a member stands, in degrees. */
export interface Location {
  /** North is positive. */
  readonly latitude: number;
  /** East is positive. */
  readonly longitude: number;
}

function placeAt(facts: number, index: number): number {
  return facts + FACTS.places + index * FACTS.placeSize;
}

/** Latitude at a word and longitude in the next one. */
function locationAt(records: Records, at: number): Location | null {
  const latitude = records[at]! | 0;
  if (latitude === NO_PLACE) return null;
  return { latitude: latitude / PLACE_UNITS, longitude: (records[at + 1]! | 0) / PLACE_UNITS };
}

/** A member that makes fences only. */
export interface OutsiderView {
  /** Its health slot; `null` = it is disabled. */
  readonly slot: number | null;
  /** Where it stands; `null` = that isn't known. */
  readonly place: Location | null;
  /** 16 bytes; an IPv4 address as `::ffff:a.b.c.d`. */
  readonly address: readonly number[];
}

/** The outsiders of a list with facts, in their order. */
export function outsidersOf(records: Records, list: number): OutsiderView[] {
  const from = outsidersAt(records, list);
  return Array.from({ length: outsidersIn(records, list) }, (_, i) => {
    const at = from + i * OUTSIDER.size;
    const slot = records[at + OUTSIDER.slot]!;
    return {
      slot: slot === NO_SLOT ? null : slot,
      place: locationAt(records, at + OUTSIDER.placeLatitude),
      address: bytesAt(records, at + OUTSIDER.address, 16),
    };
  });
}

/** The health slot of the index-th outsider; `null` = it is disabled. */
export function outsiderSlotOf(records: Records, list: number, index: number): number | null {
  const slot = records[outsidersAt(records, list) + index * OUTSIDER.size + OUTSIDER.slot]!;
  return slot === NO_SLOT ? null : slot;
}

function outsidersAt(records: Records, list: number): number {
  return placeAt(factsOf(records, list), membersIn(records, list));
}

/** The address of the index-th member, 4 or 16 bytes. */
export function addressOf(records: Records, list: number, index: number): readonly number[] {
  const size = addressSizeOf(records, list);
  return bytesAt(records, addressesAt(records, list) + index * size / 4, size);
}

/** No `Uint8Array`, which takes V8 0.7 µs to make, and there may be hundreds. */
function bytesAt(records: Records, from: number, size: number): readonly number[] {
  const bytes: number[] = [];
  for (let at = from; at < from + size / 4; at++) {
    const word = records[at]!;
    bytes.push(word >>> 24, word >>> 16 & 0xff, word >>> 8 & 0xff, word & 0xff);
  }
  return bytes;
}

/** Words that `copyGrounds` writes. */
export function groundsSizeOf(records: Records, list: number, withAddresses: boolean): number {
  const count = membersIn(records, list);
  const addressWords = withAddresses ? count * addressSizeOf(records, list) / 4 : 0;
  return count + 1 + count * FACTS.placeSize +
    outsidersIn(records, list) * OUTSIDER.size + addressWords;
}

/**
 * Copies all of a list with facts that decisions follow from but health and rules: equal words mean equal decisions. Health slots are
 * numbers of the node; of an outsider's there only counts whether there is one.
 *
 * @param at where in `words` to begin
 */
export function copyGrounds(
  records: Records,
  list: number,
  { words, at, withAddresses }: {
    readonly words: Uint32Array;
    readonly at: number;
    readonly withAddresses: boolean;
  },
): void {
  const count = membersIn(records, list);
  const facts = factsOf(records, list);
  for (let i = 0; i < count; i++) words[at++] = rankOf(records, list, i);
  words[at++] = records[facts + FACTS.geofence]!;
  const outsiders = outsidersAt(records, list);
  for (let word = facts + FACTS.places; word < outsiders; word++) words[at++] = records[word]!;
  const outsiderWords = outsidersIn(records, list) * OUTSIDER.size;
  for (let i = 0; i < outsiderWords; i++) {
    const word = records[outsiders + i]!;
    words[at++] = i % OUTSIDER.size !== OUTSIDER.slot ? word : word === NO_SLOT ? 0 : 1;
  }
  if (!withAddresses) return;
  const addresses = addressesAt(records, list);
  const addressWords = count * addressSizeOf(records, list) / 4;
  for (let i = 0; i < addressWords; i++) words[at++] = records[addresses + i]!;
}

/** The farthest that a planned change may lie ahead; what seems to lie farther lies in the past. Milliseconds. */
const PLANNED_MAX_MS = 40 * 24 * 3_600_000;

/** Milliseconds from `nowMs` (Unix) to a planned change (`changesAtOf`); 0 = it is there, or over. */
export function millisecondsUntil(word: number, nowMs: number): number {
  const left = (word - nowMs % 2 ** 32 + 2 ** 32) % 2 ** 32;
  return left > PLANNED_MAX_MS ? 0 : left;
}
