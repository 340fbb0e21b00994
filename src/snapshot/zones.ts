/**
 * Zones: those that are declared, with their SOA and NS records, their data, delegations and glue, and those of single
 * services outside every declared one, which are nothing but a synthesized SOA.
 *
 * A zone's names are its apex and all below it, up to the apexes of other declared zones: of what lies at or below one
 * of those that zone has the say, but for the DS records of its apex, which are its parent's (RFC 4035 §3.1.4.1). When
 * a zone comes, changes or goes, what its names are is worked out again, from what is declared and from the services that
 * are there, so that it doesn't matter in which order zones and services come.
 *
 * @module
 */
import type { Desired, DesiredZone } from "../desired/desired.ts";
import { isAtOrBelow, isWildcard, lowerCaseName, nameToWire, wireToName } from "../wire/name.ts";
import { TYPE } from "../wire/record_type.ts";
import type { ZoneRecord } from "../wire/zone_file.ts";
import { ENTRY, GLUE, ROOT, RRSET, ZONE } from "./layout.ts";
import { type Bytes, OutOfRoom, type Words } from "./memory.ts";
import type { NameTree } from "./name_tree.ts";
import {
  equalBytes,
  type Finished,
  FINISHED_HEAD,
  groupByOwnerAndType,
  type Rrset,
  rrsetKey,
  Rrsets,
} from "./rrsets.ts";

/** What synthesized records say. */
export type ZoneTerms = Pick<Desired, "generation" | "defaultTtl" | "nameservers">;

/** Start of Authority timers of zones that have no file (RFC 1912 §2.2): refresh, retry, expire. */
const SOA_TIMERS = [3600, 600, 604_800] as const;
/** Names or records that are looked at before another turn may be due: some 0.1 ms. */
const BREATH = 64;
/** Names of a zone that are looked at in place; a whole new snapshot is as quick with more. */
const NAMES_MAX = 20_000;

/** Writes zones. */
export class Zones {
  readonly #terms: ZoneTerms;
  readonly #names: NameTree;
  readonly #records: Words;
  readonly #rrsets: Rrsets;
  /** What synthesized SOA records have in common; made at the first. */
  #soa: Soa | null = null;
  #isSealed = false;

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

  /** From now on zones are changed in place, as far as that is worth it. */
  seal(): void {
    this.#isSealed = true;
  }

  /**
   * Writes a declared zone, or what it is now in place of what it was; yields where another turn may be due.
   *
   * @throws {OutOfRoom} when a whole new snapshot is due
   */
  *put({ domain, records }: DesiredZone): Generator<void> {
    const apex = lowerCaseName(nameToWire(domain));
    this.#requireParent(apex);
    const top = this.#names.note(apex);
    const before = this.#records.get(top + ENTRY.zone);
    const isNew = before === 0 || !this.#isApexOf(top, before);
    const wasThere = this.#names.isThere(top);
    // The parent's, which has them still.
    const signer = this.#rrsets.find(top, TYPE.DS);
    const content = records ?? this.#synthesizedContent(apex);
    const zone = this.#writeDeclared(apex, content, isNew ? 0 : before);
    this.#records.publish(top + ENTRY.zone, zone);
    if (isNew) this.#records.publish(ROOT.declaredZones, this.#records.get(ROOT.declaredZones) + 1);
    const rrsets = yield* this.#assign(content, zone);
    yield* this.#settle(top, { zone, rrsets, cut: 0, signer });
    yield* this.#writeGlue(content, rrsets);
    if (!wasThere) this.#joinToParent(apex);
  }

  /**
   * Takes a declared zone out; what is left of its names belongs to the zone above, or to services.
   *
   * @param recordsOf the records of a zone by its domain, all of them
   */
  *remove(domain: string, recordsOf: (domain: string) => readonly ZoneRecord[]): Generator<void> {
    const apex = lowerCaseName(nameToWire(domain));
    const top = this.#names.table.find(apex);
    const former = this.#records.get(top + ENTRY.zone);
    if (top === 0 || former === 0 || !this.#isApexOf(top, former)) return;
    this.#requireParent(apex);
    this.#records.publish(ROOT.declaredZones, this.#records.get(ROOT.declaredZones) - 1);
    this.#records.publish(top + ENTRY.zone, 0);
    const zone = this.#declaredZoneOf(apex);
    const above = zone && this.#names.table.find(apex.subarray(apex[0]! + 1));
    const cut = this.#records.get(above + ENTRY.cut);
    const content = zone === 0
      ? []
      : recordsOf(wireToName(apex.subarray(apex.length - this.#records.get(zone + ZONE.apexLength))));
    const mine = content.filter(({ owner }) => isAtOrBelow(owner, apex));
    const rrsets = yield* this.#assign(mine, zone);
    yield* this.#settle(top, { zone, rrsets, cut, signer: 0 });
    yield* this.#writeGlue(content, rrsets);
    if (!this.#names.isThere(top)) this.#names.leave(top, (entry, zone) => this.isNeeded(entry, zone));
  }

  /** What lies below the root zone isn't found from there once it is sealed: it came before the root. */
  #requireParent(apex: Uint8Array): void {
    if (this.#isSealed && apex.length === 1) throw new OutOfRoom("the root zone is another");
  }

  /** Whether the entry is the apex of the declared zone that it is in. */
  #isApexOf(entry: number, zone: number): boolean {
    return this.#records.get(zone + ZONE.isDeclared) === 1 &&
      this.#records.get(zone + ZONE.apexLength) === this.#records.get(entry + ENTRY.nameLength);
  }

  #synthesizedContent(apex: Uint8Array): ZoneRecord[] {
    const nameservers = this.#terms.nameservers.map((server): ZoneRecord => ({
      owner: apex,
      type: TYPE.NS,
      ttl: this.#terms.defaultTtl,
      rdata: nameToWire(server),
      line: 0,
    }));
    return [this.#synthesizedSoa(apex), ...nameservers];
  }

  /** The zone record, or the former one where denials carry the same. */
  #writeDeclared(apex: Uint8Array, content: readonly ZoneRecord[], former: number): number {
    const soa = content.find(({ type, owner }) => type === TYPE.SOA && equalBytes(owner, apex)) ??
      this.#synthesizedSoa(apex);
    const { at, bytes } = this.#rrsets.writeFinished([{ ...soa, ttl: Math.min(soa.ttl, minimumOf(soa)) }]);
    const isSame = former !== 0 && this.#records.get(former + ZONE.soaBytes) === bytes &&
      this.#rrsets.areEqual(this.#records.get(former + ZONE.soaAt), at, bytes);
    return isSame ? former : this.#writeZoneRecord(apex, { soaAt: at, soaBytes: bytes, isDeclared: true });
  }

  /** The records that a zone has the say of, by entry; entries are made for those that have none. */
  *#assign(content: readonly ZoneRecord[], zone: number): Generator<void, Map<number, Rrset[]>> {
    const rrsets = new Map<number, Rrset[]>();
    let looked = 0;
    for (const rrset of groupByOwnerAndType(content).values()) {
      if (++looked % BREATH === 0) yield;
      const [{ type, owner }] = rrset;
      const decider = this.#declaredZoneOf(owner);
      const isSigner = decider !== zone && type === TYPE.DS && owner.length > 1 &&
        this.#declaredZoneOf(owner.subarray(owner[0]! + 1)) === zone;
      if (decider !== zone && !isSigner) continue;
      const entry = this.#names.note(owner);
      const others = rrsets.get(entry);
      if (others) others.push(rrset);
      else rrsets.set(entry, [rrset]);
    }
    return rrsets;
  }

  /**
   * Gives every name from the top one down, up to the apexes of other declared zones, what it has in its zone.
   *
   * @param zone the zone that they are in; 0 = none that is declared, so that services have zones of their own
   * @param rrsets the zone's records
   * @param cut the delegation or DNAME above the top one
   * @param signer an RRset record of the top one that stays
   */
  *#settle(
    top: number,
    { zone, rrsets, cut, signer }: {
      readonly zone: number;
      readonly rrsets: ReadonlyMap<number, readonly Rrset[]>;
      readonly cut: number;
      readonly signer: number;
    },
  ): Generator<void> {
    const names: Settled[] = [{ entry: top, parent: null, cut, children: 0, isThere: false, isApex: false }];
    for (let i = 0; i < names.length; i++) {
      if (i % BREATH === 0) yield;
      if (this.#isSealed && i > NAMES_MAX) throw new OutOfRoom(`more than ${NAMES_MAX} names in a zone`);
      const name = names[i]!;
      const { entry } = name;
      const mine = rrsets.get(entry) ?? [];
      const isOtherZone = i > 0 && this.#isApexOf(entry, this.#records.get(entry + ENTRY.zone));
      if (isOtherZone) {
        name.isThere = true;
        this.#putSigner(entry, mine);
        continue;
      }
      const isCut = zone !== 0 && name.cut === 0 &&
        mine.some(([{ type }]) => type === TYPE.DNAME || (type === TYPE.NS && !this.#isApexOf(entry, zone)));
      if (isCut) name.cut = entry;
      const service = this.#records.get(entry + ENTRY.service);
      name.isThere = mine.length > 0 || service !== 0 || (zone !== 0 && this.#isApexOf(entry, zone));
      // Outside of declared zones services have zones of their own; that of a wildcard is its parent's.
      if (zone === 0 && service !== 0) {
        const isOfParent = name.parent !== null && isWildcard(this.#names.nameOf(entry));
        (isOfParent ? name.parent! : name).isApex = true;
      }
      if (zone !== 0) {
        this.#putRrsets(entry, mine, { signer: i === 0 ? signer : 0, isCut: name.cut === entry });
      }
      for (const child of this.#names.below(entry)) {
        names.push({ entry: child, parent: name, cut: name.cut, children: 0, isThere: false, isApex: false });
      }
    }
    // What is below comes behind.
    for (let i = names.length - 1; i >= 0; i--) {
      if (i % BREATH === 0) yield;
      const name = names[i]!;
      name.isThere ||= name.children > 0;
      if (name.isThere && name.parent) name.parent.children++;
    }
    for (let i = 0; i < names.length; i++) {
      if (i % BREATH === 0) yield;
      const { entry, parent, cut, children, isThere, isApex } = names[i]!;
      if (i > 0 && this.#isApexOf(entry, this.#records.get(entry + ENTRY.zone))) continue;
      const isOfService = this.#records.get(entry + ENTRY.service) !== 0;
      if (isApex) this.#becomeOwnZone(entry);
      else {
        const own = isOfService && parent ? this.#records.get(parent.entry + ENTRY.zone) : 0;
        if (zone === 0) this.#change(entry + ENTRY.rrset, 0);
        this.#change(entry + ENTRY.zone, zone === 0 ? own : isThere ? zone : 0);
      }
      this.#change(entry + ENTRY.cut, zone === 0 ? 0 : cut);
      this.#change(entry + ENTRY.children, children);
    }
  }

  #change(at: number, word: number): void {
    if (this.#records.get(at) !== word) this.#records.publish(at, word);
  }

  #putRrsets(
    entry: number,
    rrsets: readonly Rrset[],
    { signer, isCut }: { readonly signer: number; readonly isCut: boolean },
  ): void {
    this.#rrsets.put(entry, rrsets, { kept: signer, fresh: isCut ? [TYPE.NS] : [] });
  }

  /** Gives the apex of another zone the DS records of this one. */
  #putSigner(apex: number, rrsets: readonly Rrset[]): void {
    const signer = rrsets.find(([{ type }]) => type === TYPE.DS);
    this.#rrsets.replace(apex, TYPE.DS, signer ?? null);
  }

  #becomeOwnZone(entry: number): void {
    const apex = this.#names.nameOf(entry);
    const soa = this.#rrsets.writeFinished([this.#synthesizedSoa(apex)]);
    const zone = this.#writeZoneRecord(apex, { soaAt: soa.at, soaBytes: soa.bytes, isDeclared: false });
    this.#rrsets.link(entry, soa);
    this.#records.publish(entry + ENTRY.zone, zone);
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
    this.#records.publish(parent + ENTRY.children, this.#records.get(parent + ENTRY.children) + 1);
  }

  #writeZoneRecord(
    apex: Uint8Array,
    { soaAt, soaBytes, isDeclared }: { soaAt: number; soaBytes: number; isDeclared: boolean },
  ): number {
    const zone = this.#records.reserve(ZONE.size);
    this.#records.set(zone + ZONE.apexLength, apex.length);
    this.#records.set(zone + ZONE.soaAt, soaAt);
    this.#records.set(zone + ZONE.soaBytes, soaBytes);
    this.#records.set(zone + ZONE.isDeclared, isDeclared ? 1 : 0);
    return zone;
  }

  #synthesizedSoa(apex: Uint8Array): ZoneRecord {
    this.#soa ??= soaOf(this.#terms);
    const { primary, numbers, ttl } = this.#soa;
    const rdata = concatBytes([primary ?? apex, HOSTMASTER, apex, numbers]);
    return { owner: apex, type: TYPE.SOA, ttl, rdata, line: 0 };
  }

  /**
   * The addresses, known here, of delegations' servers; without those below the cut no resolver gets further. Those that
   * the zone's own text has come first, also where the server's name belongs to another zone that is served here.
   */
  *#writeGlue(
    content: readonly ZoneRecord[],
    rrsets: ReadonlyMap<number, readonly Rrset[]>,
  ): Generator<void> {
    const addresses = groupByOwnerAndType(
      content.filter(({ type }) => type === TYPE.A || type === TYPE.AAAA),
    );
    const written = new Map<string, Finished>();
    const finished = (key: string, records: Rrset) => {
      const known = written.get(key) ?? this.#rrsets.writeFinished(records);
      written.set(key, known);
      return known;
    };
    for (const [entry, mine] of rrsets) {
      if (this.#records.get(entry + ENTRY.cut) !== entry) continue;
      const servers = mine.find(([{ type }]) => type === TYPE.NS);
      if (!servers) continue;
      yield;
      const words = this.#glueOf(servers, (name, type) => {
        const key = rrsetKey(name, type);
        const records = addresses.get(key);
        if (records) {
          const { at, bytes, count } = finished(key, records);
          return [at, bytes, count];
        }
        return [this.#names.note(name), type, 0];
      });
      const glue = this.#records.reserve(GLUE.sets + words.sets.length);
      this.#records.set(glue + GLUE.count, words.sets.length / GLUE.setSize);
      this.#records.set(glue + GLUE.needed, words.needed / GLUE.setSize);
      words.sets.forEach((word, i) => this.#records.set(glue + GLUE.sets + i, word));
      this.#records.set(this.#rrsets.find(entry, TYPE.NS) + RRSET.glue, glue);
    }
  }

  /** The sets of a glue record in words, those of servers below the cut first, and how many words these are. */
  #glueOf(
    servers: Rrset,
    addressesOf: (name: Uint8Array, type: number) => readonly number[],
  ): { readonly sets: readonly number[]; readonly needed: number } {
    const cut = servers[0].owner;
    const needed: number[] = [];
    const useful: number[] = [];
    let nameAt = 0;
    for (const server of servers) {
      nameAt += FINISHED_HEAD;
      const name = lowerCaseName(server.rdata);
      const sets = isAtOrBelow(name, cut) ? needed : useful;
      if (name.length > 1) {
        for (const type of [TYPE.A, TYPE.AAAA]) sets.push(nameAt, ...addressesOf(name, type));
      }
      nameAt += server.rdata.length;
    }
    return { sets: [...needed, ...useful], needed: needed.length };
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
    const soa = this.#rrsets.writeFinished([this.#synthesizedSoa(apex)]);
    const wasThere = this.#names.isThere(former);
    const entry = this.#names.write(apex, 0, {
      former,
      zone: this.#writeZoneRecord(apex, { soaAt: soa.at, soaBytes: soa.bytes, isDeclared: false }),
      cut: 0,
    });
    this.#rrsets.link(entry, soa);
    if (!wasThere) this.#names.joinAbove(apex);
    return entry;
  }

  /** The zone record of the closest declared zone at or above the name, or 0. */
  #declaredZoneOf(name: Uint8Array): number {
    if (this.#records.get(ROOT.declaredZones) === 0) return 0;
    const count = this.#names.table.hash(name);
    for (let label = 0; label < count; label++) {
      const entry = this.#names.table.findFrom(name, label);
      const zone = entry && this.#records.get(entry + ENTRY.zone);
      if (zone && this.#isApexOf(entry, zone)) return zone;
    }
    return 0;
  }

  /** Whether a name has to stay in its zone. */
  isNeeded(entry: number, zone: number): boolean {
    if (this.#records.get(entry + ENTRY.service) !== 0) return true;
    const isApex = this.#records.get(zone + ZONE.apexLength) === this.#records.get(entry + ENTRY.nameLength);
    const hasChildren = this.#records.get(entry + ENTRY.children) !== 0;
    if (this.#records.get(zone + ZONE.isDeclared) === 1) {
      return isApex || hasChildren || this.#records.get(entry + ENTRY.rrset) !== 0;
    }
    // In a service's own zone are only its apex and the wildcard below; names below are zones of their own.
    if (!isApex || !hasChildren) return false;
    const wildcard = this.#names.table.find(concatBytes([ASTERISK, this.#names.nameOf(entry)]));
    return wildcard !== 0 && this.#records.get(wildcard + ENTRY.zone) === zone;
  }
}

/** A name that is looked at again. */
interface Settled {
  readonly entry: number;
  readonly parent: Settled | null;
  /** The delegation or DNAME at or above it. */
  cut: number;
  /** Names directly below it that are there. */
  children: number;
  isThere: boolean;
  /** Whether it is the apex of a service's own zone. */
  isApex: boolean;
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
