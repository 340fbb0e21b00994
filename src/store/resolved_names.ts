/**
 * Which members go by name, and the addresses that their names had last, so that a restart while no resolver answers
 * doesn't begin with none. Written apart from commits: these are observations, no changes of the model, and have no
 * generation.
 *
 * @module
 */
import type { Database } from "./database.ts";

/** A name and its addresses in canonical form. */
export type ResolvedName = readonly [target: string, addresses: readonly string[]];

/** Reads and writes what is known of names. */
export class ResolvedNames {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** Every name that a member goes by, once. */
  targets(): string[] {
    return this.#database.all<{ target: string }>(TARGETS).map(({ target }) => target);
  }

  /** The pools that have a member by that name. */
  poolsOf(target: string): string[] {
    return this.#database.all<{ id: string }>(POOLS_OF, target).map(({ id }) => id);
  }

  /** The pools with members by name that are answered as names. */
  poolsAnsweringNames(): string[] {
    return this.#database.all<{ id: string }>(POOLS_ANSWERING_NAMES).map(({ id }) => id);
  }

  /** Every name that is kept. */
  *each(): Generator<ResolvedName> {
    const rows = this.#database.iterate<{ target: string; addresses: string }>(
      "SELECT target, addresses FROM resolved_names",
    );
    for (const { target, addresses } of rows) yield [target, JSON.parse(addresses)];
  }

  /**
   * Keeps the addresses of names, in one transaction.
   *
   * @throws {StoreBusy} when another process holds the file; nothing is lost by trying again later
   */
  save(entries: Iterable<ResolvedName>): void {
    this.#write(entries, ([target, addresses]) => {
      this.#database.run(SAVE, target, JSON.stringify(addresses));
    });
  }

  /** Drops names that no member goes by any more. */
  forget(targets: Iterable<string>): void {
    this.#write(
      targets,
      (target) => this.#database.run("DELETE FROM resolved_names WHERE target = ?", target),
    );
  }

  /** While another thread writes, this waits for it: what is known now is worth keeping then. */
  #write<Item>(items: Iterable<Item>, one: (item: Item) => void): void {
    const all = [...items];
    this.#database.whenFree(() =>
      this.#database.transact(() => {
        for (const item of all) one(item);
      })
    );
  }
}

const TARGETS = "SELECT DISTINCT target FROM members WHERE target IS NOT NULL";
const POOLS_OF = "SELECT DISTINCT pool_id AS id FROM members WHERE target = ?";
const POOLS_ANSWERING_NAMES =
  "SELECT DISTINCT pools.id FROM members CROSS JOIN pools ON pools.id = pool_id " +
  "WHERE target IS NOT NULL AND flatten = 0";
const SAVE = "INSERT INTO resolved_names (target, addresses) VALUES (?, ?) " +
  "ON CONFLICT (target) DO UPDATE SET addresses = excluded.addresses";
