/**
 * One request and its answer by HTTP/1.1, over a connection that is kept for the next one.
 *
 * Own code, since Consul's certificates name `server.DATACENTER.consul` and not the address that is connected to, which `fetch`
 * can't be told; and since a question that is blocked must end when its connection is given up.
 *
 * @module
 */

/** What is used of a connection. A piece that was read is valid until the next read. */
export interface Stream {
  /** The next bytes; `null` = the other end has said all. */
  read(): Promise<Uint8Array | null>;
  /** Resolves when all is handed over. */
  write(bytes: Uint8Array): Promise<void>;
}

/** An answer. */
export interface HttpAnswer {
  /** 100–999. */
  readonly status: number;
  /** By their names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** As it was sent, without the framing of chunks. */
  readonly body: Uint8Array;
  /** Whether the connection may be used again. */
  readonly isKept: boolean;
}

/** What came isn't HTTP, or is more than is taken. */
export class HttpFault extends Error {
  /** Of the kind of error. */
  override name = "HttpFault";
}

const HEAD_BYTES_MAX = 64 << 10;
const CR = 0x0d;
const LF = 0x0a;

/** A request. */
export interface HttpRequest {
  /** What is wanted: `PUT` has a body, which may be empty. */
  readonly method: "GET" | "PUT";
  /** With its query. */
  readonly path: string;
  /** Without the length of the body. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of a `PUT`. */
  readonly body: string;
  /** A longer answer is a fault. */
  readonly bodyBytesMax: number;
}

/**
 * Asks, and reads the whole answer.
 *
 * @throws {HttpFault} and whatever the connection throws
 */
export async function exchange(stream: Stream, request: HttpRequest): Promise<HttpAnswer> {
  await stream.write(encodeRequest(request));
  const { bodyBytesMax } = request;
  const input = new Input(stream);
  const limit = { left: HEAD_BYTES_MAX };
  const first = await input.line(limit);
  const status = Number(/^HTTP\/1\.[01] ([1-9][0-9]{2})( |$)/.exec(first)?.[1] ?? NaN);
  if (Number.isNaN(status)) throw new HttpFault("it doesn't answer in HTTP");
  const got = new Map<string, string>();
  for (let line = await input.line(limit); line !== ""; line = await input.line(limit)) {
    const colon = line.indexOf(":");
    if (colon > 0) got.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  const isChunked = /(^|[\s,])chunked$/i.test(got.get("transfer-encoding") ?? "");
  const length = got.get("content-length");
  const isEmpty = status === 204 || status === 304;
  const body = isEmpty
    ? new Uint8Array(0)
    : isChunked
    ? await chunks(input, bodyBytesMax)
    : length === undefined
    ? await input.rest(bodyBytesMax)
    : await input.bytes(lengthOf(length), bodyBytesMax);
  const isKept = (isEmpty || isChunked || length !== undefined) && first.startsWith("HTTP/1.1") &&
    !/close/i.test(got.get("connection") ?? "") && input.isEmpty;
  return { status, headers: got, body, isKept };
}

function encodeRequest({ method, path, headers, body }: HttpRequest): Uint8Array {
  const encoder = new TextEncoder();
  const content = encoder.encode(body);
  const all = { ...headers, ...method === "PUT" && { "content-length": String(content.length) } };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return joined([encoder.encode(`${method} ${path} HTTP/1.1\r\n${lines}\r\n`), content]);
}

function lengthOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new HttpFault(`Content-Length is no number`);
  return Number(text);
}

/** RFC 9112 §7.1. */
async function chunks(input: Input, bytesMax: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let left = bytesMax;
  // A chunk of one byte costs six more: the framing is bounded by the body.
  const limit = { left: HEAD_BYTES_MAX + 8 * bytesMax };
  for (;;) {
    const head = await input.line(limit);
    const digits = /^([0-9a-f]{1,8})\s*(;|$)/i.exec(head)?.[1];
    if (digits === undefined) throw new HttpFault("a chunk doesn't say how long it is");
    const size = Number.parseInt(digits, 16);
    if (size === 0) {
      while (await input.line(limit) !== "");
      return joined(pieces);
    }
    pieces.push(await input.bytes(size, left));
    left -= size;
    if (await input.line(limit) !== "") throw new HttpFault("a chunk is longer than it says");
  }
}

/** Bytes of a stream, in the portions in which they are wanted. */
class Input {
  readonly #stream: Stream;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** Whether nothing more has come than was taken. */
  get isEmpty(): boolean {
    return this.#rest.length === 0;
  }

  /** A line without its end. */
  async line(limit: { left: number }): Promise<string> {
    let line = "";
    for (;;) {
      const end = this.#rest.indexOf(LF);
      const taken = this.#rest.subarray(0, end < 0 ? this.#rest.length : end + 1);
      limit.left -= taken.length;
      if (limit.left < 0) throw new HttpFault("the head of its answer is too long");
      for (const byte of taken) if (byte !== CR && byte !== LF) line += String.fromCharCode(byte);
      this.#rest = this.#rest.subarray(taken.length);
      if (end >= 0) return line;
      await this.#fill();
    }
  }

  /** So many bytes. */
  async bytes(size: number, bytesMax: number): Promise<Uint8Array> {
    if (size > bytesMax) throw tooLong();
    const all = new Uint8Array(size);
    for (let at = 0; at < size;) {
      if (this.#rest.length === 0) await this.#fill();
      const piece = this.#rest.subarray(0, size - at);
      all.set(piece, at);
      at += piece.length;
      this.#rest = this.#rest.subarray(piece.length);
    }
    return all;
  }

  /** All until the end of the connection. */
  async rest(bytesMax: number): Promise<Uint8Array> {
    const pieces = [this.#rest.slice()];
    let left = bytesMax - this.#rest.length;
    this.#rest = this.#rest.subarray(this.#rest.length);
    for (let piece = await this.#stream.read(); piece !== null; piece = await this.#stream.read()) {
      left -= piece.length;
      if (left < 0) throw tooLong();
      pieces.push(piece.slice());
    }
    return joined(pieces);
  }

  async #fill(): Promise<void> {
    const piece = await this.#stream.read();
    if (piece === null) throw new HttpFault("it ended the connection before the end of its answer");
    this.#rest = piece;
  }
}

function tooLong(): HttpFault {
  return new HttpFault("its answer is too long");
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
