/**
 * What a part of a node offers to others that don't know it: an API route, say, finds by its port the capability that it
 * is about, without importing it and whether or not it is switched on.
 *
 * @module
 */

/**
 * The name and the type of something that is offered. Two ports are never the same, whatever they are called.
 *
 * @example
 * ```ts
 * export const POOLS_DOWN = new Port<{ readonly count: number }>("pools down");
 * ```
 */
export class Port<Offered> {
  /** For people, in errors. */
  readonly name: string;
  /** Binds the type; there is nothing in it. */
  declare readonly offered: Offered;

  /** A new one. */
  constructor(name: string) {
    this.name = name;
  }
}

/** The looking-up half of `Ports`. */
export interface PortFinder {
  /** What is offered there; `null` = nothing, as the part is switched off by settings. */
  find<Offered>(port: Port<Offered>): Offered | null;
}

/** What is offered in one node. */
export class Ports implements PortFinder {
  readonly #offered = new Map<Port<unknown>, unknown>();

  /**
   * Offers something until the result is disposed of.
   *
   * @throws {Error} when something else is offered there
   */
  offer<Offered>(port: Port<Offered>, offered: Offered): Disposable {
    if (this.#offered.has(port)) throw new Error(`Two parts offer ${port.name}`);
    this.#offered.set(port, offered);
    return { [Symbol.dispose]: () => void this.#offered.delete(port) };
  }

  /** What is offered there; `null` = nothing, as the part is switched off by settings. */
  find<Offered>(port: Port<Offered>): Offered | null {
    // Only `offer` writes, and its types bind the two.
    return (this.#offered.get(port) ?? null) as Offered | null;
  }
}
