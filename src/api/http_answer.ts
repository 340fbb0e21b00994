/**
 * An answer as bytes (RFC 9112 §4–§7): with its length where that is known at once, else in chunks as they come.
 *
 * @module
 */

/** What the request has to do with the form of its answer. */
export interface Framing {
  /** Whether the body stays away. */
  readonly isHead: boolean;
  /** 0 for HTTP/1.0, whose clients read until the end of the connection. */
  readonly minorVersion: number;
  /** Whether the connection is closed behind it. */
  readonly isLast: boolean;
  /** Whether the client unpacks. */
  readonly acceptsGzip: boolean;
}

/** Headers that all answers have. */
export const ANSWER_HEADERS = {
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
  // A page elsewhere can't even embed an answer: what it can't read it might still measure.
  "cross-origin-resource-policy": "same-origin",
} as const;

/** Shorter bodies are sent as they are: packed they would hardly take fewer packets. */
const GZIP_BYTES_MIN = 1_024;
/** A body that is complete before it is as long as this gets a length. */
const GATHER_MAX = 64 << 10;

/** The answer, piece by piece; whoever stops reading cancels the body. */
export async function* encodeAnswer(response: Response, framing: Framing): AsyncGenerator<Uint8Array> {
  const { status } = response;
  const headers = new Headers(response.headers);
  headers.set("date", new Date().toUTCString());
  if (framing.isLast) headers.set("connection", "close");
  headers.delete("transfer-encoding");
  const hasNone = framing.isHead || status === 204 || status === 304;
  if (hasNone || response.body === null) {
    await response.body?.cancel();
    if (!hasNone) headers.set("content-length", "0");
    yield headOf(response, headers);
    return;
  }
  const whole = new Body(response.body);
  let body = whole;
  try {
    await body.gather();
    if (isPackable(headers)) {
      headers.append("vary", "Accept-Encoding");
      if (framing.acceptsGzip && !(body.isComplete && body.size < GZIP_BYTES_MIN)) {
        body = new Body(ReadableStream.from(body.pieces()).pipeThrough(new CompressionStream("gzip")));
        headers.set("content-encoding", "gzip");
        headers.delete("content-length");
        const etag = headers.get("etag");
        if (etag?.startsWith('"')) headers.set("etag", `W/${etag}`); // the bytes differ: RFC 9110 §8.8.1
        await body.gather();
      }
    }
    const isChunked = !body.isComplete && framing.minorVersion === 1;
    if (isChunked) {
      headers.delete("content-length");
      headers.set("transfer-encoding", "chunked");
    } else if (body.isComplete) headers.set("content-length", String(body.size));
    const head = headOf(response, headers);
    if (body.isComplete) {
      yield joined([head, ...body.gathered]);
      return;
    }
    yield head;
    for await (const piece of body.pieces()) {
      if (piece.length > 0) yield isChunked ? chunk(piece) : piece;
    }
    if (isChunked) yield LAST_CHUNK;
  } finally {
    await body.cancel();
    // What is packed from it may have ended before it was asked for anything.
    await whole.cancel();
  }
}

/** A whole answer whose body isn't empty, in one piece. */
export function encodeShort(
  { status, headers, body }: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  },
  { isHead, isLast }: Pick<Framing, "isHead" | "isLast">,
): Uint8Array {
  const all = Object.entries({
    ...headers,
    "content-length": String(encoder.encode(body).length),
    date: new Date().toUTCString(),
    ...isLast && { connection: "close" },
  });
  return encoder.encode(`${headText(status, all)}${isHead ? "" : body}`);
}

/** A body of which the beginning may have come already. */
class Body {
  /** What has come. */
  readonly gathered: Uint8Array[] = [];
  /** Bytes of it. */
  size = 0;
  /** Whether that is all. */
  isComplete = false;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #next: Promise<ReadableStreamReadResult<Uint8Array>> | null = null;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** Takes what is there already, and no more than it has to. */
  async gather(): Promise<void> {
    while (!this.isComplete && this.size < GATHER_MAX) {
      this.#next ??= this.#reader.read();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<null>((resolve) => timer = setTimeout(() => resolve(null), 0));
      const result = await Promise.race([this.#next, late]).finally(() => clearTimeout(timer));
      if (result === null) return;
      this.#next = null;
      if (result.done) this.isComplete = true;
      else {
        this.gathered.push(result.value);
        this.size += result.value.length;
      }
    }
  }

  /** All pieces from the first one on. */
  async *pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (const piece of this.gathered) yield owned(piece);
    while (!this.isComplete) {
      const result = await (this.#next ?? this.#reader.read());
      this.#next = null;
      if (result.done) this.isComplete = true;
      else yield owned(result.value);
    }
  }

  /** Ends a body that isn't read to its end. */
  async cancel(): Promise<void> {
    this.#next?.catch(() => {}); // whoever waited for it is gone
    await this.#reader.cancel().catch(() => {}); // a body that has failed can't be cancelled, and needn't
  }
}

/** Streams of the platform take no bytes that other threads might share. */
function owned(piece: Uint8Array): Uint8Array<ArrayBuffer> {
  return piece.buffer instanceof ArrayBuffer ? piece as Uint8Array<ArrayBuffer> : new Uint8Array(piece);
}

function isPackable(headers: Headers): boolean {
  const type = headers.get("content-type") ?? "";
  return !headers.has("content-encoding") && !/\bno-transform\b/i.test(headers.get("cache-control") ?? "") &&
    /^(?:text\/(?!event-stream)|application\/(?:.+\+)?(?:json|yaml|xml|javascript|x-ndjson))\b/i.test(type);
}

function headOf({ status }: Response, headers: Headers): Uint8Array {
  return encoder.encode(headText(status, [...headers]));
}

function headText(status: number, headers: readonly (readonly [name: string, value: string])[]): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n${lines.join("")}\r\n`;
}

const encoder = new TextEncoder();

/** RFC 9110 §15; clients go by the number. */
const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  204: "No Content",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};

function chunk(piece: Uint8Array): Uint8Array {
  return joined([encoder.encode(`${piece.length.toString(16)}\r\n`), piece, CRLF]);
}

const CRLF = encoder.encode("\r\n");
const LAST_CHUNK = encoder.encode("0\r\n\r\n");

/** Pieces as one. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
