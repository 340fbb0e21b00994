/**
 * Every change of the model as one stream: commits of this process in their turn, those of others within a second.
 *
 * @module
 */
import type { Changes } from "../change/commit.ts";
import type { Commit } from "../change/edit.ts";
import type { Clock } from "../clock.ts";
import { Listeners } from "../listeners.ts";
import type { Store } from "../store/store.ts";
import { watch } from "../store/watch.ts";
import type { Logger } from "../telemetry/log.ts";

/** What commits are seen with. */
export interface CommitsOptions {
  /** The model. */
  readonly store: Store;
  /** Tells of our own. */
  readonly changes: Pick<Changes, "subscribe">;
  /** Paces the looks for others'. */
  readonly clock: Pick<Clock, "sleep">;
  /** Hears when others' can't be seen any more. */
  readonly log: Logger;
}

/** A change of the model. */
export interface SeenCommit extends Commit {
  /** Whether another process made it; several of them may come as one. */
  readonly isForeign: boolean;
}

/** Tells of changes of the model. */
export class Commits implements AsyncDisposable {
  readonly #listeners = new Listeners<SeenCommit>();
  readonly #own: Disposable;
  readonly #ending = new AbortController();
  readonly #watching: Promise<void>;

  /** Sees what is committed from now on. */
  constructor({ store, changes, clock, log }: CommitsOptions) {
    this.#own = changes.subscribe((commit) => this.#listeners.tell({ ...commit, isForeign: false }));
    const { signal } = this.#ending;
    // What a listener throws must not end the watch.
    const onCommit = (commit: Commit) => {
      try {
        this.#listeners.tell({ ...commit, isForeign: true });
      } catch (cause) {
        reportError(cause);
      }
    };
    this.#watching = store.readOnly
      ? Promise.resolve()
      : watch(store, { clock, signal, onCommit }).catch((error) =>
        log.error("Changes of other processes to the database are not seen any more", { error })
      );
  }

  /** Calls `hear` after each commit until the result is disposed of; our own are told of in their turn. */
  subscribe(hear: (commit: SeenCommit) => void): Disposable {
    return this.#listeners.add(hear);
  }

  /** Sees no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#own[Symbol.dispose]();
    this.#ending.abort();
    await this.#watching;
  }
}
