/**
 * From what is declared to what is answered: writes a whole snapshot in one pass over the desired state, and later
 * changes it in place, service by service and pool by pool, at a cost that doesn't depend on how many there are.
 *
 * Order matters in the pass and is the precedence of names: all zone apexes first (a zone that is served here wins
 * over its parent's delegation to it), then each zone's delegations (so that everything below one knows), then the
 * other records, then the services. A service outside every zone becomes the apex of a zone of its own.
 *
 * Changes in place are for pools and services, which change all the time; zones and the fallback ask for a whole
 * new snapshot. What a change leaves behind isn't used again: when the room is used up (`OutOfRoom`), a whole new
 * snapshot is due, too.
 *
 * @module
 */
import { type Place, twoLetters } from "../geo/location.ts";
import { checkTargetOf } from "../desired/check_target.ts";
import type {
  Desired,
  DesiredZone,
  SteeredGeoRule,
  SteeredMember,
  SteeredPool,
  SteeredService,
} from "../desired/desired.ts";
import { type Algorithm, ALGORITHMS, type Fallback, ON_ALL_DOWN } from "../model/model.ts";
import { plainChecks, standingKeyOf } from "../desired/eligibility.ts";
import { type Family, ipv4Number, parseIp, parsePrefix } from "../ip.ts";
import { isAtOrBelow, isWildcard, lowerCaseName, nameToWire } from "../wire/name.ts";
import { CLASS, TYPE } from "../wire/record_type.ts";
import type { ZoneRecord } from "../wire/zone_file.ts";
import { type Atlas, EMPTY_ATLAS } from "../geo/geo_data.ts";
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
  NO_LIST_ID,
  NO_PLACE,
  NO_SLOT,
  OUTSIDER,
  PLACE_UNITS,
  plannedWord,
  POOL,
  ROOT,
  RRSET,
  RULE,
  RULE_KINDS,
  SERVICE,
  SMALL_LIST_MAX,
  TWINS,
  ZONE,
} from "./layout.ts";
import { Bytes, OutOfRoom, Words } from "./memory.ts";
import { weightOf } from "../shared_weight.ts";
import { firstSlot, hashLabel, hashSuffix, LABELS_MAX, labelStarts } from "./name_hash.ts";
import type { Slots } from "./slots.ts";
import type { LiveBoard } from "./live.ts";
import { neededOf, type Snapshot } from "./view.ts";

/** What compiling needs beside the desired state. */
export interface CompileOptions {
  /** Number of the new snapshot. */
  readonly epoch: number;
  /** Health slots by check-target key; slot 0 is reserved for members that aren't checked. */
  readonly healthSlots: Slots;
  /** What is known of clients; nothing unless given. */
  readonly atlas?: Atlas;
  /** Where a member stands, if anybody knows; where it says itself unless given. */
  readonly placeOf?: (member: SteeredMember) => Place | null;
  /** The tables before these: services that were in them go on rotating where they are. */
  readonly previous?: Tables | undefined;
  /** With which hashes of names begin, 32 bits; drawn unless given, and never that of tables that are taken over. */
  readonly seed?: number;
}

/** Start of Authority timers of zones that have no file (RFC 1912 §2.2): refresh, retry, expire. */
const SOA_TIMERS = [3600, 600, 604_800] as const;
/** Algorithms whose answers depend on the client even without a geo rule. */
const TAKES_TURNS: readonly Algorithm[] = ["round-robin", "weighted-round-robin"];
/** Algorithms that fence even without a geo rule. */
const FENCING: readonly Algorithm[] = ["geoip", "map-file"];
const DEPENDS_ON_CLIENT: readonly Algorithm[] = ["geoip", "map-file", "hash"];
/** Units that a weight is cut into at most, so that shares come out even: 64 steps of a drain of 1/16. */
const UNITS_MAX = 1024;
const WEIGHT_MAX = 0xffff;
/** Bytes of a finished resource record before its RDATA. */
const FINISHED_HEAD = 12;
/** Lists, and members of lists, that may come later: this share of what there is, and at least so many. */
const LISTS_SPARE_SHARE = 1 / 4;
const LISTS_SPARE_MIN = 4096;

/** Bytes in shared memory. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>;

/** Tables as they are kept in a file: the numbers that belong to them, and their memory, which whoever loads takes. */
export interface KeptTables {
  /** Of the model that they hold. */
  readonly generation: number;
  /** The list record of all lists without members. */
  readonly emptyList: number;
  /** Ids given to lists. */
  readonly lists: number;
  /** Room given to lists. */
  readonly listMembers: number;
  /** Where the records of declared zones end. */
  readonly declaredZonesEnd: number;
  /** Ticket slots given out, and those that are free again. */
  readonly tickets: { readonly size: number; readonly free: readonly number[] };
  /** Entries of the name table. */
  readonly names: { readonly count: number };
  /** Entries of the index of pools. */
  readonly pools: { readonly used: number };
  /** What health slots stand for. */
  readonly healthSlots: readonly (readonly [key: string, number: number])[];
  /** Names, records, heap and the index of pools, as bytes. */
  readonly memory: readonly [names: SharedBytes, records: SharedBytes, heap: SharedBytes, pools: Uint8Array];
}

/**
 * What a pool lacks that is down: enough healthy members of one family, while the other has them · of any family · any
 * member at all that is enabled and has an address.
 */
export type Lack = Family | "health" | "members";

/** The writer of one snapshot. */
export class Tables {
  readonly #desired: Pick<Desired, "generation" | "defaultTtl" | "nameservers">;
  readonly #epoch: number;
  readonly #healthSlots: Slots;
  readonly #atlas: Atlas;
  readonly #measured = new Map<number, { readonly slot: number; readonly key: string }>();
  readonly #placeOf: (member: SteeredMember) => Place | null;
  readonly #tickets: Tickets;
  readonly #records = new Words();
  readonly #heap = new Bytes();
  readonly #names = new NameTable(this.#records, this.#heap);
  readonly #pools = new PoolIndex(this.#records);
  readonly #starts = new Uint8Array(LABELS_MAX);
  readonly #hashes = new Int32Array(LABELS_MAX);
  /** With which hashes of names begin. */
  #seed: number;
  /** The one list record of all lists without members. */
  #emptyList = 0;
  #lists = 0;
  #listMembers = 0;
  /** Zone records before this one are declared zones; those behind it belong to single services. 0 = none is declared. */
  #declaredZonesEnd = 0;
  #isSealed = false;
  /** What synthesized SOA records have in common; made at the first. */
  #soa: Soa | null = null;
  /** Lets the garbage collector know what goes when this goes. */
  readonly weight: ArrayBuffer;

  /**
   * Writes a snapshot of the desired state, which must be valid; or takes over tables that hold an earlier generation of
   * the same zones and fallback.
   */
  constructor(
    desired: Desired,
    { epoch, healthSlots, previous, atlas = EMPTY_ATLAS, placeOf = ownPlace, seed = drawSeed() }:
      CompileOptions,
    kept: KeptTables | null = null,
  ) {
    this.#desired = desired;
    this.#epoch = epoch;
    this.#healthSlots = healthSlots;
    this.#atlas = atlas;
    this.#placeOf = placeOf;
    this.#tickets = new Tickets(previous);
    this.#seed = seed;
    if (kept) this.#load(kept);
    else this.#writeAll(desired);
    this.weight = weightOf([this.#names.buffer, this.#records.buffer, this.#heap.buffer]);
  }

  #writeAll(desired: Desired): void {
    const healthSlots = this.#healthSlots;
    this.#records.reserve(ROOT.end);
    this.#records.set(ROOT.magic, MAGIC);
    this.#records.set(ROOT.seed, this.#seed);
    this.#emptyList = this.#writeHead(0, 0, NOWHERE);
    healthSlots.beginRound();
    this.#writeZones(desired.zones);
    this.putPools(desired.pools());
    for (const service of desired.services()) this.putService(service);
    this.#writeFallback(desired.fallback);
    healthSlots.endRound();
    this.#seal();
  }

  /** What to hand to the workers. */
  get snapshot(): Snapshot {
    return {
      epoch: this.#epoch,
      names: this.#names.buffer,
      records: this.#records.buffer,
      heap: this.#heap.buffer,
      atlas: this.#atlas,
    };
  }

  /** The health slots whose round trip answers go by, and the check targets by which it is measured. */
  get measured(): Iterable<{ readonly slot: number; readonly key: string }> {
    return this.#measured.values();
  }

  /** Whether there is more to these tables than what is kept of them. */
  get needsMoreThanKept(): boolean {
    return this.asksForPlaces || this.#records.get(ROOT.measuresLatency) === 1;
  }

  /** Whether a place in here was found out by a database, so that another one may say another. */
  get asksForPlaces(): boolean {
    return this.#records.get(ROOT.asksForPlaces) === 1;
  }

  /**
   * Looks at some pools for those of which too few members are up.
   *
   * @param from a place in the index, 0 at first
   * @param count places to look at
   * @param found told of each one: with the family that lacks them while the other has enough, or what both lack
   * @returns the place to go on from; `null` = that was the end
   */
  findDown(
    board: LiveBoard,
    { from, count }: { readonly from: number; readonly count: number },
    found: (poolId: string, lack: Lack) => void,
  ): number | null {
    for (const record of this.#pools.between(from, from + count)) {
      const up4 = this.#isEnoughUp(board, record, POOL.list4);
      const up6 = this.#isEnoughUp(board, record, POOL.list6);
      if (up4 === null ? up6 : up6 === null ? up4 : up4 && up6) continue;
      found(this.#idOf(record), up4 ? 6 : up6 ? 4 : up4 === null && up6 === null ? "members" : "health");
    }
    return from + count < this.#pools.places ? from + count : null;
  }

  /** Whether so many of a pool's family are up as it needs; `null` = it has no member of the family. */
  #isEnoughUp(board: LiveBoard, pool: number, field: number): boolean | null {
    const list = this.#records.get(pool + field);
    const count = this.#records.get(list + LIST.count);
    if (count === 0) return null;
    const needed = neededOf(count, this.#records.get(pool + POOL.minHealthy));
    let up = 0;
    for (let i = 0; i < count; i++) {
      const slot = this.#records.get(list + LIST.members + i * LIST.memberSize + LIST.memberSlot);
      if (board.isUp(slot) && ++up === needed) return true;
    }
    return false;
  }

  #idOf(pool: number): string {
    return pool === this.#pools.find(FALLBACK_POOL) ? FALLBACK_POOL : this.#pools.idOf(pool);
  }

  /** Ticket slots that the live board must have. */
  get ticketSlots(): number {
    return this.#tickets.size;
  }

  /**
   * Writes pools, or what they are now in place of what they were, in any order: a pool may fall back to one that comes
   * after it. New ones come first, since nothing leads to them yet, and then their fallbacks; so what is answered
   * meanwhile never meets a pool that is half there.
   *
   * @throws {OutOfRoom} when a whole new snapshot is due; what was answered before still is
   */
  putPools(pools: Iterable<SteeredPool>): void {
    const changed: [record: number, pool: SteeredPool][] = [];
    const fallbacks: [record: number, fallbackPoolId: string][] = [];
    for (const pool of pools) {
      const known = this.#pools.find(pool.id);
      if (known !== 0) {
        changed.push([known, pool]);
        continue;
      }
      const record = this.#records.reserve(POOL.size);
      this.#writePool(record, pool, 0);
      this.#pools.add(pool.id, record);
      if (pool.fallbackPoolId !== null) fallbacks.push([record, pool.fallbackPoolId]);
    }
    for (const [record, id] of fallbacks) this.#records.set(record + POOL.fallback, this.#pools.find(id));
    for (const [record, pool] of changed) {
      const fallback = pool.fallbackPoolId === null ? 0 : this.#pools.find(pool.fallbackPoolId);
      this.#writePool(record, pool, fallback);
    }
  }

  #writePool(record: number, pool: SteeredPool, fallback: number): void {
    const list4 = this.#putList(pool, 4, this.#records.get(record + POOL.list4));
    const list6 = this.#putList(pool, 6, this.#records.get(record + POOL.list6));
    const named = this.#putNamed(pool, this.#records.get(record + POOL.named));
    this.#records.publish(record + POOL.onAllDown, ON_ALL_DOWN.indexOf(pool.onAllDown));
    this.#records.publish(record + POOL.intervalMs, intervalOf(pool));
    this.#records.publish(record + POOL.maxAnswers, pool.maxAnswers);
    this.#records.publish(record + POOL.fallback, fallback);
    this.#records.publish(record + POOL.minHealthy, needOf(pool.minHealthy));
    this.#records.publish(record + POOL.changesAt, pool.changesAt === 0 ? 0 : plannedWord(pool.changesAt));
    this.#records.publish(record + POOL.list4, list4);
    this.#records.publish(record + POOL.list6, list6);
    this.#records.publish(record + POOL.named, named);
  }

  /** Forgets a pool to which nothing leads any more. */
  removePool(id: string): void {
    this.#pools.remove(id);
  }

  /**
   * Writes a service, or what it is now in place of what it was.
   *
   * @throws {OutOfRoom} when a whole new snapshot is due; what was answered before still is
   */
  putService({ domain, poolId, ttl, minTtl, ecs }: SteeredService): void {
    const name = nameToWire(domain);
    const entry = this.#ensureServiceName(name);
    const pool = poolId === null ? 0 : this.#pools.find(poolId);
    const service = this.#records.get(entry + ENTRY.service);
    if (service === 0) {
      const ticket = this.#tickets.take(name);
      this.#records.publish(entry + ENTRY.service, this.#writeService(pool, { ttl, minTtl, ecs }, ticket));
      return;
    }
    this.#records.publish(service + SERVICE.minTtl, minTtl);
    this.#records.publish(service + SERVICE.ignoresSubnet, ecs ? 0 : 1);
    this.#records.publish(service + SERVICE.ttl, ttl);
    this.#records.publish(service + SERVICE.pool, pool);
  }

  /** Takes a service out of the answers, and its name as well when nothing else is there. */
  removeService(domain: string): void {
    const entry = this.#find(nameToWire(domain));
    const service = entry && this.#records.get(entry + ENTRY.service);
    if (!service) return;
    this.#records.publish(entry + ENTRY.service, 0);
    this.#tickets.giveBack(this.#records.get(service + SERVICE.cursor4));
    this.#forgetName(entry);
  }

  /** The first of the two ticket slots of a service; `undefined` when there is no such service. */
  ticketOf(name: Uint8Array): number | undefined {
    const entry = this.#find(name);
    const service = entry && this.#records.get(entry + ENTRY.service);
    return service ? this.#records.get(service + SERVICE.cursor4) : undefined;
  }

  /** What a later process can take over. The memory is a view: write it before anything is changed. */
  keep(generation: number): KeptTables {
    return {
      generation,
      emptyList: this.#emptyList,
      lists: this.#lists,
      listMembers: this.#listMembers,
      declaredZonesEnd: this.#declaredZonesEnd,
      tickets: this.#tickets.keep(),
      names: { count: this.#names.count },
      pools: { used: this.#pools.used },
      healthSlots: this.#healthSlots.entries(),
      memory: [this.#names.inUse(), this.#records.inUse(), this.#heap.inUse(), this.#pools.inUse()],
    };
  }

  #load(kept: KeptTables): void {
    const [names, records, heap, pools] = kept.memory;
    this.#emptyList = kept.emptyList;
    this.#lists = kept.lists;
    this.#listMembers = kept.listMembers;
    this.#declaredZonesEnd = kept.declaredZonesEnd;
    this.#tickets.load(kept.tickets);
    this.#names.load(names, kept.names.count);
    this.#records.load(records);
    this.#seed = this.#records.get(ROOT.seed) | 0;
    this.#heap.load(heap);
    this.#pools.load(pools, kept.pools.used);
    this.#healthSlots.load(kept.healthSlots);
    this.#records.seal();
    this.#heap.seal();
    this.#names.seal();
    this.#pools.seal();
    this.#isSealed = true;
  }

  #seal(): void {
    const withSpare = (count: number) =>
      count + Math.max(LISTS_SPARE_MIN, Math.ceil(count * LISTS_SPARE_SHARE));
    this.#records.set(ROOT.listsMax, withSpare(this.#lists));
    this.#records.set(ROOT.listMembersMax, withSpare(this.#listMembers));
    this.#records.seal();
    this.#heap.seal();
    this.#names.seal();
    this.#pools.seal();
    this.#tickets.settle();
    this.#isSealed = true;
  }

  #writeZones(zones: readonly DesiredZone[]): void {
    const apexes = zones.map((zone) => lowerCaseName(nameToWire(zone.domain)));
    for (const [i, zone] of zones.entries()) this.#writeApex(apexes[i]!, zone.records);
    this.#declaredZonesEnd = zones.length === 0 ? 0 : this.#records.length;
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
      this.#hash(apex);
      this.#joinAbove(apex);
      return;
    }
    const parent = this.#ensureEntry(above);
    this.#records.set(parent + ENTRY.children, this.#records.get(parent + ENTRY.children) + 1);
  }

  /**
   * The same where no declared zone encloses the names above the hashed one: they are noted without a zone, since zones
   * of services come and go above them. Whoever reads finds the zone further up, if there is one; so neither a service
   * above nor one below ever has to look for the other.
   */
  #joinAbove(name: Uint8Array): void {
    for (let label = 1; name[this.#starts[label]!] !== 0; label++) {
      const known = this.#findFrom(name, label);
      const wasThere = this.#isThere(known);
      const entry = known || this.#writeEntry(name, label, { former: 0, zone: 0, cut: 0 });
      this.#records.publish(entry + ENTRY.children, this.#records.get(entry + ENTRY.children) + 1);
      if (wasThere) return;
    }
  }

  #writeFallback(fallback: Fallback | null): void {
    if (!fallback || fallback.endpoints.length === 0) return;
    const members = fallback.endpoints.map((ipAddress, i): SteeredMember => ({
      id: null,
      ipAddress,
      target: null,
      port: fallback.healthCheck?.port ?? 0,
      weight: fallback.weights[ipAddress] ?? 1,
      priority: i + 1,
      enabled: true,
      latitude: null,
      longitude: null,
      region: "",
      share: 1,
      forcedUp: false,
    }));
    const { algorithm, onAllDown, healthCheck, ttl } = fallback;
    this.putPools([{
      id: FALLBACK_POOL,
      algorithm,
      onAllDown,
      maxAnswers: 1,
      fallbackPoolId: null,
      minHealthy: 0,
      failback: "auto",
      failbackDelayMs: 0,
      geofence: false,
      flatten: true,
      members,
      healthCheck,
      geoRules: [],
      changesAt: 0,
    }]);
    const pool = this.#pools.find(FALLBACK_POOL);
    const terms = { ttl: ttl ?? this.#desired.defaultTtl, minTtl: 0, ecs: true };
    this.#records.set(ROOT.fallback, this.#writeService(pool, terms, FALLBACK_TICKET));
  }

  #writeApex(apex: Uint8Array, records: readonly ZoneRecord[] | null): void {
    const soa = records?.find((record) => record.type === TYPE.SOA && equalBytes(record.owner, apex)) ??
      this.#synthesizedSoa(apex);
    const entry = this.#writeApexEntry(apex, soa);
    if (records) return;
    this.#writeRrset(entry, [soa]);
    const nameservers = this.#desired.nameservers.map((server): ZoneRecord => ({
      owner: apex,
      type: TYPE.NS,
      ttl: this.#desired.defaultTtl,
      rdata: nameToWire(server),
      line: 0,
    }));
    if (nameservers.length > 0) this.#writeRrset(entry, nameservers);
  }

  #writeApexEntry(apex: Uint8Array, soa: ZoneRecord): number {
    const soaAt = this.#writeFinished({ ...soa, ttl: Math.min(soa.ttl, minimumOf(soa)) });
    const zone = this.#writeZoneRecord(apex, { soaAt, soaBytes: this.#heap.length - soaAt });
    return this.#writeEntry(apex, 0, { former: this.#find(apex), zone, cut: 0 });
  }

  #writeZoneRecord(apex: Uint8Array, { soaAt, soaBytes }: { soaAt: number; soaBytes: number }): number {
    const zone = this.#records.reserve(ZONE.size);
    this.#records.set(zone + ZONE.apexLength, apex.length);
    this.#records.set(zone + ZONE.soaAt, soaAt);
    this.#records.set(zone + ZONE.soaBytes, soaBytes);
    return zone;
  }

  #synthesizedSoa(apex: Uint8Array): ZoneRecord {
    this.#soa ??= soaOf(this.#desired);
    const { primary, numbers, ttl } = this.#soa;
    const rdata = concatBytes([primary ?? apex, HOSTMASTER, apex, numbers]);
    return { owner: apex, type: TYPE.SOA, ttl, rdata, line: 0 };
  }

  /**
   * Of what lies at or below the apex of another zone that is served here, that zone has the say, with two exceptions:
   * the DS record of its apex is its parent's (RFC 4035 §3.1.4.1), and addresses are still glue for other delegations.
   */
  #writeZone(apex: Uint8Array, records: readonly ZoneRecord[]): void {
    const zone = this.#records.get(this.#find(apex) + ENTRY.zone);
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
      const entry = this.#ensureEntry(rrset[0].owner);
      if (this.#records.get(entry + ENTRY.cut) === 0) this.#records.set(entry + ENTRY.cut, entry);
    }
    for (const rrset of rrsets) this.#writeRrset(this.#ensureEntry(rrset[0].owner), rrset);
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
    const rrset = this.#findRrset(this.#find(cut), TYPE.NS);
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
    if (own) return { ...this.#writeAllFinished(own), count: own.length };
    const entry = this.#find(name);
    const known = entry && this.#findRrset(entry, type);
    return {
      at: this.#records.get(known + RRSET.at),
      bytes: this.#records.get(known + RRSET.bytes),
      count: this.#records.get(known + RRSET.count),
    };
  }

  /** The entry of a service's name, with a zone of its own where no declared zone encloses it. */
  #ensureServiceName(name: Uint8Array): number {
    if (this.#declaredZoneOf(name) !== 0) return this.#ensureEntry(name);
    const apex = isWildcard(name) ? name.subarray(2) : name;
    const former = this.#find(apex);
    const entry = this.#isAlive(former) ? former : this.#writeOwnZone(apex, former);
    return apex === name ? entry : this.#ensureEntry(name);
  }

  /**
   * A zone of nothing but a synthesized SOA: its TTL is the negative one, so answers and denials share its bytes.
   *
   * @param former the apex's entry that isn't alive, or 0; it was looked up last
   */
  #writeOwnZone(apex: Uint8Array, former: number): number {
    const soa = this.#synthesizedSoa(apex);
    const at = this.#writeFinished(soa);
    const bytes = this.#heap.length - at;
    const wasThere = this.#isThere(former);
    const entry = this.#writeEntry(apex, 0, {
      former,
      zone: this.#writeZoneRecord(apex, { soaAt: at, soaBytes: bytes }),
      cut: 0,
    });
    this.#linkRrset(entry, { type: TYPE.SOA, count: 1, at, bytes });
    if (!wasThere) this.#joinAbove(apex);
    return entry;
  }

  /** The zone record of the closest declared zone at or above the name, or 0. */
  #declaredZoneOf(name: Uint8Array): number {
    if (this.#declaredZonesEnd === 0) return 0;
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
    this.#hash(name);
    return this.#ensureEntryFrom(name, 0);
  }

  /** The same for the suffix of a hashed name that begins with the given label. */
  #ensureEntryFrom(name: Uint8Array, label: number): number {
    const former = this.#findFrom(name, label);
    if (this.#isAlive(former)) return former;
    const parent = this.#ensureEntryFrom(name, label + 1);
    if (!this.#isThere(former)) {
      this.#records.set(parent + ENTRY.children, this.#records.get(parent + ENTRY.children) + 1);
    }
    const zone = this.#records.get(parent + ENTRY.zone);
    return this.#writeEntry(name, label, { former, zone, cut: this.#records.get(parent + ENTRY.cut) });
  }

  /** Whether the name is in a zone, and its entry says in which. */
  #isAlive(entry: number): boolean {
    return entry !== 0 && this.#records.get(entry + ENTRY.zone) !== 0;
  }

  /** Whether there is the name, or one below it; that is when its parent counts it. */
  #isThere(entry: number): boolean {
    return this.#isAlive(entry) || (entry !== 0 && this.#records.get(entry + ENTRY.children) !== 0);
  }

  /** Writes the entry of a suffix of a hashed name, or gives one that was taken away its zone back. */
  #writeEntry(
    name: Uint8Array,
    label: number,
    { former, zone, cut }: { readonly former: number; readonly zone: number; readonly cut: number },
  ): number {
    if (former !== 0) {
      this.#records.publish(former + ENTRY.zone, zone);
      return former;
    }
    const start = this.#starts[label]!;
    const entry = this.#records.reserve(ENTRY.size);
    this.#records.set(entry + ENTRY.nameAt, this.#heap.append(name, start));
    this.#records.set(entry + ENTRY.nameLength, name.length - start);
    this.#records.set(entry + ENTRY.zone, zone);
    this.#records.set(entry + ENTRY.cut, cut);
    this.#names.add(this.#hashes[label]!, entry);
    return entry;
  }

  /** Takes a name out of its zone when nothing needs it there, and away when no name is below it; then its parent's. */
  #forgetName(entry: number): void {
    const zone = this.#records.get(entry + ENTRY.zone);
    if (zone !== 0) {
      if (this.#isNeeded(entry, zone)) return;
      this.#records.publish(entry + ENTRY.zone, 0);
      // Of a service's own zone nothing is left; in a declared one, nothing was there.
      this.#records.publish(entry + ENTRY.rrset, 0);
    }
    if (this.#records.get(entry + ENTRY.children) !== 0) return;
    const name = this.#nameOf(entry);
    const parent = this.#find(name.subarray(name[0]! + 1));
    if (parent === 0) return;
    this.#records.publish(parent + ENTRY.children, this.#records.get(parent + ENTRY.children) - 1);
    this.#forgetName(parent);
  }

  /** Whether a name has to stay in its zone. */
  #isNeeded(entry: number, zone: number): boolean {
    if (this.#records.get(entry + ENTRY.service) !== 0) return true;
    const isApex = this.#records.get(zone + ZONE.apexLength) === this.#records.get(entry + ENTRY.nameLength);
    const hasChildren = this.#records.get(entry + ENTRY.children) !== 0;
    if (zone < this.#declaredZonesEnd) {
      return isApex || hasChildren || this.#records.get(entry + ENTRY.rrset) !== 0;
    }
    // In a service's own zone are only its apex and the wildcard below; names below are zones of their own.
    if (!isApex || !hasChildren) return false;
    const wildcard = this.#find(concatBytes([ASTERISK, this.#nameOf(entry)]));
    return wildcard !== 0 && this.#records.get(wildcard + ENTRY.zone) === zone;
  }

  #nameOf(entry: number): Uint8Array {
    return this.#heap.read(
      this.#records.get(entry + ENTRY.nameAt),
      this.#records.get(entry + ENTRY.nameLength),
    );
  }

  #writeRrset(entry: number, records: readonly ZoneRecord[]): void {
    const { at, bytes } = this.#writeAllFinished(records);
    this.#linkRrset(entry, { type: records[0]!.type, count: records.length, at, bytes });
  }

  #writeAllFinished(records: readonly ZoneRecord[]): { readonly at: number; readonly bytes: number } {
    const at = this.#heap.length;
    for (const record of records) this.#writeFinished(record);
    return { at, bytes: this.#heap.length - at };
  }

  #linkRrset(
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

  #findRrset(entry: number, type: number): number {
    let rrset = this.#records.get(entry + ENTRY.rrset);
    while (rrset && this.#records.get(rrset + RRSET.type) !== type) {
      rrset = this.#records.get(rrset + RRSET.next);
    }
    return rrset;
  }

  /** Writes a finished resource record and gives its place in the heap. */
  #writeFinished(record: ZoneRecord): number {
    finishedHead.setUint16(0, 0xc00c);
    finishedHead.setUint16(2, record.type);
    finishedHead.setUint16(4, CLASS.IN);
    finishedHead.setUint32(6, record.ttl);
    finishedHead.setUint16(10, record.rdata.length);
    const at = this.#heap.append(new Uint8Array(finishedHead.buffer));
    this.#heap.append(record.rdata);
    return at;
  }

  #writeService(
    pool: number,
    { ttl, minTtl, ecs }: Pick<SteeredService, "ttl" | "minTtl" | "ecs">,
    ticket: number,
  ): number {
    const service = this.#records.reserve(SERVICE.size);
    this.#records.set(service + SERVICE.pool, pool);
    this.#records.set(service + SERVICE.minTtl, minTtl);
    this.#records.set(service + SERVICE.ignoresSubnet, ecs ? 0 : 1);
    this.#records.set(service + SERVICE.ttl, ttl);
    this.#records.set(service + SERVICE.cursor4, ticket);
    this.#records.set(service + SERVICE.cursor6, ticket + 1);
    return service;
  }

  /**
   * The list of a pool's enabled members of a family.
   *
   * @param before the list in whose place it comes, whose id and room it takes over; 0 = none
   */
  #putList(pool: SteeredPool, family: Family, before: number): number {
    const members = pool.members.filter((member) => isOf(member, family));
    if (members.length === 0 && !isFencing(pool)) return this.#emptyList;
    if (members.length <= SMALL_LIST_MAX && isPlain(pool)) {
      return this.#writeList(members, pool, { family, place: NOWHERE });
    }
    const isSuccessor = before !== 0 && this.#records.get(before + LIST.id) !== NO_LIST_ID;
    if (isSuccessor && this.#records.get(before + LIST.capacity) >= members.length) {
      const place = {
        id: this.#records.get(before + LIST.id),
        base: this.#records.get(before + LIST.base),
        capacity: this.#records.get(before + LIST.capacity),
      };
      return this.#writeList(members, pool, { family, place });
    }
    const id = isSuccessor ? this.#records.get(before + LIST.id) : this.#lists;
    if (this.#isSealed) this.#requireRoomForList(id + 1, this.#listMembers + members.length);
    const place = { id, base: this.#listMembers, capacity: members.length };
    const list = this.#writeList(members, pool, { family, place });
    if (id === this.#lists) this.#lists++;
    this.#listMembers += members.length;
    return list;
  }

  /** What the pool answers where it may answer names; 0 = addresses, as elsewhere. */
  #putNamed(pool: SteeredPool, before: number): number {
    if (!pool.named?.members.some(({ enabled, ipAddress }) => enabled && ipAddress === null)) return 0;
    const choice = { ...pool, ...pool.named };
    const list4 = this.#putList(choice, 4, before && this.#records.get(before + NAMED.list4));
    const list6 = this.#putList(choice, 6, before && this.#records.get(before + NAMED.list6));
    const aliases4 = this.#writeAliases(choice.members.filter((member) => isOf(member, 4)));
    const aliases6 = this.#writeAliases(choice.members.filter((member) => isOf(member, 6)));
    const named = this.#records.reserve(NAMED.size);
    this.#records.set(named + NAMED.list4, list4);
    this.#records.set(named + NAMED.list6, list6);
    this.#records.set(named + NAMED.aliases4, aliases4);
    this.#records.set(named + NAMED.aliases6, aliases6);
    return named;
  }

  /** The lists were written before, so no name lies at offset 0. */
  #writeAliases(members: readonly SteeredMember[]): number {
    const aliases = this.#records.reserve(members.length);
    for (const [i, { ipAddress, target }] of members.entries()) {
      if (ipAddress === null) {
        this.#records.set(aliases + i, this.#heap.append(lowerCaseName(nameToWire(target!))));
      }
    }
    return aliases;
  }

  #requireRoomForList(lists: number, listMembers: number): void {
    if (lists > this.#records.get(ROOT.listsMax) || listMembers > this.#records.get(ROOT.listMembersMax)) {
      throw new OutOfRoom(`${lists} lists of ${listMembers} members`);
    }
  }

  /** The head of a list and the room for its members and their addresses, of so many words each. */
  #writeHead(count: number, addressWords: number, place: ListPlace): number {
    const list = this.#records.reserve(LIST.members + count * (LIST.memberSize + addressWords));
    this.#records.set(list + LIST.id, place.id);
    this.#records.set(list + LIST.count, count);
    this.#records.set(list + LIST.base, place.base);
    this.#records.set(list + LIST.capacity, place.capacity);
    return list;
  }

  #writeList(
    members: readonly SteeredMember[],
    pool: SteeredPool,
    { family, place }: { readonly family: Family; readonly place: ListPlace },
  ): number {
    const addressSize = family === 4 ? 4 : 16;
    const twins = twinsOf(members);
    const list = this.#writeHead(members.length, addressSize / 4 + (twins ? 1 : 0), place);
    this.#records.set(list + LIST.addressSize, addressSize + (twins ? TWINS : 0));
    let addressAt = list + LIST.members + members.length * LIST.memberSize;
    this.#records.set(list + LIST.algorithm, ALGORITHMS.indexOf(pool.algorithm));
    const weightOf = weigher(pool);
    for (const [i, member] of members.entries()) {
      const at = list + LIST.members + i * LIST.memberSize;
      const standing = standingKeyOf(pool, member);
      const slot = standing === null ? 0 : this.#healthSlots.of(standing);
      this.#records.set(at + LIST.memberSlot, slot);
      this.#records.set(at + LIST.memberRank, (member.priority << 16 | weightOf(member)) >>> 0);
      const ipv4 = family === 4 && member.ipAddress !== null ? ipv4Number(member.ipAddress) : -1;
      if (ipv4 >= 0) this.#records.set(addressAt++, ipv4);
      else addressAt = this.#writeAddress(addressAt, addressBytes(member, pool, family));
      if (pool.algorithm === "latency" && slot !== 0) this.#measure(slot, pool, member);
    }
    for (const first of twins ?? []) this.#records.set(addressAt++, first);
    if (dependsOnClient(pool)) this.#records.set(list + LIST.facts, this.#writeFacts(members, pool));
    return list;
  }

  /** Writes an address in words, and gives the place behind it. */
  #writeAddress(at: number, address: Uint8Array): number {
    for (let byte = 0; byte < address.length; byte += 4) this.#records.set(at++, wordAt(address, byte));
    return at;
  }

  /** Who is answered as a name is as far away as its first address. */
  #measure(slot: number, { healthCheck }: SteeredPool, member: SteeredMember): void {
    const ipAddress = firstAddress(member);
    if (ipAddress === null) return;
    const { key } = checkTargetOf({ ...member, ipAddress }, plainChecks(healthCheck!)[0]!);
    this.#measured.set(slot, { slot, key });
    this.#records.set(ROOT.measuresLatency, 1);
  }

  /** What has to be known to choose by who asks. */
  #writeFacts(members: readonly SteeredMember[], pool: SteeredPool): number {
    const outsiders = isFencing(pool) ? pool.members.filter((member) => !members.includes(member)) : [];
    const all = [...members, ...outsiders];
    const rules = pool.geoRules.filter((rule) => all.includes(pool.members[rule.member]!));
    const size = FACTS.places + members.length * FACTS.placeSize + rules.length * RULE.size +
      outsiders.length * OUTSIDER.size;
    const facts = this.#records.reserve(size);
    this.#records.set(facts + FACTS.geofence, isFencing(pool) ? 1 : 0);
    this.#records.set(facts + FACTS.rules, rules.length);
    this.#records.set(facts + FACTS.outsiders, outsiders.length);
    let at = facts + FACTS.places;
    for (const member of members) {
      this.#writePlace(at + FACTS.placeLatitude, member);
      const left = Math.round((member.left ?? 1) * LEFT_UNITS);
      this.#records.set(at + FACTS.placeLeft, member.ipAddress === null ? left + IN_BOTH_LISTS : left);
      at += FACTS.placeSize;
    }
    for (const rule of rules) {
      this.#writeRule(at, rule, all.indexOf(pool.members[rule.member]!));
      at += RULE.size;
    }
    for (const outsider of outsiders) {
      this.#writeOutsider(at, outsider, pool);
      at += OUTSIDER.size;
    }
    return facts;
  }

  /** Writes latitude and, in the next word, longitude. */
  #writePlace(at: number, member: SteeredMember): void {
    const place = this.#placeOf({ ...member, ipAddress: firstAddress(member) });
    if (member.latitude === null) this.#records.set(ROOT.asksForPlaces, 1);
    this.#records.set(at, place ? Math.round(place.latitude * PLACE_UNITS) : NO_PLACE);
    this.#records.set(at + 1, place ? Math.round(place.longitude * PLACE_UNITS) : 0);
  }

  #writeOutsider(at: number, member: SteeredMember, pool: SteeredPool): void {
    const standing = standingKeyOf(pool, member);
    const slot = standing === null ? 0 : this.#healthSlots.of(standing);
    this.#records.set(at + OUTSIDER.slot, isOf(member, 4) || isOf(member, 6) ? slot : NO_SLOT);
    this.#writePlace(at + OUTSIDER.placeLatitude, member);
    const first = firstAddress(member);
    if (first === null) return;
    const bytes = parseIp(first)!;
    const address = new Uint8Array(16);
    address.set(bytes, 16 - bytes.length);
    if (bytes.length === 4) address.fill(0xff, 10, 12);
    this.#writeAddress(at + OUTSIDER.address, address);
  }

  #writeRule(at: number, { cidr, country, continent, asn }: SteeredGeoRule, member: number): void {
    this.#records.set(at + RULE.member, member);
    if (cidr !== null) {
      const { bytes, length } = parsePrefix(cidr);
      this.#records.set(at + RULE.kind, RULE_KINDS.indexOf(bytes.length === 4 ? "cidr4" : "cidr6"));
      this.#records.set(at + RULE.value, length);
      const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (let i = 0; i < bytes.length / 4; i++) {
        this.#records.set(at + RULE.prefix + i, words.getUint32(i * 4));
      }
      return;
    }
    const kind = asn !== null ? "asn" : country !== null ? "country" : "continent";
    this.#records.set(at + RULE.kind, RULE_KINDS.indexOf(kind));
    this.#records.set(at + RULE.value, asn ?? twoLetters((country ?? continent)!));
  }

  /** Fills `#starts` and `#hashes` for every suffix of a lower-case name; returns the number of labels. */
  #hash(name: Uint8Array): number {
    const count = labelStarts(name, this.#starts);
    let hash = this.#seed;
    this.#hashes[count - 1] = hash;
    for (let label = count - 2; label >= 0; label--) {
      hash = hashSuffix(hash, hashLabel(this.#seed, name, this.#starts[label]!));
      this.#hashes[label] = hash;
    }
    return count;
  }

  /** The entry of a name, alive or not, or 0; its hash is in `#hashes[0]` then. */
  #find(name: Uint8Array): number {
    this.#hash(name);
    return this.#findFrom(name, 0);
  }

  /** Finds the suffix of a hashed name that begins with the given label. */
  #findFrom(name: Uint8Array, label: number): number {
    return this.#names.find(this.#hashes[label]!, name, this.#starts[label]!);
  }
}

function drawSeed(): number {
  return crypto.getRandomValues(new Int32Array(1))[0]!;
}

function ownPlace({ latitude, longitude }: SteeredMember): Place | null {
  return latitude === null || longitude === null ? null : { latitude, longitude };
}

/** Whether the member is in the list of the family; who is answered as a name is in both. */
function isOf({ enabled, ipAddress, addresses }: SteeredMember, family: Family): boolean {
  if (!enabled || ipAddress === null) return enabled && addresses !== undefined;
  return (ipAddress.includes(":") ? 6 : 4) === family;
}

function firstAddress({ ipAddress, addresses }: SteeredMember): string | null {
  return ipAddress ?? addresses?.[0] ?? null;
}

/**
 * The bytes by which a member goes. Of one that is answered as its name they are made of the name, so that hashing
 * doesn't move clients when the name's addresses change; only a map file knows names by their first address.
 */
function addressBytes(
  { ipAddress, target, addresses = [] }: SteeredMember,
  { algorithm }: SteeredPool,
  family: Family,
): Uint8Array {
  if (ipAddress !== null) return parseIp(ipAddress)!;
  const known = addresses.find((address) => (address.includes(":") ? 6 : 4) === family);
  if (algorithm === "map-file" && known !== undefined) return parseIp(known)!;
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  const words = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length / 4; i++) words.setUint32(i * 4, hashText(target!, i));
  return bytes;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

/** What a worker keeps for a list, and where. */
interface ListPlace {
  readonly id: number;
  readonly base: number;
  readonly capacity: number;
}

/** A list for which nothing is kept. */
const NOWHERE: ListPlace = { id: NO_LIST_ID, base: 0, capacity: 0 };

/** Whether all that are up are simply equals, so that nothing has to be derived for a few of them. */
function isPlain(pool: SteeredPool): boolean {
  return pool.algorithm === "round-robin" && !dependsOnClient(pool) &&
    pool.members.every((member) => member.share === 1);
}

/** A drain moves clients to whom the algorithm would choose next, unless all take turns anyway. */
function dependsOnClient({ algorithm, geoRules, members }: SteeredPool): boolean {
  return DEPENDS_ON_CLIENT.includes(algorithm) || geoRules.length > 0 ||
    (!TAKES_TURNS.includes(algorithm) && members.some(({ left = 1 }) => left < 1));
}

/** Whether something may fence a client of the pool: a rule, the nearest site, or the map file. */
function isFencing({ geofence, algorithm, geoRules, members }: SteeredPool): boolean {
  return geofence && members.length > 0 && (FENCING.includes(algorithm) || geoRules.length > 0);
}

/** Index of the first member with the same address, for each; `null` = all differ. */
function twinsOf(members: readonly SteeredMember[]): readonly number[] | null {
  if (members.length < 2) return null;
  const first = new Map<string, number>();
  for (const [i, { ipAddress, target }] of members.entries()) {
    const key = ipAddress ?? `name ${target}`;
    if (!first.has(key)) first.set(key, i);
  }
  if (first.size === members.length) return null;
  return members.map(({ ipAddress, target }) => first.get(ipAddress ?? `name ${target}`)!);
}

/** Weights as they count: round robin looks at none, and whoever drains or shares has less than its own. */
function weigher({ algorithm, members }: SteeredPool): (member: SteeredMember) => number {
  const ownOf = (member: SteeredMember) => algorithm === "round-robin" ? 1 : member.weight;
  if (members.every((member) => member.share === 1)) return ownOf;
  const weights = new Set(members.map((member) => ownOf(member) * member.share));
  const heaviest = [...weights].reduce((most, weight) => Math.max(most, weight), 1);
  const units = unitsOf(weights, Math.max(1, Math.floor(WEIGHT_MAX / heaviest)));
  return (member) => Math.max(1, Math.round(ownOf(member) * member.share * units));
}

/** The fewest units that make all weights whole; where that takes too many, as many as make them nearly so. */
function unitsOf(weights: ReadonlySet<number>, max: number): number {
  const isWhole = (weight: number) => Math.abs(weight - Math.round(weight)) < 1e-6;
  const most = Math.min(UNITS_MAX, max);
  for (let units = 1; units < most; units++) {
    if ([...weights].every((weight) => isWhole(weight * units))) return units;
  }
  return most;
}

/** The longest time between two probes of a member, milliseconds. */
function intervalOf({ healthCheck }: SteeredPool): number {
  return healthCheck === null ? 0 : Math.max(...plainChecks(healthCheck).map(({ intervalMs }) => intervalMs));
}

function needOf(minHealthy: number | string): number {
  return typeof minHealthy === "number" ? minHealthy : NEED_PERCENT + Number.parseInt(minHealthy);
}

/** Under which the static fallback lies among the pools; no pool has such an id. */
export const FALLBACK_POOL = "(fallback)";
/** The static fallback's ticket slots; services get those behind. */
const FALLBACK_TICKET = 0;

/** Hands out pairs of ticket slots; a service keeps its pair from one snapshot to the next. */
class Tickets {
  /** One more than the largest slot ever handed out. */
  size: number;
  /** Only while a snapshot is written: kept for longer, every snapshot would keep all those before it alive. */
  #previous: Tables | undefined;
  #free: number[] = [];
  /** Pairs that were taken over, by half their slot; only while a snapshot is written. */
  #kept: Uint8Array | null;

  constructor(previous: Tables | undefined) {
    this.#previous = previous;
    this.size = Math.max(previous?.ticketSlots ?? 0, FALLBACK_TICKET + 2);
    this.#kept = new Uint8Array(this.size / 2);
    this.#kept[FALLBACK_TICKET / 2] = 1;
  }

  take(name: Uint8Array): number {
    const former = this.#kept ? this.#previous?.ticketOf(name) : undefined;
    if (former !== undefined) {
      this.#kept![former / 2] = 1;
      return former;
    }
    const free = this.#free.pop();
    if (free !== undefined) return free;
    this.size += 2;
    return this.size - 2;
  }

  giveBack(ticket: number): void {
    this.#free.push(ticket);
  }

  keep(): KeptTables["tickets"] {
    return { size: this.size, free: this.#free };
  }

  load({ size, free }: KeptTables["tickets"]): void {
    this.size = size;
    this.#free = [...free];
    this.#kept = null;
  }

  /** Ends the writing: what no service took over can be handed out again. */
  settle(): void {
    this.#kept!.forEach((kept, pair) => {
      if (!kept) this.#free.push(pair * 2);
    });
    this.#kept = null;
    this.#previous = undefined;
  }
}

/**
 * Pool records by id: open addressing over their positions, since a map of a million strings would take more memory
 * than the pools. A record that was removed stays in its slot, nameless, so that probing goes on behind it.
 */
class PoolIndex {
  readonly #records: Words;
  #slots = new Uint32Array(2048);
  #used = 0;
  readonly #words = new Uint32Array(4);
  /**
   * Records in the order in which they were added, and the one after the last that was found there: services mostly
   * come in the order of their pools, and then no look-up has to go where no cache reaches. Only while all is written.
   */
  #order: number[] | null = [];
  #next = 0;

  constructor(records: Words) {
    this.#records = records;
  }

  /** What is looked up from now on comes in no order. */
  seal(): void {
    this.#order = null;
  }

  get used(): number {
    return this.#used;
  }

  inUse(): Uint8Array {
    return new Uint8Array(this.#slots.buffer);
  }

  load(bytes: Uint8Array, used: number): void {
    this.#slots = new Uint32Array(bytes.length / 4);
    new Uint8Array(this.#slots.buffer).set(bytes);
    this.#used = used;
  }

  /** The record, or 0. */
  find(id: string): number {
    this.#read(id);
    const guess = this.#order?.[this.#next];
    if (guess !== undefined && this.#isRead(guess)) {
      this.#next++;
      return guess;
    }
    const mask = this.#slots.length - 1;
    for (let slot = mixed(this.#words) & mask;; slot = (slot + 1) & mask) {
      const record = this.#slots[slot]!;
      if (record === 0 || this.#isRead(record)) return this.#found(record);
    }
  }

  /** Goes on guessing behind a record that was found otherwise; records ascend in the order of their making. */
  #found(record: number): number {
    const order = this.#order;
    if (record === 0 || order === null) return record;
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (order[middle]! <= record) low = middle + 1;
      else high = middle;
    }
    this.#next = low;
    return record;
  }

  /** Places for records, most of them empty. */
  get places(): number {
    return this.#slots.length;
  }

  /** The records of pools that lie between two places. */
  *between(from: number, to: number): Generator<number> {
    for (let place = from; place < Math.min(to, this.#slots.length); place++) {
      const record = this.#slots[place]!;
      if (record !== 0 && !this.#isRemoved(record)) yield record;
    }
  }

  /** The id that a record was given, if it was 32 hex digits. */
  idOf(record: number): string {
    let id = "";
    for (let i = 0; i < 4; i++) {
      id += (this.#records.get(record + POOL.id + i) >>> 0).toString(16).padStart(8, "0");
    }
    return id;
  }

  #isRemoved(record: number): boolean {
    for (let i = 0; i < 4; i++) if (this.#records.get(record + POOL.id + i) !== 0) return false;
    return true;
  }

  /** Gives a record its id. */
  add(id: string, record: number): void {
    if (++this.#used * 2 > this.#slots.length) this.#grow();
    this.#order?.push(record);
    this.#read(id);
    for (let i = 0; i < 4; i++) this.#records.set(record + POOL.id + i, this.#words[i]!);
    this.#insert(record);
  }

  remove(id: string): void {
    const record = this.find(id);
    if (record !== 0) { for (let i = 0; i < 4; i++) this.#records.set(record + POOL.id + i, 0); }
  }

  #isRead(record: number): boolean {
    for (let i = 0; i < 4; i++) if (this.#records.get(record + POOL.id + i) !== this.#words[i]) return false;
    return true;
  }

  /** 32 hex digits as they are; what isn't, the fallback's name and ids of tests, by hash. */
  #read(id: string): void {
    if (id.length === 32 && this.#readHex(id)) return;
    for (let i = 0; i < 4; i++) this.#words[i] = hashText(id, i);
  }

  #readHex(id: string): boolean {
    for (let i = 0; i < 4; i++) {
      let word = 0;
      for (let at = i * 8; at < i * 8 + 8; at++) {
        const code = id.charCodeAt(at);
        const digit = code >= 0x61 && code <= 0x66 ? code - 0x57 : code - 0x30;
        if (digit < 0 || digit > 15 || (digit > 9 && code < 0x61)) return false;
        word = word << 4 | digit;
      }
      this.#words[i] = word;
    }
    return true;
  }

  #insert(record: number): void {
    const mask = this.#slots.length - 1;
    for (let i = 0; i < 4; i++) this.#words[i] = this.#records.get(record + POOL.id + i);
    let slot = mixed(this.#words) & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = record;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (const record of old) if (record !== 0) this.#insert(record);
  }
}

/** Four words in one; ids may be random in any part of theirs, or in none. */
function mixed(words: Uint32Array): number {
  let hash = 0;
  for (let i = 0; i < 4; i++) hash = Math.imul(hash ^ words[i]!, 0x9e3779b1) ^ (hash >>> 15);
  return hash ^ (hash >>> 16);
}

/** FNV-1a over the characters, begun differently for each `seed`. */
function hashText(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** The hash table of names. */
class NameTable {
  readonly #records: Words;
  readonly #heap: Bytes;
  #count = 0;
  #slots = new Int32Array(new SharedArrayBuffer(2 * 4 * 1024));
  #isSealed = false;

  constructor(records: Words, heap: Bytes) {
    this.#records = records;
    this.#heap = heap;
  }

  get buffer(): SharedArrayBuffer {
    return this.#slots.buffer as SharedArrayBuffer;
  }

  get count(): number {
    return this.#count;
  }

  inUse(): SharedBytes {
    return new Uint8Array(this.buffer);
  }

  load(bytes: Uint8Array<SharedArrayBuffer>, count: number): void {
    this.#slots = new Int32Array(bytes.buffer, 0, bytes.length / 4);
    this.#count = count;
  }

  /** The entry of the suffix of a name that begins at `start`, or 0. */
  find(hash: number, name: Uint8Array, start: number): number {
    const mask = this.#slots.length / 2 - 1;
    for (let slot = firstSlot(hash, mask);; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot * 2 + 1]!;
      if (entry === 0 || (this.#slots[slot * 2] === hash && this.#isOf(entry, name, start))) return entry;
    }
  }

  #isOf(entry: number, name: Uint8Array, start: number): boolean {
    return this.#records.get(entry + ENTRY.nameLength) === name.length - start &&
      this.#heap.holdsAt(this.#records.get(entry + ENTRY.nameAt), name, start);
  }

  /** @throws {OutOfRoom} when sealed and half full */
  add(hash: number, entry: number): void {
    if ((this.#count + 1) * 4 > this.#slots.length) {
      if (this.#isSealed) throw new OutOfRoom(`${this.#count} names`);
      this.#grow();
    }
    this.#count++;
    this.#insert(hash, entry);
  }

  /** Leaves room for later names and moves no more. */
  seal(): void {
    if (this.#count * 5 > this.#slots.length) this.#grow();
    this.#isSealed = true;
  }

  #insert(hash: number, entry: number): void {
    const mask = this.#slots.length / 2 - 1;
    let slot = firstSlot(hash, mask);
    while (this.#slots[slot * 2 + 1] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot * 2] = hash;
    if (this.#isSealed) Atomics.store(this.#slots, slot * 2 + 1, entry);
    else this.#slots[slot * 2 + 1] = entry;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(new SharedArrayBuffer(old.byteLength * 2));
    for (let i = 0; i < old.length; i += 2) if (old[i + 1] !== 0) this.#insert(old[i]!, old[i + 1]!);
  }
}

/** The records of one type at one name. */
type Rrset = readonly [ZoneRecord, ...ZoneRecord[]];

/** RRsets by `rrsetKey`, in order of appearance; a record said twice counts once (RFC 2181 §5). */
function groupByOwnerAndType(records: readonly ZoneRecord[]): ReadonlyMap<string, Rrset> {
  const rrsets = new Map<string, [ZoneRecord, ...ZoneRecord[]]>();
  for (const record of records) {
    const key = rrsetKey(record.owner, record.type);
    const rrset = rrsets.get(key);
    if (!rrset) rrsets.set(key, [record]);
    else if (!rrset.some((other) => equalBytes(other.rdata, record.rdata))) rrset.push(record);
  }
  return rrsets;
}

function rrsetKey(owner: Uint8Array, type: number): string {
  return `${latin1.decode(owner)} ${type}`;
}

const latin1 = new TextDecoder("latin1");

/** The label `*`. */
const ASTERISK = new Uint8Array([1, 0x2a]);
const HOSTMASTER = nameToWire("hostmaster").subarray(0, -1);
/** For what is copied at once: a buffer of its own would cost more than what is written into it. */
const finishedHead = new DataView(new ArrayBuffer(FINISHED_HEAD));

/** The last field of an SOA record (RFC 1035 §3.3.13). */
/** What all synthesized SOA records have in common; no primary = the apex itself. */
interface Soa {
  readonly primary: Uint8Array | null;
  readonly numbers: Uint8Array;
  readonly ttl: number;
}

function soaOf(
  { nameservers: [primary], generation, defaultTtl: ttl }: Pick<
    Desired,
    "nameservers" | "generation" | "defaultTtl"
  >,
): Soa {
  const numbers = new DataView(new ArrayBuffer(20));
  [Math.max(1, generation), ...SOA_TIMERS, ttl].forEach((value, i) => numbers.setUint32(i * 4, value));
  return {
    primary: primary === undefined ? null : nameToWire(primary),
    numbers: new Uint8Array(numbers.buffer),
    ttl,
  };
}

function minimumOf({ rdata }: ZoneRecord): number {
  let minimum = 0;
  for (let i = rdata.length - 4; i < rdata.length; i++) minimum = minimum * 256 + rdata[i]!;
  return minimum;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
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
