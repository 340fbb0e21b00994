/**
 * Numbers that outlive snapshots: a check target keeps its health slot and a service its tickets as long as they
 * exist, so that a reload neither forgets who is down nor makes a rotation jump.
 *
 * A number that is given up rests for two rounds before it is given away again: by then no worker reads the
 * snapshot in which it meant something else.
 *
 * @module
 */

/** Numbers that are looked at before another turn may be due. */
const BREATH = 256;

/** Hands out small numbers for keys. */
export class Slots {
  readonly #numbers = new Map<string, number>();
  #round = 0;
  /** The round in which each number was last asked for; index = number. */
  readonly #lastUsed: number[] = [];
  #free: number[] = [];
  #resting: { readonly number: number; readonly since: number }[] = [];

  /**
   * No key has a number yet.
   *
   * @param reserved how many numbers, from 0, are never handed out
   */
  constructor(reserved: number) {
    for (let number = 0; number < reserved; number++) this.#lastUsed.push(Infinity);
  }

  /** One more than the largest number ever handed out. */
  get size(): number {
    return this.#lastUsed.length;
  }

  /** Every key with its number, one by one; those that come meanwhile as well. */
  each(): Iterable<[key: string, number: number]> {
    return this.#numbers;
  }

  /** Takes over numbers that an earlier process gave; only before the first round. */
  load(entries: Iterable<readonly [key: string, number: number]>): void {
    for (const [key, number] of entries) {
      while (this.#lastUsed.length <= number) this.#free.push(this.#lastUsed.push(0) - 1);
      this.#numbers.set(key, number);
    }
    const taken = new Set(this.#numbers.values());
    this.#free = this.#free.filter((number) => !taken.has(number));
  }

  /** Begins a round: a key that isn't asked for until `endRound` gives its number up. */
  beginRound(): void {
    this.#round++;
    const rested = this.#resting.filter((resting) => resting.since <= this.#round - 2);
    this.#free.push(...rested.map((resting) => resting.number));
    this.#resting = this.#resting.filter((resting) => resting.since > this.#round - 2);
  }

  /** The number of a key; a new key gets a new one. */
  of(key: string): number {
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#lastUsed.length;
      this.#numbers.set(key, number);
    }
    this.#lastUsed[number] = this.#round;
    return number;
  }

  /** The number of a key, if it has one. */
  find(key: string): number | undefined {
    return this.#numbers.get(key);
  }

  /** Ends a round. */
  endRound(): void {
    for (const _ of this.endingRound());
  }

  /** The same, yielding where another turn may be due. */
  *endingRound(): Generator<void> {
    let looked = 0;
    for (const [key, number] of this.#numbers) {
      if (++looked % BREATH === 0) yield;
      if (this.#lastUsed[number] === this.#round) continue;
      this.#numbers.delete(key);
      this.#resting.push({ number, since: this.#round });
    }
  }
}
