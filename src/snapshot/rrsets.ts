/**
 * RRsets and finished resource records, as `layout.ts` has them.
 *
 * @module
 */
import { CLASS } from "../wire/record_type.ts";
import type { ZoneRecord } from "../wire/zone_file.ts";
import { ENTRY, RRSET } from "./layout.ts";
import type { Bytes, Words } from "./memory.ts";

/** Bytes of a finished resource record before its RDATA. */
export const FINISHED_HEAD = 12;
/** For what is copied at once: a buffer of its own would cost more than what is written into it. */
const finishedHead = new DataView(new ArrayBuffer(FINISHED_HEAD));

/** Writes the records of names. */
export class Rrsets {
  readonly #records: Words;
  readonly #heap: Bytes;

  /** Writes into these. */
  constructor(records: Words, heap: Bytes) {
    this.#records = records;
    this.#heap = heap;
  }

  /** Gives a name the records of one type. */
  write(entry: number, records: readonly ZoneRecord[]): void {
    const { at, bytes } = this.writeFinished(records);
    this.link(entry, { type: records[0]!.type, count: records.length, at, bytes });
  }

  /** Writes finished records one after the other; gives their place in the heap. */
  writeFinished(records: readonly ZoneRecord[]): { readonly at: number; readonly bytes: number } {
    const at = this.#heap.length;
    for (const record of records) this.#writeOne(record);
    return { at, bytes: this.#heap.length - at };
  }

  /** Gives a name finished records of one type. */
  link(
    entry: number,
    { type, count, at, bytes }: { type: number; count: number; at: number; bytes: number },
  ): void {
    const rrset = this.#records.reserve(RRSET.size);
    this.#records.set(rrset + RRSET.type, type);
    this.#records.set(rrset + RRSET.count, count);
    this.#records.set(rrset + RRSET.at, at);
    this.#records.set(rrset + RRSET.bytes, bytes);
    this.#records.set(rrset + RRSET.next, this.#records.get(entry + ENTRY.rrset));
    this.#records.publish(entry + ENTRY.rrset, rrset);
  }

  /** The RRset record of a type at a name, or 0. */
  find(entry: number, type: number): number {
    let rrset = this.#records.get(entry + ENTRY.rrset);
    while (rrset && this.#records.get(rrset + RRSET.type) !== type) {
      rrset = this.#records.get(rrset + RRSET.next);
    }
    return rrset;
  }

  /** Writes a finished resource record and gives its place in the heap. */
  #writeOne(record: ZoneRecord): number {
    finishedHead.setUint16(0, 0xc00c);
    finishedHead.setUint16(2, record.type);
    finishedHead.setUint16(4, CLASS.IN);
    finishedHead.setUint32(6, record.ttl);
    finishedHead.setUint16(10, record.rdata.length);
    const at = this.#heap.append(new Uint8Array(finishedHead.buffer));
    this.#heap.append(record.rdata);
    return at;
  }
}

/** The records of one type at one name. */
export type Rrset = readonly [ZoneRecord, ...ZoneRecord[]];

/** RRsets by `rrsetKey`, in order of appearance; a record said twice counts once (RFC 2181 §5). */
export function groupByOwnerAndType(records: readonly ZoneRecord[]): ReadonlyMap<string, Rrset> {
  const rrsets = new Map<string, [ZoneRecord, ...ZoneRecord[]]>();
  for (const record of records) {
    const key = rrsetKey(record.owner, record.type);
    const rrset = rrsets.get(key);
    if (!rrset) rrsets.set(key, [record]);
    else if (!rrset.some((other) => equalBytes(other.rdata, record.rdata))) rrset.push(record);
  }
  return rrsets;
}

/** What tells the RRsets of a zone apart. */
export function rrsetKey(owner: Uint8Array, type: number): string {
  return `${latin1.decode(owner)} ${type}`;
}

const latin1 = new TextDecoder("latin1");

/** Whether two runs of bytes are the same. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
