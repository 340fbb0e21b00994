/**
 * From what is declared to what is answered: writes a whole snapshot in one pass over the desired state, and later
 * changes it in place, object by object, at a cost that doesn't depend on how many there are.
 *
 * Zones come first, then pools, then services. A service outside every zone becomes the apex of a zone of its own.
 *
 * What belongs together is changed within `change`, and seen at once. What a change leaves behind isn't used again: when
 * the room is used up (`OutOfRoom`), a whole new snapshot is due.
 *
 * Whatever may take long is a generator that yields every tenth of a millisecond or so, so that whoever runs it can let
 * others have their turn; until it is done, what is answered is what it was.
 *
 * @module
 */
import type { Location } from "../geo/location.ts";
import type { Desired, DesiredZone, SteeredMember, SteeredPool, SteeredService } from "../desired/desired.ts";
import { FALLBACK_POOL, poolOfFallback } from "../desired/fallback.ts";
import { type Fallback, ON_ALL_DOWN } from "../model/model.ts";
import { plainChecks } from "../desired/eligibility.ts";
import { steeredPool } from "../desired/steered_pool.ts";
import type { Family } from "../ip.ts";
import { nameToWire } from "../wire/name.ts";
import { EMPTY_GEO_DATA, type GeoData } from "../geo/geo_data.ts";
import { ENTRY, LIST, MAGIC, NEED_PERCENT, plannedWord, POOL, ROOT, SERVICE } from "./layout.ts";
import { type KeptLists, Lists, ownLocation } from "./lists.ts";
import type { LiveBoard } from "./live.ts";
import { Bytes, type SharedBytes, Words } from "./memory.ts";
import { NameTable } from "./name_table.ts";
import { NameTree } from "./name_tree.ts";
import { PoolIndex } from "./pool_index.ts";
import { weightOf } from "../shared_weight.ts";
import { toEnd } from "../slices.ts";
import type { Slots } from "./slots.ts";
import { FALLBACK_TICKET, type KeptTickets, Tickets } from "./tickets.ts";
import { neededOf, type Snapshot } from "./view.ts";
import { Zones } from "./zones.ts";
import type { ZoneRecord } from "../wire/zone_file.ts";

/** What compiling needs beside the desired state. */
export interface CompileOptions {
  /** Number of the new snapshot. */
  readonly epoch: number;
  /** Health slots by check-target key; slot 0 is reserved for members that aren't checked. */
  readonly healthSlots: Slots;
  /** What is known of clients; nothing unless given. */
  readonly geoData?: GeoData;
  /** Where a member is, if that is known; where it says itself unless given. */
  readonly locationOf?: (member: SteeredMember) => Location | null;
  /** The tables before these: services that were in them go on rotating where they are. */
  readonly previous?: Tables | undefined;
  /** How many pools and services there will be, about: room that needn't be made bit by bit. */
  readonly expected?: number;
  /** With which hashes of names begin, 32 bits; drawn unless given, and never that of tables that are taken over. */
  readonly seed?: number;
}

/** Tables as they are kept in a file: the numbers that belong to them, and their memory, which whoever loads takes. */
export interface KeptTables extends KeptLists {
  /** Of the model that they hold. */
  readonly generation: number;
  /** Ticket slots given out, and those that are free again. */
  readonly tickets: KeptTickets;
  /** Entries of the name table. */
  readonly names: { readonly count: number };
  /** Entries of the index of pools. */
  readonly pools: { readonly used: number };
  /** What health slots stand for. */
  readonly healthSlots: Iterable<readonly [key: string, number: number]>;
  /** Names, records, heap and the index of pools, as bytes. */
  readonly memory: readonly [names: SharedBytes, records: SharedBytes, heap: SharedBytes, pools: Uint8Array];
}

/**
 * What a pool lacks that is down: enough healthy members of one family, while the other has them · of any family · any
 * member at all that is enabled and has an address.
 */
export type Lack = Family | "health" | "members";

/** What most pools and services take, each: memory that isn't touched costs nothing, so it may be too much. */
const WORDS_EACH = 28;
const HEAP_EACH = 56;

/** The writer of one snapshot. */
export class Tables {
  readonly #defaultTtl: number;
  readonly #epoch: number;
  readonly #healthSlots: Slots;
  readonly #geoData: GeoData;
  readonly #tickets: Tickets;
  readonly #records: Words;
  readonly #heap: Bytes;
  readonly #table: NameTable;
  readonly #names: NameTree;
  readonly #zones: Zones;
  readonly #pools: PoolIndex;
  readonly #lists: Lists;
  /** With which hashes of names begin. */
  readonly #seed: number;
  /** Lets the garbage collector know what goes when this goes. */
  weight = new ArrayBuffer(0);

  /** Writes a snapshot of the desired state, which must be valid, in one go. */
  static of(desired: Desired, options: CompileOptions): Tables {
    const tables = toEnd(Tables.writing(desired, options));
    options.healthSlots.endRound();
    return tables;
  }

  /** The same step by step; the round of health slots goes on until those who need it have the new tables. */
  static *writing(desired: Desired, options: CompileOptions): Generator<void, Tables> {
    const tables = new Tables(desired, options);
    yield* tables.#writeAll(desired);
    return tables;
  }

  /** Takes over tables that hold an earlier generation of the same database, under the same settings. */
  static load(desired: Desired, options: CompileOptions, kept: KeptTables): Tables {
    const tables = new Tables(desired, options);
    tables.#load(kept);
    return tables;
  }

  private constructor(
    desired: Pick<Desired, "generation" | "defaultTtl" | "nameservers">,
    {
      epoch,
      healthSlots,
      previous,
      geoData = EMPTY_GEO_DATA,
      locationOf = ownLocation,
      expected = 0,
      seed = drawSeed(),
    }: CompileOptions,
  ) {
    const before = previous ? previous.#sizes() : { records: 0, heap: 0, pools: 0, names: 0 };
    this.#records = new Words(Math.max(expected * WORDS_EACH * 4, before.records));
    this.#heap = new Bytes(Math.max(expected * HEAP_EACH, before.heap));
    this.#pools = new PoolIndex(this.#records, Math.max(expected / 2, before.pools));
    const memory = { records: this.#records, heap: this.#heap };
    this.#defaultTtl = desired.defaultTtl;
    this.#epoch = epoch;
    this.#healthSlots = healthSlots;
    this.#geoData = geoData;
    this.#tickets = new Tickets(previous);
    const names = Math.max(expected / 2, before.names);
    this.#table = new NameTable({ ...memory, seed, expected: names });
    this.#names = new NameTree(this.#table, memory);
    this.#zones = new Zones(desired, { names: this.#names, ...memory });
    this.#lists = new Lists({ ...memory, healthSlots, locationOf });
    this.#seed = seed;
  }

  #sizes() {
    return {
      records: this.#records.bytes,
      heap: this.#heap.length,
      pools: this.#pools.used,
      names: this.#table.count,
    };
  }

  *#writeAll(desired: Desired): Generator<void> {
    const healthSlots = this.#healthSlots;
    this.#records.reserve(ROOT.end);
    this.#records.set(ROOT.magic, MAGIC);
    this.#records.set(ROOT.seed, this.#seed);
    this.#lists.begin();
    healthSlots.beginRound();
    // The root zone before all that lies below it.
    for (const zone of desired.zones.toSorted((a, b) => a.domain.length - b.domain.length)) {
      yield* this.#zones.put(zone);
    }
    yield* this.puttingPools(desired.pools());
    for (const service of desired.services()) {
      this.putService(service);
      yield;
    }
    this.putFallback(desired.fallback);
    this.#seal();
  }

  /**
   * Makes changes that are seen all at once when they are done.
   *
   * @param changes the verbs below
   * @throws what they throw; then nothing is changed
   */
  *change(changes: Iterable<void>): Generator<void> {
    this.#records.begin();
    this.#tickets.begin();
    let isDone = false;
    try {
      yield* changes;
      isDone = true;
    } finally {
      for (const part of [this.#records, this.#tickets]) if (!isDone) part.rollBack();
    }
    this.#records.commit(ROOT.changes);
    this.#tickets.commit();
  }

  /** What to hand to the workers. */
  get snapshot(): Snapshot {
    return {
      epoch: this.#epoch,
      names: this.#table.buffer,
      records: this.#records.buffer,
      heap: this.#heap.buffer,
      geoData: this.#geoData,
    };
  }

  /** The health slots whose round trip answers go by, and the check targets by which it is measured. */
  get measured(): Iterable<{ readonly slot: number; readonly key: string }> {
    return this.#lists.measured;
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

  /** How many pools there are, about. */
  get pools(): number {
    return this.#pools.used;
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
    toEnd(this.puttingPools(pools));
  }

  /** The same step by step. */
  *puttingPools(pools: Iterable<SteeredPool>): Generator<void> {
    const changed: [record: number, pool: SteeredPool][] = [];
    const fallbacks: [record: number, fallbackPoolId: string][] = [];
    for (const pool of pools) {
      yield;
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
    for (const [record, id] of fallbacks) {
      this.#records.publish(record + POOL.fallback, this.#pools.find(id));
      yield;
    }
    for (const [record, pool] of changed) {
      yield;
      const fallback = pool.fallbackPoolId === null ? 0 : this.#pools.find(pool.fallbackPoolId);
      this.#writePool(record, pool, fallback);
    }
  }

  #writePool(record: number, pool: SteeredPool, fallback: number): void {
    const list4 = this.#lists.put(pool, 4, this.#records.get(record + POOL.list4));
    const list6 = this.#lists.put(pool, 6, this.#records.get(record + POOL.list6));
    const named = this.#lists.putNamed(pool, this.#records.get(record + POOL.named));
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
    const entry = this.#zones.ensureServiceName(name);
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
    const entry = this.#table.find(nameToWire(domain));
    const service = entry && this.#records.get(entry + ENTRY.service);
    if (!service) return;
    this.#records.publish(entry + ENTRY.service, 0);
    this.#tickets.giveBack(this.#records.get(service + SERVICE.cursor4));
    this.#names.forget(entry, (name, zone) => this.#zones.isNeeded(name, zone));
  }

  /** Takes over the static fallback; `null` = there is none. */
  putFallback(fallback: Fallback | null): void {
    if (!fallback || fallback.endpoints.length === 0) {
      this.#records.publish(ROOT.fallback, 0);
      this.#pools.remove(FALLBACK_POOL);
      return;
    }
    this.putPools([steeredPool(poolOfFallback(fallback))]);
    const pool = this.#pools.find(FALLBACK_POOL);
    const terms = { ttl: fallback.ttl ?? this.#defaultTtl, minTtl: 0, ecs: true };
    this.#records.publish(ROOT.fallback, this.#writeService(pool, terms, FALLBACK_TICKET));
  }

  /**
   * Writes a zone, or what it is now in place of what it was.
   *
   * @throws {OutOfRoom} when a whole new snapshot is due
   */
  putZone(zone: DesiredZone): Generator<void> {
    return this.#zones.put(zone);
  }

  /**
   * Takes a zone out; what is left of its names belongs to the zone above, or to services.
   *
   * @param recordsOf the records of a zone by its domain
   * @throws {OutOfRoom} when a whole new snapshot is due
   */
  removeZone(
    domain: string,
    recordsOf: (domain: string) => readonly ZoneRecord[],
  ): Generator<void> {
    return this.#zones.remove(domain, recordsOf);
  }

  /** The first of the two ticket slots of a service; `undefined` when there is no such service. */
  ticketOf(name: Uint8Array): number | undefined {
    const entry = this.#table.find(name);
    const service = entry && this.#records.get(entry + ENTRY.service);
    return service ? this.#records.get(service + SERVICE.cursor4) : undefined;
  }

  /** What a later process can take over. The memory is a view: write it before anything is changed. */
  keep(generation: number): KeptTables {
    return {
      generation,
      ...this.#lists.keep(),
      tickets: this.#tickets.keep(),
      names: { count: this.#table.count },
      pools: { used: this.#pools.used },
      healthSlots: this.#healthSlots.each(),
      memory: [this.#table.inUse(), this.#records.inUse(), this.#heap.inUse(), this.#pools.inUse()],
    };
  }

  #load(kept: KeptTables): void {
    const [names, records, heap, pools] = kept.memory;
    this.#lists.load(kept);
    this.#tickets.load(kept.tickets);
    this.#records.load(records);
    this.#table.load(names, { count: kept.names.count, seed: this.#records.get(ROOT.seed) | 0 });
    this.#heap.load(heap);
    this.#pools.load(pools, kept.pools.used);
    this.#healthSlots.load(kept.healthSlots);
    this.#sealMemory();
  }

  #seal(): void {
    this.#lists.seal();
    this.#sealMemory();
    this.#tickets.settle();
  }

  #sealMemory(): void {
    this.#records.seal();
    this.#heap.seal();
    this.#table.seal();
    this.#pools.seal();
    this.#zones.seal();
    this.weight = weightOf([this.#table.buffer, this.#records.buffer, this.#heap.buffer]);
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
}

function drawSeed(): number {
  return crypto.getRandomValues(new Int32Array(1))[0]!;
}

/** The longest time between two probes of a member, milliseconds. */
function intervalOf({ healthCheck }: SteeredPool): number {
  return healthCheck === null ? 0 : Math.max(...plainChecks(healthCheck).map(({ intervalMs }) => intervalMs));
}

function needOf(minHealthy: number | string): number {
  return typeof minHealthy === "number" ? minHealthy : NEED_PERCENT + Number.parseInt(minHealthy);
}
