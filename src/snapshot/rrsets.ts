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
/** Writes the records of names. */
export class Rrsets {
  readonly #records: Words;
  readonly #heap: Bytes;

  /** Writes into these. */
  constructor(records: Words, heap: Bytes) {
    this.#records = records;
    this.#heap = heap;
  }

  /**
   * Gives a name these records, and no others but those of `kept`. What it has already stays where it is; the rest is
   * seen by one store.
   *
   * @param kept an RRset record of the name that stays, or 0
   * @param fresh types whose RRset record is to be a new one, because something else will hang on it
   */
  put(
    entry: number,
    rrsets: readonly Rrset[],
    { kept, fresh }: { readonly kept: number; readonly fresh: readonly number[] },
  ): void {
    const wanted = rrsets.map((records) => this.#finished(entry, records));
    const isSame = wanted.every(({ rrset, type }) => rrset !== 0 && !fresh.includes(type)) &&
      this.#count(entry) === wanted.length + (kept === 0 ? 0 : 1);
    if (isSame) return;
    let first = kept === 0 ? 0 : this.#copy(kept, 0);
    for (const { type, count, at, bytes } of wanted) {
      first = this.#write({ type, count, at, bytes, next: first });
    }
    this.#records.publish(entry + ENTRY.rrset, first);
  }

  /** Gives a name these records of a type, or none of it, beside all others that it has. */
  replace(entry: number, type: number, records: Rrset | null): void {
    const former = this.find(entry, type);
    if (former === 0 && records === null) return;
    const wanted = records && this.#finished(entry, records);
    if (wanted && wanted.rrset !== 0) return;
    let first = wanted ? this.#write({ ...wanted, next: 0 }) : 0;
    for (let at = this.#records.get(entry + ENTRY.rrset); at; at = this.#records.get(at + RRSET.next)) {
      if (at !== former) first = this.#copy(at, first);
    }
    this.#records.publish(entry + ENTRY.rrset, first);
  }

  /** Whether the heap holds the same bytes at two places. */
  areEqual(at: number, other: number, bytes: number): boolean {
    return this.#heap.holdsAt(at, this.#heap.read(other, bytes));
  }

  /** Finished records, where they lie already or at the end of the heap. */
  #finished(entry: number, records: Rrset): Finished & { readonly rrset: number } {
    const [{ type }] = records;
    const bytes = finishedBytes(records);
    const rrset = this.find(entry, type);
    const at = this.#records.get(rrset + RRSET.at);
    const isThere = rrset !== 0 && this.#records.get(rrset + RRSET.bytes) === bytes.length &&
      this.#heap.holdsAt(at, bytes);
    const place = isThere ? { at, rrset } : { at: this.#heap.append(bytes), rrset: 0 };
    return { ...place, type, count: records.length, bytes: bytes.length };
  }

  #count(entry: number): number {
    let count = 0;
    for (let at = this.#records.get(entry + ENTRY.rrset); at; at = this.#records.get(at + RRSET.next)) {
      count++;
    }
    return count;
  }

  #copy(rrset: number, next: number): number {
    return this.#write({
      type: this.#records.get(rrset + RRSET.type),
      count: this.#records.get(rrset + RRSET.count),
      at: this.#records.get(rrset + RRSET.at),
      bytes: this.#records.get(rrset + RRSET.bytes),
      next,
    });
  }

  #write({ type, count, at, bytes, next }: Finished & { readonly next: number }): number {
    const rrset = this.#records.reserve(RRSET.size);
    this.#records.set(rrset + RRSET.type, type);
    this.#records.set(rrset + RRSET.count, count);
    this.#records.set(rrset + RRSET.at, at);
    this.#records.set(rrset + RRSET.bytes, bytes);
    this.#records.set(rrset + RRSET.next, next);
    return rrset;
  }

  /** Writes finished records one after the other; gives their place in the heap. */
  writeFinished(records: Rrset): Finished {
    const bytes = finishedBytes(records);
    return {
      type: records[0].type,
      count: records.length,
      at: this.#heap.append(bytes),
      bytes: bytes.length,
    };
  }

  /** Gives a name nothing but these finished records. */
  link(entry: number, finished: Finished): void {
    this.#records.publish(entry + ENTRY.rrset, this.#write({ ...finished, next: 0 }));
  }

  /** The RRset record of a type at a name, or 0. */
  find(entry: number, type: number): number {
    let rrset = this.#records.get(entry + ENTRY.rrset);
    while (rrset && this.#records.get(rrset + RRSET.type) !== type) {
      rrset = this.#records.get(rrset + RRSET.next);
    }
    return rrset;
  }
}

/** Finished records of one type, and where they lie in the heap. */
export interface Finished {
  /** Of the records. */
  readonly type: number;
  /** How many there are. */
  readonly count: number;
  /** Heap offset. */
  readonly at: number;
  /** How many bytes they are. */
  readonly bytes: number;
}

/** Records one after the other, as `layout.ts` says; the bytes are new. */
function finishedBytes(records: Rrset): Uint8Array {
  let size = 0;
  for (const { rdata } of records) size += FINISHED_HEAD + rdata.length;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { type, ttl, rdata } of records) {
    view.setUint16(at, 0xc00c);
    view.setUint16(at + 2, type);
    view.setUint16(at + 4, CLASS.IN);
    view.setUint32(at + 6, ttl);
    view.setUint16(at + 10, rdata.length);
    bytes.set(rdata, at + FINISHED_HEAD);
    at += FINISHED_HEAD + rdata.length;
  }
  return bytes;
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
