/**
 * From a change to the next answer: keeps the tables that workers answer from, the targets that are probed and the
 * health bits of the live board equal to what is desired.
 *
 * A change of single objects is written into the tables in place and costs what it touches. Anything else — settings,
 * very many objects at once, what the history doesn't list, tables that are full — makes a whole new snapshot. That is
 * written beside the present one, a slice at a time, from the database as it was at one moment; meanwhile changes go on
 * to the present tables. When it is done what was changed since is written into it, and it is handed over. Changes that
 * come while others are written are folded into the next step. A state that can't be published is logged and counted,
 * and the last good one stays.
 *
 * @module
 */
import type { Location } from "../geo/location.ts";
import type { Clock } from "../clock.ts";
import type { CheckTarget } from "../desired/check_target.ts";
import type { DesiredZone, MergedDesired, SteeredMember, SteeredPool } from "../desired/desired.ts";
import { FALLBACK_POOL, poolOfFallback } from "../desired/fallback.ts";
import { type AddressesOf, flattenedPool } from "../desired/flattened.ts";
import type { Fallback, Pool, Service, Zone } from "../model/model.ts";
import type { Fleet } from "../dns/fleet.ts";
import { eligibilityKeyOf } from "../desired/eligibility.ts";
import { steeredPool } from "../desired/steered_pool.ts";
import type { Measured } from "../health/round_trips.ts";
import type { Eligibility } from "../health/eligibility.ts";
import type { GeoData } from "../geo/geo_data.ts";
import { LiveBoard, type SlotVerdict } from "../snapshot/live.ts";
import { OutOfRoom } from "../snapshot/memory.ts";
import { inSlices, toEnd } from "../slices.ts";
import { Slots } from "../snapshot/slots.ts";
import { type CompileOptions, type KeptTables, type Lack, Tables } from "../snapshot/tables.ts";
import type { Snapshot } from "../snapshot/view.ts";
import { FALLBACK_TICKET } from "../snapshot/tickets.ts";
import { nameToWire } from "../wire/name.ts";
import type { Touched } from "../store/touched.ts";
import type { Logger } from "../telemetry/log.ts";

/** Where changes are looked up. */
export interface ChangeSource {
  /** Of the model now. */
  generation(): number;
  /** What the generations after this one touched. */
  touchedSince(generation: number): Touched;
  /** Domains that services had before the generations after this one. */
  formerDomains(generation: number): readonly string[];
  /** The pools that overrides cover at this moment or will. */
  overriddenPools(): Iterable<string>;
  /** The pools that have members by name. */
  namedPools(): Iterable<string>;
  /** A pool with its members, or `null` when there is none any more. */
  pool(id: string): Pool | null;
  /** A service, or `null` when there is none any more. */
  service(id: string): Service | null;
  /** The service of a domain, or `null` when there is none. */
  serviceByDomain(domain: string): Service | null;
  /** A zone of the database, or `null` when there is none any more. */
  zone(domain: string): Zone | null;
  /** The fallback of the database, or `null`. */
  fallback(): Fallback | null;
}

/** Where tables outlive the process. */
export interface TablesKeeper {
  /** What was saved last, if it holds for the settings of now. */
  load(): KeptTables | null;
  /** Saves, and yields where another turn may be due; the tables stay as they are meanwhile. */
  save(tables: KeptTables): Generator<void>;
}

/** What is known of clients and members, by the settings of some time. */
export interface Geo {
  /** Of clients, at this moment. */
  readonly geoData: GeoData;
  /** Where a member stands, if anything says so. */
  readonly locationOf: (member: SteeredMember) => Location | null;
}

/** What the board says of members at this moment. */
export interface CurrentHealth {
  /** When a member went out, by its eligibility key, milliseconds that only grow; `undefined` = it is in. */
  outSince(key: string): number | undefined;
  /** All that are out. */
  out(): Iterable<[key: string, since: number]>;
  /** Measured round trips by the key of the check target, microseconds. */
  roundTrips(): ReadonlyMap<string, number>;
}

/** What a publisher works with. */
export interface PublisherOptions {
  /** The desired state of now. */
  readonly desired: () => MergedDesired;
  /** The same, which stays while it is read, however long that takes; `null` = it has to be read in one turn. */
  readonly frozen: () => (MergedDesired & Disposable) | null;
  /** What was touched since, and what it is now. */
  readonly changes: ChangeSource;
  /** What overrides make of a pool at this moment. */
  readonly overridden: (pool: SteeredPool) => SteeredPool;
  /** What is known of members by name. */
  readonly addressesOf: AddressesOf;
  /** Knows who may be answered, and has probed what that depends on. */
  readonly eligibility: Pick<
    Eligibility,
    "put" | "remove" | "begin" | "tell" | "end" | "giveUp" | "replace" | "follow" | "isEligible"
  >;
  /** What the next whole snapshot goes by; tables go by the same as long as they are answered. */
  readonly geo: () => Geo;
  /** Lets a start begin with the tables of the last run; `null` = they are written again. */
  readonly keeper: TablesKeeper | null;
  /** Told after each attempt to publish. */
  readonly onPublished: (result: "success" | "error") => void;
  /** Dates changes of health, and cuts long work into slices. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Told of each change of what is answered, in place or as a whole, and of each change of health. */
  readonly onAnswersChanged: () => void;
  /** Hears of states that can't be published. */
  readonly log: Logger;
}

/**
 * Objects that are changed in place whatever they are of the whole, and at most. One costs some 0.1 ms in place and
 * 0.04 ms in a whole snapshot, so that from a share of them on a whole snapshot costs less.
 */
const IN_PLACE_MIN = 1000;
const IN_PLACE_SHARE = 1 / 4;
const IN_PLACE_MAX = 10_000;
/** Share of the board's slots in use from which on a larger board is made. */
const BOARD_FULL_SHARE = 0.8;
/** New targets that are gathered while a snapshot is written before they are probed. */
const TARGETS_AT_A_TIME = 128;
/** Health slots that are compared before another turn may be due. */
const BREATH = 256;

/** Tables and what they hold. */
interface Edition {
  readonly tables: Tables;
  /** What the settings of its making make of zones and of the fallback. */
  readonly desired: Pick<MergedDesired, "zoneOf" | "fallbackOf">;
  /** What was known of clients then. */
  readonly geoData: GeoData;
  /** What is known of clients by the same settings, now. */
  readonly geo: Geo;
  /** Generation that they hold. */
  written: number;
  /** Pools that time has made others, of which the history doesn't know. */
  readonly due: Set<string>;
  /** Whether they can't be changed any more. */
  isFull: boolean;
}

/** What was touched, as it is now. */
interface Gathered {
  /** Of all of it. */
  readonly generation: number;
  readonly pools: ReadonlyMap<string, SteeredPool | null>;
  readonly services: ReadonlyMap<string, Service | null>;
  readonly zones: ReadonlyMap<string, DesiredZone | null>;
  /** `undefined` = it wasn't touched. */
  readonly fallback: Fallback | null | undefined;
  /** Domains that no service has any more. */
  readonly formerDomains: readonly string[];
}

/** Keeps what is answered equal to what is desired. */
export class Publisher implements AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #healthSlots = new Slots(1);
  readonly #waiters: { readonly generation: number; readonly resolve: () => void }[] = [];
  readonly #ending = new AbortController();
  #board = LiveBoard.create({ healthSlots: 1, ticketSlots: 1 });
  /** What comes in the board's place along with a whole snapshot; kept equal to it until then. */
  #nextBoard: LiveBoard | null = null;
  #present: Edition;
  /** Pools that have become others since a whole snapshot was begun; `null` = none is under way. */
  #dueSince: Set<string> | null = null;
  #snapshot: Snapshot;
  #fleet: Fleet | null = null;
  #epoch = 0;
  /** Generation that every worker answers from. */
  #published = 0;
  /** Generation that the keeper has. */
  #kept = -1;
  #isDirty = false;
  /** Whether a whole snapshot is wanted, whatever was touched. */
  #wantsWhole = false;
  /** Whether one was wanted and couldn't be made: the next change tries again. */
  #owesWhole = false;
  #publishing: Promise<void> | null = null;
  /** A whole snapshot under way. */
  #renewing: Promise<void> | null = null;
  /** The end of the last step that had the tables for itself. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Makes the first snapshot; from then on targets are probed. */
  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#present = this.#takeOver() ?? this.#writeFirst();
    this.#snapshot = this.#present.tables.snapshot;
  }

  /** What a fleet is to start with. */
  get current(): { readonly snapshot: Snapshot; readonly board: LiveBoard } {
    return { snapshot: this.#snapshot, board: this.#board };
  }

  /** Who may be answered at this moment, and how far members are away, as the board has it. */
  get health(): CurrentHealth {
    const [board, slots] = [this.#board, this.#healthSlots];
    const roundTrips = () => {
      const measured = [...this.measured].map(({ slot, key }) => [key, board.rtt[slot]!] as const);
      return new Map(measured.filter(([, us]) => us > 0));
    };
    return {
      outSince: (key) => {
        const slot = slots.find(key);
        return slot === undefined || board.isUp(slot) ? undefined : board.downAt[slot]!;
      },
      *out() {
        for (const [key, slot] of slots.each()) if (!board.isUp(slot)) yield [key, board.downAt[slot]!];
      },
      roundTrips,
    };
  }

  /** Generation that every worker answers from. */
  get generation(): number {
    return this.#published;
  }

  /** Publishes to this fleet from now on; it was started with `given`, and gets what was published meanwhile. */
  attach(fleet: Fleet, given: Publisher["current"]): void {
    this.#fleet = fleet;
    if (this.#snapshot === given.snapshot && this.#board === given.board) this.#settle();
    else this.#alone(() => this.#handOverAgain()).catch((error) => this.#tellFailure(error));
  }

  /**
   * Says that the model is another one.
   *
   * @param everything whether the history doesn't say what was touched
   */
  touch(everything: boolean): void {
    this.#isDirty = true;
    this.#wantsWhole ||= everything;
    this.#publishing ??= this.#publishAll();
  }

  /** Says that other things are known of clients, and perhaps of where members stand. */
  touchGeoData(): void {
    this.touch(false);
  }

  /** Says that these pools are others without a commit: an override begins or ends, a name has other addresses. */
  touchPools(ids: Iterable<string>): void {
    for (const id of ids) {
      this.#present.due.add(id);
      this.#dueSince?.add(id);
    }
    this.touch(false);
  }

  /**
   * Publishes the desired state of now, whatever was touched.
   *
   * @throws what was wrong with it; the last good state stays
   */
  async refresh(): Promise<void> {
    while (this.#renewing) await this.#renewing;
    const renewed = this.#renewUntilReplaced();
    this.#renewing = renewed.catch(() => {}).then(() => this.#endRenewing()); // told to whoever called
    await renewed;
  }

  /** Resolves when every worker answers from this generation or a later one. */
  settled(generation: number): Promise<void> {
    if (this.#published >= generation) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ generation, resolve }));
  }

  /** Has the tables saved for the next start, unless they are, in one go. */
  keep(): void {
    toEnd(this.#keeping(this.#present));
  }

  /** Where the rotations of these services stand, for both families; those that were never asked for are left out. */
  rotations(domains: Iterable<string>): {
    readonly tickets: readonly (readonly [domain: string, four: number, six: number])[];
    readonly fallback: readonly [four: number, six: number];
  } {
    const { tickets } = this.#board;
    const found: [string, number, number][] = [];
    for (const domain of domains) {
      const slot = this.#present.tables.ticketOf(nameToWire(domain));
      if (slot === undefined) continue;
      const [four, six] = [Atomics.load(tickets, slot), Atomics.load(tickets, slot + 1)];
      if (four !== 0 || six !== 0) found.push([domain, four, six]);
    }
    return { tickets: found, fallback: [tickets[FALLBACK_TICKET]!, tickets[FALLBACK_TICKET + 1]!] };
  }

  /** Has them go on from there, as far as there are such services; before the first answer. */
  rotateFrom({ tickets: rotations, fallback }: ReturnType<Publisher["rotations"]>): void {
    for (const { tickets } of this.#boards()) {
      tickets.set(fallback, FALLBACK_TICKET);
      for (const [domain, four, six] of rotations) {
        const slot = this.#present.tables.ticketOf(nameToWire(domain));
        if (slot !== undefined) tickets.set([four, six], slot);
      }
    }
  }

  /** Stops; resolves when nothing is written any more. What is answered stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new Error("The node is stopping"));
    await this.#publishing;
    await this.#renewing;
  }

  /**
   * Looks at some pools for those of which too few members are up, as answers see them (`Tables.findDown`).
   *
   * @returns the place to go on from; `null` = that was the end
   */
  findDown(
    places: { readonly from: number; readonly count: number },
    found: (poolId: string, lack: Lack) => void,
  ): number | null {
    return this.#present.tables.findDown(this.#board, places, found);
  }

  /** The health slots whose round trip answers go by. */
  get measured(): Iterable<Measured> {
    return this.#present.tables.measured;
  }

  /** Puts measured round trips onto the board, and so into the very next answer. */
  measure(roundTrips: Iterable<{ readonly slot: number; readonly rttUs: number }>): void {
    for (const board of this.#boards()) board.setRoundTrips(roundTrips);
  }

  /** Puts the eligibility of these keys onto the board, and so into the very next answer. */
  judge(keys: Iterable<string>): void {
    if (this.#compare(keys)) this.#options.onAnswersChanged();
  }

  /** Whether anything on a board was made another. */
  #compare(keys: Iterable<string>): boolean {
    const { eligibility, clock } = this.#options;
    const verdicts: SlotVerdict[] = [];
    for (const key of keys) {
      const slot = this.#healthSlots.find(key);
      if (slot !== undefined) verdicts.push({ slot, up: eligibility.isEligible(key) });
    }
    let isOther = false;
    for (const board of this.#boards()) {
      const stale = verdicts.filter(({ slot, up }) => slot < board.healthSlots && board.isUp(slot) !== up);
      if (stale.length > 0) board.setHealth(stale, clock.monotonicMs());
      isOther ||= stale.length > 0;
    }
    return isOther;
  }

  #boards(): readonly LiveBoard[] {
    return this.#nextBoard ? [this.#board, this.#nextBoard] : [this.#board];
  }

  /** Puts every eligibility onto the boards; a slot may have meant another one before. */
  *#judgeAll(): Generator<void> {
    let keys: string[] = [];
    for (const [key] of this.#healthSlots.each()) {
      if (keys.push(key) < BREATH) continue;
      this.#compare(keys);
      keys = [];
      yield;
    }
    this.#compare(keys);
  }

  async #publishAll(): Promise<void> {
    await Promise.resolve(); // lets the change that woke us, and others of the same turn, come to an end
    while (this.#isDirty && !this.#ending.signal.aborted) {
      this.#isDirty = false;
      try {
        await this.#alone(() => this.#publish());
      } catch (error) {
        this.#tellFailure(error);
      }
    }
    this.#publishing = null;
  }

  #tellFailure(error: unknown): void {
    if (this.#ending.signal.aborted) return;
    this.#options.onPublished("error");
    this.#options.log.error("The last change can't reach the answers; the previous state stays", { error });
  }

  /** Has the tables and the boards for itself until it is done. */
  #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {}); // told to whoever waits for it; the next one has its turn all the same
    return done;
  }

  /** Writes what was touched into the present tables, as far as that is possible; otherwise they are renewed. */
  async #publish(): Promise<void> {
    const present = this.#present;
    const arePlacesOld = this.#arePlacesOld(present);
    const isWritten = await this.#catchUp(present, this.#board);
    if (!isWritten || arePlacesOld || this.#wantsWhole || this.#owesWhole) this.#wantRenewal();
    if (!isWritten) return;
    const isBoardFull = this.#isBoardFull(present.tables);
    if (isBoardFull) this.#board = this.#grown(present.tables);
    if (isBoardFull || (this.#hasOtherGeoData() && !arePlacesOld)) {
      await this.#handOver(arePlacesOld ? this.#snapshot.geoData : present.geo.geoData);
    }
    this.#tellPublished();
  }

  /** Hands the present tables and the board to the workers. */
  async #handOver(geoData: GeoData): Promise<void> {
    this.#snapshot = { ...this.#present.tables.snapshot, geoData, epoch: ++this.#epoch };
    await this.#fleet?.publish(this.#snapshot, this.#board);
  }

  /** For workers that weren't there to take what was handed over. */
  async #handOverAgain(): Promise<void> {
    await this.#handOver(this.#snapshot.geoData);
    this.#tellPublished();
  }

  #tellPublished(): void {
    this.#settle();
    this.#options.onAnswersChanged();
    this.#options.onPublished("success");
  }

  /** Writes what was touched since into tables; whether that was possible. Workers that have them see it at once. */
  async #catchUp(edition: Edition, board: LiveBoard): Promise<boolean> {
    try {
      return await this.#inSlices(this.#changing(edition, board));
    } catch (error) {
      if (!(error instanceof OutOfRoom)) throw error;
      edition.isFull = true;
      this.#options.log.debug("The tables are full", { error });
      return false;
    }
  }

  #inSlices<Result>(work: Generator<unknown, Result>): Promise<Result> {
    return inSlices(work, { clock: this.#options.clock, signal: this.#ending.signal });
  }

  *#changing(edition: Edition, board: LiveBoard): Generator<void, boolean> {
    if (edition.isFull) return false;
    const due = [...edition.due];
    const gathered = yield* this.#gather(edition, due);
    if (!gathered) return false;
    yield* edition.tables.change(this.#writing(edition, gathered, board));
    edition.written = gathered.generation;
    for (const id of due) edition.due.delete(id);
    const { eligibility } = this.#options;
    for (const [id, pool] of gathered.pools) if (!pool) eligibility.follow(eligibility.remove(id));
    if (gathered.fallback === null) eligibility.follow(eligibility.remove(FALLBACK_POOL));
    return true;
  }

  /** Reads what was touched; what is changed while it is read is read again. `null` = it is too much, or unknown. */
  *#gather(edition: Edition, due: readonly string[]): Generator<void, Gathered | null> {
    const { changes } = this.#options;
    const pools = new Map<string, SteeredPool | null>();
    const services = new Map<string, Service | null>();
    const zones = new Map<string, DesiredZone | null>();
    let fallback: Fallback | null | undefined;
    let poolIds: Iterable<string> = due;
    for (let from = edition.written;;) {
      const generation = changes.generation();
      const touched = changes.touchedSince(from);
      poolIds = new Set([...poolIds, ...touched.poolIds]);
      const objects = [...poolIds, ...touched.serviceIds, ...touched.zoneDomains].length;
      const isTooMuch = areTooMany(objects + pools.size + services.size, edition.tables.pools);
      if (touched.everything || isTooMuch) return null;
      for (const id of poolIds) {
        const pool = changes.pool(id);
        pools.set(id, pool && this.#answered(pool));
        yield;
      }
      for (const id of touched.serviceIds) {
        services.set(id, changes.service(id));
        yield;
      }
      for (const domain of touched.zoneDomains) {
        zones.set(domain, edition.desired.zoneOf(domain, changes.zone(domain)));
        yield;
      }
      if (touched.fallback) fallback = edition.desired.fallbackOf(changes.fallback());
      const formerDomains = changes.formerDomains(edition.written)
        .filter((domain) => !changes.serviceByDomain(domain));
      if (changes.generation() === generation) {
        return { generation, pools, services, zones, fallback, formerDomains };
      }
      from = generation;
      poolIds = [];
    }
  }

  /** Nothing of it is seen before the end. */
  *#writing({ tables, desired }: Edition, gathered: Gathered, board: LiveBoard): Generator<void> {
    const { changes } = this.#options;
    const pools = [...gathered.pools.values()].filter((pool) => pool !== null);
    for (const pool of pools) {
      this.#follow(pool, board);
      yield;
    }
    yield* tables.puttingPools(pools);
    for (const [domain, zone] of gathered.zones) {
      if (zone) yield* tables.putZone(zone);
      else {yield* tables.removeZone(domain, (above) =>
          desired.zoneOf(above, changes.zone(above))?.records ?? []);}
    }
    for (const service of gathered.services.values()) {
      if (service) tables.putService(service);
      yield;
    }
    for (const domain of gathered.formerDomains) tables.removeService(domain);
    const { fallback } = gathered;
    if (fallback !== undefined) {
      if (fallback) this.#follow(steeredPool(poolOfFallback(fallback)), board);
      tables.putFallback(fallback);
    }
    for (const [id, pool] of gathered.pools) if (!pool) tables.removePool(id);
  }

  #answered(pool: Pool): SteeredPool {
    const { overridden, addressesOf } = this.#options;
    return flattenedPool(overridden(steeredPool(pool)), addressesOf);
  }

  /** Has a pool's members probed, and their eligibility on the board before any answer reads the pool. */
  #follow(pool: SteeredPool, board: LiveBoard): void {
    const { eligibility } = this.#options;
    eligibility.follow(eligibility.put(pool));
    // A slot that is new or free again may say anything.
    const keys = [...pool.members, ...pool.named?.members ?? []].filter(({ enabled }) => enabled)
      .map((member) => eligibilityKeyOf(pool, member)).filter((key) => key !== null);
    for (const key of keys) this.#healthSlots.of(key);
    const healthSlots = this.#healthSlots.size;
    if (!board.holds({ healthSlots, ticketSlots: 0 })) throw new OutOfRoom(`${healthSlots} health slots`);
    this.judge(keys);
  }

  /** Begins with the tables of the last run and makes up for what was changed since; `null` when that can't be done. */
  #takeOver(): Edition | null {
    const { keeper, changes, eligibility, log } = this.#options;
    const kept = keeper?.load();
    if (!kept || kept.generation > changes.generation()) return null;
    const desired = this.#options.desired();
    const geo = this.#options.geo();
    const tables = Tables.load(desired, this.#compileOptions(geo), kept);
    if (tables.needsMoreThanKept) return null;
    const edition = this.#editionOf(tables, { desired, geo, written: kept.generation });
    this.#kept = kept.generation;
    const followed = eligibility.replace(desired);
    if (this.#isBoardFull(tables)) this.#board = this.#grown(tables);
    eligibility.follow(followed);
    toEnd(this.#judgeAll());
    // What they answered then is another matter: overrides begin and end while nothing looks.
    for (const id of changes.overriddenPools()) edition.due.add(id);
    // So do names get other addresses.
    for (const id of changes.namedPools()) edition.due.add(id);
    try {
      if (!toEnd(this.#changing(edition, this.#board))) return null;
    } catch (error) {
      if (!(error instanceof OutOfRoom)) throw error;
      return null;
    }
    log.debug("Began with the tables of the last run", { generation: kept.generation });
    return edition;
  }

  /** The first tables, in one go: nothing runs yet that would have to wait. */
  #writeFirst(): Edition {
    const geo = this.#options.geo();
    const edition = toEnd(this.#writeWhole(this.#options.desired(), { geo, targetsAtATime: Infinity }));
    if (this.#isBoardFull(edition.tables)) this.#board = this.#grown(edition.tables);
    toEnd(this.#judgeAll());
    toEnd(this.#forgetting());
    return edition;
  }

  /** Wants a whole snapshot: now, or when the one that is under way is done. */
  #wantRenewal(): void {
    this.#wantsWhole = true;
    this.#renewing ??= this.#renewWhileWanted().then(() => this.#endRenewing());
  }

  async #renewWhileWanted(): Promise<void> {
    while (this.#wantsWhole && !this.#ending.signal.aborted) {
      try {
        await this.#renew();
      } catch (error) {
        this.#owesWhole = true;
        this.#tellFailure(error);
      }
    }
  }

  async #renewUntilReplaced(): Promise<void> {
    try {
      while (!await this.#renew());
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#options.onPublished("error");
      throw error;
    }
  }

  #endRenewing(): void {
    this.#renewing = null;
    if (this.#wantsWhole && !this.#ending.signal.aborted) this.#wantRenewal();
  }

  /** Makes a whole snapshot and puts it in the place of the present one; whether that was worth it. */
  async #renew(): Promise<boolean> {
    const owed = this.#owesWhole || this.#wantsWhole;
    this.#wantsWhole = false;
    this.#owesWhole = false;
    let next: Edition | undefined;
    try {
      next = await this.#made();
      await this.#inSlices(this.#keeping(next));
      const made = next;
      return await this.#alone(() => this.#replace(made));
    } catch (error) {
      this.#owesWhole ||= owed;
      throw error;
    } finally {
      if (this.#present !== next && !this.#ending.signal.aborted) {
        await this.#inSlices(this.#followingGone(this.#options.eligibility.giveUp()));
      }
      this.#nextBoard = null;
      this.#dueSince = null;
    }
  }

  /** The tables of a whole snapshot, from which nothing is answered yet. */
  async #made(): Promise<Edition> {
    // Of one moment, and so of the same settings.
    using frozen = this.#options.frozen();
    const geo = this.#options.geo();
    this.#dueSince = new Set();
    const options = { geo, targetsAtATime: TARGETS_AT_A_TIME };
    if (frozen) return await this.#inSlices(this.#writeWhole(frozen, options));
    return toEnd(this.#writeWhole(this.#options.desired(), options));
  }

  *#writeWhole(
    desired: MergedDesired,
    { geo, targetsAtATime }: { readonly geo: Geo; readonly targetsAtATime: number },
  ): Generator<void, Edition> {
    const { eligibility } = this.#options;
    eligibility.begin();
    const added: CheckTarget[] = [];
    const tell = (pool: SteeredPool) => {
      if (pool.healthCheck !== null) added.push(...eligibility.tell(pool));
      if (added.length >= targetsAtATime) eligibility.follow({ added: added.splice(0), gone: [] });
    };
    const pools = yield* desired.prepare();
    const told = {
      ...desired,
      *pools() {
        for (const pool of desired.pools()) {
          tell(pool);
          yield pool;
        }
      },
    };
    const tables = yield* Tables.writing(told, {
      ...this.#compileOptions(geo),
      previous: this.#present?.tables,
      // About as many services.
      expected: pools * 2,
    });
    if (desired.fallback) tell(steeredPool(poolOfFallback(desired.fallback)));
    eligibility.follow({ added, gone: [] });
    return this.#editionOf(tables, { desired, geo, written: desired.generation });
  }

  #editionOf(
    tables: Tables,
    { desired, geo, written }: Pick<Edition, "desired" | "geo" | "written">,
  ): Edition {
    const { zoneOf, fallbackOf } = desired;
    const { geoData } = tables.snapshot;
    const due = this.#dueSince ?? new Set<string>();
    return { tables, desired: { zoneOf, fallbackOf }, geoData, geo, written, due, isFull: false };
  }

  /** Puts new tables in the place of the present ones, with what was changed since written into them; whether that was done. */
  async #replace(next: Edition): Promise<boolean> {
    if (this.#isBoardFull(next.tables)) this.#nextBoard = this.#grown(next.tables);
    await this.#inSlices(this.#judgeAll());
    if (!await this.#catchUp(next, this.#nextBoard ?? this.#board)) {
      this.#wantsWhole = true;
      // What is answered must not become older.
      if (next.written < this.#present.written) return false;
    }
    if (this.#nextBoard) {
      // Workers drew from the former one meanwhile.
      this.#nextBoard.tickets.set(this.#board.tickets);
      this.#board = this.#nextBoard;
      this.#nextBoard = null;
    }
    this.#present = next;
    const arePlacesOld = this.#arePlacesOld(next);
    this.#wantsWhole ||= arePlacesOld;
    await this.#handOver(arePlacesOld ? next.geoData : next.geo.geoData);
    this.#tellPublished();
    await this.#inSlices(this.#forgetting());
    return true;
  }

  /** Gives up what only the tables before needed. */
  *#forgetting(): Generator<void> {
    yield* this.#healthSlots.endingRound();
    yield* this.#followingGone(this.#options.eligibility.end());
  }

  *#followingGone(gone: Generator<readonly string[]>): Generator<void> {
    for (const keys of gone) {
      if (keys.length > 0) this.#options.eligibility.follow({ added: [], gone: keys });
      yield;
    }
  }

  /** Saves tables, which stay as they are meanwhile. */
  *#keeping({ tables, written }: Edition): Generator<void> {
    const { keeper, log } = this.#options;
    if (!keeper || this.#kept === written) return;
    try {
      yield* keeper.save(tables.keep(written));
      this.#kept = written;
    } catch (error) {
      log.warn("Cannot keep the tables for a quicker start", { error });
    }
  }

  #compileOptions(geo: Geo): CompileOptions {
    return {
      ...{ epoch: ++this.#epoch, healthSlots: this.#healthSlots, geoData: geo.geoData },
      locationOf: (member) => geo.locationOf(member),
    };
  }

  #hasOtherGeoData(): boolean {
    return this.#snapshot.geoData.edition !== this.#present.geo.geoData.edition;
  }

  /** Whether members may stand elsewhere, because other databases say where. */
  #arePlacesOld({ tables, geo, geoData: { city: before } }: Edition): boolean {
    const { city } = geo.geoData;
    return tables.asksForPlaces &&
      (city.length !== before.length || city.some((file, i) => file !== before[i]));
  }

  /** A larger board for tables, with all that is on the present one. */
  #grown({ ticketSlots }: Tables): LiveBoard {
    return this.#board.grownTo({ healthSlots: this.#healthSlots.size, ticketSlots });
  }

  #isBoardFull({ ticketSlots }: Tables): boolean {
    return !this.#board.holds({
      healthSlots: Math.ceil(this.#healthSlots.size / BOARD_FULL_SHARE),
      ticketSlots: Math.ceil(ticketSlots / BOARD_FULL_SHARE),
    });
  }

  #settle(): void {
    this.#published = this.#present.written;
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      if (this.#waiters[i]!.generation <= this.#published) this.#waiters.splice(i, 1)[0]!.resolve();
    }
  }
}

/** Whether so many objects are too many to be changed in place, beside so many pools. */
function areTooMany(objects: number, pools: number): boolean {
  return objects > IN_PLACE_MIN && objects > Math.min(pools * IN_PLACE_SHARE, IN_PLACE_MAX);
}
