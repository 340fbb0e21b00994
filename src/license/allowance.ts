/**
 * What a node may still answer in this second, in memory that all its DNS workers share: whichever of them answers, over
 * whichever transport, takes from the same window. It stands apart from the live board, which is replaced by a larger one
 * while workers answer: for a moment there would be two windows.
 *
 * | offset | unit | writer | use |
 * | --- | --- | --- | --- |
 * | 0 | u32 | workers, compare-exchange | the window: its Unix second modulo 128 in the upper 7 bits, answers given away in the lower 25 |
 * | 4 | u32 | workers | the window's whole second, written by whoever began it |
 * | 8 | u32 | main | edition of the terms: 0 = licensing is off, odd = they are being written |
 * | 12 | u32 | main | the terms: answers a second |
 * | 16 | u32 | main | the Unix second from which on they don't count; the largest = none |
 * | 20 | u32 | main | index of their standing in `STANDINGS` |
 * | 24 | u32 | both | the most of any window since main looked last |
 *
 * Second and count are one word, so a window is begun and counted in one step: no worker can count in a window that another
 * one is about to clear, none waits for another, and no more is ever given away than the limit. The word has 32 bits, since
 * one of 64 is a `BigInt`, which is allocated at each look; 128 seconds tell apart what comes one after the other, and the
 * whole second what comes after a long silence. (Two workers that end a silence of exactly n · 128 seconds within the same nanoseconds
 * may both begin the window.)
 *
 * Nothing is imported here: workers load it before they answer.
 *
 * @module
 */

/** What became of the token: it counts, there is none, it is refused, or its time is over. */
export const STANDINGS = ["valid", "missing", "invalid", "expired"] as const;

/** One of them. */
export type Standing = typeof STANDINGS[number];

/** By what workers go. */
export interface AllowanceTerms {
  /** Answers a second until they expire; 0 where a cluster has more nodes than answers to share. */
  readonly limit: number;
  /** Unix seconds; `null` = never. */
  readonly expiresAt: number | null;
  /** What `limit` comes from. */
  readonly standing: Standing;
}

/** `take` says: a later second than this has begun. */
export const LATER: number = -1;

const SIZE_BYTES = 64;
const WORD = { window: 0, begins: 1, edition: 2, limit: 3, expiresAt: 4, standing: 5, peak: 6 } as const;
const NEVER = 0xffff_ffff;
const TAG_SHIFT = 25;
const TAG_MASK = 0x7f;
const COUNT_MASK = 0x1ff_ffff;
/** Seconds by which threads may differ that read the clock one after the other, or while it is being set right. */
const SKEW_SECONDS = 1;

/** A view of the shared words; each thread opens its own. */
export class Allowance {
  /** What to give to workers. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Uint32Array;

  /** The window that `takePeak` looked at last. */
  #seen = 0;
  /** Of the terms that were set last, by this view. */
  #edition = 0;

  /** Opens a buffer that `create` made. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Uint32Array(buffer);
  }

  /** A new one; licensing is off. */
  static create(): Allowance {
    return new Allowance(new SharedArrayBuffer(SIZE_BYTES));
  }

  /** Has workers go by other terms from their next batch on; `null` = answer whatever is asked. Only main does. */
  set(terms: AllowanceTerms | null): void {
    if (terms === null) return void Atomics.store(this.#words, WORD.edition, 0);
    const edition = this.#edition += 2;
    Atomics.store(this.#words, WORD.edition, edition - 1);
    Atomics.store(this.#words, WORD.limit, terms.limit);
    Atomics.store(this.#words, WORD.expiresAt, Math.min(terms.expiresAt ?? NEVER, NEVER));
    Atomics.store(this.#words, WORD.standing, STANDINGS.indexOf(terms.standing));
    Atomics.store(this.#words, WORD.edition, edition);
  }

  /** Moves with the terms; 0 = licensing is off, odd = they are being written. */
  get edition(): number {
    return Atomics.load(this.#words, WORD.edition);
  }

  /** Answers a second. */
  get limit(): number {
    return Atomics.load(this.#words, WORD.limit);
  }

  /** The Unix second from which on the terms don't count. */
  get expiresAt(): number {
    return Atomics.load(this.#words, WORD.expiresAt);
  }

  /** Index in `STANDINGS`. */
  get standing(): number {
    return Atomics.load(this.#words, WORD.standing);
  }

  /**
   * Takes answers from a second's window, which begins with the first that is taken.
   *
   * @param count how many are wanted, 1 or more
   * @param limit how many the window has; less than 1 = none is taken. More than 33 million are never given
   * @returns how many were there, 0 to `count`; or `LATER`
   */
  take(second: number, count: number, limit: number): number {
    for (;;) {
      const found = this.#find();
      const ahead = this.#secondsAhead(found, second);
      if (ahead > 0) return LATER;
      const given = found & COUNT_MASK;
      const before = ahead === 0 ? given : 0;
      const taken = Math.min(count, Math.min(limit, COUNT_MASK) - before);
      if (taken <= 0) return 0;
      if (!this.#replace(found, second, before + taken)) continue;
      if (ahead !== 0) this.#begun(second, given);
      return taken;
    }
  }

  /** Gives back what was taken and not used; lost where the second is over, and with it its window. */
  giveBack(second: number, count: number): void {
    for (;;) {
      const found = this.#find();
      if (this.#secondsAhead(found, second) !== 0) return;
      if (this.#replace(found, second, (found & COUNT_MASK) - count)) return;
    }
  }

  /**
   * Which second's window to take from, where the clock says this one and the window is of a later one: that one, as long as
   * another thread may just have read the clock later. Otherwise the clock was set back, and the window with it.
   */
  agreeOn(second: number): number {
    for (;;) {
      const found = this.#find();
      const ahead = this.#secondsAhead(found, second);
      if (ahead <= 0) return second;
      if (ahead <= SKEW_SECONDS) return second + ahead;
      if (!this.#replace(found, second, 0)) continue;
      this.#begun(second, found & COUNT_MASK);
      return second;
    }
  }

  /** Answers given away in the busiest second since the last call, that of the window at hand included; by one view alone. */
  takePeak(): number {
    const before = Atomics.exchange(this.#words, WORD.peak, 0);
    const found = this.#find();
    const isSeen = found === this.#seen;
    this.#seen = found;
    return isSeen ? before : Math.max(before, found & COUNT_MASK);
  }

  #find(): number {
    return Atomics.load(this.#words, WORD.window);
  }

  /** By how many seconds a window is later than a second; less than 0 = it is over. */
  #secondsAhead(found: number, second: number): number {
    const tag = found >>> TAG_SHIFT;
    const begins = Atomics.load(this.#words, WORD.begins);
    if ((begins & TAG_MASK) === tag) return begins - second;
    // Another thread has begun it in this very moment: it is near.
    return ((tag - second + 64) & TAG_MASK) - 64;
  }

  #replace(found: number, second: number, given: number): boolean {
    const next = ((second & TAG_MASK) << TAG_SHIFT | given) >>> 0;
    return Atomics.compareExchange(this.#words, WORD.window, found, next) === found;
  }

  #begun(second: number, givenBefore: number): void {
    Atomics.store(this.#words, WORD.begins, second);
    this.#notePeak(givenBefore);
  }

  #notePeak(given: number): void {
    for (;;) {
      const peak = Atomics.load(this.#words, WORD.peak);
      if (given <= peak || Atomics.compareExchange(this.#words, WORD.peak, peak, given) === peak) return;
    }
  }
}
