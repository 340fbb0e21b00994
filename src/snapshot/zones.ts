/**
 * Zones: those that are declared, with their SOA and NS records, their data, delegations and glue, and those of single
 * services outside every declared one, which are nothing but a synthesized SOA.
 *
 * The order of writing is the precedence of names: all apexes first (a zone that is served here wins over its parent's
 * delegation to it), then each zone's delegations (so that everything below one knows), then the other records.
 *
 * @module
 */
import type { Desired, DesiredZone } from "../desired/desired.ts";
import { isAtOrBelow, isWildcard, lowerCaseName, nameToWire } from "../wire/name.ts";
import { TYPE } from "../wire/record_type.ts";
import type { ZoneRecord } from "../wire/zone_file.ts";
import { ENTRY, GLUE, RRSET, ZONE } from "./layout.ts";
import type { Bytes, Words } from "./memory.ts";
import type { NameTree } from "./name_tree.ts";
import { equalBytes, FINISHED_HEAD, groupByOwnerAndType, type Rrset, rrsetKey, Rrsets } from "./rrsets.ts";

/** What synthesized records say. */
export type ZoneTerms = Pick<Desired, "generation" | "defaultTtl" | "nameservers">;

/** Start of Authority timers of zones that have no file (RFC 1912 §2.2): refresh, retry, expire. */
const SOA_TIMERS = [3600, 600, 604_800] as const;

/** Writes zones. */
export class Zones {
  readonly #terms: ZoneTerms;
  readonly #names: NameTree;
  readonly #records: Words;
  readonly #rrsets: Rrsets;
  /** Zone records before this one are declared zones; those behind it belong to single services. 0 = none is declared. */
  #declaredEnd = 0;
  /** What synthesized SOA records have in common; made at the first. */
  #soa: Soa | null = null;

  /** There is no zone yet. */
  constructor(
    terms: ZoneTerms,
    { names, records, heap }: { readonly names: NameTree; readonly records: Words; readonly heap: Bytes },
  ) {
    this.#terms = terms;
    this.#names = names;
    this.#records = records;
    this.#rrsets = new Rrsets(records, heap);
  }

  /** Where the records of declared zones end, to be kept for a later process. */
  get declaredEnd(): number {
    return this.#declaredEnd;
  }

  /** Takes that over from an earlier process. */
  load(declaredEnd: number): void {
    this.#declaredEnd = declaredEnd;
  }

  /** Writes all declared zones; before any service. */
  write(zones: readonly DesiredZone[]): void {
    const apexes = zones.map((zone) => lowerCaseName(nameToWire(zone.domain)));
    for (const [i, zone] of zones.entries()) this.#writeApex(apexes[i]!, zone.records);
    this.#declaredEnd = zones.length === 0 ? 0 : this.#records.length;
    for (const [i, zone] of zones.entries()) if (zone.records) this.#writeZone(apexes[i]!, zone.records);
    for (const apex of apexes) this.#joinToParent(apex);
  }

  /**
   * Has the names between a zone and the one above exist there, as they would above any other data (RFC 4592 §2.2.2): a
   * resolver that comes down label by label must not be told that there is nothing below.
   */
  #joinToParent(apex: Uint8Array): void {
    if (apex.length === 1) return;
    const above = apex.subarray(apex[0]! + 1);
    if (this.#declaredZoneOf(above) === 0) {
      this.#names.table.hash(apex);
      this.#names.joinAbove(apex);
      return;
    }
    const parent = this.#names.ensure(above);
    this.#records.set(parent + ENTRY.children, this.#records.get(parent + ENTRY.children) + 1);
  }

  #writeApex(apex: Uint8Array, records: readonly ZoneRecord[] | null): void {
    const soa = records?.find((record) => record.type === TYPE.SOA && equalBytes(record.owner, apex)) ??
      this.#synthesizedSoa(apex);
    const entry = this.#writeApexEntry(apex, soa);
    if (records) return;
    this.#rrsets.write(entry, [soa]);
    const nameservers = this.#terms.nameservers.map((server): ZoneRecord => ({
      owner: apex,
      type: TYPE.NS,
      ttl: this.#terms.defaultTtl,
      rdata: nameToWire(server),
      line: 0,
    }));
    if (nameservers.length > 0) this.#rrsets.write(entry, nameservers);
  }

  #writeApexEntry(apex: Uint8Array, soa: ZoneRecord): number {
    const { at, bytes } = this.#rrsets.writeFinished([{ ...soa, ttl: Math.min(soa.ttl, minimumOf(soa)) }]);
    const zone = this.#writeZoneRecord(apex, { soaAt: at, soaBytes: bytes });
    return this.#names.write(apex, 0, { former: this.#names.table.find(apex), zone, cut: 0 });
  }

  #writeZoneRecord(apex: Uint8Array, { soaAt, soaBytes }: { soaAt: number; soaBytes: number }): number {
    const zone = this.#records.reserve(ZONE.size);
    this.#records.set(zone + ZONE.apexLength, apex.length);
    this.#records.set(zone + ZONE.soaAt, soaAt);
    this.#records.set(zone + ZONE.soaBytes, soaBytes);
    return zone;
  }

  #synthesizedSoa(apex: Uint8Array): ZoneRecord {
    this.#soa ??= soaOf(this.#terms);
    const { primary, numbers, ttl } = this.#soa;
    const rdata = concatBytes([primary ?? apex, HOSTMASTER, apex, numbers]);
    return { owner: apex, type: TYPE.SOA, ttl, rdata, line: 0 };
  }

  /**
   * Of what lies at or below the apex of another zone that is served here, that zone has the say, with two exceptions:
   * the DS record of its apex is its parent's (RFC 4035 §3.1.4.1), and addresses are still glue for other delegations.
   */
  #writeZone(apex: Uint8Array, records: readonly ZoneRecord[]): void {
    const zone = this.#records.get(this.#names.table.find(apex) + ENTRY.zone);
    const mine: ZoneRecord[] = [];
    const others: ZoneRecord[] = [];
    for (const record of records) {
      const isMine = this.#declaredZoneOf(record.owner) === zone || this.#isSignerOfChild(record, zone);
      (isMine ? mine : others).push(record);
    }
    const rrsets = [...groupByOwnerAndType(mine).values()];
    const isCut = ([{ type, owner }]: Rrset) =>
      type === TYPE.DNAME || (type === TYPE.NS && owner.length > apex.length);
    const cuts = rrsets.filter(isCut).sort((a, b) => a[0].owner.length - b[0].owner.length);
    for (const rrset of cuts) {
      const entry = this.#names.ensure(rrset[0].owner);
      if (this.#records.get(entry + ENTRY.cut) === 0) this.#records.set(entry + ENTRY.cut, entry);
    }
    for (const rrset of rrsets) this.#rrsets.write(this.#names.ensure(rrset[0].owner), rrset);
    const strayGlue = groupByOwnerAndType(others.filter(({ type }) => type === TYPE.A || type === TYPE.AAAA));
    for (const rrset of cuts) if (rrset[0].type === TYPE.NS) this.#writeGlue(rrset, strayGlue);
  }

  /** Whether the record is the DS of a zone that is served here, and this zone is the one above it. */
  #isSignerOfChild({ type, owner }: ZoneRecord, zone: number): boolean {
    return type === TYPE.DS && this.#declaredZoneOf(owner.subarray(owner[0]! + 1)) === zone;
  }

  /**
   * The addresses, known here, of a delegation's servers; without those below the cut no resolver gets further.
   *
   * @param stray addresses that the zone's text has for names in another zone that is served here
   */
  #writeGlue(servers: Rrset, stray: ReadonlyMap<string, Rrset>): void {
    const cut = servers[0].owner;
    const rrset = this.#rrsets.find(this.#names.table.find(cut), TYPE.NS);
    const needed: number[] = [];
    const useful: number[] = [];
    let nameAt = 0;
    for (const server of servers) {
      nameAt += FINISHED_HEAD;
      const name = lowerCaseName(server.rdata);
      const sets = isAtOrBelow(name, cut) ? needed : useful;
      for (const type of [TYPE.A, TYPE.AAAA]) {
        const { at, bytes, count } = this.#addressesOf(name, type, stray);
        if (count > 0) sets.push(nameAt, at, bytes, count);
      }
      nameAt += server.rdata.length;
    }
    const words = [...needed, ...useful];
    if (words.length === 0) return;
    const glue = this.#records.reserve(GLUE.sets + words.length);
    this.#records.set(glue + GLUE.count, words.length / GLUE.setSize);
    this.#records.set(glue + GLUE.needed, needed.length / GLUE.setSize);
    words.forEach((word, i) => this.#records.set(glue + GLUE.sets + i, word));
    this.#records.set(rrset + RRSET.glue, glue);
  }

  #addressesOf(
    name: Uint8Array,
    type: number,
    stray: ReadonlyMap<string, Rrset>,
  ): { readonly at: number; readonly bytes: number; readonly count: number } {
    const own = stray.get(rrsetKey(name, type));
    if (own) return { ...this.#rrsets.writeFinished(own), count: own.length };
    const entry = this.#names.table.find(name);
    const known = entry && this.#rrsets.find(entry, type);
    return {
      at: this.#records.get(known + RRSET.at),
      bytes: this.#records.get(known + RRSET.bytes),
      count: this.#records.get(known + RRSET.count),
    };
  }

  /** The entry of a service's name, with a zone of its own where no declared zone encloses it. */
  ensureServiceName(name: Uint8Array): number {
    if (this.#declaredZoneOf(name) !== 0) return this.#names.ensure(name);
    const apex = isWildcard(name) ? name.subarray(2) : name;
    const former = this.#names.table.find(apex);
    const entry = this.#names.isAlive(former) ? former : this.#writeOwnZone(apex, former);
    return apex === name ? entry : this.#names.ensure(name);
  }

  /**
   * A zone of nothing but a synthesized SOA: its TTL is the negative one, so answers and denials share its bytes.
   *
   * @param former the apex's entry that isn't alive, or 0; it was looked up last
   */
  #writeOwnZone(apex: Uint8Array, former: number): number {
    const { at, bytes } = this.#rrsets.writeFinished([this.#synthesizedSoa(apex)]);
    const wasThere = this.#names.isThere(former);
    const entry = this.#names.write(apex, 0, {
      former,
      zone: this.#writeZoneRecord(apex, { soaAt: at, soaBytes: bytes }),
      cut: 0,
    });
    this.#rrsets.link(entry, { type: TYPE.SOA, count: 1, at, bytes });
    if (!wasThere) this.#names.joinAbove(apex);
    return entry;
  }

  /** The zone record of the closest declared zone at or above the name, or 0. */
  #declaredZoneOf(name: Uint8Array): number {
    if (this.#declaredEnd === 0) return 0;
    const count = this.#names.table.hash(name);
    for (let label = 0; label < count; label++) {
      const entry = this.#names.table.findFrom(name, label);
      const zone = entry && this.#records.get(entry + ENTRY.zone);
      if (zone && zone < this.#declaredEnd) return zone;
    }
    return 0;
  }

  /** Whether a name has to stay in its zone. */
  isNeeded(entry: number, zone: number): boolean {
    if (this.#records.get(entry + ENTRY.service) !== 0) return true;
    const isApex = this.#records.get(zone + ZONE.apexLength) === this.#records.get(entry + ENTRY.nameLength);
    const hasChildren = this.#records.get(entry + ENTRY.children) !== 0;
    if (zone < this.#declaredEnd) {
      return isApex || hasChildren || this.#records.get(entry + ENTRY.rrset) !== 0;
    }
    // In a service's own zone are only its apex and the wildcard below; names below are zones of their own.
    if (!isApex || !hasChildren) return false;
    const wildcard = this.#names.table.find(concatBytes([ASTERISK, this.#names.nameOf(entry)]));
    return wildcard !== 0 && this.#records.get(wildcard + ENTRY.zone) === zone;
  }
}

/** The label `*`. */
const ASTERISK = new Uint8Array([1, 0x2a]);
const HOSTMASTER = nameToWire("hostmaster").subarray(0, -1);

/** What all synthesized SOA records have in common; no primary = the apex itself. */
interface Soa {
  readonly primary: Uint8Array | null;
  readonly numbers: Uint8Array;
  readonly ttl: number;
}

function soaOf({ nameservers: [primary], generation, defaultTtl: ttl }: ZoneTerms): Soa {
  const numbers = new DataView(new ArrayBuffer(20));
  [Math.max(1, generation), ...SOA_TIMERS, ttl].forEach((value, i) => numbers.setUint32(i * 4, value));
  return {
    primary: primary === undefined ? null : nameToWire(primary),
    numbers: new Uint8Array(numbers.buffer),
    ttl,
  };
}

/** The last field of an SOA record (RFC 1035 §3.3.13): for how long a denial may be kept, seconds (RFC 2308 §4). */
function minimumOf({ rdata }: ZoneRecord): number {
  let minimum = 0;
  for (let i = rdata.length - 4; i < rdata.length; i++) minimum = minimum * 256 + rdata[i]!;
  return minimum;
}

function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
