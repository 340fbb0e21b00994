/**
 * How the model stands to Git: which commit it was made of, and what was changed since by another way.
 *
 * What Git applies begins a generation; so whatever the history has behind that one is drift, whoever made it, deletions
 * included. Overrides are none: they have an end of their own.
 *
 * @module
 */
import { toEnd } from "../slices.ts";
import type { AppliedCommit } from "../store/git_applied.ts";
import type { Store } from "../store/store.ts";
import { ChangeRefused } from "./edit.ts";
import { differenceBetween } from "./past.ts";
import { type NamedChange, namedChanges } from "./plan_report.ts";

/** What differs from the commit that was applied. */
export interface Drift {
  /** Objects that differ; of very many a number that is too small. */
  readonly count: number;
  /** Whether there may be more than `count`: very many were changed, or the history doesn't go back so far. */
  readonly isMore: boolean;
  /** Some of them: before = as in Git, after = as it is. */
  readonly changes: readonly NamedChange[];
}

/** Changes since the commit that are compared one by one: some milliseconds. */
const COMPARED_MAX = 2_000;
/** Objects that are named. */
const NAMED_MAX = 20;

const NO_DRIFT: Drift = { count: 0, isMore: false, changes: [] };

/** Reads how the model stands to Git. */
export class GitState {
  readonly #store: Store;
  /** The last drift, which is the same until something is committed. */
  #known: { readonly of: string; readonly drift: Drift } | null = null;

  /** The store stays the caller's to close. */
  constructor(store: Store) {
    this.#store = store;
  }

  /** The commit that was applied last; `null` = there is none. */
  applied(): AppliedCommit | null {
    return this.#store.gitApplied.last();
  }

  /** What was changed by another way since it was applied; none where nothing was applied. */
  drift(): Drift {
    const applied = this.applied();
    if (applied === null) return NO_DRIFT;
    const now = this.#store.generation();
    const of = `${applied.sha} ${applied.generation} ${now}`;
    if (this.#known?.of !== of) this.#known = { of, drift: this.#compare(applied.generation, now) };
    return this.#known.drift;
  }

  #compare(from: number, to: number): Drift {
    if (from >= to) return NO_DRIFT;
    const { history } = this.#store;
    if (!history.hasAtMostAfter(from, COMPARED_MAX)) {
      return { count: COMPARED_MAX, isMore: true, changes: [] };
    }
    try {
      const { objects, changes } = toEnd(differenceBetween(history, { from, to, max: NAMED_MAX }));
      const count = Object.values(objects).reduce(
        (sum, { created, changed, deleted }) => sum + created + changed + deleted,
        0,
      );
      return { count, isMore: false, changes: namedChanges(changes, this.#store).changes };
    } catch (error) {
      if (!(error instanceof ChangeRefused)) throw error;
      // The history is forgotten from its begin: that something was changed is known, and not what.
      return { count: 1, isMore: true, changes: [] };
    }
  }
}
