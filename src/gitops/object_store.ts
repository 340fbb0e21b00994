/**
 * Objects of a repository, in a folder: packs as they came, each with a list of what is in it.
 *
 * The folder is a cache: all of it can be fetched again, so whatever isn't as it should be is thrown away with all the rest. A pack counts once
 * its list is there, which is renamed into place last: a process that is killed in between leaves a pack without one, which goes at the next
 * start. Nothing is synced to the disk: an object's id is the hash of its bytes, which are held against it at each reading.
 *
 * ```text
 * state.json    which repository this is, and the commits that are here with all their files
 * 7.pack        as it came
 * 7.list        JSON: its size, what was left out, its objects; sealed with their hash
 * incoming      a pack that is coming
 * ```
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  type GitObject,
  type HashName,
  ID_BYTES,
  idOf,
  type ObjectKind,
  type PackedObject,
  readPack,
  readPacked,
} from "./pack.ts";
import { type Bounds, RepositoryError } from "./repository.ts";

/** What is kept about a pack while it isn't read. */
interface Pack {
  readonly number: number;
  readonly bytes: number;
  readonly leftOut: number;
  readonly objects: readonly PackedObject[];
}

/** What `state.json` says. */
interface State {
  readonly source: string;
  readonly hash: HashName;
  readonly complete: readonly string[];
}

/** So many commits are told to the other side as being here: the last ones are nearest to what comes next. */
const COMPLETE_MAX = 16;
/** More packs than that are replaced by one that is fetched whole. */
const PACKS_MAX = 100;

/** Objects in a folder. */
export class ObjectStore {
  readonly #folder: string;
  readonly #source: string;
  readonly #bounds: Bounds;
  #hash: HashName = "sha1";
  #packs: Pack[] = [];
  #objects = new Map<string, { readonly pack: Pack; readonly index: number }>();
  #complete: string[] = [];
  #bytes = 0;
  #next = 1;

  /**
   * Opens the folder, or makes it; what lies in it and can't be used is removed.
   *
   * @param source which repository it is of; what is of another one is removed
   */
  constructor({ folder, source, bounds }: {
    readonly folder: string;
    readonly source: string;
    readonly bounds: Bounds;
  }) {
    this.#folder = folder;
    // Whoever can read the folder needn't learn from it where the repository is.
    this.#source = createHash("sha256").update(source).digest("hex");
    this.#bounds = bounds;
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    Deno.chmodSync(folder, 0o700);
    try {
      this.#load();
    } catch {
      // Half written, damaged, of another repository or of another version: it is a cache.
      this.clear();
    }
  }

  /** The hash that names objects here. */
  get hash(): HashName {
    return this.#hash;
  }

  /** Commits that are here with all their files, oldest first. */
  get complete(): readonly string[] {
    return this.#complete;
  }

  /** Whether some object that was sent isn't here because it is too large. */
  get hasLeftOut(): boolean {
    return this.#packs.some(({ leftOut }) => leftOut > 0);
  }

  /** Whether another fetch, and one of everything after it, could exceed the disk's bound, or leave too many packs. */
  get isFull(): boolean {
    const { packBytes, diskBytes } = this.#bounds;
    return this.#bytes + 2 * packBytes > diskBytes || this.#packs.length >= PACKS_MAX;
  }

  /** Whether an object is here. */
  has(id: string): boolean {
    return this.#objects.has(id);
  }

  /**
   * Reads an object; `null` = not here.
   *
   * @param count told how many bytes each step of unpacking makes; throws when that is enough
   * @throws {RepositoryError} `damaged`: the folder isn't as it was left
   */
  read(id: string, count: (bytes: number) => void): GitObject | null {
    const found = this.#objects.get(id);
    if (found === undefined) return null;
    const { pack, index } = found;
    let object: GitObject;
    try {
      using file = Deno.openSync(this.#path(`${pack.number}.pack`));
      object = readPacked(pack.objects, index, { count, slice: (from, to) => sliceOf(file, from, to) });
    } catch (error) {
      if (error instanceof RepositoryError && error.reason !== "damaged") throw error;
      throw storeDamaged(error);
    }
    if (idOf(this.#hash, object) !== id) throw storeDamaged();
    return object;
  }

  /**
   * Takes in a pack.
   *
   * @param pieces its bytes as they come; bounded here
   * @param breathe called every now and then: lets others run, and throws when it is time to stop
   * @throws {RepositoryError} `bound` or `damaged`; the store is then as it was
   */
  async add(pieces: AsyncIterable<Uint8Array>, breathe: () => Promise<void>): Promise<void> {
    const incoming = this.#path("incoming");
    try {
      const received = await this.#receive(pieces, incoming);
      const contents = await readPack(Deno.readFileSync(incoming), {
        hash: this.#hash,
        bounds: this.#bounds,
        before: (id) => this.read(id, () => {}),
        breathe,
      });
      const bytes = received + append(incoming, contents.appended);
      const { objects, leftOut } = contents;
      const pack: Pack = { number: this.#next++, bytes, leftOut, objects };
      const list = sealed(pack);
      if (this.#bytes + bytes + list.length > this.#bounds.diskBytes) throw this.#diskFull();
      Deno.renameSync(incoming, this.#path(`${pack.number}.pack`));
      this.#write(`${pack.number}.list`, list);
      this.#take(pack, bytes + list.length);
    } catch (error) {
      remove(incoming);
      throw error;
    }
  }

  /** Remembers that a commit is here with all its files. */
  addComplete(id: string): void {
    this.#complete = [...this.#complete.filter((each) => each !== id), id].slice(-COMPLETE_MAX);
    this.#saveState();
  }

  /** Keeps nothing but the last pack, which has all files of one commit. */
  keepLast(complete: string): void {
    const last = this.#packs.at(-1)!;
    this.#complete = [complete];
    this.#saveState();
    for (const { number } of this.#packs.filter((pack) => pack !== last)) this.#drop(number);
    this.#forget();
    this.#take(last, last.bytes + Deno.statSync(this.#path(`${last.number}.list`)).size);
  }

  /** Removes everything. */
  clear(hash: HashName = this.#hash): void {
    this.#forget();
    this.#complete = [];
    this.#hash = hash;
    for (const { name } of Deno.readDirSync(this.#folder)) {
      Deno.removeSync(this.#path(name), { recursive: true });
    }
    this.#saveState();
  }

  #forget(): void {
    this.#packs = [];
    this.#objects = new Map();
    this.#bytes = 0;
  }

  async #receive(pieces: AsyncIterable<Uint8Array>, path: string): Promise<number> {
    const { packBytes } = this.#bounds;
    using file = Deno.openSync(path, { write: true, create: true, truncate: true, mode: 0o600 });
    let bytes = 0;
    for await (const piece of pieces) {
      bytes += piece.length;
      if (bytes > packBytes) {
        throw new RepositoryError(
          "bound",
          `The repository is too large: more than ${packBytes} bytes in one fetch (packBytes)`,
        );
      }
      if (this.#bytes + bytes > this.#bounds.diskBytes) throw this.#diskFull();
      writeAll(file, piece);
    }
    return bytes;
  }

  #diskFull(): RepositoryError {
    const { diskBytes } = this.#bounds;
    return new RepositoryError(
      "bound",
      `The repository is too large: more than ${diskBytes} bytes on disk (diskBytes)`,
    );
  }

  #take(pack: Pack, bytes: number): void {
    this.#packs.push(pack);
    this.#bytes += bytes;
    this.#next = Math.max(this.#next, pack.number + 1);
    pack.objects.forEach(({ id }, index) => this.#objects.set(id, { pack, index }));
  }

  #load(): void {
    const names = new Set([...Deno.readDirSync(this.#folder)].map(({ name }) => name));
    const state: State = JSON.parse(Deno.readTextFileSync(this.#path("state.json")));
    if (state.source !== this.#source || !(state.hash in ID_BYTES)) throw new Error("of another repository");
    this.#hash = state.hash;
    const numbers = [...names].map((name) => /^(\d+)\.list$/.exec(name)?.[1]).filter((it) =>
      it !== undefined
    );
    for (const number of numbers.map(Number).sort((a, b) => a - b)) {
      const list = Deno.readFileSync(this.#path(`${number}.list`));
      const pack = unsealed(list, number);
      if (Deno.statSync(this.#path(`${number}.pack`)).size !== pack.bytes) throw new Error("cut off");
      this.#take(pack, pack.bytes + list.length);
      names.delete(`${number}.list`);
      names.delete(`${number}.pack`);
    }
    names.delete("state.json");
    for (const name of names) Deno.removeSync(this.#path(name), { recursive: true });
    this.#complete = state.complete.filter((id) => this.has(id));
  }

  /** The list goes first: a pack without one is removed at the next start. */
  #drop(number: number): void {
    remove(this.#path(`${number}.list`));
    remove(this.#path(`${number}.pack`));
  }

  #saveState(): void {
    const state: State = { source: this.#source, hash: this.#hash, complete: this.#complete };
    this.#write("state.json", new TextEncoder().encode(JSON.stringify(state)));
  }

  /** All of a file or none of it. */
  #write(name: string, bytes: Uint8Array): void {
    Deno.writeFileSync(this.#path(`${name}.new`), bytes, { mode: 0o600 });
    Deno.renameSync(this.#path(`${name}.new`), this.#path(name));
  }

  #path(name: string): string {
    return `${this.#folder}/${name}`;
  }
}

/** Gives how many bytes were added to the file. */
function append(path: string, pieces: readonly Uint8Array[]): number {
  using file = Deno.openSync(path, { append: true });
  for (const piece of pieces) writeAll(file, piece);
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

function sliceOf(file: Deno.FsFile, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from);
  file.seekSync(from, Deno.SeekMode.Start);
  for (let filled = 0; filled < bytes.length;) {
    const read = file.readSync(bytes.subarray(filled));
    if (read === null) throw storeDamaged();
    filled += read;
  }
  return bytes;
}

/** An object in a list: id, kind, from, to, size, base. */
type Row = readonly [string, ObjectKind, number, number, number, number];

/** A pack's list as bytes, with their hash in the first line. */
function sealed({ bytes, leftOut, objects }: Pack): Uint8Array {
  const rows: Row[] = objects.map(({ id, kind, from, to, size, base }) => [id, kind, from, to, size, base]);
  const text = JSON.stringify({ bytes, leftOut, rows });
  return new TextEncoder().encode(`${createHash("sha256").update(text).digest("hex")}\n${text}`);
}

function unsealed(list: Uint8Array, number: number): Pack {
  const [seal, text = ""] = new TextDecoder().decode(list).split("\n", 2);
  if (createHash("sha256").update(text).digest("hex") !== seal) throw new Error("damaged");
  const { bytes, leftOut, rows }: { bytes: number; leftOut: number; rows: readonly Row[] } = JSON.parse(text);
  return {
    number,
    bytes,
    leftOut,
    objects: rows.map(([id, kind, from, to, size, base]) => ({ id, kind, from, to, size, base })),
  };
}

function storeDamaged(cause?: unknown): RepositoryError {
  return new RepositoryError("damaged", "The store of the repository is damaged: it is fetched again", {
    cause,
  });
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
