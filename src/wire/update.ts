/**
 * Dynamic updates (RFC 2136): one message that replaces a whole RRset if it still is what was read.
 *
 * ```text
 * header          opcode UPDATE; the four counts are zones, prerequisites, updates, additionals
 * zone            name, SOA, IN
 * prerequisites   what must hold, else the server changes nothing
 * updates         what is deleted and added, all of it or nothing
 * ```
 *
 * The server compares sets: their order doesn't count, nor does the TTL, which must be 0 in a prerequisite (§2.4.2).
 *
 * @module
 */
import { nameToWire } from "./name.ts";
import { CLASS, TYPE } from "./record_type.ts";

/** The records of one name and type; TTLs are apart, since prerequisites have none. */
export interface UpdatedSet {
  /** Presentation form; complete with or without a final dot. */
  readonly name: string;
  /** The type's number. */
  readonly type: number;
  /** Data of each record in wire form, names uncompressed; empty = there is no such set. */
  readonly rdata: readonly Uint8Array[];
}

/** A set that replaces another. TTLs are seconds. */
export interface UpdateMessage {
  /** 0–65535. */
  readonly id: number;
  /** Name of the zone that the sets are in. */
  readonly zone: string;
  /** What must be there when the update is made; empty = nothing is asked. */
  readonly expected: readonly UpdatedSet[];
  /** What is there afterwards; `null` = nothing is changed, only asked whether the rest holds. */
  readonly replaced: (UpdatedSet & { readonly ttl: number }) | null;
}

/** Most records of a section: its count has 16 bits. */
const COUNT_MAX = 0xffff;

/**
 * Writes an update that deletes a set and adds another in its place.
 *
 * @throws {SyntaxError} when a name is none
 * @throws {RangeError} when there are more records than a message can count
 */
export function encodeUpdate({ id, zone, expected, replaced }: UpdateMessage): Uint8Array {
  const prerequisites = expected.flatMap(prerequisitesOf);
  const updates = replaced === null ? [] : replacementOf(replaced);
  for (const section of [prerequisites, updates]) {
    if (section.length > COUNT_MAX) {
      throw new RangeError(
        `An update can't hold ${section.length} records of a section; ${COUNT_MAX} is most`,
      );
    }
  }
  const counts = [1, prerequisites.length, updates.length, 0];
  return concat([
    Uint8Array.from([id, OPCODE_UPDATE << 11, ...counts].flatMap(u16)),
    nameToWire(zone),
    Uint8Array.from([TYPE.SOA, CLASS.IN].flatMap(u16)),
    ...prerequisites,
    ...updates,
  ]);
}

/** RFC 2136 §1.3. */
const OPCODE_UPDATE = 5;

const NO_DATA = new Uint8Array(0);

/** §2.4.2: the set has these records and no others; §2.4.3: there is no such set. */
function prerequisitesOf({ rdata, ...set }: UpdatedSet): Uint8Array[] {
  if (rdata.length === 0) return [record({ ...set, class: CLASS.NONE, ttl: 0, rdata: NO_DATA })];
  return rdata.map((each) => record({ ...set, class: CLASS.IN, ttl: 0, rdata: each }));
}

/** §2.5.2: the whole set goes; §2.5.1: each record is added. */
function replacementOf({ rdata, ...set }: UpdatedSet & { readonly ttl: number }): Uint8Array[] {
  const deletion = record({ ...set, class: CLASS.ANY, ttl: 0, rdata: NO_DATA });
  return [deletion, ...rdata.map((each) => record({ ...set, class: CLASS.IN, rdata: each }))];
}

function record(
  { name, type, class: recordClass, ttl, rdata }: Omit<UpdatedSet, "rdata"> & {
    readonly class: number;
    readonly ttl: number;
    readonly rdata: Uint8Array;
  },
): Uint8Array {
  const fixed = [...u16(type), ...u16(recordClass), ...u16(ttl >>> 16), ...u16(ttl), ...u16(rdata.length)];
  return concat([nameToWire(name), Uint8Array.from(fixed), rdata]);
}

function u16(value: number): [number, number] {
  return [value >> 8 & 0xff, value & 0xff];
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
