/**
 * A hand-made registry of counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4).
 *
 * `labels()` is a map look-up and belongs at set-up time; the series that it returns costs a few nanoseconds an
 * `inc()` or `observe()`. What is counted elsewhere (by the DNS workers, in shared memory) is copied in by an
 * `onCollect` callback at each scrape. Names and label names are checked when a family is made, so that
 * nothing can be wrong at scrape time.
 *
 * @module
 */
import { inSlices, type SliceTerms, toEnd } from "../slices.ts";

/** The value of `Content-Type` for what `Registry.expose` returns. */
export const EXPOSITION_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Series a family may have unless told otherwise. A series takes about 200 bytes here and 3 KiB in Prometheus, so
 * one family stays below 2 MiB here and 30 MiB there.
 */
const SERIES_MAX = 10_000;

/** Label values in the order of the family's label names. */
export type LabelValues<Names extends readonly string[]> = { readonly [Index in keyof Names]: string };

/** A gauge whose values are asked for at each scrape. */
export interface CallbackGauge {
  /** Left out when there is but one series. */
  readonly labelNames?: readonly string[];
  /** The value, or the label values and value of each series. */
  readonly collect: () => number | Iterable<readonly [labelValues: readonly string[], value: number]>;
}

/** Holds the metrics of one node. */
export class Registry {
  readonly #constantLabels: readonly string[];
  readonly #constantNames: ReadonlySet<string>;
  readonly #seriesMax: number;
  readonly #families = new Map<string, Carrier & { expose(lines: string[]): void }>();
  #carried: CarriedMetrics = {};
  #held: string | null = null;
  /** What is being written for those who ask at this moment. */
  #exposing: Promise<string> | null = null;
  readonly #collectors: (() => Generator<unknown, void> | void)[] = [];
  readonly #dropped: Family<readonly ["metric"], Counter>;

  /**
   * Creates an empty registry.
   *
   * @param constantLabels stand on every series: `cluster` and `node`
   * @param seriesMax series per family; what comes on top is not kept, and counted in
   * `pleiades_metrics_dropped_series_total{metric}`
   */
  constructor(constantLabels: Readonly<Record<string, string>>, seriesMax: number = SERIES_MAX) {
    this.#constantLabels = Object.entries(constantLabels).map(([name, value]) => label(name, value));
    this.#constantNames = new Set(Object.keys(constantLabels));
    this.#seriesMax = seriesMax;
    this.#dropped = this.counter(
      "pleiades_metrics_dropped_series_total",
      "Requests for series that were refused because their metric has too many.",
      ["metric"],
    );
  }

  /**
   * Makes a counter; without label names it has one series, `labels()`.
   *
   * @throws {TypeError} on a name that is taken or isn't one, here and in the other two
   */
  counter<const Names extends readonly string[] = readonly []>(
    name: string,
    help: string,
    labelNames?: Names,
  ): Family<Names, Counter> {
    if (!name.endsWith("_total")) {
      throw new TypeError(`Cannot register counter "${name}": it must end in _total`);
    }
    return this.#family({ name, help, type: "counter" }, labelNames ?? [], () => new Counter());
  }

  /** Makes a gauge that is set by the program. */
  gauge<const Names extends readonly string[] = readonly []>(
    name: string,
    help: string,
    labelNames?: Names,
  ): Family<Names, Gauge>;
  /** Makes a gauge whose values are asked for at each scrape. */
  gauge(name: string, help: string, callback: CallbackGauge): void;
  gauge(
    name: string,
    help: string,
    source: readonly string[] | CallbackGauge = [],
  ): Family<readonly string[], Gauge> | void {
    const description: Description = { name, help, type: "gauge" };
    if (!("collect" in source)) return this.#family(description, source, () => new Gauge());
    const family = this.#family<readonly string[], Gauge>(
      description,
      source.labelNames ?? [],
      () => new Gauge(),
    );
    this.onCollect(() => {
      const collected = source.collect();
      if (typeof collected === "number") return family.labels().set(collected);
      family.clear();
      for (const [values, value] of collected) family.labels(...values).set(value);
    });
  }

  /**
   * Makes a histogram.
   *
   * @param buckets upper bounds in ascending order, without +Inf
   */
  histogram<const Names extends readonly string[] = readonly []>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames?: Names,
  ): Family<Names, Histogram> {
    if (buckets.length === 0 || buckets.some((bound, i) => !(bound > (buckets[i - 1] ?? -Infinity)))) {
      throw new RangeError(`Cannot register histogram "${name}": its buckets [${buckets}] must ascend`);
    }
    const bounds = Float64Array.from(buckets);
    return this.#family({ name, help, type: "histogram" }, labelNames ?? [], () => new Histogram(bounds));
  }

  /**
   * Calls `fn` before each exposition, so that it can bring values up to date. What takes its time is a generator, which sets
   * them at its end: two may be under way at once.
   */
  onCollect(fn: () => Generator<unknown, void> | void): void {
    this.#collectors.push(fn);
  }

  /** The names of all families, sorted. */
  names(): string[] {
    return [...this.#families.keys()].sort();
  }

  /** Has the text stay as it is now until the result is disposed of: what another process counts on from is in it. */
  holdText(): Disposable {
    this.#held = this.expose();
    return { [Symbol.dispose]: () => this.#held = null };
  }

  /** Writes all families as text, sorted by name. */
  expose(): string {
    if (this.#held !== null) return this.#held;
    this.collect();
    return this.#text();
  }

  /**
   * The same a slice at a time, so that nothing else on the thread waits; who asks meanwhile gets the same text.
   *
   * @throws the signal's reason when it is aborted
   */
  exposeInSlices(terms: SliceTerms): Promise<string> {
    this.#exposing ??= this.#exposeInSlices(terms).finally(() => this.#exposing = null);
    return this.#exposing;
  }

  async #exposeInSlices(terms: SliceTerms): Promise<string> {
    if (this.#held === null) await inSlices(this.#collecting(), terms);
    return this.#held ?? this.#text();
  }

  #text(): string {
    const lines: string[] = [];
    for (const name of this.names()) this.#families.get(name)!.expose(lines);
    return `${lines.join("\n")}\n`;
  }

  /** Brings all values up to date, from whatever is asked for them. */
  collect(): void {
    toEnd(this.#collecting());
  }

  *#collecting(): Generator<unknown, void> {
    for (const collect of this.#collectors) {
      yield* collect() ?? [];
      yield;
    }
  }

  /**
   * What counters and histograms have come to, for a process that goes on from there; those that are asked for, as of the
   * last `collect`.
   */
  carry(): CarriedMetrics {
    return Object.fromEntries(
      [...this.#families].flatMap(([name, family]) => {
        const series = family.carry();
        return series.length === 0 ? [] : [[name, series]];
      }),
    );
  }

  /**
   * Goes on from what another process carried: its sums are added to what is counted here. A later call takes the place of
   * an earlier one. Metrics that aren't registered yet get theirs when they are.
   */
  goOnFrom(carried: CarriedMetrics): void {
    this.#carried = carried;
    for (const [name, family] of this.#families) family.goOnFrom(carried[name] ?? []);
  }

  #family<Names extends readonly string[], Child extends Series>(
    description: Description,
    labelNames: readonly string[],
    create: () => Child,
  ): Family<Names, Child> {
    const { name } = description;
    if (!NAME.test(name)) {
      throw new TypeError(`Cannot register metric "${name}": its name must match ${NAME}`);
    }
    if (this.#families.has(name)) throw new TypeError(`Cannot register metric "${name}": the name is taken`);
    for (const labelName of labelNames) {
      if (!NAME.test(labelName) || labelName === "le" || this.#constantNames.has(labelName)) {
        throw new TypeError(
          `Cannot register metric "${name}": label "${labelName}" is taken or doesn't match ${NAME}`,
        );
      }
    }
    const family = new Family<Names, Child>(description, {
      labelNames,
      constantLabels: this.#constantLabels,
      seriesMax: this.#seriesMax,
      create,
      drop: () => this.#dropped.labels(name).inc(),
    });
    this.#families.set(name, family);
    family.goOnFrom(this.#carried[name] ?? []);
    return family;
  }
}

/** The series of one metric, one per combination of label values. Made by a `Registry`. */
export class Family<Names extends readonly string[], Child extends Series> {
  readonly #description: Description;
  readonly #options: FamilyOptions<Child>;
  /** Rendered label pairs → series; the rendering is the key, since it is needed anyway and unambiguous. */
  readonly #children = new Map<string, Child>();
  /** Takes the updates of series that are not kept. */
  readonly #sink: Child;

  /** Called by `Registry`, which checks the names first. */
  constructor(description: Description, options: FamilyOptions<Child>) {
    this.#description = description;
    this.#options = options;
    this.#sink = options.create();
    // A metric without labels is there from the start, so that its absence means an old version.
    if (options.labelNames.length === 0) this.#children.set(this.#key([]), options.create());
  }

  /** The series with these label values; beyond the limit one that is never shown. */
  labels(...values: LabelValues<Names>): Child {
    const key = this.#key(values);
    const known = this.#children.get(key);
    if (known) return known;
    if (this.#children.size >= this.#options.seriesMax) {
      this.#options.drop();
      return this.#sink;
    }
    const child = this.#options.create();
    this.#children.set(key, child);
    return child;
  }

  /** Forgets all series. */
  clear(): void {
    this.#children.clear();
  }

  /** What its series have come to; none for gauges. */
  carry(): CarriedSeries[] {
    return [...this.#children].flatMap(([labels, child]) => {
      const sums = child.carry?.();
      return sums === undefined ? [] : [{ labels, sums }];
    });
  }

  /** Adds these sums to its series, which are made where there are none yet; those of other label names are left out. */
  goOnFrom(carried: readonly CarriedSeries[]): void {
    for (const { labels, sums } of carried) {
      let child = this.#children.get(labels);
      if (child === undefined) {
        if (!this.#isKey(labels) || this.#children.size >= this.#options.seriesMax) continue;
        this.#children.set(labels, child = this.#options.create());
      }
      child.goOnFrom?.(sums);
    }
  }

  #isKey(labels: string): boolean {
    const { constantLabels, labelNames } = this.#options;
    const constant = constantLabels.join(",");
    const names = labels.slice(constant.length).matchAll(/(?:^|,)([a-z][a-z0-9_]*)="(?:[^"\\]|\\.)*"/g);
    return labels.startsWith(constant) && [...names].map(([, name]) => name).join() === labelNames.join();
  }

  /** Adds the lines of this family. */
  expose(lines: string[]): void {
    const { name, help, type } = this.#description;
    lines.push(`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`);
    lines.push(`# TYPE ${name} ${type}`);
    for (const [labels, child] of this.#children) child.expose(lines, name, labels);
  }

  #key(values: readonly string[]): string {
    const { constantLabels, labelNames } = this.#options;
    return [...constantLabels, ...labelNames.map((name, i) => label(name, values[i] ?? ""))].join(",");
  }
}

/** A value that only grows. */
export class Counter {
  #total = 0;
  /** What processes before have counted. */
  #before = 0;

  /** Adds `n` (≥ 0), 1 when left out. */
  inc(n = 1): void {
    this.#total += n;
  }

  /** Takes over a total that is counted elsewhere. */
  mirror(total: number): void {
    this.#total = total;
  }

  /** Adds the line of this series. */
  expose(lines: string[], name: string, labels: string): void {
    lines.push(sample(name, labels, this.#before + this.#total));
  }

  /** What it has come to. */
  carry(): readonly number[] {
    return [this.#before + this.#total];
  }

  /** Goes on from what another process has come to. */
  goOnFrom([before = 0]: readonly number[]): void {
    this.#before = before;
  }
}

/** A value that goes up and down. */
export class Gauge {
  #value = 0;

  /** Sets the value. */
  set(value: number): void {
    this.#value = value;
  }

  /** Adds the line of this series. */
  expose(lines: string[], name: string, labels: string): void {
    lines.push(sample(name, labels, this.#value));
  }
}

/** A distribution in fixed buckets. */
export class Histogram {
  readonly #bounds: Float64Array;
  /** Values per bucket, not summed up; the last one is above every bound. */
  readonly #counts: Float64Array;
  #sum = 0;
  /** What processes before have counted: as `#counts`, then the sum. */
  #before: Float64Array;

  /** Called by `Registry`. */
  constructor(bounds: Float64Array) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
    this.#before = new Float64Array(bounds.length + 2);
  }

  /** Counts one value into the first bucket whose bound it doesn't exceed. */
  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > this.#bounds[bucket]!) bucket++;
    this.#counts[bucket]!++;
    this.#sum += value;
  }

  /**
   * Takes over a distribution that is counted elsewhere.
   *
   * @param counts values per bucket, not summed up; one more than there are bounds; copied
   */
  mirror(counts: ArrayLike<number>, sum: number): void {
    this.#counts.set(counts);
    this.#sum = sum;
  }

  /** Adds the lines of this series: buckets summed up, sum and count. */
  expose(lines: string[], name: string, labels: string): void {
    const prefix = labels === "" ? "" : `${labels},`;
    let count = 0;
    const all = this.carry();
    for (const [i, inBucket] of all.slice(0, -1).entries()) {
      count += inBucket;
      const bound = i < this.#bounds.length ? number(this.#bounds[i]!) : "+Inf";
      lines.push(sample(`${name}_bucket`, `${prefix}le="${bound}"`, count));
    }
    lines.push(sample(`${name}_sum`, labels, all.at(-1)!));
    lines.push(sample(`${name}_count`, labels, count));
  }

  /** Values per bucket, not summed up, then their sum. */
  carry(): readonly number[] {
    return [...this.#counts, this.#sum].map((value, i) => value + this.#before[i]!);
  }

  /** Goes on from what another process has come to, unless it had other buckets. */
  goOnFrom(before: readonly number[]): void {
    if (before.length === this.#before.length) this.#before = Float64Array.from(before);
  }
}

/** What a metric is called and what it means. */
export interface Description {
  /** The full name, `pleiades_…` in base units. */
  readonly name: string;
  /** One sentence. */
  readonly help: string;
  /** As in the TYPE line. */
  readonly type: "counter" | "gauge" | "histogram";
}

/** What a family gets from its registry. */
export interface FamilyOptions<Child> {
  /** The names that `labels()` takes values for. */
  readonly labelNames: readonly string[];
  /** Rendered pairs that stand on every series. */
  readonly constantLabels: readonly string[];
  /** Series the family may have. */
  readonly seriesMax: number;
  /** Makes a series. */
  readonly create: () => Child;
  /** Told of each request that was refused. */
  readonly drop: () => void;
}

/** What a series has come to: of a counter its value, of a histogram the values per bucket and their sum. */
export interface CarriedSeries {
  /** Rendered label pairs. */
  readonly labels: string;
  /** Finite numbers. */
  readonly sums: readonly number[];
}

/** What the counters and histograms of a registry have come to, by their names. */
export type CarriedMetrics = Readonly<Record<string, readonly CarriedSeries[]>>;

/** A family, as far as its sums outlive the process. */
interface Carrier {
  carry(): CarriedSeries[];
  goOnFrom(carried: readonly CarriedSeries[]): void;
}

/** A series that can write itself. */
export interface Series {
  /** What it has come to; gauges have no such thing. */
  carry?(): readonly number[];
  /** Goes on from there. */
  goOnFrom?(sums: readonly number[]): void;
  /** Adds the lines of this series under the given name and rendered label pairs. */
  expose(lines: string[], name: string, labels: string): void;
}

const NAME = /^[a-z][a-z0-9_]*$/;

function label(name: string, value: string): string {
  const escaped = value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `${name}="${escaped}"`;
}

function sample(name: string, labels: string, value: number): string {
  return labels === "" ? `${name} ${number(value)}` : `${name}{${labels}} ${number(value)}`;
}

/** JavaScript writes numbers as Go reads them, but for infinity. */
function number(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
