/**
 * Copies of a database: taken while it is in use, put back while it isn't.
 *
 * Both write a new file beside the destination and rename it, so that whatever goes wrong the destination is the
 * old file or the new one, never a part.
 *
 * @module
 */
import { Database, sqliteCode, StoreBusy } from "./database.ts";
import { inspect, type Store } from "./store.ts";

/** The database to be replaced is in use. */
export class RestoreRefused extends Error {
  /** The class, in logs. */
  override readonly name = "RestoreRefused";
}

/**
 * Copies an open database into a file of its own (mode 0600), as it is at one moment; writes go on meanwhile. A file
 * that is there already is replaced.
 *
 * @throws {Error} when the destination can't be written; the message names it
 */
export async function backup(store: Pick<Store, "database">, file: string): Promise<void> {
  await replacing(file, async (partial) => {
    await store.database.copyTo(partial);
    settle(partial);
  });
}

/**
 * Puts a backup in the place of a database that no process has open. The backup is checked first: its schema version,
 * its integrity and its references. It is migrated when it is opened next.
 *
 * @throws {SchemaRefused} when a newer or another program wrote the backup
 * @throws {RestoreRefused} when the backup is damaged, or `to` is open in another process
 */
export async function restore({ from, to }: { readonly from: string; readonly to: string }): Promise<void> {
  if (inspect(from, "give a file that pleiades backup has made") === null) {
    throw new RestoreRefused(`Cannot restore ${from}: the file is missing or empty`);
  }
  await replacing(to, async (partial) => {
    await copy(from, partial);
    requireSound(partial, from);
    settle(partial);
    makeWay(to);
  });
}

/** Lets `write` make a file that then takes the place of `file`; leaves nothing behind when that fails. */
async function replacing(file: string, write: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${file}.${Deno.pid}.partial`;
  try {
    Deno.openSync(partial, { write: true, createNew: true, mode: 0o600 }).close();
    await write(partial);
    Deno.renameSync(partial, file);
  } catch (cause) {
    for (const suffix of ["", ...SIDECARS]) removeIfThere(partial + suffix);
    if (!(cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.PermissionDenied)) {
      throw cause;
    }
    throw new Error(
      `Cannot write ${file}: ${cause.message}; choose a folder that exists and may be written`,
      {
        cause,
      },
    );
  }
}

/** What SQLite keeps beside a database. */
const SIDECARS = ["-wal", "-shm", "-journal"];

async function copy(from: string, to: string): Promise<void> {
  const wal = statOrNull(`${from}-wal`);
  if (wal === null || wal.size === 0) {
    // A plain copy: even a read-only connection would leave files beside the backup.
    const bytes = await Deno.open(from);
    const target = await Deno.open(to, { write: true, truncate: true });
    return await bytes.readable.pipeTo(target.writable);
  }
  const source = new Database(from, { readOnly: true });
  try {
    await source.copyTo(to);
  } finally {
    source.close();
  }
}

function requireSound(file: string, named: string): void {
  const damage = damageOf(file);
  if (damage === null) return;
  throw new RestoreRefused(
    `Cannot restore ${named}: it is damaged (${damage.replaceAll(/\s+/g, " ")}); choose another backup`,
  );
}

function damageOf(file: string): string | null {
  const database = new Database(file);
  try {
    const { integrity_check: integrity } = database.get<{ integrity_check: string }>(
      "PRAGMA integrity_check(1)",
    )!;
    if (integrity !== "ok") return integrity;
    const orphan = database.get<{ table: string; parent: string }>("PRAGMA foreign_key_check");
    return orphan ? `a row of ${orphan.table} refers to a row of ${orphan.parent} that isn't there` : null;
  } catch (cause) {
    if (cause instanceof Error && sqliteCode(cause) !== null) return cause.message;
    throw cause;
  } finally {
    database.close();
  }
}

/** Leaves one file without a write-ahead log, and on disk. */
function settle(file: string): void {
  const database = new Database(file);
  database.exec("PRAGMA journal_mode = DELETE");
  database.close();
  using open = Deno.openSync(file, { read: true, write: true });
  open.syncSync();
}

/**
 * Makes sure that no process has the database open, and that no write-ahead log of it is left that SQLite would take for
 * the new file's: leaving WAL mode does both, since it needs to be alone and ends by deleting the log.
 */
function makeWay(file: string): void {
  if (statOrNull(file) === null) return;
  try {
    const database = new Database(file);
    try {
      database.get("PRAGMA journal_mode = DELETE");
      database.run("BEGIN EXCLUSIVE");
      database.run("ROLLBACK");
    } finally {
      database.close();
    }
  } catch (cause) {
    if (cause instanceof StoreBusy) {
      throw new RestoreRefused(
        `Cannot replace ${file}: another process has it open; stop that process first`,
        {
          cause,
        },
      );
    }
    // A file that SQLite can't read is what a backup is there to replace.
    if (!UNREADABLE.has(sqliteCode(cause) ?? 0)) throw cause;
  }
  // SQLite takes its log away when it closes, but not from a file that it couldn't make sense of at all.
  for (const suffix of SIDECARS) removeIfThere(file + suffix);
}

/** SQLITE_CORRUPT and SQLITE_NOTADB. */
const UNREADABLE: ReadonlySet<number> = new Set([11, 26]);

function statOrNull(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return null;
    throw cause;
  }
}

function removeIfThere(path: string): void {
  if (statOrNull(path)) Deno.removeSync(path);
}
