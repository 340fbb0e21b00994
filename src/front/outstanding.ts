/**
 * What a backend has been asked in a session and hasn't answered: found by client, port and the query's id, the first two
 * bytes of its datagram. When the session ends, that is what is lost, or is asked elsewhere.
 *
 * Frames aren't copied: an entry says where its frame still stands in the buffer that it was sent from. That buffer is
 * written in laps, from its beginning to its end and again from its beginning; a frame that is written over is forgotten,
 * and so is the oldest one when there are too many. So what backends never answer takes no more room than what they do.
 *
 * @module
 */

/** Entries, a power of two: what one at 20,000 a second has in 100 ms. */
const ENTRIES = 2048;
const MASK = ENTRIES - 1;
const BUCKETS = 2 * ENTRIES;
/** No entry. */
const END = -1;
/** What has become of an entry. */
const STATE = { answered: 0, asked: 1, askedAgain: 2 } as const;

/** Called with an entry: where its frame stands, when it was sent, and whether that was for the second time. */
export type OutstandingVisitor = (at: number, sentMs: number, isAgain: boolean) => void;

/** Entries of one session. */
export class Outstanding {
  readonly #seed: number;
  readonly #clients = new Int32Array(ENTRIES);
  readonly #asked = new Int32Array(ENTRIES);
  readonly #at = new Uint32Array(ENTRIES);
  readonly #sentMs = new Float64Array(ENTRIES);
  readonly #states = new Uint8Array(ENTRIES);
  /** Of the same bucket: younger ones first. */
  readonly #older = new Int16Array(ENTRIES);
  readonly #younger = new Int16Array(ENTRIES);
  readonly #youngest = new Int16Array(BUCKETS).fill(END);
  /** Numbers of entries that only grow. */
  #oldest = 0;
  #next = 0;
  /** The first entry of the lap that is being written. */
  #lapFirst = 0;
  #count = 0;
  #forgotten = 0;

  /** Has none. @param seed of the hash, unpredictable */
  constructor(seed: number) {
    this.#seed = seed | 0;
  }

  /** How many wait for their answers. */
  get count(): number {
    return this.#count;
  }

  /** How many were forgotten before they were answered. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /**
   * Adds the youngest one.
   *
   * @param at where its frame stands; `claim` has been called for its bytes
   */
  add(address: Uint8Array, port: number, id: number, at: number, sentMs: number, isAgain: boolean): void {
    if (this.#next - this.#oldest === ENTRIES) this.#forget();
    const entry = this.#next++ & MASK;
    const client = numberOf(address);
    const asked = port << 16 | id;
    this.#clients[entry] = client;
    this.#asked[entry] = asked;
    this.#at[entry] = at;
    this.#sentMs[entry] = sentMs;
    this.#states[entry] = isAgain ? STATE.askedAgain : STATE.asked;
    const bucket = this.#bucketOf(client, asked);
    const older = this.#youngest[bucket]!;
    this.#older[entry] = older;
    this.#younger[entry] = END;
    if (older !== END) this.#younger[older] = entry;
    this.#youngest[bucket] = entry;
    this.#count++;
  }

  /** Takes note of an answer. @returns whether it was waited for */
  answer(address: Uint8Array, port: number, id: number): boolean {
    const client = numberOf(address);
    const asked = port << 16 | id;
    let entry = this.#youngest[this.#bucketOf(client, asked)]!;
    while (entry !== END && (this.#asked[entry] !== asked || this.#clients[entry] !== client)) {
      entry = this.#older[entry]!;
    }
    if (entry === END) return false;
    this.#remove(entry);
    return true;
  }

  /** The buffer is written up to here: what stood there in the lap before is forgotten. */
  claim(end: number): void {
    while (this.#oldest < this.#lapFirst && this.#at[this.#oldest & MASK]! < end) this.#forget();
  }

  /** The buffer is written from its beginning again: what is left of the lap before the last one is forgotten. */
  beginLap(): void {
    while (this.#oldest < this.#lapFirst) this.#forget();
    this.#lapFirst = this.#next;
  }

  /** Tells all that wait, the oldest first. */
  each(visit: OutstandingVisitor): void {
    for (let number = this.#oldest; number < this.#next; number++) {
      const entry = number & MASK;
      const state = this.#states[entry];
      if (state !== STATE.answered) visit(this.#at[entry]!, this.#sentMs[entry]!, state === STATE.askedAgain);
    }
  }

  #forget(): void {
    const entry = this.#oldest++ & MASK;
    if (this.#states[entry] === STATE.answered) return;
    this.#remove(entry);
    this.#forgotten++;
  }

  #remove(entry: number): void {
    this.#states[entry] = STATE.answered;
    this.#count--;
    const older = this.#older[entry]!;
    const younger = this.#younger[entry]!;
    if (older !== END) this.#younger[older] = younger;
    if (younger !== END) this.#older[younger] = older;
    else this.#youngest[this.#bucketOf(this.#clients[entry]!, this.#asked[entry]!)] = older;
  }

  #bucketOf(client: number, asked: number): number {
    const hash = Math.imul(client ^ this.#seed, 0x9e3779b1) ^ Math.imul(asked ^ this.#seed, 0x85ebca6b);
    return Math.imul(hash ^ hash >>> 15, 0xc2b2ae35) >>> 16 & (BUCKETS - 1);
  }
}

/** An address as 32 bits: of IPv6 a hash of it, since an answer that is taken for another one's is only counted wrongly. */
function numberOf(address: Uint8Array): number {
  let number = 0;
  for (let i = 0; i < address.length; i += 4) {
    const word = address[i]! << 24 | address[i + 1]! << 16 | address[i + 2]! << 8 | address[i + 3]!;
    number = Math.imul(number, 0x01000193) ^ word;
  }
  return number;
}
