/**
 * One HTTP/1.1 request and its response over a connection that is then thrown away (RFC 9112).
 *
 * Only what a health check needs, and all of it bounded, since backends may be hostile: the head of the response (1xx
 * responses included) may take 64 KiB, of the body at most the first 1 MiB is looked at, and of that only as much as it
 * takes to find a text. What chunks take beside the body is bounded too, and so is the number of reads. Each byte is
 * copied once at most, and looked at without waiting for anything; the event loop gets its turn in between.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";

/** Bytes in both directions; over TCP or TLS. */
export interface ByteStream {
  /** The next bytes, valid until the next call; `null` at the end. */
  read(): Promise<Uint8Array | null>;
  /** Sends all of the bytes. */
  write(bytes: Uint8Array): Promise<void>;
}

/** A response's status, and whether its body holds what was looked for. */
export interface Response {
  /** 100–599; the final one, never an interim 1xx but 101. */
  readonly status: number;
  /** `null` when nothing was looked for. */
  readonly body: "found" | "missing" | "too-long" | null;
}

/** The peer speaks, but not HTTP as it should; the message says what is wrong, short enough for a log line. */
export class HttpSyntaxError extends Error {
  /** As shown in front of the message. */
  override readonly name = "HttpSyntaxError";
}

/** Most bytes of a response's head, as in other health checkers and proxies. */
const HEAD_SIZE_MAX = 64 * 1024;

/** Bytes of the body that are searched. */
const BODY_SIZE_MAX = 1024 * 1024;

/** Most bytes that chunks take beside the body: enough for 1 MiB in chunks of 24 bytes. */
const FRAMING_SIZE_MAX = 256 * 1024;

/** Most reads of a response: enough for all of the above in pieces of 328 bytes. */
const READS_MAX = 4096;

/** Bytes and reads after which the event loop gets its turn; sockets that have something ready don't wait for it. */
const TURN_SIZE = 64 * 1024;
const TURN_READS = 64;

/** What to send and what to look for. */
export interface Exchange {
  /** The whole request. */
  readonly request: Uint8Array;
  /** Looked for in the body; `null` = the body isn't read. */
  readonly needle: Uint8Array | null;
  /** Whether a body follows the head at all: not for HEAD. */
  readonly hasBody: boolean;
}

/**
 * Sends the request and reads the response as far as needed.
 *
 * @throws {HttpSyntaxError} when what comes back is no HTTP/1 response; whatever the stream throws passes through
 */
export async function exchange(
  stream: ByteStream,
  { request, needle, hasBody }: Exchange,
): Promise<Response> {
  await stream.write(request);
  const reader = new ByteReader(stream);
  const head = await readFinalHead(reader);
  if (needle === null) return { status: head.status, body: null };
  // RFC 9112 §6.3: no body, whatever the head says.
  if (!hasBody || head.status < 200 || head.status === 204 || head.status === 304) {
    return { status: head.status, body: "missing" };
  }
  return { status: head.status, body: await searchBody(reader, { head, needle }) };
}

interface Head {
  readonly status: number;
  readonly isChunked: boolean;
  /** `null` when the head doesn't say; the end of the connection is then the end of the body. */
  readonly contentLength: number | null;
}

async function readFinalHead(reader: ByteReader): Promise<Head> {
  const limit = { left: HEAD_SIZE_MAX };
  for (;;) {
    const head = await readHead(reader, limit);
    // 101 is final here: no switch of protocols was requested.
    if (head.status >= 200 || head.status === 101) return head;
  }
}

async function readHead(reader: ByteReader, limit: { left: number }): Promise<Head> {
  const statusLine = await readHeadLine(reader, limit);
  const match = /^HTTP\/1\.\d ([1-5]\d\d)(?: |$)/.exec(statusLine);
  if (!match) throw new HttpSyntaxError(`not an HTTP response: ${quote(statusLine)}`);
  let isChunked = false;
  let contentLength: number | null = null;
  for (let line = await readHeadLine(reader, limit); line !== ""; line = await readHeadLine(reader, limit)) {
    const colon = line.indexOf(":");
    if (colon === 17 && /^transfer-encoding:/i.test(line)) {
      isChunked = /(^|[\s,])chunked\s*$/i.test(line.slice(18));
    } else if (colon === 14 && /^content-length:/i.test(line)) {
      contentLength = parseContentLength(line.slice(15));
    }
  }
  return { status: Number(match[1]), isChunked, contentLength };
}

async function readHeadLine(reader: ByteReader, limit: { left: number }): Promise<string> {
  // Most heads come in one piece, and a line of it costs no turn of anything.
  const line = reader.takeLine(limit.left) ?? await reader.readLine(limit.left);
  if (line === "too-long") {
    throw new HttpSyntaxError(`response head is longer than ${HEAD_SIZE_MAX / 1024} KiB`);
  }
  if (line === "end") throw new HttpSyntaxError("connection closed before the end of the response head");
  limit.left -= line.size;
  return line.text;
}

function parseContentLength(text: string): number {
  const trimmed = text.trim();
  if (!/^\d{1,15}$/.test(trimmed)) throw new HttpSyntaxError(`bad Content-Length: ${quote(trimmed)}`);
  return Number(trimmed);
}

async function searchBody(
  reader: ByteReader,
  { head, needle }: { readonly head: Head; readonly needle: Uint8Array },
): Promise<"found" | "missing" | "too-long"> {
  const search = new Search(needle);
  // RFC 9112 §6.3: Transfer-Encoding overrides Content-Length.
  const body = head.isChunked ? new ChunkedBody() : new CountedBody(head.contentLength ?? Infinity);
  for (let piece = await reader.read(); piece !== null; piece = await reader.read()) {
    const isOver = body.take(piece, search);
    if (search.look()) return "found";
    if (search.isOver) return "too-long";
    if (isOver) return "missing";
  }
  return "missing";
}

/** A body of so many bytes. */
class CountedBody {
  #left: number;

  constructor(size: number) {
    this.#left = size;
  }

  /** @returns whether the body ends within the piece */
  take(piece: Uint8Array, search: Search): boolean {
    search.push(piece.subarray(0, Math.min(piece.length, this.#left)));
    this.#left -= piece.length;
    return this.#left <= 0;
  }
}

/** A body in chunks: RFC 9112 §7.1. Extensions are passed over, and what follows the last chunk isn't read. */
class ChunkedBody {
  #state: "size" | "extension" | "data" | "end" = "size";
  /** Of the chunk. */
  #left = 0;
  #digits = 0;
  #framingSize = 0;

  /** @returns whether the body ends within the piece */
  take(piece: Uint8Array, search: Search): boolean {
    for (let at = 0; at < piece.length;) {
      if (this.#state === "data") {
        const end = Math.min(piece.length, at + this.#left);
        search.push(piece.subarray(at, end));
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#state = "end";
        continue;
      }
      if (++this.#framingSize > FRAMING_SIZE_MAX) {
        throw new HttpSyntaxError(`chunks take more than ${FRAMING_SIZE_MAX / 1024} KiB beside the body`);
      }
      if (this.#takeFraming(piece, at++)) return true;
    }
    return false;
  }

  /** @returns whether it is the last chunk that begins */
  #takeFraming(piece: Uint8Array, at: number): boolean {
    const byte = piece[at]!;
    if (this.#state === "end") {
      if (byte === LF) this.#state = "size";
      else if (byte !== CR) throw new HttpSyntaxError("a chunk is longer than it says");
    } else if (byte === LF && this.#digits > 0) {
      this.#state = "data";
      this.#digits = 0;
      return this.#left === 0;
    } else if (this.#state === "size") this.#takeSize(piece, at);
    return false;
  }

  #takeSize(piece: Uint8Array, at: number): void {
    const byte = piece[at]!;
    const digit = digitOf(byte);
    if (digit >= 0 && this.#digits < CHUNK_DIGITS_MAX) {
      this.#left = this.#digits === 0 ? digit : this.#left * 16 + digit;
      this.#digits++;
    } else if (this.#digits > 0 && (byte === SEMICOLON || isSpace(byte))) this.#state = "extension";
    else {
      const size = this.#digits === 0 ? "" : this.#left.toString(16);
      const [rest] = latin1(piece.subarray(at)).split(/\r?\n/, 1);
      throw new HttpSyntaxError(`bad chunk size: ${quote(size + rest)}`);
    }
  }
}

/** 2⁴⁸ bytes. */
const CHUNK_DIGITS_MAX = 12;

/** Looks for a text in what comes, also across the borders of its pieces. */
class Search {
  readonly #needle: Buffer;
  /** What may be the beginning of the needle, and behind it what came since the last look. */
  readonly #window: Buffer;
  readonly #carryMax: number;
  #size = 0;
  #left = BODY_SIZE_MAX;
  #isFound = false;
  /** More came than is searched. */
  isOver = false;

  constructor(needle: Uint8Array) {
    this.#needle = bufferOver(needle);
    this.#carryMax = Math.max(0, needle.length - 1);
    this.#window = Buffer.allocUnsafe(this.#carryMax + WINDOW_SIZE);
  }

  push(bytes: Uint8Array): void {
    this.isOver ||= bytes.length > this.#left;
    const end = Math.min(bytes.length, this.#left);
    this.#left -= end;
    for (let at = 0; at < end;) {
      const size = Math.min(end - at, this.#window.length - this.#size);
      // A call for a byte or two would cost more than they do.
      if (size < 16) { for (let i = 0; i < size; i++) this.#window[this.#size + i] = bytes[at + i]!; }
      else this.#window.set(bytes.subarray(at, at + size), this.#size);
      this.#size += size;
      at += size;
      if (this.#size === this.#window.length) this.look();
    }
  }

  /** Whether what has come so far holds the needle. */
  look(): boolean {
    this.#isFound ||= this.#window.subarray(0, this.#size).includes(this.#needle);
    const carry = Math.min(this.#size, this.#carryMax);
    this.#window.copyWithin(0, this.#size - carry, this.#size);
    this.#size = carry;
    return this.#isFound;
  }
}

/** What a socket gives in one read. */
const WINDOW_SIZE = 16 * 1024;

interface Line {
  readonly text: string;
  /** Its end included. */
  readonly size: number;
}

/** Reads lines and pieces from a stream of pieces. */
class ByteReader {
  readonly #stream: ByteStream;
  /** Received and not yet taken; a view of the stream's buffer. */
  #rest: Uint8Array = new Uint8Array(0);
  /** Of a line whose end hasn't come: copies. */
  #begun: Uint8Array[] = [];
  #begunSize = 0;
  #reads = 0;
  /** Of this turn of the event loop. */
  #turnSize = 0;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /**
   * A line without its end: CR LF, or LF alone (RFC 9112 §2.2).
   *
   * @returns `null` when its end hasn't come yet
   */
  takeLine(sizeMax: number): Line | "too-long" | null {
    const at = this.#rest.indexOf(LF);
    const taken = at < 0 ? this.#rest.length : at + 1;
    const size = this.#begunSize + taken;
    if (size > sizeMax) return "too-long";
    const piece = this.#rest.subarray(0, taken);
    this.#rest = this.#rest.subarray(taken);
    if (at < 0) {
      this.#begun.push(piece.slice());
      this.#begunSize = size;
      return null;
    }
    const line = this.#begun.length === 0 ? piece : Buffer.concat([...this.#begun, piece]);
    this.#begun = [];
    this.#begunSize = 0;
    const end = line[size - 2] === CR ? size - 2 : size - 1;
    return { text: latin1(line.subarray(0, end)), size };
  }

  /** The same, and waits for it. */
  async readLine(sizeMax: number): Promise<Line | "too-long" | "end"> {
    while (await this.#fill()) {
      const line = this.takeLine(sizeMax);
      if (line !== null) return line;
    }
    return "end";
  }

  /** The next bytes, valid until the next call; `null` at the end. */
  async read(): Promise<Uint8Array | null> {
    if (this.#rest.length === 0 && !await this.#fill()) return null;
    const piece = this.#rest;
    this.#rest = piece.subarray(piece.length);
    return piece;
  }

  async #fill(): Promise<boolean> {
    if (++this.#reads > READS_MAX) {
      throw new HttpSyntaxError(`response comes in more than ${READS_MAX} pieces`);
    }
    if (this.#turnSize >= TURN_SIZE || this.#reads % TURN_READS === 0) {
      this.#turnSize = 0;
      await setImmediate();
    }
    const bytes = await this.#stream.read();
    if (bytes === null) return false;
    this.#rest = bytes;
    this.#turnSize += bytes.length;
    return true;
  }
}

const LF = 0x0a;
const CR = 0x0d;
const SEMICOLON = 0x3b;

function isSpace(byte: number): boolean {
  return byte === CR || byte === 0x20 || byte === 0x09;
}

/** The value of a hexadecimal digit, −1 for anything else. */
function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function latin1(bytes: Uint8Array): string {
  return bufferOver(bytes).toString("latin1");
}

/** The same bytes, with Buffer's methods. */
function bufferOver(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The beginning of what a peer sent, fit for a log line. */
function quote(text: string): string {
  const start = text.slice(0, 40).replace(/[^\x20-\x7e]/g, "?");
  return `"${start}${text.length > 40 ? "…" : ""}"`;
}
