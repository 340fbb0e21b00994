/**
 * One connection to one SQLite file: prepared statements are kept, transactions begin as writers.
 *
 * This is the only file that runs SQL text. Rows come back as the types their callers name; what vouches for them
 * is the schema (STRICT tables, `schema.ts`), so they are not checked a second time.
 *
 * @module
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";

/** How long a statement waits for another process's write before it fails with {@link StoreBusy}. */
export const BUSY_TIMEOUT_MS = 3_000;

/** Another process kept the database locked for longer than the busy time-out; trying again is safe. */
export class StoreBusy extends Error {
  /** The class, in logs. */
  override readonly name = "StoreBusy";
}

/** A connection. Who opens it closes it. */
export class Database {
  readonly #connection: DatabaseSync;
  /** Bounded by the number of SQL texts in `src/store/`, which are constants. */
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens a file, or `:memory:`.
   *
   * @throws {Error} of SQLite when it can't be opened
   */
  constructor(path: string, { readOnly = false }: { readonly readOnly?: boolean } = {}) {
    this.#connection = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, readOnly });
  }

  /** What `node:sqlite` takes for its online backup. */
  get connection(): DatabaseSync {
    return this.#connection;
  }

  /** The first row, or `undefined`. */
  get<Row>(sql: string, ...parameters: SQLInputValue[]): Row | undefined {
    return guard(() => this.#prepared(sql).get(...parameters)) as Row | undefined;
  }

  /** All rows; only for results whose size is bounded. */
  all<Row>(sql: string, ...parameters: SQLInputValue[]): Row[] {
    return guard(() => this.#prepared(sql).all(...parameters)) as Row[];
  }

  /** Rows one by one, without holding all of them. Read to the end, or leave by `break`, before the next write. */
  iterate<Row>(sql: string, ...parameters: SQLInputValue[]): IterableIterator<Row> {
    // Never a kept statement: a second reader of the same text would rewind the first one.
    return guard(() => this.#connection.prepare(sql).iterate(...parameters)) as IterableIterator<Row>;
  }

  /** Runs one statement and returns how many rows it changed. */
  run(sql: string, ...parameters: SQLInputValue[]): number {
    return Number(guard(() => this.#prepared(sql).run(...parameters)).changes);
  }

  /** Runs a script of statements without parameters; its errors don't always carry SQLite's code. */
  exec(script: string): void {
    guard(() => this.#connection.exec(script));
  }

  /**
   * Runs `work` in one transaction: all of it is kept when it returns, nothing when it throws or when `keep` says
   * no to its result.
   *
   * The write lock is taken at once, so `work` never fails half-way because another process wrote first.
   *
   * @throws {StoreBusy} when the lock can't be had in time
   */
  transact<Result>(work: () => Result, keep: (result: Result) => boolean = () => true): Result {
    this.run("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.run(keep(result) ? "COMMIT" : "ROLLBACK");
      return result;
    } catch (cause) {
      // Some errors (a full disk) have ended the transaction already.
      if (this.#connection.isTransaction) this.run("ROLLBACK");
      throw cause;
    }
  }

  /** Ends all use; an open transaction is undone. */
  close(): void {
    this.#statements.clear();
    this.#connection.close();
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, statement = this.#connection.prepare(sql));
    return statement;
  }
}

/** SQLite's primary result code behind an extended one, or `null` when the error isn't SQLite's. */
export function sqliteCode(error: unknown): number | null {
  if (!(error instanceof Error)) return null;
  if ("errcode" in error && typeof error.errcode === "number") return error.errcode & 0xff;
  // Deno's exec() leaves the code out, so that only the text tells (sqlite3_errstr).
  return error.message === "database is locked" ? SQLITE_BUSY : null;
}

const SQLITE_BUSY = 5;

function guard<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (cause) {
    if (sqliteCode(cause) !== SQLITE_BUSY) throw cause;
    throw new StoreBusy(
      `The database was locked by another process for more than ${BUSY_TIMEOUT_MS} ms; try again`,
      { cause },
    );
  }
}
