/**
 * Files that are made while other work goes on.
 *
 * `Deno.open` opens on the thread that calls it, though it gives a promise (Deno 2.6.8). To open what is there takes microseconds; to
 * make a file changes its directory, and for that the system waits until what others change there is done, and at times for the
 * disk: a second, when that is busy. So it is made first, by a call of the C library on another thread, and opened then.
 *
 * @module
 */
import { findLibc } from "../libc.ts";

const SYMBOLS = {
  make: { name: "open", parameters: ["buffer", "i32", "u32"], result: "i32", nonblocking: true },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** O_WRONLY, O_CREAT, O_TRUNC and O_CLOEXEC of Linux. */
const MAKE_FLAGS = 0o1 | 0o100 | 0o1000 | 0o2000000;

/**
 * An empty file to be written: a new one, or the one that is there, without what it had.
 *
 * @throws what the system says
 */
export async function createFile(path: string, mode: number): Promise<Deno.FsFile> {
  const isThere = await makeAside(path, mode);
  // Where it isn't, Deno says why, or makes it.
  return await Deno.open(path, { write: true, ...!isThere && { create: true, truncate: true, mode } });
}

/** @returns whether it is there */
async function makeAside(path: string, mode: number): Promise<boolean> {
  const libc = findLibc(SYMBOLS);
  if (libc === null) return false;
  const terminated = new TextEncoder().encode(`${path}\0`);
  try {
    const fd = await libc.symbols.make(terminated, MAKE_FLAGS, mode);
    if (fd >= 0) libc.symbols.close(fd);
    return fd >= 0;
  } finally {
    // Held until then: the other thread reads it.
    terminated.fill(0);
    libc.close();
  }
}
