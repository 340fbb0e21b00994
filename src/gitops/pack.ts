/**
 * Packs: many objects of Git in one file, each deflated, many as the difference from another.
 *
 * A pack is written by the other side, so each number in it is a claim: how many objects there are, how large each is, where its base lies,
 * how large the result of a difference is. Each is held against a bound before a byte is set aside for it, and against what really comes.
 * All unpacking counts towards one sum, so that a small pack can't cost much time, however its differences are stacked.
 *
 * An object beyond the size that is accepted isn't refused here, where its path isn't known: it is skipped and left out, so that only a reader who
 * needs it fails, and can say which file it is.
 *
 * Source: Documentation/gitformat-pack.txt of Git.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createInflate, deflateSync, inflateSync } from "node:zlib";
import { type Bounds, RepositoryError } from "./repository.ts";

/** Kinds of objects. */
export type ObjectKind = "commit" | "tree" | "blob" | "tag";

/** An object of Git, without its header. */
export interface GitObject {
  /** What it is. */
  readonly kind: ObjectKind;
  /** Its content, which nothing changes any more. */
  readonly bytes: Uint8Array;
}

/** How a repository names its objects. */
export type HashName = "sha1" | "sha256";

/** Bytes of an id. */
export const ID_BYTES: Readonly<Record<HashName, number>> = { sha1: 20, sha256: 32 };

/** Where an object lies in a pack. */
export interface PackedObject {
  /** Its id, in hexadecimal. */
  readonly id: string;
  /** What it is. */
  readonly kind: ObjectKind;
  /** Where its deflated bytes begin. */
  readonly from: number;
  /** Where they end. */
  readonly to: number;
  /** Bytes of what they inflate to: the object, or the difference from its base. */
  readonly size: number;
  /** Which object of the pack it is a difference from; -1 = it is whole. */
  readonly base: number;
}

/** What a pack holds. */
export interface PackContents {
  /** A base stands before what is a difference from it. */
  readonly objects: readonly PackedObject[];
  /** How many objects were left out because they are too large. */
  readonly leftOut: number;
  /** What belongs after the pack: bases from elsewhere, so that it can be read by itself. */
  readonly appended: readonly Uint8Array[];
}

/** What reading a pack is bounded by. */
export interface PackTerms {
  /** The hash that names its objects. */
  readonly hash: HashName;
  /** What is accepted. */
  readonly bounds: Pick<Bounds, "objects" | "objectBytes" | "unpackedBytes">;
  /** An object that was here before, on which the other side may build differences; `null` = not here. */
  readonly before: (id: string) => GitObject | null;
  /** Called between objects: lets others run, and throws when it is time to stop. */
  readonly breathe: () => Promise<void>;
}

/** As many differences may be stacked as Git itself stacks at most (`pack.depth`). */
const CHAIN_MAX = 4095;
/** Bytes of bases kept while differences from them are resolved; most need the base that was needed last. */
const BASES_BYTES = 48 << 20;
const KINDS: readonly (ObjectKind | null)[] = [null, "commit", "tree", "blob", "tag"];
const OFFSET_DELTA = 6;
const REFERENCE_DELTA = 7;

/** The id of an object. */
export function idOf(hash: HashName, { kind, bytes }: GitObject): string {
  return createHash(hash).update(`${kind} ${bytes.length}\0`).update(bytes).digest("hex");
}

/**
 * Reads what a pack holds, and works out the id of each object.
 *
 * @param pack all of it, with its checksum
 * @throws {RepositoryError} `damaged` or `bound`
 */
export async function readPack(pack: Uint8Array, terms: PackTerms): Promise<PackContents> {
  const entries = await scan(pack, terms);
  return await new Resolution(pack, entries, terms).contents();
}

/** An object as it stands in the pack. */
interface Entry {
  readonly from: number;
  readonly to: number;
  readonly size: number;
  /** Of a whole object. */
  readonly kind: ObjectKind | null;
  /** Of a whole object that isn't too large. */
  readonly id: string | null;
  /** Of a difference: index of the base, or its id. */
  readonly base: number | string | null;
  readonly isTooLarge: boolean;
}

/** Finds where each object begins and ends, which only inflating it tells. */
async function scan(pack: Uint8Array, terms: PackTerms): Promise<{ entries: Entry[]; unpacked: number }> {
  const { hash, bounds, breathe } = terms;
  const end = pack.length - ID_BYTES[hash];
  if (end < 12 || new TextDecoder().decode(pack.subarray(0, 4)) !== "PACK") throw damaged("no pack came");
  const view = new DataView(pack.buffer, pack.byteOffset, pack.byteLength);
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) throw damaged(`version ${version} of the format isn't known`);
  const sum = createHash(hash).update(pack.subarray(0, end)).digest();
  if (!sum.equals(pack.subarray(end))) throw damaged("its checksum is wrong");
  const count = view.getUint32(8);
  if (count > bounds.objects) throw beyond(`${count} objects`, "objects", bounds.objects);

  const entries: Entry[] = [];
  const byOffset = new Map<number, number>();
  const reader = { bytes: pack.subarray(0, end), at: 12 };
  let unpacked = 0;
  for (let index = 0; index < count; index++) {
    await breathe();
    const offset = reader.at;
    byOffset.set(offset, index);
    const { type, size } = header(reader);
    const kind = KINDS[type] ?? null;
    let base: number | string | null = null;
    if (type === OFFSET_DELTA) {
      const found = byOffset.get(offset - distance(reader));
      if (found === undefined) throw damaged("the base of a difference isn't an object before it");
      base = found;
    } else if (type === REFERENCE_DELTA) {
      base = reader.bytes.subarray(reader.at, reader.at += ID_BYTES[hash]).toHex();
    } else if (kind === null) throw damaged(`it has an object of kind ${type}`);
    unpacked += size;
    if (unpacked > bounds.unpackedBytes) {
      throw beyond(`${unpacked} bytes to unpack`, "unpackedBytes", bounds.unpackedBytes);
    }
    const from = reader.at;
    const isTooLarge = size > bounds.objectBytes;
    if (isTooLarge) {
      const to = from + await skip(reader.bytes.subarray(from), size, breathe);
      entries.push({ from, to, size, kind, id: null, base, isTooLarge });
    } else {
      const { bytes, used } = inflate(reader.bytes.subarray(from), size);
      const id = kind === null ? null : idOf(hash, { kind, bytes });
      entries.push({ from, to: from + used, size, kind, id, base, isTooLarge });
    }
    reader.at = entries.at(-1)!.to;
  }
  if (reader.at !== end) throw damaged("bytes are left over after its last object");
  return { entries, unpacked };
}

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
}

function byte(reader: Reader): number {
  const value = reader.bytes[reader.at++];
  if (value === undefined) throw damaged("it ends within an object");
  return value;
}

/** Kind and size: four bits of the size in the first byte, then seven in each, lowest first. */
function header(reader: Reader): { type: number; size: number } {
  let current = byte(reader);
  const type = (current >> 4) & 7;
  let size = current & 15;
  for (let unit = 16; current & 128; unit *= 128) {
    current = byte(reader);
    size += (current & 127) * unit;
    if (size > Number.MAX_SAFE_INTEGER) throw damaged("an object's size is beyond all measure");
  }
  return { type, size };
}

/** How far before it the base of a difference begins: seven bits a byte, highest first, one added at each step. */
function distance(reader: Reader): number {
  let current = byte(reader);
  let value = current & 127;
  while (current & 128) {
    current = byte(reader);
    value = (value + 1) * 128 + (current & 127);
    if (value > reader.bytes.length) throw damaged("the base of a difference lies before the pack");
  }
  return value;
}

/**
 * Inflates what has a known size.
 *
 * @throws {RepositoryError} `damaged`, among others when more or less comes; never more memory than the size is set aside
 */
function inflate(deflated: Uint8Array, size: number): { bytes: Uint8Array; used: number } {
  try {
    // `info` gives, beside the bytes, how many it took to make them, which the types of Deno don't know.
    const { buffer, engine } = inflateSync(deflated, {
      info: true,
      maxOutputLength: Math.max(size, 1),
      chunkSize: Math.min(Math.max(size + 1, 64), 1 << 18),
    }) as unknown as { buffer: Uint8Array; engine: { bytesWritten: number } };
    if (buffer.length === size) return { bytes: buffer, used: engine.bytesWritten };
  } catch (error) {
    throw damaged("an object can't be unpacked to the size that it is said to have", error);
  }
  throw damaged("an object hasn't the size that it is said to have");
}

/** Inflates an object and throws it away, in little memory; gives how many bytes it took. */
async function skip(deflated: Uint8Array, size: number, breathe: () => Promise<void>): Promise<number> {
  const inflating = createInflate({ chunkSize: 1 << 18 });
  let sum = 0;
  try {
    inflating.end(deflated);
    for await (const chunk of inflating) {
      sum += chunk.length;
      if (sum > size) break;
      await breathe();
    }
  } catch (error) {
    if (error instanceof RepositoryError) throw error;
    throw damaged("a large object can't be unpacked", error);
  } finally {
    inflating.destroy();
  }
  if (sum !== size) throw damaged("a large object hasn't the size that it is said to have");
  return inflating.bytesWritten;
}

/** Works out what each difference results in, a base before what is built on it. */
class Resolution {
  readonly #pack: Uint8Array;
  readonly #entries: readonly Entry[];
  readonly #terms: PackTerms;
  readonly #resolved: PackedObject[] = [];
  /** By index of the entry: where it stands among the resolved ones; -1 = not yet; -2 = left out. */
  readonly #place: Int32Array;
  /** Place among the resolved ones, by id. */
  readonly #placeOf = new Map<string, number>();
  /** What is built on an entry, by the entry's index or its object's id. */
  readonly #byIndex = new Map<number, number[]>();
  readonly #byId = new Map<string, number[]>();
  readonly #bases = new Bases();
  /** Of what is appended, its deflated bytes by where they begin. */
  readonly #slices = new Map<number, Uint8Array>();
  #end: number;
  #leftOut = 0;
  readonly #appended: Uint8Array[] = [];
  #unpacked: number;

  constructor(
    pack: Uint8Array,
    { entries, unpacked }: { readonly entries: readonly Entry[]; readonly unpacked: number },
    terms: PackTerms,
  ) {
    this.#pack = pack;
    this.#end = pack.length;
    this.#entries = entries;
    this.#terms = terms;
    this.#unpacked = unpacked;
    this.#place = new Int32Array(entries.length).fill(-1);
  }

  async contents(): Promise<PackContents> {
    const roots: number[] = [];
    this.#entries.forEach(({ base }, index) => {
      if (base === null) roots.push(index);
      else if (typeof base === "number") append(this.#byIndex, base, index);
      else append(this.#byId, base, index);
    });
    for (const root of roots) await this.#resolveAll(root);
    for (const [id, built] of this.#byId) {
      if (this.#placeOf.has(id) || !this.#append(id)) continue;
      for (const index of built) await this.#resolveAll(index);
    }
    // What refers by its id to an object that was left out can't be told from what refers to nothing.
    const unresolved = this.#place.filter((place) => place === -1).length;
    if (unresolved > 0 && this.#leftOut === 0) throw damaged("the base of a difference isn't in it");
    return {
      objects: this.#resolved,
      leftOut: this.#leftOut + unresolved,
      appended: this.#appended,
    };
  }

  /** Resolves an object and all that is built on it, depth first, so that a base is still at hand for what is built on it. */
  async #resolveAll(root: number): Promise<void> {
    const waiting = [{ index: root, depth: 0 }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      await this.#terms.breathe();
      const { index, depth } = next;
      if (this.#place[index] !== -1) continue;
      if (depth > CHAIN_MAX) throw beyond(`differences stacked ${depth} deep`, null, CHAIN_MAX);
      const object = this.#resolve(index);
      if (object === null) this.#leftOut++;
      const built = [
        ...this.#byIndex.get(index) ?? [],
        ...object === null ? [] : this.#byId.get(object.id) ?? [],
      ];
      for (const each of built) waiting.push({ index: each, depth: depth + 1 });
    }
  }

  /** Appends an object that was here before to the pack; false = it wasn't. */
  #append(id: string): boolean {
    const object = this.#terms.before(id);
    if (object === null) return false;
    const deflated = deflateSync(this.#count(object.bytes));
    const from = this.#end;
    this.#end += deflated.length;
    this.#appended.push(deflated);
    this.#slices.set(from, deflated);
    this.#put(
      { id, kind: object.kind, from, to: this.#end, size: object.bytes.length, base: -1 },
      object.bytes,
    );
    return true;
  }

  /** @param bytes its content, if that is at hand: something may be built on it */
  #put(object: PackedObject, bytes: Uint8Array | null): PackedObject {
    this.#placeOf.set(object.id, this.#resolved.length);
    if (bytes !== null) this.#bases.put(this.#resolved.length, bytes);
    this.#resolved.push(object);
    return object;
  }

  #slice(from: number, to: number): Uint8Array {
    return this.#slices.get(from) ?? this.#pack.subarray(from, to);
  }

  /** `null` = too large, or built on what is. */
  #resolve(index: number): PackedObject | null {
    const entry = this.#entries[index]!;
    const object = entry.base === null
      ? this.#takeWhole(entry)
      : this.#resolveDelta(entry, this.#placeOfBase(entry.base));
    this.#place[index] = object === null ? -2 : this.#resolved.length - 1;
    return object;
  }

  #placeOfBase(base: number | string): number {
    return typeof base === "number" ? this.#place[base]! : this.#placeOf.get(base)!;
  }

  #takeWhole({ id, kind, from, to, size }: Entry): PackedObject | null {
    return id === null || kind === null ? null : this.#put({ id, kind, from, to, size, base: -1 }, null);
  }

  /** @param base place of the base among the resolved ones; -2 = it was left out */
  #resolveDelta({ from, to, size, isTooLarge }: Entry, base: number): PackedObject | null {
    if (isTooLarge || base < 0) return null;
    const delta = inflate(this.#slice(from, to), size).bytes;
    if (resultSize(delta) > this.#terms.bounds.objectBytes) return null;
    const bytes = this.#count(applyDelta(this.#base(base), delta));
    const { kind } = this.#resolved[base]!;
    return this.#put({ id: idOf(this.#terms.hash, { kind, bytes }), kind, from, to, size, base }, bytes);
  }

  /** Bytes of a resolved object, by the chain of differences down to what is kept or whole. */
  #base(place: number): Uint8Array {
    const chain: number[] = [];
    let at = place;
    let bytes = this.#bases.get(at);
    for (; bytes === undefined; bytes = this.#bases.get(at)) {
      chain.push(at);
      at = this.#resolved[at]!.base;
      if (at === -1) break;
    }
    for (let next = chain.pop(); next !== undefined; next = chain.pop()) {
      const { from, to, size } = this.#resolved[next]!;
      const own = this.#count(inflate(this.#slice(from, to), size).bytes);
      bytes = bytes === undefined ? own : this.#count(applyDelta(bytes, own));
      this.#bases.put(next, bytes);
    }
    return bytes!;
  }

  #count(bytes: Uint8Array): Uint8Array {
    const { unpackedBytes } = this.#terms.bounds;
    this.#unpacked += bytes.length;
    if (this.#unpacked > unpackedBytes) {
      throw beyond(`${this.#unpacked} bytes to unpack`, "unpackedBytes", unpackedBytes);
    }
    return bytes;
  }
}

function append<Key>(lists: Map<Key, number[]>, key: Key, value: number): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

/** The bytes used last, up to a sum. */
class Bases {
  readonly #kept = new Map<number, Uint8Array>();
  #bytes = 0;

  get(key: number): Uint8Array | undefined {
    const found = this.#kept.get(key);
    if (found === undefined) return undefined;
    // To the end of the order in which they go.
    this.#kept.delete(key);
    this.#kept.set(key, found);
    return found;
  }

  put(key: number, bytes: Uint8Array): void {
    this.#kept.set(key, bytes);
    this.#bytes += bytes.length;
    for (const [oldest, { length }] of this.#kept) {
      if (this.#bytes <= BASES_BYTES) break;
      this.#kept.delete(oldest);
      this.#bytes -= length;
    }
  }
}

/** Size of what a difference results in, as it says. */
function resultSize(delta: Uint8Array): number {
  const reader = { bytes: delta, at: 0 };
  deltaNumber(reader);
  return deltaNumber(reader);
}

/**
 * The object that a difference from a base results in.
 *
 * @throws {RepositoryError} `damaged`: it isn't one from this base, or its result hasn't the size that it says
 */
export function applyDelta(base: Uint8Array, delta: Uint8Array): Uint8Array {
  const reader = { bytes: delta, at: 0 };
  if (deltaNumber(reader) !== base.length) throw damaged("a difference is one from another base");
  const result = new Uint8Array(deltaNumber(reader));
  let filled = 0;
  while (reader.at < delta.length) {
    const op = byte(reader);
    let piece: Uint8Array;
    if (op & 128) {
      const from = copyNumber(reader, op, 4);
      const length = copyNumber(reader, op >> 4, 3) || 0x10000;
      if (from + length > base.length) throw damaged("a difference copies from beyond its base");
      piece = base.subarray(from, from + length);
    } else {
      if (op === 0) throw damaged("a difference has an instruction that isn't known");
      piece = delta.subarray(reader.at, reader.at += op);
      if (piece.length < op) throw damaged("a difference ends within an instruction");
    }
    if (filled + piece.length > result.length) throw damaged("a difference results in more than it says");
    result.set(piece, filled);
    filled += piece.length;
  }
  if (filled !== result.length) throw damaged("a difference results in less than it says");
  return result;
}

/** Seven bits a byte, lowest first. */
function deltaNumber(reader: Reader): number {
  let value = 0;
  for (let unit = 1;; unit *= 128) {
    const current = byte(reader);
    value += (current & 127) * unit;
    if (value > Number.MAX_SAFE_INTEGER) throw damaged("a difference's size is beyond all measure");
    if ((current & 128) === 0) return value;
  }
}

/** The bytes that `mask` says are there, lowest first. */
function copyNumber(reader: Reader, mask: number, bytes: number): number {
  let value = 0;
  for (let index = 0; index < bytes; index++) {
    if (mask & (1 << index)) value += byte(reader) * 256 ** index;
  }
  return value;
}

/** What an object of a pack is read with. */
export interface PackReading {
  /** Gives bytes of the pack. */
  readonly slice: (from: number, to: number) => Uint8Array;
  /** Told how many bytes each step makes; throws when that is enough. */
  readonly count: (bytes: number) => void;
}

/**
 * Reads one object of a pack whose contents are known.
 *
 * @throws {RepositoryError} `damaged`
 */
export function readPacked(
  objects: readonly PackedObject[],
  index: number,
  { slice, count }: PackReading,
): GitObject {
  const chain: PackedObject[] = [];
  for (let at = index; at !== -1; at = objects[at]!.base) chain.push(objects[at]!);
  const whole = chain.pop()!;
  let bytes = inflate(slice(whole.from, whole.to), whole.size).bytes;
  count(bytes.length);
  for (let next = chain.pop(); next !== undefined; next = chain.pop()) {
    bytes = applyDelta(bytes, inflate(slice(next.from, next.to), next.size).bytes);
    count(next.size + bytes.length);
  }
  return { kind: objects[index]!.kind, bytes };
}

function damaged(fault: string, cause?: unknown): RepositoryError {
  return new RepositoryError("damaged", `The pack of the repository is damaged: ${fault}`, { cause });
}

function beyond(what: string, bound: keyof Bounds | null, most: number): RepositoryError {
  const name = bound === null ? "" : ` (${bound})`;
  return new RepositoryError(
    "bound",
    `The repository is too large: ${what} in one fetch, at most ${most}${name}`,
  );
}
