/**
 * Which database a command works on that needs no node.
 *
 * @module
 */
import { loadSettings } from "../settings/settings.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { CommandFailed } from "./failure.ts";

/** How the database is found. */
export interface DatabaseOptions {
  /** The file itself. */
  readonly db?: string | undefined;
  /** The settings file that names it; absent = the default one when it exists. */
  readonly config?: string | undefined;
}

/**
 * The file that the options name, or the settings.
 *
 * @throws {CommandFailed} when the settings can't be read, or name none
 */
export function databasePath({ db, config }: DatabaseOptions): string {
  if (db !== undefined) return db;
  const { settings, problems } = loadSettings({
    ...(config !== undefined && { file: config }),
    env: Deno.env.toObject(),
  });
  if (settings === null) throw new CommandFailed(problems.map(formatProblem).join("\n"));
  if (settings.database.path === "none") {
    throw new CommandFailed("The settings say that there is no database (database.path: none)");
  }
  return settings.database.path;
}
