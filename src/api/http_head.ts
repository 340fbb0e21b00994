/**
 * The head of an HTTP/1.1 request (RFC 9112), read strictly: what two readers could take for two things is refused,
 * since one of them may be a proxy before this one.
 *
 * @module
 */

/** What a request says before its body. */
export interface RequestHead {
  /** As it was sent; methods are case-sensitive. */
  readonly method: string;
  /** `http(s)://host/path?query`. */
  readonly url: string;
  /** All fields. */
  readonly headers: Headers;
  /** 0 for HTTP/1.0, whose clients know neither chunks nor interim responses and get one answer a connection. */
  readonly minorVersion: number;
  /** Length in bytes, or `chunked`. */
  readonly body: number | "chunked";
  /** Whether the client wants to go on with this connection. */
  readonly keepsAlive: boolean;
  /** Whether the client waits for a `100 Continue` before it sends the body. */
  readonly awaitsContinue: boolean;
}

/** A request that can't be answered in its own terms; after it, nothing of the connection can be trusted. */
export class HttpFault extends Error {
  /** Tells it apart in logs. */
  override readonly name = "HttpFault";

  /**
   * Creates the fault.
   *
   * @param status 400–599
   * @param message what failed, and the fix
   */
  constructor(readonly status: 400 | 408 | 431 | 501 | 505, message: string) {
    super(message);
  }
}

/** Largest head, bytes: as other servers have it. */
export const HEAD_BYTES_MAX = 16 << 10;

const FIELDS_MAX = 100;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Reads a head.
 *
 * @param bytes all of it, without the empty line at its end
 * @throws {HttpFault} when it isn't one
 */
export function parseHead(bytes: Uint8Array, scheme: "http" | "https"): RequestHead {
  const [requestLine, ...lines] = latin1.decode(bytes).split("\r\n");
  const line = /^(\S+) (\S+) HTTP\/(\d)\.(\d)$/.exec(requestLine!);
  if (!line || !TOKEN.test(line[1]!)) throw new HttpFault(400, "The request line is no HTTP request");
  const [, method, target, major, minor] = line;
  if (major !== "1") throw new HttpFault(505, `HTTP/${major}.${minor} isn't spoken here (use HTTP/1.1)`);
  const headers = fieldsOf(lines);
  const minorVersion = Math.min(1, Number(minor));
  const connection = tokensOf(headers, "connection");
  return {
    method: method!,
    url: urlOf(target!, { scheme, headers, minorVersion }),
    headers,
    minorVersion,
    body: bodyOf(headers, minorVersion),
    keepsAlive: minorVersion === 1 && !connection.includes("close"),
    awaitsContinue: minorVersion === 1 && tokensOf(headers, "expect").includes("100-continue"),
  };
}

const latin1 = new TextDecoder("latin1");

function fieldsOf(lines: readonly string[]): Headers {
  if (lines.length > FIELDS_MAX) throw new HttpFault(431, `More than ${FIELDS_MAX} header fields`);
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
    // A line that begins with a space would continue the one before: obsolete, and a way to smuggle.
    if (!TOKEN.test(name) || CONTROL.test(value)) {
      throw new HttpFault(400, `The header field ${JSON.stringify(line.slice(0, 40))} can't be read`);
    }
    if (ONCE.has(name.toLowerCase()) && headers.has(name)) {
      throw new HttpFault(400, `The header field ${name} is there twice`);
    }
    headers.append(name, value);
  }
  return headers;
}

/** CR and LF alone included. */
const CONTROL = /[^\t\x20-\x7e\x80-\xff]/;

/** Fields of which a second one would make the message ambiguous (RFC 9112 §3.2, §6.3). */
const ONCE: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding", "content-type"]);

function tokensOf(headers: Headers, name: string): string[] {
  return (headers.get(name) ?? "").split(",").map((token) => token.trim().toLowerCase());
}

function urlOf(
  target: string,
  { scheme, headers, minorVersion }: {
    readonly scheme: string;
    readonly headers: Headers;
    readonly minorVersion: number;
  },
): string {
  const host = headers.get("host");
  if (host === null && minorVersion === 1) throw new HttpFault(400, "The header field Host is missing");
  const url = target.startsWith("/")
    ? URL.parse(`${scheme}://${host || "localhost"}${target}`)
    : /^https?:\/\//i.test(target)
    ? URL.parse(target)
    : null;
  const isPlain = url !== null && url.username === "" && url.password === "" && /^[\x21-\x7e]+$/.test(target);
  if (!isPlain) throw new HttpFault(400, "Host or target can't be read (send a path, such as /healthz)");
  return url.href;
}

function bodyOf(headers: Headers, minorVersion: number): number | "chunked" {
  const encoding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (encoding !== null) {
    if (length !== null || minorVersion === 0) {
      throw new HttpFault(400, "Transfer-Encoding goes with HTTP/1.1 and without Content-Length");
    }
    if (encoding.toLowerCase() !== "chunked") {
      throw new HttpFault(501, `Transfer-Encoding ${encoding} isn't known here (send chunked, or a length)`);
    }
    return "chunked";
  }
  if (length === null) return 0;
  if (!/^\d{1,15}$/.test(length)) throw new HttpFault(400, "Content-Length is no number of bytes");
  return Number(length);
}
