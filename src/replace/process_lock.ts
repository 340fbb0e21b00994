/**
 * One process for one database: a file beside it, `<database>.lock`, that the process keeps locked as long as it lives
 * (`flock(2)`) and that names it. The kernel gives the lock back with the last descriptor, however the process ends, so
 * what a crash leaves behind is only a file.
 *
 * The lock belongs to the open file and not to the process: a descriptor that is handed to another process takes it
 * along, and there is no moment at which it is free.
 *
 * @module
 */
import { dirname } from "node:path";
import { kernelText } from "../kernel_text.ts";
import { type Libc, openLibc } from "../libc.ts";

const SYMBOLS = {
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  pwrite: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const O_RDWR = 2;
const O_CREAT = 0o100;
const O_NOFOLLOW = 0o400000;
const O_CLOEXEC = 0o2000000;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Another process has the database. */
export class DatabaseTaken extends Error {
  /** Its number; `null` = it can't be read. */
  readonly pid: number | null;

  /** Says which. */
  constructor(database: string, pid: number | null) {
    const who = pid === null ? "another process" : `process ${pid}`;
    super(
      `${database} is the database of a node that is running: ${who} (stop it, or choose another one with --db)`,
    );
    this.pid = pid;
  }
}

/** A lock that is held. */
export class ProcessLock implements Disposable {
  /** To be handed to the process that takes over. */
  readonly fd: number;
  readonly #libc: Libc<typeof SYMBOLS>;

  private constructor(libc: Libc<typeof SYMBOLS>, fd: number) {
    this.#libc = libc;
    this.fd = fd;
  }

  /**
   * Locks a database for this process; `null` = it can't be done on this system, or the folder doesn't take files.
   *
   * @throws {DatabaseTaken} when another process holds it
   */
  static take(database: string): ProcessLock | null {
    const libc = libcIfAny();
    if (libc === null) return null;
    makeFolder(dirname(database));
    const path = `${lockPathOf(database)}\0`;
    const fd = libc.symbols.open(
      new TextEncoder().encode(path),
      O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
      0o600,
    );
    if (fd < 0) {
      libc.close();
      return null; // no such folder, or not ours: what is wrong with it is said by the database
    }
    if (libc.symbols.flock(fd, LOCK_EX | LOCK_NB) !== 0) {
      libc.symbols.close(fd);
      libc.close();
      throw new DatabaseTaken(database, holderOf(database));
    }
    const lock = new ProcessLock(libc, fd);
    lock.sign();
    return lock;
  }

  /** Takes over the lock of another process by its descriptor. */
  static adopt(fd: number): ProcessLock {
    return new ProcessLock(libcIfAny()!, fd);
  }

  /** Writes this process's number into the file, for those who come and find it locked. */
  sign(): void {
    const text = new TextEncoder().encode(`${Deno.pid}\n`);
    this.#libc.symbols.ftruncate(this.fd, 0n);
    this.#libc.symbols.pwrite(this.fd, text, BigInt(text.length), 0n);
  }

  /** Gives this process's share of it back; it is free when no process has one. */
  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.fd);
    this.#libc.close();
  }
}

/** The number of the process that has a database, as far as the lock's file tells; `null` = it doesn't. */
export function holderOf(database: string): number | null {
  const pid = Number(kernelText(lockPathOf(database))?.trim());
  return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
}

/** Where the lock of a database lies. */
export function lockPathOf(database: string): string {
  return `${database}.lock`;
}

/** As the database does it, which says what is wrong where it can't be done. */
function makeFolder(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch {
    // Nothing is locked then.
  }
}

function libcIfAny(): Libc<typeof SYMBOLS> | null {
  if (Deno.build.os !== "linux") return null;
  try {
    return openLibc(SYMBOLS);
  } catch {
    return null; // another C library
  }
}
