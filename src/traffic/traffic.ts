/**
 * The query sketch of a running node: an opt-in, bounded record of which declared names are asked for from which
 * networks, hour by hour, so that a change can be tried on yesterday's traffic. Whole addresses never come here.
 *
 * Workers count (`TrafficSource`); what they counted gathers in memory and is written once a minute, in transactions of
 * a few milliseconds, then what is too old or too much is deleted. It is an observation: where it can't be written,
 * answering goes on, and no process is told of a change of the model.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { Port } from "../port.ts";
import type { KeptTraffic, QueryCount, Recorded, RecordedTraffic, Steps } from "../store/traffic.ts";
import { StoreBusy } from "../store/database.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { type CountedQuery, ENTRIES_MAX, Sketch } from "./sketch.ts";

/** What the settings say. */
export interface SketchTerms {
  /** Whether queries are counted. */
  readonly sketch: boolean;
  /** Of what is kept, at most. */
  readonly maxBytes: number;
}

/** Who counts queries. */
export interface TrafficSource {
  /** Counts so many queries a second from now on, more or less, which stand for the others; 0 = none. */
  count(perSecond: number): void;
  /** Queries since the start that were to be counted and found no room. */
  lost(): number;
}

/** What the sketch is kept with. */
export interface TrafficOptions {
  /** Those of the start. */
  readonly terms: SketchTerms;
  /** Where it is kept. */
  readonly recorded: RecordedTraffic;
  /** Hears why it can't be kept. */
  readonly log: Logger;
  /** Gets the metrics. */
  readonly registry: Registry;
  /** Says which hour it is, and paces the writing. */
  readonly clock: Clock;
}

/** Where it is offered, whether it is on or off; not by a node without database. */
export const TRAFFIC: Port<Traffic> = new Port("the query sketch");

/**
 * Queries counted a second, over all workers: 3.6 million an hour, whose error is far below that of any forecast. The main
 * thread takes some 2 µs to read each, and 2 µs a sample to write what becomes of them (`deno task bench query_sketch`).
 */
export const COUNTED_A_SECOND = 1_000;

/** How often it is written: what a killed process loses. */
export const WRITE_INTERVAL_MS = 60_000;
/** After how long what couldn't be written is tried again. */
const RETRY_MS = 1_000;
/** Hours after which what is kept is deleted, whatever its size and whether or not the sketch is on. */
export const KEPT_HOURS = 31 * 24;
/** Memory in use at which the minute isn't waited for. */
const WRITE_EARLY_ENTRIES = ENTRIES_MAX / 2;
/** How long it writes in one go, in transactions that are shorter; then others have their turn. */
const SLICE_MS = 2;

const HOUR_MS = 3_600_000;

/** Since 1970-01-01T00:00:00Z: the hour in which that moment lies. */
export function hourOf(unixMs: number): number {
  return Math.floor(unixMs / HOUR_MS);
}

/**
 * How far an estimate is likely to be off, as a share of it (one standard deviation): 0 where every query was looked at.
 * Each of the samples stands for as many queries as the others, or nearly.
 */
export function relativeErrorOf({ a, aaaa, samples }: QueryCount): number {
  return samples === 0 ? 0 : Math.sqrt(Math.max(0, 1 - samples / (a + aaaa)) / samples);
}

/** The sketch. */
export class Traffic implements AsyncDisposable {
  readonly #recorded: RecordedTraffic;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #sketch = new Sketch();
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #terms: SketchTerms;
  #source: TrafficSource | null = null;
  /** Ends the sleep until the next writing. */
  #wake = new AbortController();
  #kept: KeptTraffic;
  #queries = 0;
  #samples = 0;
  #dropped = { memory: 0, hour: 0, unwritten: 0 };
  #isFailing = false;

  /** Begins with what is kept; counts when there is a source. */
  constructor({ terms, recorded, log, registry, clock }: TrafficOptions) {
    this.#terms = terms;
    this.#recorded = recorded;
    this.#log = log;
    this.#clock = clock;
    this.#kept = recorded.kept();
    this.#register(registry);
    this.#running = this.#run();
  }

  /** Takes other settings over, at once. */
  use(terms: SketchTerms): void {
    const wasOn = this.#terms.sketch;
    this.#terms = terms;
    if (terms.sketch !== wasOn) this.#tellSource();
  }

  /** Tells who counts how much to count, until the result is disposed of. */
  attach(source: TrafficSource): Disposable {
    this.#source = source;
    if (this.#terms.sketch) this.#tellSource();
    return { [Symbol.dispose]: () => void (this.#source = null) };
  }

  /** Takes a counted query. */
  take(counted: CountedQuery): void {
    this.#queries += counted.weight;
    this.#samples++;
    if (!this.#sketch.add(hourOf(this.#clock.unixMs()), counted)) this.#dropped.memory += counted.weight;
    if (this.#sketch.entries >= WRITE_EARLY_ENTRIES) this.#wake.abort();
  }

  /**
   * What was counted in some hours, the last one included: of each hour and name its networks, and what is known without
   * one. The same network of a name may come more than once, of several hours or within one, so add up. Read to the end,
   * or leave by `break`, in one turn.
   *
   * @param recorded what is kept; that of `Store.frozen()` can be read in several turns
   */
  *between(
    fromHour: number,
    toHour: number,
    recorded: RecordedTraffic = this.#recorded,
  ): Generator<Recorded> {
    const unwritten = this.#sketch.between(fromHour, toHour);
    yield* recorded.between(fromHour, toHour);
    yield* unwritten;
  }

  /**
   * Each name's share of what was counted in some hours of all of them, 0–1; a name that wasn't asked for has 0, and all
   * have 0 where nothing was counted.
   */
  weights(names: Iterable<string>, fromHour: number, toHour: number): Map<string, number> {
    const queries = new Map([...names].map((name) => [name, 0]));
    let all = 0;
    const add = (name: string, count: number) => {
      const before = queries.get(name);
      if (before === undefined) return;
      queries.set(name, before + count);
      all += count;
    };
    for (const { name, a, aaaa } of this.#recorded.names(fromHour, toHour)) add(name, a + aaaa);
    for (const { name, a, aaaa } of this.#sketch.between(fromHour, toHour)) add(name, a + aaaa);
    return new Map([...queries].map(([name, count]) => [name, all === 0 ? 0 : count / all]));
  }

  /** Writes what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#wake.abort();
    await this.#running;
  }

  #tellSource(): void {
    this.#source?.count(this.#terms.sketch ? COUNTED_A_SECOND : 0);
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await this.#clock.sleep(WRITE_INTERVAL_MS, this.#wake.signal);
      if (!signal.aborted) this.#wake = new AbortController();
      await this.#write();
    }
  }

  /** Writes what was counted, then deletes what is too much. */
  async #write(): Promise<void> {
    const { maxBytes, sketch } = this.#terms;
    const counts = this.#sketch.drain();
    const onDropped = (queries: number) => void (this.#dropped.hour += queries);
    const isWritten = counts.length === 0 ||
      await this.#finish(this.#recorded.writing(counts, { maxBytes, onDropped }));
    if (!isWritten) { for (const { a, aaaa } of counts) this.#dropped.unwritten += a + aaaa; }
    if (!this.#ending.signal.aborted) {
      // What was kept by a node that counts isn't to be deleted by one beside it that doesn't, but for its age.
      const bytes = sketch ? maxBytes : Number.MAX_SAFE_INTEGER;
      const beforeHour = hourOf(this.#clock.unixMs()) - KEPT_HOURS;
      await this.#finish(this.#recorded.trimming({ maxBytes: bytes, beforeHour }));
    }
    this.#kept = this.#recorded.kept();
  }

  /**
   * Takes all steps, and waits while another thread or process writes.
   *
   * @returns false = what is left can't be done
   */
  async #finish(steps: Steps): Promise<boolean> {
    const { signal } = this.#ending;
    for (;;) {
      try {
        const untilMs = this.#clock.monotonicMs() + SLICE_MS;
        do {
          if (!steps.step()) return this.#succeed();
        } while (this.#clock.monotonicMs() < untilMs);
        await this.#clock.sleep(0, signal);
      } catch (error) {
        if (!(error instanceof StoreBusy) || signal.aborted) return this.#fail(error as Error);
        await this.#clock.sleep(RETRY_MS, signal);
      }
    }
  }

  #succeed(): true {
    this.#isFailing = false;
    return true;
  }

  /** Once, until it works again. */
  #fail(error: Error): false {
    if (!this.#isFailing) this.#log.warn("Cannot keep the query sketch in the database", { error });
    this.#isFailing = true;
    return false;
  }

  #register(registry: Registry): void {
    const queries = registry.counter(
      "pleiades_query_sketch_queries_total",
      "Queries that the query sketch has counted, those included that samples stand for.",
    ).labels();
    const samples = registry.counter(
      "pleiades_query_sketch_samples_total",
      "Queries that were looked at for the query sketch.",
    ).labels();
    const dropped = registry.counter(
      "pleiades_query_sketch_dropped_total",
      "Queries of the query sketch that were counted without their network or name, or not at all.",
      ["reason"],
    );
    registry.onCollect(() => {
      queries.mirror(this.#queries);
      samples.mirror(this.#samples);
      dropped.labels("worker").mirror(this.#source?.lost() ?? 0);
      dropped.labels("memory").mirror(this.#dropped.memory);
      dropped.labels("hour").mirror(this.#dropped.hour);
      dropped.labels("file").mirror(this.#dropped.unwritten);
    });
    registry.gauge("pleiades_query_sketch_rows", "Rows of names and networks that are kept.", {
      collect: () => this.#kept.rows,
    });
    registry.gauge("pleiades_query_sketch_bytes", "Bytes that they take.", {
      collect: () => this.#kept.bytes,
    });
    registry.gauge("pleiades_query_sketch_max_bytes", "Bytes that they may take: queries.maxBytes.", {
      collect: () => this.#terms.maxBytes,
    });
  }
}
