/**
 * A model in memory that tests change, and look at row by row.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { ChangeRefused, type Edit } from "../../src/change/edit.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { ORIGIN } from "./samples.ts";

/** What is stored, and the way to change it. */
export class ChangeWorld implements Disposable {
  readonly store = Store.memory();
  readonly changes = new Changes({ store: this.store, clock: new ManualClock() });

  /** Makes edits, and gives their generation. */
  commit(...edits: readonly Edit[]): number {
    return this.changes.commit(edits, ORIGIN).generation;
  }

  /** The rows of tables in no order, as texts. @param without columns that don't count */
  rowsOf(tables: readonly string[], without: readonly string[]): Record<string, string[]> {
    const shown = (row: Record<string, unknown>) =>
      JSON.stringify(row, (name, value) => without.includes(name) ? undefined : value);
    return Object.fromEntries(tables.map((table) => [
      table,
      this.store.database.all<Record<string, unknown>>(`SELECT * FROM ${table}`).map(shown).sort(),
    ]));
  }

  /** Every row of the model, as far as it counts. */
  tables(): Record<string, string[]> {
    const tables = ["pools", "members", "health_checks", "geo_rules", "services", "zones", "zone_cuts"];
    return {
      ...this.rowsOf(tables, ["revision"]),
      fallback: [JSON.stringify(this.store.fallback())],
    };
  }

  /** Makes sure that a change is refused in these words, and leaves everything as it was. */
  async expectRefused(change: () => unknown, kind: string, message: RegExp): Promise<void> {
    const before = this.tables();
    await rejects(Promise.try(change), (error) => {
      ok(error instanceof ChangeRefused, String(error));
      equal(error.kind, kind, error.message);
      ok(message.test(error.message), error.message);
      return true;
    });
    deepEqual(this.tables(), before);
  }

  [Symbol.dispose](): void {
    this.store.close();
  }
}
