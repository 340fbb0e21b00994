/**
 * `pleiades backup` and `pleiades restore`: copies of the database file, made here and without a node. A backup may
 * be taken while a node runs; a restore needs the file for itself.
 *
 * @module
 */
import { dirname } from "node:path";
import { backup as copyDatabase, restore as replaceDatabase } from "../store/backup.ts";
import { Database } from "../store/database.ts";
import { inspect } from "../store/store.ts";
import { type DatabaseOptions, databasePath } from "./database_path.ts";
import { CommandFailed, type ExitCode } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Copies the database, as it is at this moment, into a file. */
export async function backup(
  file: string,
  options: DatabaseOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const path = databasePath(options);
  if (inspect(path, "name the database with --db FILE") === null) {
    throw new CommandFailed(`No database is at ${path} (--db FILE, or -c SETTINGS that name another one)`);
  }
  requireFolder(file);
  // Read-only, so that an older file that a node of that age still uses isn't migrated under it.
  const database = new Database(path, { readOnly: true });
  try {
    await copyDatabase({ database }, file);
  } finally {
    database.close();
  }
  terminal.out(`${path} -> ${file} (${sizeOf(file)})`);
  return 0;
}

/** A folder that isn't there is a slip of the pen, or a disk that isn't mounted: then a backup must not succeed. */
function requireFolder(file: string): void {
  const folder = dirname(file);
  const info = statOrNull(folder);
  if (info?.isDirectory) return;
  const fault = info === null ? "there is no such folder" : "it isn't a folder";
  throw new CommandFailed(`Cannot write "${file}": ${folder}: ${fault} (mkdir -p ${folder})`);
}

function statOrNull(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    throw error;
  }
}

/** Puts a backup in the place of the database, which no node may have open. */
export async function restore(
  file: string,
  options: DatabaseOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const path = databasePath(options);
  await replaceDatabase({ from: file, to: path });
  terminal.out(`${file} -> ${path} (${sizeOf(path)})`);
  return 0;
}

function sizeOf(file: string): string {
  const { size } = Deno.statSync(file);
  return size < 1e6 ? `${Math.ceil(size / 1e3)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}
