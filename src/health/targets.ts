/**
 * What is probed on whose behalf. Members of several pools may share a target; it is probed as long as one of them
 * is there.
 *
 * @module
 */
import type { CheckTarget } from "../desired/check_target.ts";
import { Holdings } from "./holdings.ts";

/** How the set of targets changed. */
export interface TargetChange {
  /** Not probed before. */
  readonly added: readonly CheckTarget[];
  /** Keys. */
  readonly gone: readonly string[];
}

/** Counts who needs which target. */
export class ProbedTargets {
  readonly #holdings = new Holdings();
  /** How many owners need each target. */
  readonly #owners = new Map<string, number>();

  /** Begins to tell of all owners again (`Holdings`). */
  begin(): void {
    this.#holdings.begin();
  }

  /** Tells of one owner; gives the targets that weren't probed before. */
  tell(owner: string, targets: readonly CheckTarget[]): readonly CheckTarget[] {
    if (this.#holdings.isTold(owner)) return [];
    return this.#holdings.tell(owner, targets.map(({ key }) => key)) ? [] : this.#acquire(targets);
  }

  /** Ends the telling; gives the keys of targets that go, a few at a time. */
  *end(): Generator<readonly string[]> {
    for (const keys of this.#holdings.end()) yield this.#release(keys);
  }

  /** Gives the telling up, likewise. */
  *giveUp(): Generator<readonly string[]> {
    for (const keys of this.#holdings.giveUp()) yield this.#release(keys);
  }

  /** Replaces the targets of one owner. */
  put(owner: string, targets: readonly CheckTarget[]): TargetChange {
    // What it has first, so that what stays is never gone in between.
    const added = this.#acquire(targets);
    return { added, gone: this.#release(this.#holdings.put(owner, targets.map(({ key }) => key))) };
  }

  #acquire(targets: readonly CheckTarget[]): CheckTarget[] {
    return targets.filter(({ key }) => {
      const owners = this.#owners.get(key) ?? 0;
      this.#owners.set(key, owners + 1);
      return owners === 0;
    });
  }

  #release(keys: readonly string[]): string[] {
    return keys.filter((key) => {
      const owners = this.#owners.get(key)! - 1;
      if (owners > 0) this.#owners.set(key, owners);
      else this.#owners.delete(key);
      return owners === 0;
    });
  }
}
