/**
 * The MaxMind databases of a node: read when it starts, when a file changes and when somebody says so. A file that is
 * corrupt or gone changes nothing but the log and a counter; what was read before stays.
 *
 * A database of places counts at once; the bounds that make look-ups in it cheap to generalize are worked out on a
 * thread and follow within seconds. The files are looked at every five seconds, and one that has changed is read when
 * it has rested for a look (`file_mark.ts`).
 *
 * @module
 */
import type { Place } from "./location.ts";
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
  /** Which there are; `use` turns to others. */
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
      "Times a MaxMind database was read; after an error the one before stays.",
      ["result"],
    );
    for (const result of ["success", "error"]) this.#loads.labels(result);
    options.registry.gauge(
      "pleiades_geoip_build_timestamp_seconds",
      "When the MaxMind databases in effect were made; of several files the oldest.",
      { labelNames: ["kind"], collect: () => this.#buildTimes() },
    );
    options.registry.gauge(
      "pleiades_geoip_records_without_coordinates_ratio",
      "Of the records that were tried out in the databases of places in effect, the share without coordinates.",
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

  /** Where an address is, as far as a database knows. */
  locate(ipAddress: string): Place | null {
    const address = parseIp(ipAddress);
    if (address === null) return null;
    for (const { mmdb } of this.city) {
      const place = mmdb.place(mmdb.find(address));
      const latitude = mmdb.latitude(place);
      if (!Number.isNaN(latitude)) return { latitude, longitude: mmdb.longitude(place) };
    }
    return null;
  }

  /** Reads every file that isn't as it was; resolves when what is good is in effect. Never rejects. */
  reload(): Promise<void> {
    return this.#inTurn(() => this.#loadAll());
  }

  /**
   * Turns to other files, or to none. What a faulty one should replace goes all the same, since it is another file.
   *
   * @returns when what is good is in effect; never rejects
   */
  use(paths: DatabasePaths): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#files;
      this.#files = filesOf(paths).map((file) => before.find((known) => known.isSame(file)) ?? file);
      if (before.some((file) => file.current !== null && !this.#files.includes(file))) {
        this.#options.onChange();
      }
      await this.#loadAll();
    });
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

  #inTurn(step: () => Promise<void>): Promise<void> {
    const turned = this.#turn.then(() => this.#ended.signal.aborted ? undefined : step());
    this.#turn = turned.catch(() => {}); // told to whoever wanted the step; the next one has its turn all the same
    return turned;
  }

  async #look(): Promise<void> {
    for (const file of this.#files) if (await file.hasChanged()) await this.#load(file);
  }

  async #loadAll(): Promise<void> {
    await Promise.all(this.#files.map((file) => this.#load(file)));
  }

  async #load(file: DatabaseFile): Promise<void> {
    const { log, clock, onChange } = this.#options;
    const startMs = clock.monotonicMs();
    const loading = await file.load();
    if (loading === "as before" || this.#ended.signal.aborted) return;
    if (loading === "restless") {
      return log.info("A database changes while it is read; it is read again when it rests", {
        file: file.path,
      });
    }
    this.#loads.labels(loading === "loaded" ? "success" : "error").inc();
    if (loading !== "loaded") return this.#refuse(file, loading.reason);
    const { mmdb } = file.current!;
    log.info("Loaded a database", {
      file: file.path,
      type: mmdb.databaseType,
      made: new Date(mmdb.buildEpoch * 1000),
      ...(file.kind === "city" && { withoutCoordinates: file.current!.unplaced }),
      milliseconds: Math.round(clock.monotonicMs() - startMs),
    });
    onChange();
    if (file.kind === "city") this.#bounding = this.#bounding.then(() => this.#bound(file));
  }

  #refuse({ path, current }: DatabaseFile, reason: string): void {
    const { log } = this.#options;
    const made = current && new Date(current.mmdb.buildEpoch * 1000);
    if (made === null) log.error(`Database not loaded: ${path}: ${reason}`);
    else log.error(`Database not loaded, the one before stays: ${path}: ${reason}`, { made });
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

  /** Whether there is another file than was read, the same as at the last look. */
  async hasChanged(): Promise<boolean> {
    const mark = await markOf(this.path);
    const isNew = mark.text !== this.#read?.text;
    const hasRested = isNew && mark.text === this.#changed?.text;
    this.#changed = isNew ? mark : null;
    return hasRested;
  }

  /** Reads the file unless it is the one in effect. */
  async load(): Promise<"loaded" | "as before" | "restless" | { readonly reason: string }> {
    const mark = await markOf(this.path);
    if (this.#isTaken && mark.text === this.#read?.text) return "as before";
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
