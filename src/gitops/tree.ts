/**
 * The files of a commit, by walking its folders in the object store.
 *
 * Only regular files come out. What else a tree can hold is refused by its mode: a symbolic link, which could lead anywhere, and a submodule,
 * which is another repository. So are names that no file should have. The walk is bounded in entries, depth and bytes: ten folders that
 * each hold the next one ten times have ten thousand million files.
 *
 * @module
 */
import type { GitObject, HashName } from "./pack.ts";
import { ID_BYTES } from "./pack.ts";
import { type Bounds, RepositoryError, type RepositoryFile } from "./repository.ts";

/** What a tree is read from. */
export interface TreeSource {
  /** The hash that names its objects. */
  readonly hash: HashName;
  /** Reads an object; `null` = not here. `count` is told how many bytes each step of it makes. */
  read(id: string, count: (bytes: number) => void): GitObject | null;
  /** What to say of an object that isn't there, or isn't of the kind that it should be. */
  lacking(what: string): RepositoryError;
}

/** Bounds of a walk. */
export type TreeBounds = Pick<Bounds, "entries" | "depth" | "fileBytes" | "objectBytes" | "unpackedBytes">;

/** An entry of a folder. */
interface Entry {
  readonly mode: number;
  /** As it stands in the tree. */
  readonly name: Uint8Array;
  readonly id: string;
}

const FOLDER = 0o040000;
const SYMBOLIC_LINK = 0o120000;
const SUBMODULE = 0o160000;
/** Regular files, also group-writable ones, as early versions of Git wrote them. */
const FILES: ReadonlySet<number> = new Set([0o100644, 0o100755, 0o100664]);
const NAME_BYTES_MAX = 255;
/** Differences may have to be resolved time and again: for all files together as often as this. */
const UNPACKED_AGAIN = 4;

/**
 * Regular files below a folder of a tree, in order of their paths' bytes.
 *
 * @param root id of the tree of the whole commit
 * @throws {RepositoryError} `missing`: no such folder; `name`, `bound`, `damaged` with the path that it is about
 */
export function* filesBelow(
  source: TreeSource,
  { root, prefix, bounds }: { readonly root: string; readonly prefix: string; readonly bounds: TreeBounds },
): Generator<RepositoryFile> {
  const walk = new Walk(source, bounds);
  yield* walk.below(walk.folder(root, prefix), prefix === "" ? [] : prefix.split("/"));
}

class Walk {
  readonly #source: TreeSource;
  readonly #bounds: TreeBounds;
  #entries = 0;
  #fileBytes = 0;
  #unpacked = 0;

  constructor(source: TreeSource, bounds: TreeBounds) {
    this.#source = source;
    this.#bounds = bounds;
  }

  /** The tree of a folder, by its path. */
  folder(root: string, prefix: string): string {
    let id = root;
    const parts = prefix === "" ? [] : prefix.split("/");
    parts.forEach((part, index) => {
      const name = new TextEncoder().encode(part);
      const path = parts.slice(0, index + 1).join("/");
      const entry = this.#tree(id, parts.slice(0, index).join("/")).find((each) => isEqual(each.name, name));
      if (entry === undefined) {
        throw new RepositoryError("missing", `The commit has no folder ${shownPath(path)}`);
      }
      if (entry.mode === SYMBOLIC_LINK || entry.mode === SUBMODULE) {
        throw refused(path, faultOfMode(entry.mode)!);
      }
      if (entry.mode !== FOLDER) throw new RepositoryError("missing", `${shownPath(path)} is no folder`);
      id = entry.id;
    });
    return id;
  }

  *below(tree: string, parts: readonly string[]): Generator<RepositoryFile> {
    // A stack of our own: a tree that is as deep as it is allowed to be mustn't cost the stack of the thread.
    const open = [{ entries: this.#tree(tree, parts.join("/")).values(), path: parts.join("/"), depth: 0 }];
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const next = top.entries.next();
      if (next.done) {
        open.pop();
        continue;
      }
      const { mode, name, id } = next.value;
      const path = top.path === "" ? printable(name) : `${top.path}/${printable(name)}`;
      this.#judge({ mode, name }, path);
      if (mode !== FOLDER) {
        yield { path, blob: id, read: () => Promise.resolve().then(() => this.#file(id, path)) };
        continue;
      }
      const depth = top.depth + 1;
      if (depth > this.#bounds.depth) {
        throw beyond(path, `is more than ${this.#bounds.depth} folders deep`, "depth");
      }
      open.push({ entries: this.#tree(id, path).values(), path, depth });
    }
  }

  #judge({ mode, name }: Pick<Entry, "mode" | "name">, path: string): void {
    if (++this.#entries > this.#bounds.entries) {
      throw beyond(
        path,
        `is one more than the ${this.#bounds.entries} files and folders that are read`,
        "entries",
      );
    }
    const fault = faultOfName(name) ?? faultOfMode(mode);
    if (fault !== null) throw refused(path, fault);
  }

  #file(id: string, path: string): Uint8Array {
    const bytes = this.#read(id, { kind: "blob", path });
    this.#fileBytes += bytes.length;
    const { fileBytes } = this.#bounds;
    if (this.#fileBytes > fileBytes) {
      throw beyond(path, `brings all files to more than ${fileBytes} bytes`, "fileBytes");
    }
    if (isLargeFilePointer(bytes)) {
      throw refused(
        path,
        "is a pointer of Git LFS, whose content isn't in the repository: commit the file itself",
      );
    }
    return bytes;
  }

  #tree(id: string, path: string): Entry[] {
    return entriesOf(this.#read(id, { kind: "tree", path }), { hash: this.#source.hash, path });
  }

  #read(id: string, { kind, path }: { kind: "tree" | "blob"; path: string }): Uint8Array {
    const most = UNPACKED_AGAIN * this.#bounds.unpackedBytes;
    const object = this.#source.read(id, (bytes) => {
      this.#unpacked += bytes;
      if (this.#unpacked > most) {
        throw beyond(path, `takes the unpacking beyond ${most} bytes`, "unpackedBytes");
      }
    });
    if (object?.kind !== kind) throw this.#source.lacking(path === "" ? "The root folder" : shownPath(path));
    return object.bytes;
  }
}

/** The entries of a tree, which must be in the order that Git writes. */
function entriesOf(
  bytes: Uint8Array,
  { hash, path }: { readonly hash: HashName; readonly path: string },
): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const end = bytes.indexOf(0, space);
    const next = end + 1 + ID_BYTES[hash];
    const mode = new TextDecoder().decode(bytes.subarray(at, Math.max(space, at)));
    if (space < 0 || end < 0 || next > bytes.length || !/^[0-7]{5,6}$/.test(mode)) throw damagedTree(path);
    const entry = {
      mode: parseInt(mode, 8),
      name: bytes.subarray(space + 1, end),
      id: bytes.subarray(end + 1, next).toHex(),
    };
    const before = entries.at(-1);
    if (before !== undefined && compare(before, entry) >= 0) throw damagedTree(path);
    entries.push(entry);
    at = next;
  }
  return entries;
}

/** By the bytes of their names; a folder as though its name ended with a slash. */
function compare(a: Entry, b: Entry): number {
  const length = Math.min(a.name.length, b.name.length);
  for (let index = 0; index < length; index++) {
    const difference = a.name[index]! - b.name[index]!;
    if (difference !== 0) return difference;
  }
  if (a.name.length === b.name.length) return 0;
  return after(a, length) - after(b, length);
}

function after({ name, mode }: Entry, index: number): number {
  return name[index] ?? (mode === FOLDER ? 0x2f : 0);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function faultOfMode(mode: number): string | null {
  if (mode === SYMBOLIC_LINK) return "is a symbolic link: write the file itself";
  if (mode === SUBMODULE) return "is a submodule: write its files here";
  if (mode === FOLDER || FILES.has(mode)) return null;
  return `has mode ${mode.toString(8)}, which isn't known`;
}

/** What is wrong with a name that no file should have. */
function faultOfName(name: Uint8Array): string | null {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(name);
  } catch {
    return "has a name that isn't UTF-8";
  }
  if (text === "" || text === "." || text === "..") return "has a name that no file can have";
  // Also as file systems without case, and those that shorten names, would have it.
  if (/^\.git[. ]*$|^git~\d$/i.test(text)) return "has the name of Git's own folder";
  if (text.includes("/")) return "has a slash in its name";
  if (/\p{Cc}/u.test(text)) return "has a control character in its name";
  if (name.length > NAME_BYTES_MAX) return `has a name of more than ${NAME_BYTES_MAX} bytes`;
  return null;
}

function isLargeFilePointer(bytes: Uint8Array): boolean {
  const begin = "version https://git-lfs.github.com/spec/";
  return bytes.length < 1024 && new TextDecoder().decode(bytes.subarray(0, begin.length)) === begin;
}

/** A name as text; it is judged by its bytes before it counts as one. */
function printable(name: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(name);
}

const SHOWN_LENGTH_MAX = 200;

/** A path in a message: in quotes, its control characters escaped, its middle cut out when it is long. */
function shownPath(path: string): string {
  const half = SHOWN_LENGTH_MAX / 2;
  const cut = path.length <= SHOWN_LENGTH_MAX ? path : `${path.slice(0, half)}…${path.slice(-half)}`;
  const escaped = (character: string) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, "0")}`;
  return JSON.stringify(cut).replaceAll(/[\p{Cc}\p{Cf}]/gu, escaped);
}

function refused(path: string, fault: string): RepositoryError {
  return new RepositoryError("name", `${shownPath(path)} ${fault}`);
}

function beyond(path: string, what: string, bound: keyof Bounds): RepositoryError {
  return new RepositoryError("bound", `The repository is too large: ${shownPath(path)} ${what} (${bound})`);
}

function damagedTree(path: string): RepositoryError {
  return new RepositoryError("damaged", `The folder ${shownPath(path)} of the commit is damaged`);
}
