/**
 * Exchanges for the query log: chosen and copied where they are answered, and told elsewhere now and then. What is copied in
 * between is bounded; what finds no room is counted.
 *
 * @module
 */
import type { Rng } from "../clock.ts";

/** Which exchanges are copied. */
export interface SamplingTerms {
  /** One in so many, 1 or more. */
  readonly every: number;
  /** At most so many a second. */
  readonly perSecond: number;
}

/** One exchange. */
export interface SampledExchange {
  /** When it was answered, Unix milliseconds. */
  readonly unixMs: number;
  /** How it came. */
  readonly transport: "udp" | "tcp";
  /** The client's address as text. */
  readonly client: string;
  /** The packet as it came. */
  readonly query: Uint8Array;
  /** The packet as it went. */
  readonly answer: Uint8Array;
}

/** What was copied, and what wasn't though it was chosen. */
export interface Sampled {
  /** In their order. */
  readonly exchanges: readonly SampledExchange[];
  /** Beyond those of a second. */
  readonly overRate: number;
  /** Without room. */
  readonly overSize: number;
}

/** Bytes that are kept until they are told, as of other threads that answer. */
const BYTES_MAX = 2_000_000;
const SECOND_MS = 1_000;

/** Chooses, and copies. */
export class Sampler {
  readonly #terms: SamplingTerms;
  readonly #rng: Rng;
  #exchanges: SampledExchange[] = [];
  #bytesLeft = BYTES_MAX;
  #overRate = 0;
  #overSize = 0;
  #untilNext: number;
  #secondMs = -Infinity;
  #left = 0;

  /** Nothing is copied yet. */
  constructor(terms: SamplingTerms, rng: Rng) {
    this.#terms = terms;
    this.#rng = rng;
    this.#untilNext = this.#drawGap();
  }

  /** Hears of each answer; `copy` is called for those that are chosen. */
  note(size: number, copy: () => SampledExchange): void {
    if (--this.#untilNext > 0) return;
    this.#untilNext = this.#drawGap();
    const nowMs = performance.now();
    if (nowMs - this.#secondMs >= SECOND_MS) {
      this.#secondMs = nowMs;
      this.#left = this.#terms.perSecond;
    }
    if (this.#left === 0) this.#overRate++;
    else if (size > this.#bytesLeft) this.#overSize++;
    else {
      this.#left--;
      this.#bytesLeft -= size;
      this.#exchanges.push(copy());
    }
  }

  /** What there is since the last time; `null` = nothing. */
  take(): Sampled | null {
    const taken = { exchanges: this.#exchanges, overRate: this.#overRate, overSize: this.#overSize };
    if (taken.exchanges.length + taken.overRate + taken.overSize === 0) return null;
    this.#exchanges = [];
    this.#bytesLeft = BYTES_MAX;
    this.#overRate = this.#overSize = 0;
    return taken;
  }

  /** By chance, since a plain count would meet the same names over and over where they are asked in turn. */
  #drawGap(): number {
    const { every } = this.#terms;
    return every === 1 ? 1 : 1 + this.#rng() % (2 * every - 1);
  }
}
