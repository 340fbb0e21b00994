/**
 * Checks of the database's file: that it can be written, that it is ours, that it is still there, and that its disk has
 * room.
 *
 * The file is never opened by SQLite: even a connection that only reads would leave files beside it.
 *
 * @module
 */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Settings } from "../settings/settings.ts";
import { inspectUnopened } from "../store/store.ts";
import type { Check } from "./check.ts";
import { accessFault, MAY } from "./file_access.ts";
import type { Remark } from "./finding.ts";

/** The database and what lies beside it; none where there is no file. */
export function databaseFiles({ database: { path } }: Settings): string[] {
  return isFile(path) ? [path, `${path}-wal`, `${path}-shm`, `${path}.tables`, `${path}.discovery`] : [];
}

function isFile(path: string): boolean {
  return path !== "none" && path !== ":memory:";
}

/** Whether the database can be opened and written. */
export const databaseFile: Check = {
  id: "database",
  looksAt: "the database",
  when: "both",
  look: async ({ settings: { database: { path } }, node }) => {
    if (!isFile(path)) return [];
    const info = await Deno.stat(path).catch(absent);
    if (info === null) return node === null ? await lookAtFolder(path) : [gone(path)];
    if (!info.isFile) return [problem(path, "it is no regular file", "name a file (database.path)")];
    const unwritable = await accessFault(path, MAY.read | MAY.write);
    if (unwritable !== null) return [problem(path, `can't be read and written: ${unwritable}`, OWN)];
    if (node !== null && await isReplaced(info)) return [gone(path)];
    // A node that has it open has looked inside, and would lose its locks of it (`Store.again`).
    const inside = node === null ? lookInside(path) : [];
    return [...await lookAtFolder(path), ...inside, ...await lookAtTables(path)];
  },
};

const OWN = "give it and its folder to the node's user (chown), or choose another one (database.path)";

function problem(subject: string, message: string, fix: string): Remark {
  return { level: "problem", subject, message, fix };
}

function gone(path: string): Remark {
  return problem(
    path,
    "was removed, or another file put in its place, while the node runs: what is changed from now on is lost when " +
      "the node ends",
    `save the model (pleiades config export > model.yaml), restart the node, and apply it`,
  );
}

/** Next to the file lie its write-ahead log and, for a while, copies of it. */
async function lookAtFolder(path: string): Promise<Remark[]> {
  const folder = await existingFolder(path);
  const unwritable = await accessFault(folder, MAY.write | MAY.enter);
  if (unwritable === null) return [];
  const what = folder === dirname(path)
    ? "files can't be made in it"
    : `${dirname(path)} can't be made in it`;
  return [problem(folder, `${what}: ${unwritable}`, OWN)];
}

function lookInside(path: string): Remark[] {
  try {
    inspectUnopened(path);
    return [];
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return [
      problem(path, error.message, "put the right file in its place, or choose another one (database.path)"),
    ];
  }
}

/** The tables that a large node keeps beside it only make the start quicker. */
async function lookAtTables(path: string): Promise<Remark[]> {
  const tables = `${path}.tables`;
  if (await Deno.stat(tables).catch(absent) === null) return [];
  const unreadable = await accessFault(tables, MAY.read | MAY.write);
  if (unreadable === null) return [];
  return [{
    level: "warning",
    subject: tables,
    message: `can't be read and written: ${unreadable}; the node starts slower without it`,
    fix: `give it to the node's user (chown), or remove it`,
  }];
}

/** Whether this process has other files open than this one, which its database is (proc_pid_fd(5)). */
async function isReplaced({ dev, ino }: Deno.FileInfo): Promise<boolean> {
  try {
    for await (const { name } of Deno.readDir("/proc/self/fd")) {
      const fd = `/proc/self/fd/${name}`;
      if (!(await Deno.readLink(fd).catch(() => "")).startsWith("/")) continue;
      const open = await Deno.stat(fd).catch(() => null);
      if (open?.ino === ino && open.dev === dev) return false;
    }
    return true;
  } catch {
    return false; // another system
  }
}

function absent(error: unknown): null {
  if (error instanceof Deno.errors.NotFound) return null;
  throw error;
}

/** The folder of a file, or that in which it would be made. */
async function existingFolder(path: string): Promise<string> {
  let folder = dirname(path);
  while (await Deno.stat(folder).catch(absent) === null && folder !== dirname(folder)) {
    folder = dirname(folder);
  }
  return folder;
}

/** Bytes that are too few to go on with. */
const ROOM_MIN = 64 * 2 ** 20;
/** Where a disk of any size is full: not even the write-ahead log fits. */
const ROOM_NONE = 4 * 2 ** 20;
/** Bytes of which a large disk may be nearly full. */
const ROOM_ENOUGH = 2 * 2 ** 30;
/** Files that can still be made. */
const FILES_MIN = 32;

/** Room on the disk of the database, and on that of the query log. */
export const disk: Check = {
  id: "disk",
  looksAt: "room on disks",
  when: "both",
  look: async ({ settings: { database, queryLog } }) => {
    const paths = [database.path, queryLog.path].filter((path) => isFile(path) && path !== "");
    const folders = new Set(await Promise.all(paths.map(existingFolder)));
    const size = isFile(database.path) ? (await Deno.stat(database.path).catch(absent))?.size ?? 0 : 0;
    return (await Promise.all([...folders].map((folder) => lookAtRoom(folder, size)))).flat();
  },
};

async function lookAtRoom(folder: string, databaseSize: number): Promise<Remark[]> {
  const { bsize, bavail, blocks, files, ffree } = await statfs(folder);
  const room = bavail * bsize;
  const share = blocks === 0 ? 1 : bavail / blocks;
  const fix = "make room there, or move the database to another disk (database.path)";
  const left = `${megabytes(room)} of ${megabytes(blocks * bsize)} left`;
  if (room < ROOM_NONE || (room < ROOM_MIN && share < 0.1)) {
    return [problem(folder, `its disk is full: ${left}; changes will fail`, fix)];
  }
  if (files > 0 && ffree < FILES_MIN) {
    return [problem(folder, `its disk is full: ${ffree} more files can be made; changes will fail`, fix)];
  }
  if (room < databaseSize) {
    const message =
      `${left}, less than the database has (${megabytes(databaseSize)}): no copy of it fits, and guards, ` +
      "backups and migrations make one";
    return [{ level: "warning", subject: folder, message, fix }];
  }
  if (share < 0.05 && room < ROOM_ENOUGH) {
    return [{ level: "warning", subject: folder, message: `its disk is nearly full: ${left}`, fix }];
  }
  return [];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
