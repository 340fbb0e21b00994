/**
 * What the system tells of a directory, as soon as it happens: files that came, went, or were renamed (inotify(7)).
 *
 * It is a call of the C library that another thread waits in, so that this one sleeps until there is news. With `Deno.watchFs` a
 * process that began several watches in turn was seen to stand still (Deno 2.6.8).
 *
 * Only for file systems that are this machine's alone: of one that others write to as well, the system tells what this machine
 * does there, and nothing else.
 *
 * @module
 */
import { findLibc, type Libc } from "../libc.ts";

const SYMBOLS = {
  inotify_init1: { parameters: ["i32"], result: "i32" },
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  inotify_rm_watch: { parameters: ["i32", "i32"], result: "i32" },
  statfs: { parameters: ["buffer", "buffer"], result: "i32" },
  malloc: { parameters: ["usize"], result: "pointer" },
  free: { parameters: ["pointer"], result: "void" },
  // Not on this thread: it returns when there is news.
  read: { parameters: ["i32", "pointer", "usize"], result: "isize", nonblocking: true },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const IN = {
  CLOEXEC: 0o2000000,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  ONLYDIR: 0x1000000,
  ONESHOT: 0x80000000,
} as const;

/** Once: where changes come all the time, their directory is looked at by the clock, and news that are not read would pile up. */
const NEWS = IN.MOVED_FROM | IN.MOVED_TO | IN.CREATE | IN.DELETE | IN.DELETE_SELF | IN.MOVE_SELF |
  IN.ONLYDIR |
  IN.ONESHOT;
/** Room for some news, each with the longest name. */
const NEWS_BYTES = 4 << 10;
/** `struct statfs` of 64-bit Linux (statfs(2)); the type is its first word. */
const STATFS_BYTES = 120;
/** Types of what is written by this machine alone: ext2–4, XFS, Btrfs, tmpfs, ramfs, overlayfs, ZFS, F2FS, bcachefs. */
const LOCAL_TYPES: ReadonlySet<number> = new Set([
  ...[0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x858458f6, 0x794c7630, 0x2fc12fc1, 0xf2f52010],
  0xca451a4e,
]);

/** Watches a directory, whatever lies at its path. */
export class DirectoryWatch implements AsyncDisposable {
  readonly #path: Uint8Array<ArrayBuffer>;
  readonly #libc: Libc<typeof SYMBOLS> | null;
  /** What tells; less than 0 = nothing does. */
  readonly #fd: number;
  /** Of the system's: the directory that lay there when it was armed last. */
  #watch = -1;
  /** Until there is news; `null` = there is no wait. While there is one, the watch can still be woken. */
  #waiting: Promise<void> | null = null;

  /** Of the directory with this path. */
  constructor(path: string) {
    this.#path = new TextEncoder().encode(`${path}\0`);
    this.#libc = findLibc(SYMBOLS);
    this.#fd = this.#libc?.symbols.inotify_init1(IN.CLOEXEC) ?? -1;
  }

  /**
   * Tells of what happens from now on, once; at times although nothing has.
   *
   * @returns `null` = the system tells nothing of this directory
   */
  next(): Promise<void> | null {
    if (this.#libc === null || this.#fd < 0) return null;
    const { symbols } = this.#libc;
    const about = new Uint8Array(STATFS_BYTES);
    if (symbols.statfs(this.#path, about) !== 0) return null;
    if (!LOCAL_TYPES.has(new DataView(about.buffer).getUint32(0, true))) return null;
    // Again each time: another directory may lie there by now.
    const watch = symbols.inotify_add_watch(this.#fd, this.#path, NEWS >>> 0);
    if (watch < 0) return null;
    if (this.#watch !== watch) this.#endWatch(this.#libc);
    this.#watch = watch;
    return this.#waiting ??= this.#wait(this.#libc).finally(() => this.#waiting = null);
  }

  /** Tells no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#libc === null) return;
    if (this.#fd >= 0) {
      // That is news as well, and so whoever waits for some is woken.
      this.#endWatch(this.#libc);
      await this.#waiting;
      this.#libc.symbols.close(this.#fd);
    }
    this.#libc.close();
  }

  #endWatch({ symbols }: Libc<typeof SYMBOLS>): void {
    if (this.#watch >= 0) symbols.inotify_rm_watch(this.#fd, this.#watch);
  }

  async #wait({ symbols }: Libc<typeof SYMBOLS>): Promise<void> {
    // Not the isolate's memory: that may be gone before the call is.
    const room = symbols.malloc(BigInt(NEWS_BYTES));
    await symbols.read(this.#fd, room, BigInt(NEWS_BYTES));
    symbols.free(room);
  }
}
