/**
 * Everything that a database holds, for comparing before and after.
 *
 * @module
 */
import type { Store } from "../../src/store/store.ts";

/** One line for each row of each table, as it is stored; sorted. */
export function dump(store: Store): string[] {
  const tables = store.database.all<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'");
  return tables.flatMap(({ name }) =>
    store.database.all(`SELECT * FROM ${name}`).map((row) => `${name} ${JSON.stringify(row)}`)
  ).sort();
}
