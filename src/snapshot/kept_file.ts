/**
 * Tables in a file: what a large node starts from, so that it answers at once instead of after reading a million rows.
 *
 * The file is a help, never the truth. It says for which state it holds (`fingerprint`: zones, fallback, settings, and
 * the very commit that it holds) and carries a checksum; whatever doesn't fit is ignored, and the tables are written from
 * the database as if there were no file. What was committed after the file was written is made up for from the
 * history, as any change is.
 *
 * Layout: one line of JSON (`Header`), then the four parts of `KeptTables.memory` one after the other. The byte order
 * is the machine's; the header's first number tells.
 *
 * @module
 */
import { withSpare } from "./memory.ts";
import type { KeptTables } from "./tables.ts";
import { createShared } from "../shared_memory.ts";

/** Moves with every change of what is written here or in this folder that an older file wouldn't survive. */
const FORMAT = 11;
/** With which JSON begins. */
const OPENING_BRACE = 0x7b;
/** Bytes written or read at a time. */
const CHUNK = 4 << 20;
/** A header is a few hundred bytes and 100 for each check target. */
const HEADER_MAX = 256 << 20;

interface Header extends Omit<KeptTables, "memory"> {
  readonly format: number;
  /** 1 as a 32-bit word's first byte: little-endian. */
  readonly order: number;
  readonly fingerprint: string;
  readonly sizes: readonly number[];
  readonly checksum: number;
}

/**
 * Writes tables to a file (mode 0600), whole or not at all.
 *
 * @throws what the file system says
 */
export function writeKept(path: string, kept: KeptTables, fingerprint: string): void {
  const { memory, ...numbers } = kept;
  const header: Header = {
    ...numbers,
    format: FORMAT,
    order: BYTE_ORDER,
    fingerprint,
    sizes: memory.map((part) => part.length),
    checksum: checksumOf(memory),
  };
  const partial = `${path}.partial`;
  {
    using file = Deno.openSync(partial, { write: true, create: true, truncate: true, mode: 0o600 });
    writeAll(file, new TextEncoder().encode(`${JSON.stringify(header)}\n`));
    for (const part of memory) writeAll(file, part);
  }
  Deno.renameSync(partial, path);
}

/**
 * Reads tables from a file; `null` when there is none, or none that holds.
 *
 * @throws {Error} when it can't be read, or is no regular file
 * @param fingerprintOf what the file's fingerprint must be if it holds a generation
 */
export function readKept(path: string, fingerprintOf: (generation: number) => string): KeptTables | null {
  try {
    // Before it is opened: that alone waits for the other end of a pipe.
    const { isFile, size: fileSize } = Deno.statSync(path);
    if (!isFile) throw new Error("it is no regular file");
    using file = Deno.openSync(path);
    const reader = new Reader(file);
    const { format, order, fingerprint: of, sizes, checksum, ...numbers } = JSON.parse(
      reader.line(),
    ) as Header;
    if (format !== FORMAT || order !== BYTE_ORDER || of !== fingerprintOf(numbers.generation)) return null;
    const [names, records, heap, pools] = sizes as [number, number, number, number];
    if (!(names + records + heap + pools <= fileSize)) return null; // nothing is made for what can't be there
    // Read to where they are used; what may grow has its room behind it.
    const memory = [
      reader.bytes(names, names),
      reader.bytes(records, withSpare(records)),
      reader.bytes(heap, withSpare(heap)),
      reader.bytes(pools, pools),
    ] as const;
    return checksumOf(memory) === checksum ? { ...numbers, memory } : null;
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound || error instanceof SyntaxError || error instanceof RangeError
    ) return null;
    throw error;
  }
}

const BYTE_ORDER = new Uint8Array(new Uint32Array([1]).buffer)[0]!;

/** Fletcher's sum over 32-bit words (each part is padded with zeros); finds torn and mixed-up files, not forged ones. */
function checksumOf(memory: readonly Uint8Array[]): number {
  let a = 0;
  let b = 0;
  for (const part of memory) {
    const whole = part.length >> 2;
    const words = new Uint32Array(part.buffer, part.byteOffset, whole);
    for (let i = 0; i < whole; i++) {
      a = (a + words[i]!) | 0;
      b = (b + a) | 0;
    }
    for (let i = whole * 4; i < part.length; i++) a = (a + part[i]!) | 0;
    b = (b + a) | 0;
  }
  return (a ^ b) >>> 0;
}

/** Files take no shared memory, so it goes through a chunk that isn't. */
function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  const chunk = new Uint8Array(Math.min(CHUNK, bytes.length));
  for (let at = 0; at < bytes.length;) {
    const part = bytes.subarray(at, at + chunk.length);
    chunk.set(part);
    at += file.writeSync(chunk.subarray(0, part.length));
  }
}

/** Reads a line, then runs of bytes. */
class Reader {
  readonly #file: Deno.FsFile;
  #buffer = new Uint8Array(0);

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** @throws {RangeError} when there is no line */
  line(): string {
    let room = new Uint8Array(CHUNK);
    for (let filled = 0;;) {
      const count = this.#file.readSync(room.subarray(filled));
      // Whatever else lies there may be long, and have no line at all.
      if (count === null || filled > HEADER_MAX || room[0] !== OPENING_BRACE) {
        throw new RangeError("There is no header");
      }
      const end = room.subarray(filled, filled + count).indexOf(0x0a);
      if (end >= 0) {
        this.#buffer = room.subarray(filled + end + 1, filled + count);
        return new TextDecoder().decode(room.subarray(0, filled + end));
      }
      filled += count;
      if (filled < room.length) continue;
      const grown = new Uint8Array(room.length * 2);
      grown.set(room);
      room = grown;
    }
  }

  /**
   * The next `size` bytes, in shared memory of `room` bytes.
   *
   * @throws {RangeError} when the file ends before
   */
  bytes(size: number, room: number): Uint8Array<SharedArrayBuffer> {
    const bytes = new Uint8Array(createShared(room), 0, size);
    const buffered = this.#buffer.subarray(0, size);
    bytes.set(buffered);
    this.#buffer = this.#buffer.subarray(buffered.length);
    const chunk = new Uint8Array(CHUNK);
    for (let at = buffered.length; at < size;) {
      const count = this.#file.readSync(chunk.subarray(0, size - at));
      if (count === null) throw new RangeError("The file ends too early");
      bytes.set(chunk.subarray(0, count), at);
      at += count;
    }
    return bytes;
  }
}
