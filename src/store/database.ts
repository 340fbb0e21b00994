/**
 * One connection to one SQLite file: prepared statements are kept, transactions begin as writers.
 *
 * This is the only file that runs SQL text. Rows come back as the types their callers name; what vouches for them
 * is the schema (STRICT tables, `schema.ts`), so they are not checked a second time.
 *
 * @module
 */
import { backup, DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";

/** How long a statement waits for another process's write before it fails with {@link StoreBusy}. */
export const BUSY_TIMEOUT_MS = 3_000;

/** Another process or thread keeps the database locked; trying again is safe. */
export class StoreBusy extends Error {
  /** The class, in logs. */
  override readonly name = "StoreBusy";
}

/** A method of Node 22 that Deno has and its types lack. */
type ArrayStatement = StatementSync & { setReturnArrays(enabled: boolean): void };

/** A connection. Who opens it closes it. */
export class Database {
  readonly #connection: DatabaseSync;
  /** Bounded by the number of SQL texts in `src/store/`, which are constants. */
  readonly #statements = new Map<string, StatementSync>();
  /** What waits for the end of the loan; `null` = the database isn't lent. */
  #lent: (() => void)[] | null = null;
  /** Why nothing is written, and what waits until it is again; `null` = it is. */
  #frozen: { readonly reason: string; readonly waiting: (() => void)[] } | null = null;
  /** Whether a transaction is held open, within which all others are. */
  #isHeld = false;

  /**
   * Opens a file, or `:memory:`.
   *
   * @throws {Error} of SQLite when it can't be opened
   */
  constructor(path: string, { readOnly = false }: { readonly readOnly?: boolean } = {}) {
    this.#connection = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, readOnly });
  }

  /**
   * Copies the database as it is at one moment into a file that is there and empty; others go on writing. Not
   * `VACUUM INTO`: Deno lets no database be attached unless a program may do everything.
   */
  async copyTo(file: string): Promise<void> {
    await backup(this.#connection, file);
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

  /** The same with rows as plain lists of columns, which are several times cheaper than objects. */
  rows<Columns extends readonly unknown[]>(sql: string): IterableIterator<Columns> {
    const statement = this.#connection.prepare(sql) as ArrayStatement;
    statement.setReturnArrays(true);
    return guard(() => statement.iterate()) as unknown as IterableIterator<Columns>;
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
   * @throws {StoreBusy} when the lock can't be had in time, or this process writes nothing for a while
   */
  transact<Result>(work: () => Result, keep: (result: Result) => boolean = () => true): Result {
    this.#expectFree();
    if (this.#isHeld) return this.#transactWithin(work, keep);
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

  /**
   * Does the work in a transaction that stays open, with all later ones in it, until `keepHeld`. Others don't see any of
   * it before, and nothing of it is left when this process ends before.
   *
   * @throws {StoreBusy} when the lock can't be had in time
   */
  hold(work: () => void): void {
    this.run("BEGIN IMMEDIATE");
    try {
      work();
      this.#isHeld = true;
    } catch (cause) {
      this.endTransaction();
      throw cause;
    }
  }

  /** Keeps what was held, and from then on each transaction by itself. */
  keepHeld(): void {
    if (!this.#isHeld) return;
    this.run("COMMIT");
    this.#isHeld = false;
  }

  #transactWithin<Result>(work: () => Result, keep: (result: Result) => boolean): Result {
    this.run("SAVEPOINT within");
    try {
      const result = work();
      this.run(keep(result) ? "RELEASE within" : "ROLLBACK TO within");
      return result;
    } catch (cause) {
      if (this.#connection.isTransaction) this.run("ROLLBACK TO within");
      throw cause;
    }
  }

  #expectFree(): void {
    if (this.#frozen !== null) throw new StoreBusy(this.#frozen.reason);
    if (this.#lent !== null) {
      throw new StoreBusy("A model of many objects is being applied and holds the database; try again");
    }
  }

  /**
   * The same, but never waits: for what can as well be written later.
   *
   * @throws {StoreBusy} when the lock can't be had at once
   */
  transactNow<Result>(work: () => Result): Result {
    this.exec("PRAGMA busy_timeout = 0");
    try {
      return this.transact(work);
    } finally {
      this.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    }
  }

  /** Whether a transaction is open. */
  get isTransaction(): boolean {
    return this.#connection.isTransaction;
  }

  /** Undoes the transaction that is open, if there is one. */
  endTransaction(): void {
    if (this.isTransaction) this.run("ROLLBACK");
  }

  /**
   * Leaves the writing to another thread's connection until the result is disposed of. Transactions of ours are
   * refused meanwhile, at once: waiting for the lock would keep this thread from everything else.
   *
   * @throws {StoreBusy} when it is lent already, or frozen
   */
  lend(): Disposable {
    this.#expectFree();
    this.#lent = [];
    return {
      [Symbol.dispose]: () => {
        const waiting = this.#lent ?? [];
        this.#lent = null;
        for (const work of waiting) work();
      },
    };
  }

  /**
   * Writes nothing until the result is disposed of: transactions are refused at once, what can wait waits. Not while it is
   * lent.
   *
   * @param reason told to those who are refused
   * @throws {StoreBusy} when it is lent
   */
  freeze(reason: string): Disposable {
    this.#expectFree();
    const frozen = { reason, waiting: [] as (() => void)[] };
    this.#frozen = frozen;
    return {
      [Symbol.dispose]: () => {
        this.#frozen = null;
        for (const work of frozen.waiting) work();
      },
    };
  }

  /** Does it at once or, while the database is lent or frozen, as soon as it isn't. */
  whenFree(work: () => void): void {
    const waiting = this.#frozen?.waiting ?? this.#lent;
    if (waiting === null) work();
    else waiting.push(work);
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
  return CODES_BY_TEXT.get(error.message) ?? null;
}

const SQLITE_BUSY = 5;

const CODES_BY_TEXT: ReadonlyMap<string, number> = new Map([
  ["database is locked", SQLITE_BUSY],
  ["attempt to write a readonly database", 8],
  ["disk I/O error", 10],
  ["database or disk is full", 13],
  ["unable to open database file", 14],
]);

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
