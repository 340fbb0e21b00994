/**
 * From what is declared to what is answered: one pass over the desired state that writes a snapshot.
 *
 * Order matters and is the precedence of names: all zone apexes first (a zone that is served here wins over its
 * parent's delegation to it), then each zone's delegations (so that everything below one knows), then the other
 * records, then the services. A service outside every zone becomes the apex of a zone of its own.
 *
 * Pools and services are streamed; what is kept per name is a few words, so a million of them fit.
 *
 * @module
 */
import { checkTargetOf } from "../config/check_target.ts";
import type { Desired, DesiredZone } from "../config/desired.ts";
import {
  ALGORITHMS,
  type Fallback,
  type HealthCheck,
  type Member,
  ON_ALL_DOWN,
  type Pool,
  type Service,
} from "../config/model.ts";
import { parseIp } from "../ip.ts";
import { lowerCaseName, nameToWire } from "../wire/name.ts";
import { CLASS, TYPE } from "../wire/record_type.ts";
import type { ZoneRecord } from "../wire/zone_file.ts";
import { ENTRY, GLUE, HEADER, LIST, MAGIC, POOL, RRSET, SERVICE, ZONE } from "./layout.ts";
import { firstSlot, hashLabel, LABELS_MAX, labelStarts, ROOT_HASH } from "./names.ts";
import type { Slots } from "./slots.ts";
import type { Snapshot } from "./view.ts";

/** What compiling needs beside the desired state. */
export interface CompileOptions {
  /** Number of the new snapshot. */
  readonly epoch: number;
  /** Health slots by check-target key; slot 0 is reserved for members that aren't checked. */
  readonly healthSlots: Slots;
  /** Ticket slots by service and family. */
  readonly ticketSlots: Slots;
}

/** Writes a snapshot of the desired state, which must be valid. */
export function compile(desired: Desired, { epoch, healthSlots, ticketSlots }: CompileOptions): Snapshot {
  healthSlots.beginRound();
  ticketSlots.beginRound();
  const compilation = new Compilation(desired, healthSlots, ticketSlots);
  compilation.addZones(desired.zones);
  compilation.addPools(desired.pools());
  compilation.addServices(desired.services());
  compilation.addFallback(desired.fallback);
  healthSlots.endRound();
  ticketSlots.endRound();
  return compilation.finish(epoch);
}

/** Start of Authority timers of zones that have no file (RFC 1912 §2.2): refresh, retry, expire. */
const SOA_TIMERS = [3600, 600, 604_800] as const;

class Compilation {
  readonly #desired: Desired;
  readonly #healthSlots: Slots;
  readonly #ticketSlots: Slots;
  readonly #records = new Words();
  readonly #heap = new Bytes();
  #names = new Int32Array(2 * 1024);
  #nameCount = 0;
  #serviceCount = 0;
  #listCount = 0;
  #listMemberCount = 0;
  #fallback = 0;
  /** Zone records before this one are declared zones; those behind it belong to single services. */
  #declaredZonesEnd = 0;
  readonly #pools = new Map<string, number>();
  readonly #starts = new Uint8Array(LABELS_MAX);
  readonly #hashes = new Int32Array(LABELS_MAX);

  constructor(desired: Desired, healthSlots: Slots, ticketSlots: Slots) {
    this.#desired = desired;
    this.#healthSlots = healthSlots;
    this.#ticketSlots = ticketSlots;
    this.#records.reserve(1); // record 0 means "none"
  }

  addZones(zones: readonly DesiredZone[]): void {
    const apexes = zones.map((zone) => lowerCaseName(nameToWire(zone.domain)));
    for (const [i, zone] of zones.entries()) this.#addApex(apexes[i]!, zone.records);
    this.#declaredZonesEnd = this.#records.length;
    for (const [i, zone] of zones.entries()) if (zone.records) this.#addRecords(apexes[i]!, zone.records);
  }

  addPools(pools: Iterable<Pool>): void {
    const fallbacks: [pool: number, fallbackPoolId: string][] = [];
    for (const pool of pools) {
      const at = this.#addPool(pool, pool.healthCheck);
      this.#pools.set(pool.id, at);
      if (pool.fallbackPoolId !== null) fallbacks.push([at, pool.fallbackPoolId]);
    }
    for (const [at, id] of fallbacks) this.#records.set(at + POOL.fallback, this.#pools.get(id) ?? 0);
  }

  addServices(services: Iterable<Service>): void {
    for (const service of services) {
      this.#serviceCount++;
      const name = nameToWire(service.domain);
      const entry = this.#find(name) || this.#addServiceName(name);
      const pool = service.poolId === null ? 0 : this.#pools.get(service.poolId) ?? 0;
      this.#records.set(entry + ENTRY.service, this.#addService(service.id, pool, service.ttl));
    }
  }

  addFallback(fallback: Fallback | null): void {
    if (!fallback || fallback.endpoints.length === 0) return;
    const members = fallback.endpoints.map((ipAddress, i): Member => ({
      id: `fallback-${i}`,
      ipAddress,
      port: fallback.healthCheck?.port ?? 0,
      weight: fallback.weights[ipAddress] ?? 1,
      priority: i + 1,
      enabled: true,
      latitude: null,
      longitude: null,
    }));
    const pool = this.#addPool({ ...fallback, maxAnswers: 1, members }, fallback.healthCheck);
    this.#fallback = this.#addService("fallback", pool, this.#desired.defaultTtl);
  }

  finish(epoch: number): Snapshot {
    const namesAt = HEADER.size;
    const recordsAt = namesAt + this.#names.length;
    const heapAt = (recordsAt + this.#records.length) * 4;
    const tables = new SharedArrayBuffer(heapAt + this.#heap.length);
    const words = new Uint32Array(tables, 0, heapAt / 4);
    words[HEADER.magic] = MAGIC;
    words[HEADER.epoch] = epoch;
    words[HEADER.nameMask] = this.#names.length / 2 - 1;
    words[HEADER.namesAt] = namesAt;
    words[HEADER.recordsAt] = recordsAt;
    words[HEADER.recordWords] = this.#records.length;
    words[HEADER.heapAt] = heapAt;
    words[HEADER.heapBytes] = this.#heap.length;
    words[HEADER.fallback] = this.#fallback;
    words[HEADER.lists] = this.#listCount;
    words[HEADER.listMembers] = this.#listMemberCount;
    words[HEADER.names] = this.#nameCount;
    words[HEADER.services] = this.#serviceCount;
    words.set(this.#names, namesAt);
    words.set(this.#records.written(), recordsAt);
    new Uint8Array(tables, heapAt).set(this.#heap.written());
    return { epoch, tables };
  }

  #addApex(apex: Uint8Array, records: readonly ZoneRecord[] | null): void {
    const soa = records?.find((record) => record.type === TYPE.SOA && equalBytes(record.owner, apex)) ??
      this.#synthesizedSoa(apex);
    const entry = this.#addApexEntry(apex, soa);
    if (records) return;
    this.#addRrset(entry, [soa]);
    const nameservers = this.#desired.nameservers.map((server): ZoneRecord => ({
      owner: apex,
      type: TYPE.NS,
      ttl: this.#desired.defaultTtl,
      rdata: nameToWire(server),
      line: 0,
    }));
    if (nameservers.length > 0) this.#addRrset(entry, nameservers);
  }

  #addApexEntry(apex: Uint8Array, soa: ZoneRecord): number {
    const entry = this.#addEntry(apex, 0, 0);
    const minimum = new DataView(soa.rdata.buffer, soa.rdata.byteOffset).getUint32(soa.rdata.length - 4);
    const soaAt = this.#heap.length;
    this.#addFinished({ ...soa, ttl: Math.min(soa.ttl, minimum) });
    const zone = this.#records.reserve(ZONE.size);
    this.#records.set(zone + ZONE.apexLength, apex.length);
    this.#records.set(zone + ZONE.soaAt, soaAt);
    this.#records.set(zone + ZONE.soaBytes, this.#heap.length - soaAt);
    this.#records.set(entry + ENTRY.zone, zone);
    return entry;
  }

  #synthesizedSoa(apex: Uint8Array): ZoneRecord {
    const primary = this.#desired.nameservers[0];
    const hostmaster = nameToWire("hostmaster");
    const numbers = new DataView(new ArrayBuffer(20));
    const serial = Math.max(1, this.#desired.generation);
    const ttl = this.#desired.defaultTtl;
    [serial, ...SOA_TIMERS, ttl].forEach((value, i) => numbers.setUint32(i * 4, value));
    const rdata = concatBytes([
      primary === undefined ? apex : nameToWire(primary),
      hostmaster.subarray(0, -1),
      apex,
      new Uint8Array(numbers.buffer),
    ]);
    return { owner: apex, type: TYPE.SOA, ttl, rdata, line: 0 };
  }

  #addRecords(apex: Uint8Array, records: readonly ZoneRecord[]): void {
    const zone = this.#records.get(this.#find(apex) + ENTRY.zone);
    const rrsets = groupByOwnerAndType(records.filter((record) => this.#zoneOf(record.owner) === zone));
    const isCut = (rrset: ZoneRecord[]) => rrset[0]!.type === TYPE.NS && rrset[0]!.owner.length > apex.length;
    const cuts = rrsets.filter(isCut).sort((a, b) => a[0]!.owner.length - b[0]!.owner.length);
    for (const rrset of cuts) {
      const entry = this.#ensureEntry(rrset[0]!.owner);
      if (this.#records.get(entry + ENTRY.cut) === 0) this.#records.set(entry + ENTRY.cut, entry);
    }
    for (const rrset of rrsets) this.#addRrset(this.#ensureEntry(rrset[0]!.owner), rrset);
    for (const rrset of cuts) this.#addGlue(rrset);
  }

  /** The addresses, known here, of a delegation's servers; without those below the cut no resolver gets further. */
  #addGlue(servers: readonly ZoneRecord[]): void {
    const rrset = this.#findRrset(this.#find(servers[0]!.owner), TYPE.NS);
    const pairs: number[] = [];
    let at = this.#records.get(rrset + RRSET.at);
    for (const server of servers) {
      const entry = this.#find(lowerCaseName(server.rdata));
      for (const type of [TYPE.A, TYPE.AAAA]) {
        const addresses = entry && this.#findRrset(entry, type);
        if (!addresses) continue;
        const bytes = this.#records.get(addresses + RRSET.bytes) / this.#records.get(addresses + RRSET.count);
        for (let i = 0; i < this.#records.get(addresses + RRSET.count); i++) {
          pairs.push(
            at + FINISHED_HEAD - this.#records.get(rrset + RRSET.at),
            this.#records.get(addresses + RRSET.at) + i * bytes,
          );
        }
      }
      at += FINISHED_HEAD + server.rdata.length;
    }
    if (pairs.length === 0) return;
    const glue = this.#records.reserve(GLUE.pairs + pairs.length);
    this.#records.set(glue + GLUE.count, pairs.length / GLUE.pairSize);
    pairs.forEach((word, i) => this.#records.set(glue + GLUE.pairs + i, word));
    this.#records.set(rrset + RRSET.glue, glue);
  }

  #addServiceName(name: Uint8Array): number {
    if (this.#zoneOf(name) === 0) {
      const apex = isWildcard(name) ? name.subarray(2) : name;
      if (this.#find(apex) === 0) this.#addOwnZone(apex);
    }
    return this.#ensureEntry(name);
  }

  /** A zone for a service that lies outside all declared ones. */
  #addOwnZone(apex: Uint8Array): void {
    const soa = this.#synthesizedSoa(apex);
    this.#addRrset(this.#addApexEntry(apex, soa), [soa]);
  }

  /** The zone record of the closest declared zone at or above the name, or 0. */
  #zoneOf(name: Uint8Array): number {
    const count = this.#hash(name);
    for (let label = 0; label < count; label++) {
      const entry = this.#findFrom(name, label);
      const zone = entry && this.#records.get(entry + ENTRY.zone);
      if (zone && zone < this.#declaredZonesEnd) return zone;
    }
    return 0;
  }

  /** The entry of a name inside a zone; makes it, and the empty non-terminals above it, where missing. */
  #ensureEntry(name: Uint8Array): number {
    const existing = this.#find(name);
    if (existing) return existing;
    const parent = this.#ensureEntry(name.subarray(name[0]! + 1));
    return this.#addEntry(
      name,
      this.#records.get(parent + ENTRY.zone),
      this.#records.get(parent + ENTRY.cut),
    );
  }

  #addEntry(name: Uint8Array, zone: number, cut: number): number {
    const entry = this.#records.reserve(ENTRY.size);
    this.#records.set(entry + ENTRY.nameAt, this.#heap.append(name));
    this.#records.set(entry + ENTRY.nameLength, name.length);
    this.#records.set(entry + ENTRY.zone, zone);
    this.#records.set(entry + ENTRY.cut, cut);
    this.#hash(name);
    if (++this.#nameCount * 4 > this.#names.length) this.#growNames();
    this.#insert(this.#hashes[0]!, entry);
    return entry;
  }

  #addRrset(entry: number, records: readonly ZoneRecord[]): void {
    const at = this.#heap.length;
    for (const record of records) this.#addFinished(record);
    const rrset = this.#records.reserve(RRSET.size);
    this.#records.set(rrset + RRSET.type, records[0]!.type);
    this.#records.set(rrset + RRSET.count, records.length);
    this.#records.set(rrset + RRSET.at, at);
    this.#records.set(rrset + RRSET.bytes, this.#heap.length - at);
    this.#records.set(rrset + RRSET.next, this.#records.get(entry + ENTRY.rrset));
    this.#records.set(entry + ENTRY.rrset, rrset);
  }

  #findRrset(entry: number, type: number): number {
    let rrset = this.#records.get(entry + ENTRY.rrset);
    while (rrset && this.#records.get(rrset + RRSET.type) !== type) {
      rrset = this.#records.get(rrset + RRSET.next);
    }
    return rrset;
  }

  #addFinished(record: ZoneRecord): void {
    const head = new DataView(new ArrayBuffer(FINISHED_HEAD));
    head.setUint16(0, 0xc00c);
    head.setUint16(2, record.type);
    head.setUint16(4, CLASS.IN);
    head.setUint32(6, record.ttl);
    head.setUint16(10, record.rdata.length);
    this.#heap.append(new Uint8Array(head.buffer));
    this.#heap.append(record.rdata);
  }

  #addService(id: string, pool: number, ttl: number): number {
    const service = this.#records.reserve(SERVICE.size);
    this.#records.set(service + SERVICE.pool, pool);
    this.#records.set(service + SERVICE.ttl, ttl);
    this.#records.set(service + SERVICE.cursor4, this.#ticketSlots.of(`${id} 4`));
    this.#records.set(service + SERVICE.cursor6, this.#ticketSlots.of(`${id} 6`));
    return service;
  }

  #addPool(
    pool: Pick<Pool, "algorithm" | "onAllDown" | "maxAnswers" | "members">,
    check: HealthCheck | null,
  ): number {
    const enabled = pool.members.filter((member) => member.enabled);
    const algorithm = ALGORITHMS.indexOf(pool.algorithm);
    const list4 = this.#addList(
      enabled.filter((member) => !member.ipAddress.includes(":")),
      algorithm,
      check,
    );
    const list6 = this.#addList(enabled.filter((member) => member.ipAddress.includes(":")), algorithm, check);
    const at = this.#records.reserve(POOL.size);
    this.#records.set(at + POOL.onAllDown, ON_ALL_DOWN.indexOf(pool.onAllDown));
    this.#records.set(at + POOL.maxAnswers, pool.maxAnswers);
    this.#records.set(at + POOL.list4, list4);
    this.#records.set(at + POOL.list6, list6);
    return at;
  }

  #addList(members: readonly Member[], algorithm: number, check: HealthCheck | null): number {
    const list = this.#records.reserve(LIST.members + members.length * LIST.memberSize);
    this.#records.set(list + LIST.id, this.#listCount++);
    this.#records.set(list + LIST.count, members.length);
    this.#records.set(list + LIST.base, this.#listMemberCount);
    this.#records.set(list + LIST.addressAt, this.#heap.length);
    this.#records.set(list + LIST.algorithm, algorithm);
    this.#listMemberCount += members.length;
    for (const [i, member] of members.entries()) {
      const at = list + LIST.members + i * LIST.memberSize;
      this.#records.set(
        at + LIST.memberSlot,
        check ? this.#healthSlots.of(checkTargetOf(member, check).key) : 0,
      );
      this.#records.set(at + LIST.memberRank, (member.priority << 16 | member.weight) >>> 0);
      this.#heap.append(parseIp(member.ipAddress)!);
    }
    return list;
  }

  /** Fills `#starts` and `#hashes` for every suffix of a lower-case name; returns the number of labels. */
  #hash(name: Uint8Array): number {
    const count = labelStarts(name, this.#starts);
    let hash = ROOT_HASH;
    this.#hashes[count - 1] = hash;
    for (let label = count - 2; label >= 0; label--) {
      hash = hashLabel(hash, name, this.#starts[label]!);
      this.#hashes[label] = hash;
    }
    return count;
  }

  #find(name: Uint8Array): number {
    this.#hash(name);
    return this.#findFrom(name, 0);
  }

  /** Finds the suffix of a hashed name that begins with the given label. */
  #findFrom(name: Uint8Array, label: number): number {
    const suffix = name.subarray(this.#starts[label]!);
    const hash = this.#hashes[label]!;
    const mask = this.#names.length / 2 - 1;
    for (let slot = firstSlot(hash, mask);; slot = (slot + 1) & mask) {
      const entry = this.#names[slot * 2 + 1]!;
      if (entry === 0) return 0;
      if (this.#names[slot * 2] === hash && this.#isNamed(entry, suffix)) return entry;
    }
  }

  #isNamed(entry: number, name: Uint8Array): boolean {
    if (this.#records.get(entry + ENTRY.nameLength) !== name.length) return false;
    return this.#heap.holdsAt(this.#records.get(entry + ENTRY.nameAt), name);
  }

  #insert(hash: number, entry: number): void {
    const mask = this.#names.length / 2 - 1;
    let slot = firstSlot(hash, mask);
    while (this.#names[slot * 2 + 1] !== 0) slot = (slot + 1) & mask;
    this.#names[slot * 2] = hash;
    this.#names[slot * 2 + 1] = entry;
  }

  #growNames(): void {
    const old = this.#names;
    this.#names = new Int32Array(old.length * 2);
    for (let i = 0; i < old.length; i += 2) if (old[i + 1] !== 0) this.#insert(old[i]!, old[i + 1]!);
  }
}

/** Bytes of a finished resource record before its RDATA. */
const FINISHED_HEAD = 12;

function isWildcard(name: Uint8Array): boolean {
  return name[0] === 1 && name[1] === 0x2a;
}

/** RRsets in order of appearance; a record said twice counts once (RFC 2181 §5). */
function groupByOwnerAndType(records: readonly ZoneRecord[]): ZoneRecord[][] {
  const rrsets = new Map<string, ZoneRecord[]>();
  for (const record of records) {
    const key = `${latin1.decode(record.owner)} ${record.type}`;
    const rrset = rrsets.get(key);
    if (!rrset) rrsets.set(key, [record]);
    else if (!rrset.some((other) => equalBytes(other.rdata, record.rdata))) rrset.push(record);
  }
  return [...rrsets.values()];
}

const latin1 = new TextDecoder("latin1");

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Bytes();
  for (const part of parts) bytes.append(part);
  return bytes.written();
}

/** A growing run of 32-bit words. */
class Words {
  #words = new Uint32Array(4096);
  length = 0;

  /** Makes room for `count` zero words and returns the position of the first. */
  reserve(count: number): number {
    const at = this.length;
    this.length += count;
    while (this.length > this.#words.length) {
      const grown = new Uint32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    return at;
  }

  get(at: number): number {
    return this.#words[at]!;
  }

  set(at: number, word: number): void {
    this.#words[at] = word;
  }

  written(): Uint32Array {
    return this.#words.subarray(0, this.length);
  }
}

/** A growing run of bytes. */
class Bytes {
  #bytes = new Uint8Array(16_384);
  length = 0;

  /** Copies `bytes` to the end and returns where they begin. */
  append(bytes: Uint8Array): number {
    const at = this.length;
    this.length += bytes.length;
    while (this.length > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, at);
    return at;
  }

  holdsAt(at: number, bytes: Uint8Array): boolean {
    for (let i = 0; i < bytes.length; i++) if (this.#bytes[at + i] !== bytes[i]) return false;
    return true;
  }

  written(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}
