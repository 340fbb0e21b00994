/**
 * Room for the nodes of many tries, in one buffer that doesn't grow for ever: when it is full it is cleared, and
 * every trie in it begins again.
 *
 * A node is a pair of words, one for each bit. A word is 0 (unknown), negative (`~n`: the end, with number n) or the
 * position of the next pair.
 *
 * @module
 */

/** Words at first; when they are used up there is room for all at once, which takes memory only as it is used. */
const WORDS_MIN = 1 << 12;
/** Words at most: 32 MiB. */
const WORDS_MAX = 1 << 23;

/** Shortcuts at most: 16 MiB. */
const SHORTCUTS_MAX = 64;

/** The nodes. */
export class Trie {
  /** How often it was cleared; positions from before mean nothing any more. */
  clearings = 0;
  /** Bytes, by rule of thumb, that those whose tries these are take beside the nodes; who keeps them sees to a bound. */
  beside = 0;
  /** All nodes; another array after it has grown. What isn't reserved may hold anything. */
  words = new Int32Array(WORDS_MIN);
  #used = 2;
  readonly #shortcuts: (() => void)[] = [];
  readonly #max: number;

  /**
   * Makes an empty one.
   *
   * @param wordsMax when to clear it rather than let it grow
   */
  constructor(wordsMax = WORDS_MAX) {
    this.#max = wordsMax;
  }

  /** Whether more than half of the room that it may ever have is used. */
  get isHalfFull(): boolean {
    return this.#used * 2 > this.#max;
  }

  /** Forgets everything; at once, however much it is. */
  clear(): void {
    this.#used = 2;
    this.clearings++;
  }

  /**
   * Room for a shortcut into one of the tries, all zero. There are so many at most: then the oldest is taken away.
   *
   * @param takeAway called when another trie gets it
   */
  shortcut(size: number, takeAway: () => void): Int32Array {
    if (this.#shortcuts.length === SHORTCUTS_MAX) this.#shortcuts.shift()!();
    this.#shortcuts.push(takeAway);
    return new Int32Array(size);
  }

  /** A new pair of unknown words. */
  reserve(): number {
    if (this.#used + 2 > this.words.length) this.#makeRoom();
    const at = this.#used;
    this.#used += 2;
    this.words[at] = this.words[at + 1] = 0;
    return at;
  }

  /**
   * Says what a word leads to.
   *
   * @param node `~n`, or 0 for a new pair
   * @returns whether the word is still there: making room for the pair may have cleared everything
   */
  put(at: number, node: number): boolean {
    const { clearings } = this;
    const value = node === 0 ? this.reserve() : node;
    if (clearings !== this.clearings) return false;
    this.words[at] = value;
    return true;
  }

  #makeRoom(): void {
    if (this.words.length >= this.#max) return this.clear();
    const grown = new Int32Array(this.#max);
    grown.set(this.words);
    this.words = grown;
  }
}
