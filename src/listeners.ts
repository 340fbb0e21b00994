/**
 * Joins parts that are made in order: an earlier part tells, and later parts listen.
 *
 * @module
 */

/**
 * Those who want to hear of something.
 *
 * @example
 * ```ts
 * const changed = new Listeners<readonly string[]>();
 * using _ = changed.add((names) => console.log(names));
 * changed.tell(["www.example.org"]);
 * ```
 */
export class Listeners<Event = void> {
  readonly #listeners = new Set<{ readonly hear: (event: Event) => void }>();

  /** Calls `hear` at each event, in the turn in which it is told, until the result is disposed of. */
  add(hear: (event: Event) => void): Disposable {
    const listener = { hear };
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * Tells every listener, in the order in which they came.
   *
   * @throws what a listener threw, when all were told
   * @throws {AggregateError} when several threw
   */
  tell(event: Event): void {
    const faults: unknown[] = [];
    for (const { hear } of this.#listeners) {
      try {
        hear(event);
      } catch (fault) {
        faults.push(fault);
      }
    }
    if (faults.length === 1) throw faults[0];
    if (faults.length > 1) throw new AggregateError(faults, `${faults.length} listeners failed`);
  }
}
