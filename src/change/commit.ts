/**
 * The one path of every change: edits are validated against the model, written with a history entry in one SQLite
 * transaction under the next generation, and published to subscribers.
 *
 * A commit is all or nothing, and costs what it touches: nothing here reads the whole model. A commit that leaves
 * every object as it was succeeds, but makes no history entry and no generation, and is not published; so repeating
 * a write, or applying the same files every minute, doesn't wake anyone.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { newId } from "../store/id.ts";
import type { Store } from "../store/store.ts";
import { UNTOUCHED } from "../store/touched.ts";
import { write } from "../store/write.ts";
import { Draft } from "./draft.ts";
import { ChangeRefused, type Commit, type Edit, type Origin } from "./edit.ts";

/** Commits edits to one store. */
export class Changes {
  readonly #store: Store;
  readonly #clock: Pick<Clock, "unixMs">;
  readonly #newId: () => string;
  readonly #listeners = new Set<(commit: Commit) => void>();

  /** The store stays the caller's to close; `newId` names the objects of a model that come without an id. */
  constructor(options: {
    readonly store: Store;
    readonly clock: Pick<Clock, "unixMs">;
    readonly newId?: () => string;
  }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#newId = options.newId ?? newId;
  }

  /**
   * Makes the edits, in their order, and tells every subscriber before it returns. References are judged when all
   * edits are made, so an edit may refer to what a later one creates.
   *
   * @throws {ChangeRefused} when the model after the edits would be wrong; nothing is written
   * @throws {StoreBusy} when another process holds the database for too long; nothing is written
   */
  commit(edits: readonly Edit[], origin: Origin): Commit {
    const { commit, changed } = this.#run(edits, { origin, keep: true });
    if (changed) { for (const listener of this.#listeners) callSafely(listener, commit); }
    return commit;
  }

  /**
   * What `commit` would do, without doing it.
   *
   * @throws {ChangeRefused} when `commit` would
   */
  dryRun(edits: readonly Edit[], origin: Origin): Commit {
    return this.#run(edits, { origin, keep: false }).commit;
  }

  /** Calls the listener after each commit made here, in the same turn, until the result is disposed of. */
  subscribe(listener: (commit: Commit) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #run(edits: readonly Edit[], { origin, keep }: { origin: Origin; keep: boolean }): Outcome {
    if (this.#store.readOnly) {
      throw new ChangeRefused("invalid", [{
        pointer: "",
        message:
          "This node has no database to change (database.path is none): set database.path and restart it",
      }]);
    }
    return write<Outcome>(this.#store, {
      work: (writer) => {
        const draft = new Draft({ store: this.#store, writer, newId: this.#newId });
        for (const [i, edit] of edits.entries()) draft.apply(edit, edits.length > 1 ? `/${i}` : "");
        const touched = draft.conclude();
        const { via, by, reason } = origin;
        const changed = writer.conclude({ at: this.#clock.unixMs(), via, by, reason });
        return changed
          ? { changed, commit: { generation: writer.generation, ...touched } }
          : { changed, commit: { generation: writer.generation - 1, ...UNTOUCHED } };
      },
      keep: ({ changed }) => keep && changed,
    });
  }
}

interface Outcome {
  readonly commit: Commit;
  readonly changed: boolean;
}

/** The commit is made: a listener that throws must neither undo it in the author's eyes nor hide it from others. */
function callSafely(listener: (commit: Commit) => void, commit: Commit): void {
  try {
    listener(commit);
  } catch (cause) {
    reportError(cause);
  }
}
