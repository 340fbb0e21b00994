/**
 * How far each webhook has been told what happened. Written apart from commits, as events are.
 *
 * @module
 */
import type { Database } from "./database.ts";

/** Reads and writes positions. */
export class WebhookPositions {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** The id of the last event that each receiver has got, by its key. */
  positions(): ReadonlyMap<string, number> {
    const rows = this.#database.all<{ receiver: string; position: number }>(
      "SELECT receiver, position FROM webhook_positions",
    );
    return new Map(rows.map(({ receiver, position }) => [receiver, position]));
  }

  /**
   * Keeps these, and no others.
   *
   * @param wait whether to wait for another process that writes
   * @throws {StoreBusy} when the database can't be written now; nothing is lost by trying again later
   */
  keepPositions(positions: ReadonlyMap<string, number>, { wait }: { readonly wait: boolean }): void {
    const work = () => {
      this.#database.run("DELETE FROM webhook_positions");
      for (const [receiver, position] of positions) this.#database.run(KEEP, receiver, position);
    };
    if (wait) this.#database.transact(work);
    else this.#database.transactNow(work);
  }
}

const KEEP = "INSERT INTO webhook_positions (receiver, position) VALUES (?, ?)";
