/**
 * The clients that a balancer knows: which backend each belongs to, and what it has asked. A client is an IPv4 address or
 * an IPv6 /64 (RFC 4291 §2.5.4: who has an address of it has all of them); ports don't count, and UDP and TCP share.
 *
 * A million records in typed arrays, so that forged senders grow nothing beyond 45 MiB: dense records, and a hash table of
 * their indices with linear probing, half full at most. The hash is seeded, so that senders can't be chosen to collide.
 * Where all records are taken a new client gets none, and no known one has to go for it.
 *
 * @module
 */
import { formatIp } from "../ip.ts";

/** Clients that are kept. */
export const REMOTES_MAX: number = 1 << 20;
/** Milliseconds without a sign after which a client is forgotten. */
export const REMOTE_IDLE_MS = 300_000;

/** No record, and no backend. */
export const NONE = 0;

/** Times are kept in tenths of a second. */
const TENTH_MS = 100;

/** The table. A record is a number from 0 to `count` − 1, until the next `expire`. */
export class Remotes {
  /** Backend that the client belongs to, 0 = none. Written by `assign` only. */
  readonly primary: Uint16Array;
  /** Backend that stands in for it, 0 = none. */
  readonly backup: Uint16Array;
  /** Datagrams forwarded. */
  readonly udp: Uint32Array;
  /** Datagrams dropped. */
  readonly udpDropped: Uint32Array;
  /** Connections forwarded. */
  readonly tcp: Uint32Array;
  /** Connections refused. */
  readonly tcpDropped: Uint32Array;
  readonly #high: Uint32Array;
  readonly #low: Uint32Array;
  readonly #isV6: Uint8Array;
  readonly #first: Uint32Array;
  readonly #last: Uint32Array;
  readonly #hashed: Int32Array;
  readonly #mask: number;
  readonly #seed: number;
  readonly #max: number;
  #count = 0;
  /** Where `expire` goes on, downwards; 0 = it has no more to look at. */
  #expiring = 0;
  #expireBefore = 0;

  /**
   * Is empty.
   *
   * @param seed of the hash, unpredictable
   * @param max records, a power of two
   */
  constructor(seed: number, max: number = REMOTES_MAX) {
    this.#seed = seed | 0;
    this.#max = max;
    this.#mask = 2 * max - 1;
    this.#hashed = new Int32Array(2 * max);
    this.primary = new Uint16Array(max);
    this.backup = new Uint16Array(max);
    this.udp = new Uint32Array(max);
    this.udpDropped = new Uint32Array(max);
    this.tcp = new Uint32Array(max);
    this.tcpDropped = new Uint32Array(max);
    this.#high = new Uint32Array(max);
    this.#low = new Uint32Array(max);
    this.#isV6 = new Uint8Array(max);
    this.#first = new Uint32Array(max);
    this.#last = new Uint32Array(max);
  }

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** The client's record, made where there is none; -1 = there is no room for it. */
  at(address: Uint8Array, nowMs: number): number {
    const isV6 = address.length === 16 ? 1 : 0;
    const high = isV6 ? numberAt(address, 0) : 0;
    const low = numberAt(address, isV6 * 4);
    const mask = this.#mask;
    let slot = this.#hash(isV6, high, low) & mask;
    for (let held = this.#hashed[slot]!; held !== 0; held = this.#hashed[slot = (slot + 1) & mask]!) {
      const record = held - 1;
      if (this.#low[record] === low && this.#high[record] === high && this.#isV6[record] === isV6) {
        return record;
      }
    }
    if (this.#count === this.#max) return -1;
    const record = this.#count++;
    this.#hashed[slot] = record + 1;
    this.#isV6[record] = isV6;
    this.#high[record] = high;
    this.#low[record] = low;
    this.#first[record] = this.#last[record] = nowMs / TENTH_MS;
    this.primary[record] = this.backup[record] = NONE;
    this.udp[record] =
      this.udpDropped[record] =
      this.tcp[record] =
      this.tcpDropped[record] =
        0;
    return record;
  }

  /** A number that is the same for a client whenever it comes. */
  hashOf(address: Uint8Array): number {
    const isV6 = address.length === 16 ? 1 : 0;
    return this.#hash(isV6, isV6 ? numberAt(address, 0) : 0, numberAt(address, isV6 * 4)) >>> 0;
  }

  /** Notes that the client has been heard of. */
  touch(record: number, nowMs: number): void {
    this.#last[record] = nowMs / TENTH_MS;
  }

  /** Begins to look for clients that have been idle for too long; `expire` does it. */
  beginExpiry(nowMs: number): void {
    this.#expiring = this.#count;
    this.#expireBefore = Math.floor((nowMs - REMOTE_IDLE_MS) / TENTH_MS);
  }

  /**
   * Forgets those that have been idle for too long, looking at `most` of them.
   *
   * @param onForgotten gets each one's backend
   * @returns whether there are more to look at
   */
  expire(most: number, onForgotten: (primary: number) => void): boolean {
    const end = Math.max(0, this.#expiring - most);
    // Downwards: what takes the place of a record that goes has been looked at, or is younger than the search.
    for (let record = this.#expiring - 1; record >= end; record--) {
      if (this.#last[record]! >= this.#expireBefore) continue;
      onForgotten(this.primary[record]!);
      this.#remove(record);
    }
    this.#expiring = end;
    return end > 0;
  }

  /**
   * The clients of a backend with the lowest addresses, IPv4 before IPv6.
   *
   * @param wanted how many
   */
  lowestOf(backend: number, wanted: number): number[] {
    // Buckets of the address's first bits, so that not all have to be sorted.
    const counts = new Uint32Array(2 * BUCKETS);
    for (let record = 0; record < this.#count; record++) {
      if (this.primary[record] === backend) counts[this.#bucketOf(record)]!++;
    }
    let last = 0;
    for (let sum = 0; last < counts.length && (sum += counts[last]!) < wanted;) last++;
    const records: number[] = [];
    for (let record = 0; record < this.#count; record++) {
      if (this.primary[record] === backend && this.#bucketOf(record) <= last) records.push(record);
    }
    return records.sort((a, b) => this.#compare(a, b)).slice(0, wanted);
  }

  /** The client's address; of IPv6 its network. */
  addressOf(record: number): string {
    const bytes = new Uint8Array(this.#isV6[record] ? 16 : 4);
    const view = new DataView(bytes.buffer);
    if (this.#isV6[record]) view.setUint32(0, this.#high[record]!);
    view.setUint32(this.#isV6[record] ? 4 : 0, this.#low[record]!);
    return formatIp(bytes) + (this.#isV6[record] ? "/64" : "");
  }

  /** Some of the records in order, as plain data for a report. @param from the first one @param most how many */
  rows(from: number, most: number): RemoteRow[] {
    const rows: RemoteRow[] = [];
    for (let record = from; record < Math.min(this.#count, from + most); record++) {
      rows.push({
        client: this.addressOf(record),
        primary: this.primary[record]!,
        backup: this.backup[record]!,
        firstSeenMs: this.#first[record]! * TENTH_MS,
        lastSeenMs: this.#last[record]! * TENTH_MS,
        udp: this.udp[record]!,
        udpDropped: this.udpDropped[record]!,
        tcp: this.tcp[record]!,
        tcpDropped: this.tcpDropped[record]!,
      });
    }
    return rows;
  }

  /** All records in the order of their addresses. */
  sorted(): Uint32Array {
    const records = new Uint32Array(this.#count);
    for (let record = 0; record < this.#count; record++) records[record] = record;
    return records.sort((a, b) => this.#compare(a, b));
  }

  #bucketOf(record: number): number {
    return this.#isV6[record] ? BUCKETS + (this.#high[record]! >>> 17) : this.#low[record]! >>> 17;
  }

  #compare(a: number, b: number): number {
    return this.#isV6[a]! - this.#isV6[b]! || this.#high[a]! - this.#high[b]! ||
      this.#low[a]! - this.#low[b]!;
  }

  #hash(isV6: number, high: number, low: number): number {
    let hash = Math.imul(low ^ this.#seed, 0x9e3779b1);
    hash = Math.imul(hash ^ hash >>> 15 ^ high ^ isV6, 0x85ebca6b);
    hash = Math.imul(hash ^ hash >>> 13 ^ this.#seed, 0xc2b2ae35);
    return hash ^ hash >>> 16;
  }

  #slotOf(record: number): number {
    const mask = this.#mask;
    let slot = this.#hash(this.#isV6[record]!, this.#high[record]!, this.#low[record]!) & mask;
    while (this.#hashed[slot] !== record + 1) slot = (slot + 1) & mask;
    return slot;
  }

  /** The last record takes its place. */
  #remove(record: number): void {
    this.#unhash(this.#slotOf(record));
    const last = --this.#count;
    if (record === last) return;
    this.#hashed[this.#slotOf(last)] = record + 1;
    for (const column of this.#columns) column[record] = column[last]!;
  }

  get #columns(): readonly (Uint8Array | Uint16Array | Uint32Array)[] {
    return [
      ...[this.primary, this.backup, this.udp, this.udpDropped, this.tcp, this.tcpDropped],
      ...[this.#isV6, this.#high, this.#low, this.#first, this.#last],
    ];
  }

  /** Empties a slot and moves up those behind it that would not be found any more. */
  #unhash(gap: number): void {
    const mask = this.#mask;
    let empty = gap;
    for (let slot = (gap + 1) & mask; this.#hashed[slot] !== 0; slot = (slot + 1) & mask) {
      const record = this.#hashed[slot]! - 1;
      const home = this.#hash(this.#isV6[record]!, this.#high[record]!, this.#low[record]!) & mask;
      if (((slot - home) & mask) < ((slot - empty) & mask)) continue;
      this.#hashed[empty] = record + 1;
      empty = slot;
    }
    this.#hashed[empty] = 0;
  }
}

/** One client. */
export interface RemoteRow {
  /** Its address, or its network. */
  readonly client: string;
  /** Backend it belongs to; 0 = none. */
  readonly primary: number;
  /** Backend that stands in; 0 = none. */
  readonly backup: number;
  /** When it came, on the balancer's own clock. */
  readonly firstSeenMs: number;
  /** When it was heard of last. */
  readonly lastSeenMs: number;
  /** Datagrams forwarded. */
  readonly udp: number;
  /** Datagrams dropped. */
  readonly udpDropped: number;
  /** Connections forwarded. */
  readonly tcp: number;
  /** Connections refused. */
  readonly tcpDropped: number;
}

/** Of each family. */
const BUCKETS = 1 << 15;

function numberAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}
