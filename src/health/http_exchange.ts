/**
 * One HTTP/1.1 request and its response over a connection that is then thrown away (RFC 9112).
 *
 * Only what a health check needs, and all of it bounded: the head of the response (1xx responses included) may take
 * 64 KiB, of the body at most the first 1 MiB is looked at, and of that only as much as it takes to find a text.
 *
 * @module
 */
import { Buffer } from "node:buffer";

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
  return { status: head.status, body: await search(bodyOf(reader, head), needle) };
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
    // 101 is final here: nobody asked to switch protocols.
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
  const line = await reader.readLine(limit.left);
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

function bodyOf(reader: ByteReader, { isChunked, contentLength }: Head): AsyncIterable<Uint8Array> {
  // RFC 9112 §6.3: Transfer-Encoding overrides Content-Length.
  if (isChunked) return readChunked(reader);
  return reader.readUpTo(contentLength ?? Infinity);
}

async function* readChunked(reader: ByteReader): AsyncGenerator<Uint8Array> {
  for (;;) {
    const line = await reader.readLine(CHUNK_LINE_MAX);
    if (line === "end") return;
    const match = line === "too-long" ? null : /^([0-9a-f]{1,12})\s*(?:;|$)/i.exec(line.text);
    if (!match) {
      throw new HttpSyntaxError(`bad chunk size: ${line === "too-long" ? "too long" : quote(line.text)}`);
    }
    const size = parseInt(match[1]!, 16);
    if (size === 0) return;
    yield* reader.readUpTo(size);
    await reader.readLine(2);
  }
}

/** A chunk's size and its extensions, which are ignored. */
const CHUNK_LINE_MAX = 4096;

/** Looks for the needle in what comes, also across the borders of its pieces. */
async function search(
  pieces: AsyncIterable<Uint8Array>,
  needle: Uint8Array,
): Promise<"found" | "missing" | "too-long"> {
  let carry: Uint8Array = new Uint8Array(0);
  let left = BODY_SIZE_MAX;
  for await (const piece of pieces) {
    const looked = Buffer.concat([carry, piece.subarray(0, left)]);
    if (looked.includes(bufferOver(needle))) return "found";
    if (piece.length > left) return "too-long";
    left -= piece.length;
    carry = looked.subarray(Math.max(0, looked.length - needle.length + 1));
  }
  return "missing";
}

/** Reads lines and counted bytes from a stream of pieces. */
class ByteReader {
  readonly #stream: ByteStream;
  /** Received and not yet taken; a view of the stream's buffer. */
  #rest: Uint8Array = new Uint8Array(0);

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /** A line without its end: CR LF, or LF alone (RFC 9112 §2.2); `size` counts the end too. */
  async readLine(sizeMax: number): Promise<{ text: string; size: number } | "too-long" | "end"> {
    let line: Uint8Array = new Uint8Array(0);
    for (;;) {
      const at = this.#rest.indexOf(LF);
      const taken = at < 0 ? this.#rest.length : at + 1;
      if (line.length + taken > sizeMax) return "too-long";
      line = line.length === 0 && at >= 0
        ? this.#rest.subarray(0, taken)
        : Buffer.concat([line, this.#rest.subarray(0, taken)]);
      this.#rest = this.#rest.subarray(taken);
      if (at >= 0) {
        const end = line[line.length - 2] === CR ? line.length - 2 : line.length - 1;
        return { text: latin1(line.subarray(0, end)), size: line.length };
      }
      if (!await this.#fill()) return "end";
    }
  }

  /** The next `size` bytes in pieces, or as many as come. */
  async *readUpTo(size: number): AsyncGenerator<Uint8Array> {
    for (let left = size; left > 0;) {
      if (this.#rest.length === 0 && !await this.#fill()) return;
      const piece = this.#rest.subarray(0, Math.min(left, this.#rest.length));
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async #fill(): Promise<boolean> {
    const bytes = await this.#stream.read();
    if (bytes === null) return false;
    this.#rest = bytes;
    return true;
  }
}

const LF = 0x0a;
const CR = 0x0d;

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
