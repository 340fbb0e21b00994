/**
 * Whether a database file may be gone by, found out on a thread of its own: a file of 100 MB takes a tenth of a second to
 * read and try out, and whoever asks has probes to make meanwhile.
 *
 * @module
 */
import { fileFault } from "../input/file_fault.ts";
import { readRegularFile } from "../input/regular_file.ts";
import { type DatabaseKind, openDatabase } from "./database.ts";
import { onThread } from "./thread.ts";

/** Why a database can't be gone by. */
export interface DatabaseFault {
  /** Whether the file can't even be read; else it is no database, is corrupt, or holds nothing of its kind. */
  readonly isUnreadable: boolean;
  /** What is wrong, for people. */
  readonly reason: string;
}

/** Files that are read where the caller is: it takes a millisecond, and a thread 50 ms to start. */
const ON_THIS_THREAD_MAX = 1 << 20;

/**
 * Looks into a file.
 *
 * @returns `null` = it is good; never rejects
 */
export async function databaseFault(path: string, kind: DatabaseKind): Promise<DatabaseFault | null> {
  const { isFile, size } = await Deno.stat(path).catch(() => ({ isFile: false, size: 0 }));
  if (!isFile || size <= ON_THIS_THREAD_MAX) return faultOf(path, kind);
  const { signal } = new AbortController();
  try {
    return await onThread({ kind: "database", path, databaseKind: kind }, signal);
  } catch (cause) {
    // By running out of memory, for example.
    return { isUnreadable: true, reason: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** The same on this thread, in one turn. */
export function faultOf(path: string, kind: DatabaseKind): DatabaseFault | null {
  let isUnreadable = true;
  try {
    const bytes = readRegularFile(path);
    isUnreadable = false;
    openDatabase(bytes, kind);
    return null;
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return { isUnreadable, reason: fileFault(cause) };
  }
}
