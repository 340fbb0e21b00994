/**
 * From a change to the next answer: keeps the tables that workers answer from, the targets that are probed and the
 * health bits of the live board equal to what is desired.
 *
 * A change of pools and services is written into the tables in place and costs what it touches. Anything else — zones,
 * the fallback, settings, very many objects at once, tables that are full — makes a whole new snapshot. Changes that
 * come meanwhile are folded into the next step. A state that can't be published is logged and counted, and the last
 * good one stays.
 *
 * @module
 */
import type { Place } from "../geo/location.ts";
import type { Clock } from "../clock.ts";
import { type Desired, type SteeredMember, type SteeredPool, steeredPool } from "../desired/desired.ts";
import { type AddressesOf, flattenedPool } from "../desired/flattened.ts";
import type { Pool, Service } from "../model/model.ts";
import type { Fleet } from "../dns/fleet.ts";
import { standingKeyOf } from "../desired/eligibility.ts";
import type { Measured } from "../health/round_trips.ts";
import type { Standings } from "../health/eligibility.ts";
import type { Atlas } from "../geo/geo_data.ts";
import { LiveBoard, type SlotVerdict } from "../snapshot/live.ts";
import { OutOfRoom } from "../snapshot/memory.ts";
import { Slots } from "../snapshot/slots.ts";
import { type CompileOptions, type KeptTables, type Lack, Tables } from "../snapshot/tables.ts";
import type { Snapshot } from "../snapshot/view.ts";
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
  /** How many pools there are. */
  poolCount(): number;
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
}

/** Where tables outlive the process. */
export interface TablesKeeper {
  /** What was saved last, if it holds for the zones, fallback and settings of now. */
  load(): KeptTables | null;
  /** Saves; the memory is only valid during the call. */
  save(tables: KeptTables): void;
}

/** What a publisher works with. */
export interface PublisherOptions {
  /** The desired state of now. */
  readonly desired: () => Desired;
  /** What was touched since, and what it is now. */
  readonly changes: ChangeSource;
  /** What overrides make of a pool at this moment. */
  readonly overridden: (pool: SteeredPool) => SteeredPool;
  /** What is known of members by name. */
  readonly addressesOf: AddressesOf;
  /** Knows who may be answered, and has probed what that depends on. */
  readonly standings: Pick<Standings, "put" | "remove" | "replace" | "follow" | "isIn">;
  /** What is known of clients at this moment. */
  readonly atlas: () => Atlas;
  /** Where a member stands, if anybody knows. */
  readonly placeOf: (member: SteeredMember) => Place | null;
  /** Lets a start begin with the tables of the last run; `null` = they are written anew. */
  readonly keeper: TablesKeeper | null;
  /** Told after each attempt to publish. */
  readonly onPublished: (result: "success" | "error") => void;
  /** Dates changes of health. */
  readonly clock: Pick<Clock, "monotonicMs">;
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

/** Keeps what is answered equal to what is desired. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #healthSlots = new Slots(1);
  readonly #waiters: { readonly generation: number; readonly resolve: () => void }[] = [];
  #board = LiveBoard.create({ healthSlots: 1, ticketSlots: 1 });
  #tables: Tables | undefined;
  #snapshot: Snapshot;
  #fleet: Fleet | null = null;
  #epoch = 0;
  /** Generation that every worker answers from. */
  #published = 0;
  /** Generation that the tables hold. */
  #written = 0;
  /** Generation that the keeper has. */
  #kept = -1;
  /** Pools that time has made others, of which the history doesn't know. */
  readonly #due = new Set<string>();
  #isDirty = false;
  /** Whether the next step must not look at what was touched. */
  #wantsWhole = false;
  #publishing: Promise<void> | null = null;

  /** Makes the first snapshot; from then on targets are probed. */
  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#snapshot = this.#takeOver() ?? this.#writeWhole();
  }

  /** What a fleet is to start with. */
  get current(): { readonly snapshot: Snapshot; readonly board: LiveBoard } {
    return { snapshot: this.#snapshot, board: this.#board };
  }

  /** Generation that every worker answers from. */
  get generation(): number {
    return this.#published;
  }

  /** Publishes to this fleet from now on; it was started with `current`. */
  attach(fleet: Fleet): void {
    this.#fleet = fleet;
    this.#settle();
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
  touchAtlas(): void {
    this.touch(false);
  }

  /** Says that these pools are others without a commit: an override begins or ends, a name has other addresses. */
  touchPools(ids: Iterable<string>): void {
    for (const id of ids) this.#due.add(id);
    this.touch(false);
  }

  /**
   * Publishes the desired state of now, whatever was touched.
   *
   * @throws what was wrong with it; the last good state stays
   */
  async refresh(): Promise<void> {
    while (this.#publishing) await this.#publishing;
    this.#wantsWhole = true;
    const published = this.#publish();
    this.#publishing = published.catch(() => {}).finally(() => {
      this.#publishing = null;
      if (this.#isDirty) this.touch(false);
    });
    await published;
  }

  /** Resolves when every worker answers from this generation or a later one. */
  settled(generation: number): Promise<void> {
    if (this.#published >= generation) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ generation, resolve }));
  }

  /** Has the tables saved for the next start, unless they are. */
  keep(): void {
    const { keeper, log } = this.#options;
    if (!keeper || !this.#tables || this.#kept === this.#written) return;
    try {
      keeper.save(this.#tables.keep(this.#written));
      this.#kept = this.#written;
    } catch (error) {
      log.warn("Cannot keep the tables for a quicker start", { error });
    }
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
    return this.#tables?.findDown(this.#board, places, found) ?? null;
  }

  /** The health slots whose round trip answers go by. */
  get measured(): Iterable<Measured> {
    return this.#tables?.measured ?? [];
  }

  /** Puts measured round trips onto the board, and so into the very next answer. */
  measure(roundTrips: Iterable<{ readonly slot: number; readonly rttUs: number }>): void {
    this.#board.setRoundTrips(roundTrips);
  }

  /** Puts the standings of these keys onto the board, and so into the very next answer. */
  judge(keys: Iterable<string>): void {
    const stale: SlotVerdict[] = [];
    for (const key of keys) {
      const slot = this.#healthSlots.find(key);
      if (slot !== undefined) this.#compare(key, slot, stale);
    }
    if (stale.length === 0) return;
    this.#setHealth(stale);
    this.#options.onAnswersChanged();
  }

  async #publishAll(): Promise<void> {
    await Promise.resolve(); // lets the change that woke us, and others of the same turn, come to an end
    while (this.#isDirty) {
      this.#isDirty = false;
      try {
        await this.#publish();
      } catch (error) {
        this.#options.log.error("The last change can't be answered; the state before it stays", { error });
      }
    }
    this.#publishing = null;
  }

  async #publish(): Promise<void> {
    try {
      if (!this.#writeInPlace()) {
        this.#snapshot = this.#writeWhole();
        await this.#fleet?.publish(this.#snapshot, this.#board);
        this.keep();
      } else if (this.#isBoardFull() || this.#hasOtherAtlas()) {
        if (this.#isBoardFull()) this.#growBoard();
        this.#snapshot = { ...this.#snapshot, atlas: this.#options.atlas(), epoch: ++this.#epoch };
        await this.#fleet?.publish(this.#snapshot, this.#board);
      }
      this.#settle();
      this.#options.onAnswersChanged();
      this.#options.onPublished("success");
    } catch (error) {
      this.#options.onPublished("error");
      throw error;
    }
  }

  /** Writes what was touched into the tables; whether that was possible. Workers see it at once. */
  #writeInPlace(): boolean {
    const { changes } = this.#options;
    const tables = this.#tables;
    if (!tables || this.#wantsWhole || this.#arePlacesOld(tables)) return false;
    const generation = changes.generation();
    const touched = changes.touchedSince(this.#written);
    const { everything, serviceIds, zoneDomains, fallback } = touched;
    if (everything || fallback || zoneDomains.length > 0) return false;
    const poolIds = [...new Set([...touched.poolIds, ...this.#due])];
    if (this.#areTooMany(poolIds.length + serviceIds.length)) return false;
    try {
      const pools = poolIds.map((id) => ({ id, pool: changes.pool(id) }));
      const answered = pools.flatMap(({ pool }) => pool ? [this.#answered(pool)] : []);
      for (const pool of answered) this.#follow(pool);
      tables.putPools(answered);
      for (const id of serviceIds) {
        const service = changes.service(id);
        if (service) tables.putService(service);
      }
      for (const domain of changes.formerDomains(this.#written)) {
        if (!changes.serviceByDomain(domain)) tables.removeService(domain);
      }
      for (const { id, pool } of pools) if (!pool) this.#removePool(tables, id);
    } catch (error) {
      if (error instanceof OutOfRoom) return false;
      throw error;
    }
    this.#written = generation;
    this.#due.clear();
    return true;
  }

  #areTooMany(objects: number): boolean {
    if (objects <= IN_PLACE_MIN) return false;
    return objects > Math.min(this.#options.changes.poolCount() * IN_PLACE_SHARE, IN_PLACE_MAX);
  }

  #answered(pool: Pool): SteeredPool {
    const { overridden, addressesOf } = this.#options;
    return flattenedPool(overridden(steeredPool(pool)), addressesOf);
  }

  /** Has a pool's members probed, and their standings on the board before any answer reads the pool. */
  #follow(pool: SteeredPool): void {
    const { standings } = this.#options;
    standings.follow(standings.put(pool));
    // A slot that is new or free again may say anything.
    const keys = [...pool.members, ...pool.named?.members ?? []].filter(({ enabled }) => enabled)
      .map((member) => standingKeyOf(pool, member)).filter((key) => key !== null);
    for (const key of keys) this.#healthSlots.of(key);
    const healthSlots = this.#healthSlots.size;
    if (!this.#board.holds({ healthSlots, ticketSlots: 0 })) {
      throw new OutOfRoom(`${healthSlots} health slots`);
    }
    this.judge(keys);
  }

  #removePool(tables: Tables, id: string): void {
    const { standings } = this.#options;
    standings.follow(standings.remove(id));
    tables.removePool(id);
  }

  /** Begins with the tables of the last run and makes up for what was changed since; `null` when that can't be done. */
  #takeOver(): Snapshot | null {
    const kept = this.#options.keeper?.load();
    if (!kept || kept.generation > this.#options.changes.generation()) return null;
    const desired = this.#options.desired();
    this.#tables = new Tables(desired, this.#compileOptions(), kept);
    if (this.#tables.needsMoreThanKept) return null;
    this.#written = kept.generation;
    this.#kept = kept.generation;
    const { standings } = this.#options;
    const followed = standings.replace(desired);
    if (this.#isBoardFull()) this.#growBoard();
    standings.follow(followed);
    this.#judgeAll();
    // What they answered then is another matter: overrides begin and end while nobody looks.
    for (const id of this.#options.changes.overriddenPools()) this.#due.add(id);
    // So do names get other addresses.
    for (const id of this.#options.changes.namedPools()) this.#due.add(id);
    if (this.#writeInPlace()) {
      this.#options.log.debug("Began with the tables of the last run", { generation: kept.generation });
      return this.#tables.snapshot;
    }
    this.#tables = undefined;
    return null;
  }

  #writeWhole(): Snapshot {
    const desired = this.#options.desired();
    this.#wantsWhole = false;
    const { standings } = this.#options;
    const followed = standings.replace(desired);
    this.#tables = new Tables(desired, { ...this.#compileOptions(), previous: this.#tables });
    if (this.#isBoardFull()) this.#growBoard();
    standings.follow(followed);
    this.#judgeAll();
    this.#written = desired.generation;
    this.#due.clear();
    return this.#tables.snapshot;
  }

  #compileOptions(): CompileOptions {
    const { atlas, placeOf } = this.#options;
    return { epoch: ++this.#epoch, healthSlots: this.#healthSlots, atlas: atlas(), placeOf };
  }

  #hasOtherAtlas(): boolean {
    return this.#snapshot.atlas.edition !== this.#options.atlas().edition;
  }

  /** Whether members may stand elsewhere, because other databases say where. */
  #arePlacesOld(tables: Tables): boolean {
    const before = this.#snapshot?.atlas.city ?? [];
    const { city } = this.#options.atlas();
    return tables.asksForPlaces &&
      (city.length !== before.length || city.some((file, i) => file !== before[i]));
  }

  #growBoard(): void {
    this.#board = this.#board.grownTo({
      healthSlots: this.#healthSlots.size,
      ticketSlots: this.#tables!.ticketSlots,
    });
  }

  #isBoardFull(): boolean {
    const sizeNeeded = {
      healthSlots: Math.ceil(this.#healthSlots.size / BOARD_FULL_SHARE),
      ticketSlots: Math.ceil(this.#tables!.ticketSlots / BOARD_FULL_SHARE),
    };
    return !this.#board.holds(sizeNeeded);
  }

  /** Puts every standing onto the board; a slot may have meant another one before. */
  #judgeAll(): void {
    const stale: SlotVerdict[] = [];
    for (const [key, slot] of this.#healthSlots.each()) this.#compare(key, slot, stale);
    this.#setHealth(stale);
  }

  #setHealth(verdicts: readonly SlotVerdict[]): void {
    if (verdicts.length > 0) this.#board.setHealth(verdicts, this.#options.clock.monotonicMs());
  }

  #compare(key: string, slot: number, stale: SlotVerdict[]): void {
    const up = this.#options.standings.isIn(key);
    if (this.#board.isUp(slot) !== up) stale.push({ slot, up });
  }

  #settle(): void {
    this.#published = this.#written;
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      if (this.#waiters[i]!.generation <= this.#published) this.#waiters.splice(i, 1)[0]!.resolve();
    }
  }
}
