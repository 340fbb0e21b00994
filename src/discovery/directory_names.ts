/**
 * The names in a directory that is listed again and again, while other work goes on.
 *
 * Of each list that `Deno.readDir` gives, some 400 bytes for each name stay until the whole heap is collected, though nothing holds
 * them (Deno 2.6.8). With twenty files and a hundred changes a second that was a third of what made a heap grow between two
 * such collections. The C library leaves nothing behind; where there is none, it is Deno's list.
 *
 * @module
 */
import { findLibc, type Libc } from "../libc.ts";

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  // Not on this thread: until a rename is done, the system gives no list.
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Without waiting for the other end of a pipe, which is no directory. */
const OPEN_FLAGS = 0o4000 | 0o2000000;
/** What is listed at once: some hundred names. */
const ROOM_BYTES = 32 << 10;
/** Where the size of an entry stands, and where its name begins (`struct linux_dirent64`, getdents(2)). */
const ENTRY = { size: 16, name: 19 } as const;

/** Lists a directory. Disposing gives back what that takes, and may come after the last list alone. */
export class DirectoryNames implements Disposable {
  readonly #path: string;
  readonly #libc: Libc<typeof SYMBOLS> | null;
  readonly #room = new Uint8Array(ROOM_BYTES);

  /** Of the directory with this path. */
  constructor(path: string) {
    this.#path = path;
    this.#libc = findLibc(SYMBOLS);
  }

  /**
   * Its names, in no order; one list at a time.
   *
   * @throws what the system says
   */
  async list(): Promise<readonly string[]> {
    const names = this.#libc && await this.#listBy(this.#libc.symbols);
    // Where it fails, Deno says why.
    return names ?? (await Array.fromAsync(Deno.readDir(this.#path))).map(({ name }) => name);
  }

  /** Lists no more. */
  [Symbol.dispose](): void {
    this.#libc?.close();
  }

  async #listBy(libc: Libc<typeof SYMBOLS>["symbols"]): Promise<readonly string[] | null> {
    const folder = libc.open(new TextEncoder().encode(`${this.#path}\0`), OPEN_FLAGS);
    if (folder < 0) return null;
    try {
      const names: string[] = [];
      for (;;) {
        const size = Number(await libc.getdents64(folder, this.#room, BigInt(ROOM_BYTES)));
        if (size < 0) return null;
        if (size === 0) return names;
        addNames(names, this.#room.subarray(0, size));
      }
    } finally {
      libc.close(folder);
    }
  }
}

const DECODER = new TextDecoder();

function addNames(names: string[], entries: Uint8Array): void {
  for (let at = 0; at < entries.length;) {
    const size = entries[at + ENTRY.size]! | entries[at + ENTRY.size + 1]! << 8;
    const end = entries.indexOf(0, at + ENTRY.name);
    const name = DECODER.decode(entries.subarray(at + ENTRY.name, end));
    if (name !== "." && name !== "..") names.push(name);
    at += size;
  }
}
