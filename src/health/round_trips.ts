/**
 * How far away members are, by the time that their probes take: smoothed, and only said again when it has become
 * another matter, so that a single slow probe moves no traffic and two members as fast as each other don't rotate
 * in being the fastest.
 *
 * @module
 */

/** A probed target whose round trip answers go by. */
export interface Measured {
  /** Number of its health slot. */
  readonly slot: number;
  /** Key of the check target. */
  readonly key: string;
}

/** What is known and who wants to know. */
export interface RoundTripsOptions {
  /** Those whose round trip matters. */
  readonly measured: () => Iterable<Measured>;
  /** Duration of the last successful probe, milliseconds; `null` = there was none. */
  readonly latencyMs: (key: string) => number | null;
  /** Gets those that have become others, microseconds; never an empty list. */
  readonly publish: (changes: readonly { readonly slot: number; readonly rttUs: number }[]) => void;
}

/** Weight of the newest measurement in the mean. */
const NEWEST_SHARE = 0.3;
/** A mean that differs from what was said by more than this share … */
const MOVED_SHARE = 0.2;
/** … and by more than this, microseconds, is said again. */
const MOVED_US = 1000;

/** Keeps what answers know of round trips. */
export class RoundTrips {
  readonly #options: RoundTripsOptions;
  #known = new Map<number, { key: string; meanUs: number; saidUs: number }>();

  /** Knows nothing yet. */
  constructor(options: RoundTripsOptions) {
    this.#options = options;
  }

  /** Looks at the last probes; once a second is enough. */
  look(): void {
    const before = this.#known;
    this.#known = new Map();
    const changes: { slot: number; rttUs: number }[] = [];
    for (const { slot, key } of this.#options.measured()) {
      const latencyMs = this.#options.latencyMs(key);
      if (latencyMs === null) continue;
      const newestUs = Math.max(1, Math.round(latencyMs * 1000));
      const former = before.get(slot);
      const known = former?.key === key ? former : undefined;
      const meanUs = known ? known.meanUs + (newestUs - known.meanUs) * NEWEST_SHARE : newestUs;
      const isSaid = known !== undefined && !hasMoved(known.saidUs, meanUs);
      const saidUs = isSaid ? known!.saidUs : Math.round(meanUs);
      this.#known.set(slot, { key, meanUs, saidUs });
      if (!isSaid) changes.push({ slot, rttUs: saidUs });
    }
    if (changes.length > 0) this.#options.publish(changes);
  }
}

function hasMoved(saidUs: number, meanUs: number): boolean {
  return Math.abs(meanUs - saidUs) > Math.max(MOVED_US, saidUs * MOVED_SHARE);
}
