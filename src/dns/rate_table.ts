/**
 * What response rate limiting counts: answers a second, by what they were made of and the network they go to. One table
 * of fixed size, shared by all workers, so that a limit is one limit whichever worker the kernel hands a packet to.
 *
 * | part | words | what |
 * | --- | --- | --- |
 * | seeds | 2, and 14 of padding | drawn by chance: keys that collide can't be found from outside |
 * | sets | 8,192 × 16 | eight slots each, a cache line |
 * | a slot | 2 | mark of the key; second (11 bits) and answers counted in it (21 bits) |
 *
 * A key that isn't there takes the slot of its set with the fewest answers in this second, so that a flood of keys
 * drives out what is counted little and never what is limited. Two workers that count at once may lose a count or two.
 *
 * @module
 */
import type { Rng } from "../clock.ts";

const SETS = 8192;
const SLOTS = 8;
const SET_WORDS = SLOTS * 2;
const SETS_AT = 16;
const COUNT_BITS = 21;
const COUNT_MASK = (1 << COUNT_BITS) - 1;
/** Beyond it isn't counted; what is left is for workers that add at the same time. */
const COUNT_MAX = COUNT_MASK - 1024;
const SECONDS = 1 << (32 - COUNT_BITS);
/** By how much clocks of two workers may differ without one starting what the other has begun, seconds. */
const AHEAD_MAX = 2;

/** Room for a table, with seeds of its own. */
export function createRateTable(rng: Rng): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer((SETS_AT + SETS * SET_WORDS) * 4);
  new Int32Array(buffer).set([rng(), rng()]);
  return buffer;
}

/** A worker's view of the table. */
export class RateTable {
  readonly #words: Int32Array;
  readonly #seed: number;
  readonly #markSeed: number;

  /** Opens what `createRateTable` made. */
  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.#seed = this.#words[0]!;
    this.#markSeed = this.#words[1]!;
  }

  /**
   * Counts an answer.
   *
   * @param subject what it was made of, 32 bits
   * @param address of the client, 4 or 16 bytes
   * @param prefixLength bits of it that count
   * @param second any clock's, the same for all workers
   * @returns how many answers there were in this second, this one included; 2,096,127 = so many or more
   */
  count(subject: number, address: Uint8Array, prefixLength: number, second: number): number {
    let hash = mixed(this.#seed, subject);
    let mark = mixed(this.#markSeed, subject);
    for (let at = 0, bits = prefixLength; bits > 0; at += 4, bits -= 32) {
      const word = address[at]! << 24 | address[at + 1]! << 16 | address[at + 2]! << 8 | address[at + 3]!;
      const kept = bits >= 32 ? word : word & -1 << 32 - bits;
      hash = mixed(hash, kept);
      mark = mixed(mark, kept);
    }
    hash = mixed(hash, address.length);
    mark = mixed(mark, address.length) || 1;
    const slot = this.#slotOf(SETS_AT + ((hash ^ hash >>> 16) & SETS - 1) * SET_WORDS, mark, second);
    return this.#add(slot + 1, second);
  }

  #slotOf(from: number, mark: number, second: number): number {
    const words = this.#words;
    let fewest = Infinity;
    let weakest = from;
    for (let at = from; at < from + SET_WORDS; at += 2) {
      if (words[at] === mark) return at;
      const state = words[at + 1]!;
      const count = words[at] === 0 ? -1 : secondsAhead(state, second) < 0 ? 0 : state & COUNT_MASK;
      if (count >= fewest) continue;
      fewest = count;
      weakest = at;
    }
    Atomics.store(words, weakest + 1, second << COUNT_BITS);
    Atomics.store(words, weakest, mark);
    return weakest;
  }

  #add(at: number, second: number): number {
    const words = this.#words;
    for (;;) {
      const state = Atomics.load(words, at);
      if (secondsAhead(state, second) < 0) {
        const begun = second << COUNT_BITS | 1;
        if (Atomics.compareExchange(words, at, state, begun) === state) return 1;
        continue; // another worker has begun it
      }
      const count = state & COUNT_MASK;
      return count >= COUNT_MAX ? COUNT_MAX : (Atomics.add(words, at, 1) & COUNT_MASK) + 1;
    }
  }
}

/** By how many seconds a slot's second is ahead, 0 to `AHEAD_MAX`; −1 = it is over. */
function secondsAhead(state: number, second: number): number {
  const ahead = (state >>> COUNT_BITS) - second & SECONDS - 1;
  return ahead <= AHEAD_MAX ? ahead : -1;
}

/** One word more into a hash: a round of MurmurHash3. */
function mixed(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul(k << 15 | k >>> 17, 0x1b873593);
  hash ^= k;
  return Math.imul(hash << 13 | hash >>> 19, 5) + 0xe6546b64 | 0;
}
