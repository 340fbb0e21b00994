/**
 * Room for the nodes of many tries, in one buffer that doesn't grow for ever: when it is full it is cleared, and
 * every trie in it begins anew.
 *
 * A node is a pair of words, one for each bit. A word is 0 (unknown), negative (`~n`: the end, with number n) or the
 * position of the next pair.
 *
 * @module
 */

/** Words at first. */
const WORDS_MIN = 1 << 12;
/** Words at most: 32 MiB. */
const WORDS_MAX = 1 << 23;

/** The nodes. */
export class Trie {
  /** How often it was cleared; positions from before mean nothing any more. */
  clearings = 0;
  /** All nodes; another array after it has grown. */
  words = new Int32Array(WORDS_MIN);
  #used = 2;
  readonly #max: number;

  /**
   * Makes an empty one.
   *
   * @param wordsMax when to clear it rather than let it grow
   */
  constructor(wordsMax = WORDS_MAX) {
    this.#max = wordsMax;
  }

  /** Forgets everything. */
  clear(): void {
    this.words.fill(0, 0, this.#used);
    this.#used = 2;
    this.clearings++;
  }

  /** A new pair of unknown words. */
  reserve(): number {
    if (this.#used + 2 > this.words.length) this.#makeRoom();
    const at = this.#used;
    this.#used += 2;
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
    const grown = new Int32Array(this.words.length * 2);
    grown.set(this.words);
    this.words = grown;
  }
}
