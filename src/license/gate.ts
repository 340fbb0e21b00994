/**
 * The gate before the engine, one a worker: whether a packet may be answered, or is one more than the license allows and
 * is refused before any name is looked up.
 *
 * What a batch may need is taken in one step; near the limit each packet takes for itself, so that none is refused for
 * what another worker only holds. What gets no answer, or is REFUSED, costs nothing. The clock is this thread's own, and
 * is read once a batch: a main thread that is busy prolongs no license, and no second.
 *
 * @module
 */
import { type Allowance, LATER, STANDINGS } from "./allowance.ts";

/** Answers a second without a license that counts: enough to try things out. */
export const UNLICENSED_RPS = 10;
/** What is left in a window when each packet begins to take for itself: as much as sixteen workers hold with full batches. */
const NEAR = 1024;
const EXPIRED = STANDINGS.indexOf("expired");

/** The gate of one worker. */
export class LicenseGate {
  readonly #allowance: Allowance;
  readonly #unixMs: () => number;
  #isOn = false;
  /** The terms as they were read last, and which they are. */
  #edition = 0;
  #terms = { limit: 0, expiresAt: 0, standing: 0 };
  // The batch at hand.
  #second = 0;
  #limit = 0;
  #standing = 0;
  #inHand = 0;

  /**
   * A gate that is as open as the allowance says.
   *
   * @param unixMs the time, read once a batch at most
   */
  constructor(allowance: Allowance, unixMs: () => number) {
    this.#allowance = allowance;
    this.#unixMs = unixMs;
  }

  /**
   * Begins a batch of so many packets, 1 or more; `end` ends it.
   *
   * @param nowMs the time where it has just been read, Unix milliseconds: to read it costs as much as all else here
   */
  begin(packets: number, nowMs: number | null = null): void {
    const edition = this.#allowance.edition;
    this.#isOn = edition !== 0;
    if (!this.#isOn) return;
    if (edition !== this.#edition) this.#readTerms();
    const { limit, expiresAt, standing } = this.#terms;
    this.#second = nowMs === null ? this.#now() : secondOf(nowMs);
    const isOver = this.#second >= expiresAt;
    this.#limit = isOver ? UNLICENSED_RPS : limit;
    this.#standing = isOver ? EXPIRED : standing;
    this.#inHand = this.#take(packets, this.#limit - NEAR);
  }

  /** Whether one more packet of the batch may be answered. */
  admits(): boolean {
    if (!this.#isOn || this.#inHand > 0) return true;
    this.#inHand = this.#take(1, this.#limit);
    return this.#inHand > 0;
  }

  /** Counts the answer to a packet that was admitted. */
  spend(): void {
    if (this.#isOn) this.#inHand--;
  }

  /** Why a packet isn't admitted: the standing of the terms, as an index in `STANDINGS`; 0 = they count, and are used up. */
  get standing(): number {
    return this.#standing;
  }

  /** Ends the batch: what it didn't use is others'. */
  end(): void {
    if (!this.#isOn || this.#inHand === 0) return;
    this.#allowance.giveBack(this.#second, this.#inHand);
    this.#inHand = 0;
  }

  #take(count: number, limit: number): number {
    for (;;) {
      const taken = this.#allowance.take(this.#second, count, limit);
      if (taken !== LATER) return taken;
      this.#second = this.#allowance.agreeOn(this.#now());
    }
  }

  #now(): number {
    return secondOf(this.#unixMs());
  }

  /** All of one edition; while the next one is being written, those of the last batch go on. */
  #readTerms(): void {
    const { edition, limit, expiresAt, standing } = this.#allowance;
    const isWhole = (edition & 1) === 0 && this.#allowance.edition === edition;
    // A worker that starts in this very moment has none yet: for one batch it goes by what it has seen.
    if (!isWhole && this.#edition !== 0) return;
    this.#terms = { limit, expiresAt, standing };
    if (isWhole) this.#edition = edition;
  }
}

/** Whole seconds, as the integer that they are until 2106: a float would be allocated where it is handed on. */
function secondOf(unixMs: number): number {
  return unixMs / 1000 >>> 0;
}
