/**
 * The map file of a node: compiled when the node starts, when the file changes and at SIGHUP, all or
 * nothing. A file with a fault, or one that is gone, changes nothing but the log and a counter; the rules before stay.
 *
 * The file is looked at every two seconds. When it differs from the one that was read last, it is taken at the next
 * look if it hasn't changed again: who writes in place rather than by renaming may be in the middle of it, and half a
 * file that ends with a line has no fault.
 *
 * @module
 */
import { MapFile } from "./map_file_table.ts";
import type { Clock } from "../clock.ts";
import { formatProblem } from "../input/yaml_source.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Counter, Family, Registry } from "../telemetry/metrics.ts";
import { type FileMark, markOf } from "./file_mark.ts";
import { type MapFileReading, readMapFile } from "./map_file_reading.ts";
import { onThread } from "./thread.ts";

/** Between two looks at the file. */
export const MAP_FILE_WATCH_MS = 2_000;

/** Larger files are compiled on a thread: this many bytes take some 10 ms, and a thread 50 ms to start. */
const ON_MAIN_THREAD_MAX = 256 * 1024;

/** What the source of rules needs. */
export interface MapFileSourceOptions {
  /** The file; `null` = none. */
  readonly path: string | null;
  /** Paces the looks. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Hears of every load. */
  readonly log: Logger;
  /** Gets `pleiades_map_file_loads_total` and `pleiades_map_file_prefixes`. */
  readonly registry: Registry;
  /** Told of each new table, the first one included; `null` = there is no file any more. */
  readonly onChange: (table: SharedArrayBuffer | null) => void;
}

/**
 * Keeps the table of a node's map file up to date.
 *
 * @example
 * ```ts
 * await using map = new MapFileSource({ path, clock, log, registry, onChange: (table) => publish(table) });
 * await map.reload();
 * ```
 */
export class MapFileSource implements AsyncDisposable {
  readonly #options: MapFileSourceOptions;
  readonly #loads: Family<readonly ["result"], Counter>;
  readonly #ended = new AbortController();
  readonly #watching: Promise<void>;
  #path: string | null;
  #current: SharedArrayBuffer | null = null;
  #prefixCount = 0;
  /** The file when it was read last, with or without success. */
  #read: FileMark | null = null;
  /** The file at the last look, where that wasn't what had been read. */
  #changed: FileMark | null = null;
  /** Whether the last file that was read is the one in effect. */
  #isTaken = false;
  /** Loads wait for each other. */
  #turn: Promise<void> = Promise.resolve();

  /** Begins to watch; the first look is `reload`'s, or comes after `MAP_FILE_WATCH_MS`. */
  constructor(options: MapFileSourceOptions) {
    this.#options = options;
    this.#path = options.path;
    this.#loads = options.registry.counter(
      "pleiades_map_file_loads_total",
      "Loads of the map file; after an error the previous rules stay.",
      ["result"],
    );
    for (const result of ["success", "error"]) this.#loads.labels(result);
    options.registry.gauge("pleiades_map_file_prefixes", "Prefixes of the map file in effect.", {
      collect: () => this.#prefixCount,
    });
    this.#watching = this.#watch();
  }

  /** What `MapFile` reads; `null` = there is no map file, or none without faults yet. Never written again. */
  get current(): SharedArrayBuffer | null {
    return this.#current;
  }

  /** Reads the file again unless it is as it was; resolves when its rules are `current`, or are refused. Never rejects. */
  async reload(): Promise<void> {
    await this.#inTurn(() => this.#load());
  }

  /**
   * Reads the file of other settings beside the one in effect: nothing is another before `take`. Where the file has
   * faults, the rules before stay.
   *
   * @throws {Error} when it is another file than before and can't be read; it is counted
   * @throws the reason of the signal, or of the end
   */
  async prepare(path: string | null, signal: AbortSignal): Promise<PreparedMapFile> {
    const outcome = path === null ? null : await this.#inTurn(() => this.#readUnlessInEffect(path)) ?? null;
    signal.throwIfAborted();
    this.#ended.signal.throwIfAborted();
    if (outcome !== null && path !== this.#path) this.#expectReadable(outcome);
    return {
      table: path === null ? null : outcome?.table ?? this.#current,
      take: () => {
        if (path !== this.#path) this.#read = this.#changed = null;
        this.#path = path;
        if (path === null) this.#take(null);
        else if (outcome !== null) this.#conclude(outcome);
      },
    };
  }

  /** Ends watching, and a thread that is still reading. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#watching;
    await this.#turn;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await this.#options.clock.sleep(MAP_FILE_WATCH_MS, signal);
      if (signal.aborted) return;
      await this.#inTurn(() => this.#look()).catch((error) => {
        this.#loads.labels("error").inc();
        this.#options.log.error("Cannot look at the map file; trying again", { error });
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
    if (this.#path === null) return;
    const mark = await markOf(this.#path);
    const isNew = mark.text !== this.#read?.text;
    if (isNew && mark.text === this.#changed?.text) return await this.#load();
    this.#changed = isNew ? mark : null;
  }

  async #load(): Promise<void> {
    const path = this.#path;
    if (path === null) return this.#take(null);
    const outcome = await this.#readUnlessInEffect(path);
    // Other settings may have been taken over meanwhile, which name another file.
    if (outcome === null || this.#ended.signal.aborted || path !== this.#path) return;
    this.#conclude(outcome);
  }

  /** Reads a file and changes nothing; `null` = it is in effect as it lies there. */
  async #readUnlessInEffect(path: string): Promise<Outcome | null> {
    const mark = await markOf(path);
    if (path === this.#path && this.#isTaken && mark.text === this.#read?.text) return null;
    const startMs = this.#options.clock.monotonicMs();
    const reading = await this.#reading(path, mark);
    const markAfter = await markOf(path);
    const hasRested = mark.text === markAfter.text;
    return {
      ...{ path, mark, markAfter, reading, hasRested },
      table: hasRested && reading.kind === "compiled" ? reading.table : null,
      tookMs: this.#options.clock.monotonicMs() - startMs,
    };
  }

  #conclude({ path, mark, markAfter, reading, hasRested, tookMs }: Outcome): void {
    this.#changed = markAfter;
    if (!hasRested) {
      this.#options.log.info(
        "The map file changes while it is read; it is read again once it stops changing",
        {
          file: path,
        },
      );
      return;
    }
    this.#read = mark;
    this.#isTaken = reading.kind === "compiled";
    this.#loads.labels(this.#isTaken ? "success" : "error").inc();
    if (reading.kind === "faulty") return this.#refuse(reading);
    this.#take(reading.table);
    this.#options.log.info("Loaded the map file", {
      file: path,
      prefixes: this.#prefixCount,
      milliseconds: Math.round(tookMs),
    });
  }

  #expectReadable({ reading, hasRested }: Outcome): void {
    if (!hasRested || reading.kind === "compiled" || !reading.isUnreadable) return;
    this.#loads.labels("error").inc();
    throw new Error(`Map file not loaded: ${reading.problems.map(formatProblem).join("; ")}`);
  }

  async #reading(path: string, mark: FileMark): Promise<MapFileReading> {
    if (mark.size <= ON_MAIN_THREAD_MAX) return await readMapFile(path);
    try {
      return await onThread({ kind: "map file", path }, this.#ended.signal);
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      return {
        kind: "faulty",
        isUnreadable: true,
        problems: [{ file: path, line: 0, column: 0, message }],
      };
    }
  }

  #take(table: SharedArrayBuffer | null): void {
    if (table === this.#current) return;
    this.#current = table;
    this.#prefixCount = table === null ? 0 : new MapFile(table).prefixes;
    this.#options.onChange(table);
  }

  #refuse({ problems }: MapFileReading & { readonly kind: "faulty" }): void {
    const { log } = this.#options;
    for (const problem of problems) log.error(`Map file not loaded: ${formatProblem(problem)}`);
    if (this.#current === null) log.error("No rules of a map file are in effect", { file: this.#path });
    else log.error("The previous rules of the map file stay", { prefixes: this.#prefixCount });
  }
}

/** The map file of other settings, read. */
export interface PreparedMapFile {
  /** What is in effect when they are; `null` = no rules. */
  readonly table: SharedArrayBuffer | null;
  /** Puts it in effect. */
  readonly take: () => void;
}

/** What came of reading a file. */
interface Outcome {
  readonly path: string;
  /** The file before it was read, … */
  readonly mark: FileMark;
  /** … and behind. */
  readonly markAfter: FileMark;
  /** Whether the two are the same. */
  readonly hasRested: boolean;
  readonly reading: MapFileReading;
  /** `null` = nothing was read that is to be taken. */
  readonly table: SharedArrayBuffer | null;
  readonly tookMs: number;
}
