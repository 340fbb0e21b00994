/**
 * Who needs what: keys by owner, with rounds. In a round all owners are told of again, one by one, while single ones go on
 * changing; what owners had before stays theirs until the round has ended, so that a round that fails leaves nothing
 * missing, and what is needed on both sides is never given up in between.
 *
 * @module
 */

/** Steps of a round between two chances for others to have their turn. */
const BREATH = 64;

/** Keys by owner. */
export class Holdings {
  #now = new Map<string, readonly string[]>();
  /** What owners had before the round and don't share with what they have now; `null` = there is no round. */
  #before: Map<string, readonly string[]> | null = null;
  /** Owners without keys that changed in this round: what a round tells of them is out of date. */
  readonly #emptied = new Set<string>();

  /** Begins a round. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** Whether the owner has come up in this round. */
  isTold(owner: string): boolean {
    return this.#now.has(owner) || this.#emptied.has(owner);
  }

  /**
   * Tells in a round what an owner has.
   *
   * @returns whether that is what it had before; otherwise it has both until the round ends
   */
  tell(owner: string, keys: readonly string[]): boolean {
    const before = this.#before?.get(owner);
    const isSame = before !== undefined && before.length === keys.length &&
      before.every((key, i) => key === keys[i]);
    if (isSame) this.#before!.delete(owner);
    if (isSame || keys.length > 0) this.#now.set(owner, isSame ? before : keys);
    return isSame;
  }

  /** Replaces what an owner has; gives what it had. */
  put(owner: string, keys: readonly string[]): readonly string[] {
    const had = [...this.#now.get(owner) ?? [], ...this.#before?.get(owner) ?? []];
    this.#before?.delete(owner);
    if (keys.length > 0) this.#now.set(owner, keys);
    else this.#now.delete(owner);
    if (this.#before) this.#emptied[keys.length > 0 ? "delete" : "add"](owner);
    return had;
  }

  /** Ends a round: gives what owners have no more. */
  *end(): Generator<readonly string[]> {
    for (const [owner, keys] of this.#before ?? []) {
      this.#before!.delete(owner);
      yield keys;
    }
    this.#finish();
  }

  /** Gives a round up: owners have what they had, and what they were told to have beside it is given. */
  *giveUp(): Generator<readonly string[]> {
    let steps = 0;
    for (const [owner, keys] of this.#before ?? []) {
      const told = this.#now.get(owner);
      this.#now.set(owner, keys);
      this.#before!.delete(owner);
      if (told) yield told;
      else if (++steps % BREATH === 0) yield [];
    }
    this.#finish();
  }

  #finish(): void {
    this.#before = null;
    this.#emptied.clear();
  }
}
