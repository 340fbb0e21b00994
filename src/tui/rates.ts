/**
 * How often services are asked for, out of what a node with the query sketch (`queries.sketch`) writes into the database
 * once a minute: between two of its writings the difference, and before the second one the average of the hour.
 *
 * Only of services that a screen shows: counting all of them is for those who read the sketch as a whole.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { RecordedTraffic } from "../store/traffic.ts";

const HOUR_MS = 3_600_000;
/** An hour's average of less says nothing. */
const HOUR_MIN_MS = 60_000;

/** What had been counted at a moment. */
interface Counted {
  readonly atMs: number;
  /** Queries since the beginning of this hour. */
  readonly hour: number;
  readonly names: ReadonlyMap<string, number>;
  /** All of this hour and the one before. */
  readonly total: number;
}

/** Rates of some services. */
export class Rates {
  readonly #clock: Pick<Clock, "unixMs">;
  readonly #traffic: RecordedTraffic;
  #shown: readonly string[] = [];
  #counted: Counted | null = null;
  #rates: ReadonlyMap<string, number> = new Map();
  #seen = -1;

  /** Reads nothing yet. */
  constructor(traffic: RecordedTraffic, clock: Pick<Clock, "unixMs">) {
    this.#traffic = traffic;
    this.#clock = clock;
  }

  /** Queries a second, of those that are known; these are the ones that are counted from now on. */
  of(domains: readonly string[]): ReadonlyMap<string, number> {
    this.#shown = domains;
    const hour = this.#hour();
    const elapsedMs = this.#clock.unixMs() - hour * HOUR_MS;
    if (this.#traffic.kept().rows === 0) return new Map();
    return new Map(domains.map((domain) => {
      const rate = this.#rates.get(domain);
      if (rate !== undefined) return [domain, rate];
      const since = elapsedMs < HOUR_MIN_MS ? hour - 1 : hour;
      const overMs = elapsedMs + (hour - since) * HOUR_MS;
      return [domain, this.#traffic.since(since, domain) * 1000 / overMs];
    }));
  }

  /** Looks whether the node has counted further. @returns whether rates are others now */
  look(): boolean {
    const hour = this.#hour();
    const { a, aaaa } = this.#traffic.total(hour - 1, hour);
    const seen = a + aaaa;
    const isSame = seen === this.#seen;
    this.#seen = seen;
    // A writing has many steps: it is over when nothing came since the last look.
    if (!isSame || seen === this.#counted?.total) return false;
    const before = this.#counted;
    const atMs = this.#clock.unixMs();
    const counted = (since: number) =>
      new Map(this.#shown.map((domain) => [domain, this.#traffic.since(since, domain)]));
    if (before !== null) {
      const seconds = (atMs - before.atMs) / 1000;
      const now = counted(before.hour);
      this.#rates = new Map(
        [...now].flatMap(([domain, count]) => {
          const earlier = before.names.get(domain);
          return earlier === undefined ? [] : [[domain, Math.max(0, count - earlier) / seconds] as const];
        }),
      );
    }
    this.#counted = { atMs, hour, names: counted(hour), total: seen };
    return before !== null;
  }

  #hour(): number {
    return Math.floor(this.#clock.unixMs() / HOUR_MS);
  }
}
