/**
 * What is probed on whose behalf. Members of several pools may share a target; it is probed as long as one of them
 * is there.
 *
 * @module
 */
import type { CheckTarget } from "../desired/check_target.ts";

/** How the set of targets changed. */
export interface TargetChange {
  /** Not probed before. */
  readonly added: readonly CheckTarget[];
  /** Keys. */
  readonly gone: readonly string[];
}

/** Counts who needs which target. */
export class ProbedTargets {
  /** Keys by owner: a pool's id, or the fallback. */
  #owned = new Map<string, readonly string[]>();
  #owners = new Map<string, number>();

  /** Replaces all targets. */
  replace(targetsByOwner: Iterable<readonly [owner: string, targets: readonly CheckTarget[]]>): TargetChange {
    const before = this.#owners;
    this.#owned = new Map();
    this.#owners = new Map();
    const added: CheckTarget[] = [];
    for (const [owner, targets] of targetsByOwner) {
      for (const target of this.put(owner, targets).added) if (!before.has(target.key)) added.push(target);
    }
    return { added, gone: [...before.keys()].filter((key) => !this.#owners.has(key)) };
  }

  /** Replaces the targets of one owner. */
  put(owner: string, targets: readonly CheckTarget[]): TargetChange {
    const added = targets.filter(({ key }) => {
      const owners = this.#owners.get(key) ?? 0;
      this.#owners.set(key, owners + 1);
      return owners === 0;
    });
    const gone = (this.#owned.get(owner) ?? []).filter((key) => {
      const owners = this.#owners.get(key)! - 1;
      if (owners > 0) this.#owners.set(key, owners);
      else this.#owners.delete(key);
      return owners === 0;
    });
    if (targets.length > 0) this.#owned.set(owner, targets.map(({ key }) => key));
    else this.#owned.delete(owner);
    return { added, gone };
  }
}
