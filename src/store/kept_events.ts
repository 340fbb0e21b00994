/**
 * The last events of a node, for those who come back after a restart. Written apart from commits: these are
 * observations, no changes of the model, and have no generation.
 *
 * @module
 */
import type { Database } from "./database.ts";

/** An event as it is kept. */
export interface EventRow {
  /** Ascends. */
  readonly id: number;
  /** When it happened, Unix milliseconds. */
  readonly at: number;
  /** What happened, as JSON. */
  readonly json: string;
}

/** Reads and writes events. */
export class KeptEvents {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** The last ones, the oldest first. */
  last(count: number): EventRow[] {
    return this.#database.all<EventRow>(LAST, count).reverse();
  }

  /**
   * Keeps some more, and forgets those up to an id, in one transaction.
   *
   * @param wait whether to wait for another process that writes
   * @throws {StoreBusy} when the database can't be written now; nothing is lost by trying again later
   */
  keep(
    events: readonly EventRow[],
    { upTo, wait }: { readonly upTo: number; readonly wait: boolean },
  ): void {
    const work = () => {
      for (const { id, at, json } of events) this.#database.run(KEEP, id, at, json);
      this.#database.run("DELETE FROM events WHERE id <= ?", upTo);
    };
    if (wait) this.#database.transact(work);
    else this.#database.transactNow(work);
  }
}

const LAST = "SELECT id, at, json FROM events ORDER BY id DESC LIMIT ?";
const KEEP = "INSERT OR REPLACE INTO events (id, at, json) VALUES (?, ?, ?)";
