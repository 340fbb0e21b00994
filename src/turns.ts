/**
 * So much of something at a time, in the order of coming: changes on their way to PowerDNS, questions that wait at Consul.
 *
 * @module
 */

/** Turns of which so many are taken at a time; who comes later waits until one of them is over. */
export class Turns {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  /** None is taken. @param max turns at a time, at least 1 */
  constructor(max: number) {
    this.#max = max;
  }

  /** How many wait for a turn. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** What the action gives, which begins when there is a turn for it and ends it, also by failing. */
  async take<Result>(action: () => Promise<Result>): Promise<Result> {
    if (this.#taken >= this.#max) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#taken++;
    try {
      return await action();
    } finally {
      // The turn is handed on: one that comes just now must not go beside the one that waits.
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken--;
      else next();
    }
  }
}
