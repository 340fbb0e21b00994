/** @module The settings block `database`: where the model is kept. */
import { resolve } from "node:path";
import { section } from "../../input/strict_object.ts";
import { mapping, path } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";

const shape = {
  database: section(
    mapping({
      path: path("database.path").meta({
        description: "SQLite file; none = no database, static endpoints only. By default " +
          "/var/lib/pleiades/pleiades.db where writable, else pleiades/pleiades.db in the user's XDG state folder",
        examples: ["/var/lib/pleiades/pleiades.db"],
      }),
    }),
    "Where the model is kept",
  ),
};

/** An absolute path, `none` or `:memory:`. */
export const database = {
  shape,
  settings: ({ database: { path } }: FileOf<typeof shape>, loading: Loading) => ({
    database: { path: databasePath(path, loading) },
  }),
};

function databasePath(path: string | null, loading: Loading): string {
  if (path === null) return defaultPath(loading);
  return path === "none" || path === ":memory:" ? path : loading.resolve(["database", "path"], path);
}

function defaultPath({ env, outside }: Loading): string {
  const system = "/var/lib/pleiades";
  if (outside.isWritable(system)) return `${system}/pleiades.db`;
  const state = env["XDG_STATE_HOME"] || resolve(outside.homeFolder(), ".local/state");
  return resolve(state, "pleiades/pleiades.db");
}
