/**
 * The MaxMind databases of a node: read when it starts, when a file changes and at SIGHUP. A file that is
 * corrupt or gone changes nothing but the log and a counter; what was read before stays.
 *
 * A database of places counts at once; the bounds that make look-ups in it cheap to generalize are worked out on a
 * thread and follow within seconds. The files are looked at every five seconds, and one that has changed is read when
 * it has rested for a look (`file_mark.ts`).
 *
 * @module
 */
import type { Location } from "./location.ts";
import type { Clock } from "../clock.ts";
import { fileFault } from "../input/file_fault.ts";
import { parseIp } from "../ip.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Counter, Family, Registry } from "../telemetry/metrics.ts";
import { type Database, readDatabase } from "./database_file.ts";
import type { DatabaseKind } from "./database.ts";
import { type FileMark, markOf } from "./file_mark.ts";
import { onThread } from "./thread.ts";

/** Between two looks at the files. */
export const DATABASE_WATCH_MS = 5_000;

/** The files; one for both families, or one for each. */
export interface DatabasePaths {
  /** Of places. */
  readonly database: readonly string[];
  /** Of autonomous systems. */
  readonly asnDatabase: readonly string[];
}

/** What databases need. */
export interface DatabasesOptions {
  /** Which there are; `prepare` reads others. */
  readonly paths: DatabasePaths;
  /** Paces the looks. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Hears of every load. */
  readonly log: Logger;
  /** Gets `pleiades_geoip_loads_total` and `pleiades_geoip_build_timestamp_seconds`. */
  readonly registry: Registry;
  /** Told whenever what is in effect has changed, and when bounds have been worked out. */
  readonly onChange: () => void;
}

/** Keeps a node's databases up to date. */
export class Databases implements AsyncDisposable {
  readonly #options: DatabasesOptions;
  readonly #loads: Family<readonly ["result"], Counter>;
  readonly #ended = new AbortController();
  readonly #watching: Promise<void>;
  #files: readonly DatabaseFile[];
  /** Loads wait for each other. */
  #turn: Promise<void> = Promise.resolve();
  /** Bounds are worked out one after the other, beside the loads. */
  #bounding: Promise<void> = Promise.resolve();

  /** Begins to watch; the first look is `reload`'s, or comes after `DATABASE_WATCH_MS`. */
  constructor(options: DatabasesOptions) {
    this.#options = options;
    this.#files = filesOf(options.paths);
    this.#loads = options.registry.counter(
      "pleiades_geoip_loads_total",
      "Loads of a MaxMind database; after an error the previous one stays.",
      ["result"],
    );
    for (const result of ["success", "error"]) this.#loads.labels(result);
    options.registry.gauge(
      "pleiades_geoip_build_timestamp_seconds",
      "When the MaxMind databases in effect were built; of several files the oldest.",
      { labelNames: ["kind"], collect: () => this.#buildTimes() },
    );
    options.registry.gauge(
      "pleiades_geoip_records_without_coordinates_ratio",
      "Share of the tried records without coordinates, in the city databases in effect.",
      { collect: () => Math.max(0, ...this.city.map(({ unplaced }) => unplaced)) },
    );
    this.#watching = this.#watch();
  }

  /** Counts files that were refused before they came here, as those of settings that weren't taken over. */
  countRefused(files: number): void {
    this.#loads.labels("error").inc(files);
  }

  /** Those of places that are in effect, with their bounds as far as they have been worked out. */
  get city(): readonly BoundedDatabase[] {
    return inEffect(this.#files, "city");
  }

  /** Those of autonomous systems that are in effect. */
  get asn(): readonly Database[] {
    return inEffect(this.#files, "asn");
  }

  /** Reads every file that isn't as it was; resolves when what is good is in effect. Never rejects. */
  async reload(): Promise<void> {
    await this.#inTurn(() => this.#loadAll());
  }

  /**
   * Reads the files of other settings, beside those in effect: nothing is another before `take`. A file that is in
   * effect already and can't be taken any more stays as it was read; a file that is new must be good.
   *
   * @throws {Error} when a file that is new can't be taken; it is counted
   * @throws the reason of the signal, or of the end
   */
  async prepare(paths: DatabasePaths, signal: AbortSignal): Promise<PreparedDatabases> {
    const readings =
      await this.#inTurn(() => Promise.all(filesOf(paths).map((file) => this.#readAside(file)))) ?? [];
    signal.throwIfAborted();
    this.#ended.signal.throwIfAborted();
    const files = readings.map(({ file }) => file);
    return {
      city: inEffect(files, "city"),
      asn: inEffect(files, "asn"),
      take: () => {
        this.#files = files;
        for (const { file, tookMs } of readings) if (tookMs !== null) this.#loaded(file, tookMs);
      },
    };
  }

  /** Resolves when all bounds have been worked out, as far as there is something to work out now. */
  async bounded(): Promise<void> {
    await this.#turn;
    await this.#bounding;
  }

  /** Ends watching, and a thread that is still at work. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#watching;
    await this.bounded();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await this.#options.clock.sleep(DATABASE_WATCH_MS, signal);
      if (signal.aborted) return;
      await this.#inTurn(() => this.#look()).catch((error) => {
        this.#loads.labels("error").inc();
        this.#options.log.error("Cannot look at the databases; trying again", { error });
      });
    }
  }

  #inTurn<Result>(step: () => Promise<Result>): Promise<Result | undefined> {
    const turned = this.#turn.then(() => this.#ended.signal.aborted ? undefined : step());
    // A failure is told to whoever wanted the step; the next one has its turn all the same.
    this.#turn = turned.then(() => {}, () => {});
    return turned;
  }

  async #look(): Promise<void> {
    for (const file of this.#files) if (await file.hasChanged()) await this.#load(file);
  }

  async #loadAll(): Promise<void> {
    await Promise.all(this.#files.map((file) => this.#load(file)));
  }

  async #load(file: DatabaseFile): Promise<void> {
    const startMs = this.#options.clock.monotonicMs();
    const loading = await file.load();
    // Other settings may have been taken over meanwhile, which don't name it any more.
    if (loading === "as before" || this.#ended.signal.aborted || !this.#files.includes(file)) return;
    if (loading === "restless") return this.#sayRestless(file);
    if (loading !== "loaded") return this.#refuse(file, loading.reason);
    this.#loaded(file, this.#options.clock.monotonicMs() - startMs);
    this.#options.onChange();
  }

  /** Reads a file that settings name, unless it is in effect as it lies there: then `tookMs` is null. */
  async #readAside(file: DatabaseFile): Promise<ReadAside> {
    const known = this.#files.find((known) => known.isSame(file));
    if (known && await known.isInEffect()) return { file: known, tookMs: null };
    const startMs = this.#options.clock.monotonicMs();
    const loading = await file.load();
    if (loading === "loaded") return { file, tookMs: this.#options.clock.monotonicMs() - startMs };
    if (loading === "restless") this.#sayRestless(file);
    else if (loading !== "as before") this.#refuseAside(file, { known, reason: loading.reason });
    return { file: known ?? file, tookMs: null };
  }

  #refuseAside(
    file: DatabaseFile,
    { known, reason }: { readonly known: DatabaseFile | undefined; readonly reason: string },
  ): void {
    if (known) {
      known.takeNote(file);
      return this.#refuse(known, reason);
    }
    this.countRefused(1);
    throw new Error(`Database not loaded: ${file.path}: ${reason}`);
  }

  #sayRestless({ path }: DatabaseFile): void {
    this.#options.log.info("A database changes while it is read; it is read again once it stops changing", {
      file: path,
    });
  }

  #loaded(file: DatabaseFile, tookMs: number): void {
    const { mmdb, unplaced } = file.current!;
    this.#loads.labels("success").inc();
    this.#options.log.info("Loaded a database", {
      file: file.path,
      type: mmdb.databaseType,
      made: new Date(mmdb.buildEpoch * 1000),
      ...(file.kind === "city" && { withoutCoordinates: unplaced }),
      milliseconds: Math.round(tookMs),
    });
    if (file.kind === "city") this.#bounding = this.#bounding.then(() => this.#bound(file));
  }

  #refuse({ path, current }: DatabaseFile, reason: string): void {
    const { log } = this.#options;
    this.countRefused(1);
    const made = current && new Date(current.mmdb.buildEpoch * 1000);
    if (made === null) log.error(`Database not loaded: ${path}: ${reason}`);
    else log.error(`Database not loaded, the previous one stays: ${path}: ${reason}`, { made });
  }

  /** A database without bounds is as right as one with them: so a failure is told, and nothing else. */
  async #bound(file: DatabaseFile): Promise<void> {
    const { signal } = this.#ended;
    const { current, path } = file;
    if (signal.aborted || current === null || current.extents !== null) return;
    try {
      const extents = await onThread({ kind: "extents", path, bytes: current.bytes }, signal);
      if (file.current !== current || !this.#files.includes(file)) return;
      file.current = { ...current, extents };
      this.#options.onChange();
    } catch (error) {
      if (!signal.aborted) {
        this.#options.log.warn("Cannot work out the bounds in a database", { file: path, error });
      }
    }
  }

  *#buildTimes(): Generator<readonly [labelValues: readonly string[], value: number]> {
    for (const kind of ["city", "asn"] as const) {
      const times = inEffect(this.#files, kind).map(({ mmdb }) => mmdb.buildEpoch);
      if (times.length > 0) yield [[kind], Math.min(...times)];
    }
  }
}

/** A file that was read beside those in effect. */
interface ReadAside {
  readonly file: DatabaseFile;
  /** `null` = nothing was read that is to be taken. */
  readonly tookMs: number | null;
}

/** The databases of other settings, read. */
export interface PreparedDatabases {
  /** Those of places. */
  readonly city: readonly BoundedDatabase[];
  /** Those of autonomous systems. */
  readonly asn: readonly Database[];
  /** Puts them in effect, without telling of it. */
  readonly take: () => void;
}

/** Where an address is, as far as one of these databases knows. */
export function locate(ipAddress: string, city: readonly Pick<Database, "mmdb">[]): Location | null {
  const address = parseIp(ipAddress);
  if (address === null) return null;
  for (const { mmdb } of city) {
    const place = mmdb.place(mmdb.find(address));
    const latitude = mmdb.latitude(place);
    if (!Number.isNaN(latitude)) return { latitude, longitude: mmdb.longitude(place) };
  }
  return null;
}

/** A database and the bounds in it. */
export interface BoundedDatabase extends Database {
  /** What `Extents` reads; `null` = not worked out yet, or not needed. */
  readonly extents: SharedArrayBuffer | null;
}

/** One of the files, and what was read from it last. */
class DatabaseFile {
  readonly path: string;
  readonly kind: DatabaseKind;
  /** The last that was good. */
  current: BoundedDatabase | null = null;
  /** The file when it was read last, with or without success. */
  #read: FileMark | null = null;
  /** The file at the last look, where that wasn't what had been read. */
  #changed: FileMark | null = null;
  /** Whether the last file that was read is the one in effect. */
  #isTaken = false;

  constructor(path: string, kind: DatabaseKind) {
    this.path = path;
    this.kind = kind;
  }

  isSame({ path, kind }: DatabaseFile): boolean {
    return path === this.path && kind === this.kind;
  }

  /** Takes note that what is there now was read by a twin and is no good, so that it isn't read once more. */
  takeNote(twin: DatabaseFile): void {
    this.#read = twin.#read;
    this.#changed = twin.#changed;
    this.#isTaken = false;
  }

  /** Whether there is another file than was read, the same as at the last look. */
  async hasChanged(): Promise<boolean> {
    const mark = await markOf(this.path);
    const isNew = mark.text !== this.#read?.text;
    const hasRested = isNew && mark.text === this.#changed?.text;
    this.#changed = isNew ? mark : null;
    return hasRested;
  }

  /** Whether what was read of it is the file as it is now. */
  async isInEffect(): Promise<boolean> {
    return this.#isTaken && (await markOf(this.path)).text === this.#read?.text;
  }

  /** Reads the file unless it is the one in effect. */
  async load(): Promise<"loaded" | "as before" | "restless" | { readonly reason: string }> {
    if (await this.isInEffect()) return "as before";
    const mark = await markOf(this.path);
    const outcome = await this.#tryRead();
    this.#changed = await markOf(this.path);
    if (mark.text !== this.#changed.text) return "restless";
    this.#read = mark;
    this.#isTaken = !("reason" in outcome);
    if ("reason" in outcome) return outcome;
    this.current = { ...outcome, extents: null };
    return "loaded";
  }

  async #tryRead(): Promise<Database | { readonly reason: string }> {
    try {
      return await readDatabase(this.path, this.kind);
    } catch (cause) {
      if (!(cause instanceof Error)) throw cause;
      return { reason: fileFault(cause) };
    }
  }
}

function filesOf({ database, asnDatabase }: DatabasePaths): DatabaseFile[] {
  return [
    ...database.map((path) => new DatabaseFile(path, "city")),
    ...asnDatabase.map((path) => new DatabaseFile(path, "asn")),
  ];
}

function inEffect(files: readonly DatabaseFile[], kind: DatabaseKind): BoundedDatabase[] {
  return files.flatMap((file) => file.kind === kind && file.current !== null ? [file.current] : []);
}
