/**
 * Tables in a file: what a large node starts from, so that it answers at once instead of after reading a million rows.
 *
 * The file is a help, never the truth. It says for which state it holds (`fingerprint`: zones, fallback, settings, and
 * the very commit that it holds) and carries a checksum; whatever doesn't fit is ignored, and the tables are written from
 * the database as if there were no file. What was committed after the file was written is added from the
 * history, as any change is.
 *
 * Layout: one line of JSON (`Header`), then the four parts of `KeptTables.memory` one after the other, then the health
 * slots as a JSON array of as many lines as it may take, and a line with the sum of its bytes. The byte order is the
 * machine's; the header's first number tells.
 *
 * @module
 */
import { toEnd } from "../slices.ts";
import { withSpare } from "./memory.ts";
import type { KeptTables } from "./tables.ts";
import { createShared } from "../shared_memory.ts";

/** Moves with every change of what is written here or in this folder that an older file wouldn't survive. */
const FORMAT = 13;
/** With which JSON begins. */
const OPENING_BRACE = 0x7b;
/** Bytes written or read at a time: in a millisecond or so. */
const CHUNK = 1 << 20;
/** Health slots that become text at a time, likewise. */
const SLOTS_AT_A_TIME = 1024;
const LINE_FEED = 0x0a;
/** A header is a few hundred bytes and a few for each ticket that is free. */
const HEADER_MAX = 256 << 20;

interface Header extends Omit<KeptTables, "memory" | "healthSlots"> {
  readonly format: number;
  /** 1 as a 32-bit word's first byte: little-endian. */
  readonly order: number;
  readonly fingerprint: string;
  readonly sizes: readonly number[];
  readonly checksum: number;
}

/**
 * Writes tables to a file (mode 0600), whole or not at all, and yields where another turn may be due; the tables must stay
 * as they are meanwhile.
 *
 * @throws what the file system says
 */
export function* writeKept(path: string, kept: KeptTables, fingerprint: string): Generator<void> {
  const { memory, healthSlots, ...numbers } = kept;
  const header: Header = {
    ...numbers,
    format: FORMAT,
    order: BYTE_ORDER,
    fingerprint,
    sizes: memory.map((part) => part.length),
    checksum: yield* checksumOf(memory),
  };
  const partial = `${path}.partial`;
  {
    using file = Deno.openSync(partial, { write: true, create: true, truncate: true, mode: 0o600 });
    yield* writeAll(file, new TextEncoder().encode(`${JSON.stringify(header)}\n`));
    for (const part of memory) yield* writeAll(file, part);
    yield* writeSlots(file, healthSlots);
  }
  Deno.renameSync(partial, path);
}

function* writeSlots(file: Deno.FsFile, healthSlots: KeptTables["healthSlots"]): Generator<void> {
  let sum = 0;
  let lines: string[] = [];
  const write = function* (end: string): Generator<void> {
    const bytes = new TextEncoder().encode(lines.join(",\n") + end);
    sum = sumOf(sum, bytes);
    lines = [];
    yield* writeAll(file, bytes);
  };
  file.writeSync(new TextEncoder().encode("["));
  for (const slot of healthSlots) {
    if (lines.push(JSON.stringify(slot)) === SLOTS_AT_A_TIME) yield* write(",\n");
  }
  // Nothing ends with a comma.
  lines.push("null");
  yield* write("]");
  file.writeSync(new TextEncoder().encode(`\n${sum}\n`));
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
    const healthSlots = slotsIn(reader.rest());
    return toEnd(checksumOf(memory)) === checksum ? { ...numbers, healthSlots, memory } : null;
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound || error instanceof SyntaxError || error instanceof RangeError
    ) return null;
    throw error;
  }
}

const BYTE_ORDER = new Uint8Array(new Uint32Array([1]).buffer)[0]!;

/** @throws {SyntaxError} when the lines aren't whole */
function slotsIn(text: Uint8Array): [key: string, number: number][] {
  const end = text.at(-1) === LINE_FEED ? text.lastIndexOf(LINE_FEED, text.length - 2) : -1;
  const sum = Number(new TextDecoder().decode(text.subarray(end + 1)));
  if (end < 1 || sumOf(0, text.subarray(1, end)) !== sum) {
    throw new SyntaxError("The health slots aren't whole");
  }
  const slots = JSON.parse(new TextDecoder().decode(text.subarray(0, end)));
  return slots.slice(0, -1);
}

/** Fletcher's sum over 32-bit words (each part is padded with zeros); finds torn and mixed-up files, not forged ones. */
function* checksumOf(memory: readonly Uint8Array[]): Generator<void, number> {
  let a = 0;
  let b = 0;
  for (const part of memory) {
    const whole = part.length >> 2;
    const words = new Uint32Array(part.buffer, part.byteOffset, whole);
    for (let from = 0; from < whole; from += CHUNK / 4) {
      const to = Math.min(from + CHUNK / 4, whole);
      for (let i = from; i < to; i++) {
        a = (a + words[i]!) | 0;
        b = (b + a) | 0;
      }
      yield;
    }
    for (let i = whole * 4; i < part.length; i++) a = (a + part[i]!) | 0;
    b = (b + a) | 0;
  }
  return (a ^ b) >>> 0;
}

/** A sum over bytes that goes on from a former one (FNV-1a). */
function sumOf(former: number, bytes: Uint8Array): number {
  let sum = former ^ 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) sum = Math.imul(sum ^ bytes[i]!, 0x01000193);
  return (sum ^ 0x811c9dc5) >>> 0;
}

/** Files take no shared memory, so it goes through a chunk that isn't. */
function* writeAll(file: Deno.FsFile, bytes: Uint8Array): Generator<void> {
  const chunk = new Uint8Array(Math.min(CHUNK, bytes.length));
  for (let at = 0; at < bytes.length;) {
    const part = bytes.subarray(at, at + chunk.length);
    chunk.set(part);
    at += file.writeSync(chunk.subarray(0, part.length));
    yield;
  }
}

/** Reads a line, then runs of bytes, then the rest. */
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
      const end = room.subarray(filled, filled + count).indexOf(LINE_FEED);
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

  /** All that is left; as much as a header at most. */
  rest(): Uint8Array {
    const chunks = [this.#buffer];
    let size = this.#buffer.length;
    for (;;) {
      const chunk = new Uint8Array(CHUNK);
      const count = this.#file.readSync(chunk);
      if (count === null) break;
      size += count;
      if (size > HEADER_MAX) throw new RangeError("There is more than anything that was written");
      chunks.push(chunk.subarray(0, count));
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}
