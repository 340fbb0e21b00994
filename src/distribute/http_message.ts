/**
 * HTTP/1.1 as it is on the wire (RFC 9112), so that a request goes on as it came: paths aren't tidied, repeated headers aren't
 * joined, none is added but what says how long the body is.
 *
 * A body is read whole, whether its length was said or it came in chunks, and is sent on with its length.
 *
 * @module
 */

/** A header's name as it was written, and its value. */
export type Header = readonly [name: string, value: string];

/** The first line and the headers of a message. */
export interface HttpHead {
  /** Without line break. */
  readonly startLine: string;
  /** In their order, repeated ones too. */
  readonly headers: readonly Header[];
}

/** A message that can't be taken, and the status that says so. */
export class HttpFault extends Error {
  /** The class's name, whatever a bundler makes of it. */
  override readonly name: string = "HttpFault";

  /** Creates the fault. */
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** What is used of a connection. */
export interface HttpSocket {
  /** As `Deno.Conn` has it. */
  read(into: Uint8Array): Promise<number | null>;
  /** As `Deno.Conn` has it. */
  write(bytes: Uint8Array): Promise<number>;
}

/** Bytes of a head. */
const HEAD_MAX = 64 * 1024;

/** What is read at first: most messages are smaller. Memory for each read is asked for and cleared. */
const READ_FIRST = 2 * 1024;
/** What is read when that was filled. */
const READ_MAX = 64 * 1024;

/** Headers that are about one connection, not about the message (RFC 9110 §7.6.1), and those that say how a body is framed. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  ...["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
  ...["content-length", "expect"],
]);

/** Reads messages of one connection, one after the other. */
export class HttpReader {
  readonly #socket: HttpSocket;
  #bytes = new Uint8Array(0);
  #readSize = READ_FIRST;

  /** Reads nothing yet. */
  constructor(socket: HttpSocket) {
    this.#socket = socket;
  }

  /** Waits for the first byte of a message; `false` = the other end has closed. */
  async waits(): Promise<boolean> {
    return this.#bytes.length > 0 || await this.#more();
  }

  /** The next head; `null` = the other end has closed. @throws {HttpFault} on what is none */
  async head(): Promise<HttpHead | null> {
    for (let searched = 0;;) {
      const end = indexOfBlankLine(this.#bytes, Math.max(0, searched - 3));
      if (end >= 0) {
        const text = latin1(this.#bytes.subarray(0, end));
        this.#bytes = this.#bytes.subarray(end + 4);
        return parseHead(text);
      }
      searched = this.#bytes.length;
      if (searched > HEAD_MAX) throw new HttpFault(431, `The head has more than ${HEAD_MAX} bytes`);
      if (await this.#more()) continue;
      if (searched === 0) return null;
      throw new HttpFault(400, "The connection ended within the head");
    }
  }

  /**
   * The body behind a head.
   *
   * @param toEnd whether one without a length reaches to the end of the connection, as it does in an answer
   * @returns the bytes; `isCut` = the connection ended before the body did
   * @throws {HttpFault} when its length can't be known, or it is larger than `sizeMax`
   */
  async body(
    { headers }: HttpHead,
    { sizeMax, toEnd }: { readonly sizeMax: number; readonly toEnd: boolean },
  ): Promise<{ readonly body: Uint8Array; readonly isCut: boolean }> {
    const codings = valuesOf(headers, "transfer-encoding");
    const lengths = new Set(valuesOf(headers, "content-length"));
    if (codings.length > 0) {
      // Two lengths are how requests are smuggled past those who read the other one (RFC 9112 §6.1).
      if (lengths.size > 0) throw new HttpFault(400, "The body has a length and comes in chunks");
      if (codings.join(",").trim().toLowerCase() !== "chunked") {
        throw new HttpFault(501, `The transfer coding ${codings.join(", ")} isn't taken`);
      }
      return await this.#chunks(sizeMax);
    }
    if (lengths.size > 1) throw new HttpFault(400, "The body has two lengths");
    const [length] = lengths;
    if (length === undefined) {
      return toEnd ? await this.#take(null, sizeMax) : { body: new Uint8Array(0), isCut: false };
    }
    if (!/^\d{1,15}$/.test(length)) throw new HttpFault(400, "Content-Length is no length");
    return await this.#take(Number(length), sizeMax);
  }

  /** @param size `null` = all that comes */
  async #take(size: number | null, sizeMax: number): Promise<{ body: Uint8Array; isCut: boolean }> {
    if (size !== null && size > sizeMax) throw tooLarge(sizeMax);
    const parts: Uint8Array[] = [];
    let taken = 0;
    while (size === null || taken < size) {
      if (this.#bytes.length === 0 && !await this.#more()) {
        return { body: joined(parts), isCut: size !== null };
      }
      const part = this.#bytes.subarray(0, size === null ? undefined : size - taken);
      this.#bytes = this.#bytes.subarray(part.length);
      parts.push(part);
      taken += part.length;
      if (taken > sizeMax) throw tooLarge(sizeMax);
    }
    return { body: joined(parts), isCut: false };
  }

  /** RFC 9112 §7.1; trailers are read and dropped. */
  async #chunks(sizeMax: number): Promise<{ body: Uint8Array; isCut: boolean }> {
    const parts: Uint8Array[] = [];
    let taken = 0;
    for (;;) {
      const line = await this.#line();
      if (line === null) return { body: joined(parts), isCut: true };
      const digits = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
      if (digits === undefined) throw new HttpFault(400, "A chunk has no length");
      const size = parseInt(digits, 16);
      if (size === 0) break;
      const { body, isCut } = await this.#take(size, sizeMax - taken);
      parts.push(body);
      taken += size;
      if (isCut) return { body: joined(parts), isCut };
      const end = await this.#line();
      if (end === null) return { body: joined(parts), isCut: true };
      if (end !== "") throw new HttpFault(400, "A chunk is longer than it says");
    }
    for (let line = await this.#line(); line !== ""; line = await this.#line()) {
      if (line === null) return { body: joined(parts), isCut: true };
    }
    return { body: joined(parts), isCut: false };
  }

  async #line(): Promise<string | null> {
    for (;;) {
      const end = this.#bytes.indexOf(0x0a);
      if (end >= 0) {
        const line = latin1(this.#bytes.subarray(0, end));
        this.#bytes = this.#bytes.subarray(end + 1);
        return line.replace(/\r$/, "");
      }
      if (this.#bytes.length > HEAD_MAX) throw new HttpFault(400, "A line of the body has no end");
      if (!await this.#more()) return null;
    }
  }

  async #more(): Promise<boolean> {
    const buffer = new Uint8Array(this.#readSize);
    const count = await this.#socket.read(buffer);
    if (count === null || count === 0) return false;
    this.#readSize = count === buffer.length ? READ_MAX : READ_FIRST;
    if (this.#bytes.length === 0) this.#bytes = buffer.subarray(0, count);
    else this.#bytes = joined([this.#bytes, buffer.subarray(0, count)]);
    return true;
  }
}

/** The head of an answer that is one, behind those that only say that it is coming (1xx). @throws {Error} when there is none */
export async function answerHead(
  reader: HttpReader,
): Promise<{ readonly head: HttpHead; readonly status: number }> {
  for (;;) {
    const head = await reader.head();
    if (head === null) throw new Error("the connection ended before the answer");
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(head.startLine)?.[1]);
    if (Number.isNaN(status)) throw new Error("what answers there isn't HTTP");
    if (status >= 200) return { head, status };
  }
}

/** The values of a header, by its name in lower case. */
export function valuesOf(headers: readonly Header[], name: string): string[] {
  return headers.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
}

/** The headers that go on: all but those of one connection, and those that `Connection` names. */
export function passedOn(headers: readonly Header[]): Header[] {
  const named = new Set(
    valuesOf(headers, "connection").flatMap((value) =>
      value.toLowerCase().split(",").map((each) => each.trim())
    ),
  );
  return headers.filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()) && !named.has(name.toLowerCase()));
}

/** Writes a message. @param body `null` = it has none, and no length */
export async function writeMessage(
  socket: HttpSocket,
  { startLine, headers }: HttpHead,
  body: Uint8Array | null,
): Promise<void> {
  const lines = [
    startLine,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(body === null ? [] : [`Content-Length: ${body.length}`]),
  ];
  const head = fromLatin1(`${lines.join("\r\n")}\r\n\r\n`);
  const all = body === null ? head : joined([head, body]);
  for (let at = 0; at < all.length;) at += await socket.write(all.subarray(at));
}

function parseHead(text: string): HttpHead {
  const [startLine = "", ...lines] = text.split("\r\n");
  if (!/^[\x20-\x7e\x80-\xff]+$/.test(startLine)) throw new HttpFault(400, "The first line can't be read");
  const headers = lines.map((line): Header => {
    const [, name, value] =
      /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new HttpFault(400, "A header can't be read");
    return [name, value];
  });
  return { startLine, headers };
}

function tooLarge(sizeMax: number): HttpFault {
  return new HttpFault(413, `The body has more than ${sizeMax} bytes`);
}

function indexOfBlankLine(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0x0d, from); at >= 0; at = bytes.indexOf(0x0d, at + 1)) {
    if (bytes[at + 1] === 0x0a && bytes[at + 2] === 0x0d && bytes[at + 3] === 0x0a) return at;
  }
  return -1;
}

/** Each byte a character: whatever stands in a header goes on as it came. */
function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8_192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  }
  return text;
}

function fromLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
