/**
 * Text files and folders of the kernel, in `/proc` and `/sys`.
 *
 * Deno opens nothing there unless a program may do everything (`--allow-all`), and the executable may do less. So they are
 * read by the C library: what foreign functions may do isn't bounded by the other permissions anyway
 * ([docs/security.md](../docs/security.md)).
 *
 * @module
 */
import { type Libc, openLibc } from "./libc.ts";

const FILES = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Apart from those of files, since each symbol that is loaded takes its time. */
const FOLDERS = {
  opendir: { parameters: ["buffer"], result: "pointer" },
  readdir: { parameters: ["pointer"], result: "pointer" },
  closedir: { parameters: ["pointer"], result: "i32" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
} as const satisfies Deno.ForeignLibraryInterface;

const O_RDONLY = 0;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
/** What is read at once: most files in one go, and the tables of a machine of many sockets in few. */
const CHUNK_BYTES = 64 * 1024;
/** The table of 400,000 sockets; what is longer loses its tail. */
const TEXT_BYTES_MAX = 64 << 20;

/** More than what names a socket; what is longer loses its tail. */
const LINK_BYTES_MAX = 256;
/** Where a name begins in the `struct dirent` of 64-bit glibc. */
const DIRENT_NAME = 19;

/**
 * The text of such a file; `null` = there is none, it may not be read, or this isn't Linux with glibc.
 *
 * @param isEnough looks at what was read so far, and says whether that is enough: the kernel writes no more than is read
 */
export function kernelText(path: string, isEnough: (text: string) => boolean = () => false): string | null {
  return withLibc(FILES, (libc) => textOf(libc, path, isEnough));
}

/** The same of several, whole, at less cost than one by one. */
export function kernelTexts(paths: readonly string[]): (string | null)[] {
  return withLibc(FILES, (libc) => paths.map((path) => textOf(libc, path, () => false))) ??
    paths.map(() => null);
}

/** The names in such a folder; `null` = there is none, it may not be read, or this isn't Linux with glibc. */
export function kernelNames(path: string): string[] | null {
  return withLibc(FOLDERS, (libc) => namesIn(libc, path));
}

/** Where the links in such folders lead to, such as `socket:[1234]`; none where they may not be read. */
export function kernelLinks(folders: readonly string[]): string[][] {
  const linksIn = (libc: Symbols<typeof FOLDERS>, folder: string) =>
    (namesIn(libc, folder) ?? []).flatMap((name) => linkOf(libc, `${folder}/${name}`) ?? []);
  return withLibc(FOLDERS, (libc) => folders.map((folder) => linksIn(libc, folder))) ??
    folders.map(() => []);
}

type Symbols<Interface extends Deno.ForeignLibraryInterface> = Libc<Interface>["symbols"];

function withLibc<const Interface extends Deno.ForeignLibraryInterface, Result>(
  symbols: Interface,
  use: (libc: Symbols<Interface>) => Result,
): Result | null {
  if (Deno.build.os !== "linux") return null;
  let libc: Libc<Interface>;
  try {
    libc = openLibc(symbols);
  } catch {
    return null; // another C library
  }
  try {
    return use(libc.symbols);
  } finally {
    libc.close();
  }
}

function namesIn({ opendir, readdir, closedir }: Symbols<typeof FOLDERS>, path: string): string[] | null {
  const folder = opendir(terminated(path));
  if (folder === null) return null;
  const names: string[] = [];
  for (let entry = readdir(folder); entry !== null; entry = readdir(folder)) {
    const name = new Deno.UnsafePointerView(entry).getCString(DIRENT_NAME);
    if (name !== "." && name !== "..") names.push(name);
  }
  closedir(folder);
  return names;
}

function linkOf({ readlink }: Symbols<typeof FOLDERS>, path: string): string | null {
  const target = new Uint8Array(LINK_BYTES_MAX);
  const size = Number(readlink(terminated(path), target, BigInt(target.length)));
  return size < 0 ? null : new TextDecoder().decode(target.subarray(0, size));
}

/** As the C library takes it. */
function terminated(path: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${path}\0`);
}

function textOf(
  { open, read, close }: Symbols<typeof FILES>,
  path: string,
  isEnough: (text: string) => boolean,
): string | null {
  const fd = open(terminated(path), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return null;
  try {
    const decoder = new TextDecoder();
    const chunk = new Uint8Array(CHUNK_BYTES);
    let text = "";
    for (let bytes = 0; bytes < TEXT_BYTES_MAX;) {
      const size = Number(read(fd, chunk, BigInt(chunk.length)));
      if (size < 0) return null;
      if (size === 0) break;
      text += decoder.decode(chunk.subarray(0, size), { stream: true });
      bytes += size;
      if (isEnough(text)) break;
    }
    return text + decoder.decode();
  } finally {
    close(fd);
  }
}
