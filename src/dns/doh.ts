/**
 * DNS over HTTPS (RFC 8484), a request at a time: which requests are DNS, and what is said to those that aren't. What a
 * message is answered is asked of the exchange, as for every transport.
 *
 * An answer may be kept for as long as its records, by its client alone (`private`): what is chosen for one client isn't
 * right for another one behind the same HTTP cache.
 *
 * @module
 */
import { readCompressedName } from "../wire/name.ts";
import { RCODE, TYPE } from "../wire/record_type.ts";
import type { HTTPS_STATUSES } from "./counters.ts";
import { HEADER_SIZE } from "./query.ts";

/** Most bytes of a message: what every other transport can carry. */
export const MESSAGE_MAX = 65_535;
/** Its media type (RFC 8484 §6). */
export const MESSAGE_TYPE = "application/dns-message";

/** A status that is counted. */
export type HttpsStatus = typeof HTTPS_STATUSES[number];

/** Why a request isn't answered with DNS. */
export class DohFault extends Error {
  /** What HTTP calls it. */
  readonly status: HttpsStatus;

  /** The message is for the people behind the client. */
  constructor(status: HttpsStatus, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * The message that a request carries, of whatever content.
 *
 * @param bodyOf reads a body of `MESSAGE_MAX` bytes at most
 * @throws {DohFault} when it carries none; whatever `bodyOf` throws
 */
export async function messageOf(
  request: Request,
  path: string,
  bodyOf: (request: Request) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname !== path) throw new DohFault(404, `DNS is answered at ${path}`);
  if (request.method === "POST") {
    const type = (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
    if (type !== MESSAGE_TYPE) throw new DohFault(415, `The content type must be ${MESSAGE_TYPE}`);
    if (Number(request.headers.get("content-length") ?? 0) > MESSAGE_MAX) throw tooLarge();
    return await bodyOf(request);
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    throw new DohFault(405, "The method must be GET or POST");
  }
  const given = searchParams.getAll("dns");
  if (given.length !== 1) throw new DohFault(400, "One message is needed, ?dns=…");
  return decodeBase64url(given[0]!);
}

/** What is said of a message beyond `MESSAGE_MAX`. */
export function tooLarge(): DohFault {
  return new DohFault(413, `A message has ${MESSAGE_MAX} bytes at most`);
}

/** An answer of DNS; `bytes` is its own. */
export function dohResponse(bytes: Uint8Array<ArrayBuffer>): Response {
  const seconds = freshnessOf(bytes);
  return new Response(bytes, {
    headers: {
      "content-type": MESSAGE_TYPE,
      "content-length": String(bytes.length),
      "cache-control": seconds === null ? "no-store" : `private, max-age=${seconds}`,
    },
  });
}

/** What is said in place of DNS. */
export function faultResponse({ status, message }: DohFault): Response {
  return new Response(`${message}\n`, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      ...(status === 405 ? { allow: "GET, HEAD, POST" } : {}),
    },
  });
}

/**
 * For how many seconds an answer of ours may be kept (RFC 8484 §5.1): the smallest TTL of its answer section; where that
 * is empty the SOA's, which stands for the negative answer (RFC 2308 §5). `null` = not at all: an error, or a referral.
 */
export function freshnessOf(answer: Uint8Array): number | null {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
  const rcode = answer[3]! & 0x0f;
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return null;
  let at = HEADER_SIZE;
  for (let left = view.getUint16(4); left > 0; left--) at = readCompressedName(answer, at).end + 4;
  const answers = view.getUint16(6);
  let seconds: number | null = null;
  for (let left = answers || view.getUint16(8); left > 0; left--) {
    at = readCompressedName(answer, at).end;
    if (answers > 0 || view.getUint16(at) === TYPE.SOA) {
      seconds = Math.min(seconds ?? Infinity, view.getUint32(at + 4));
    }
    at += 10 + view.getUint16(at + 8);
  }
  return seconds;
}

/** Without padding (RFC 8484 §4.1). */
function decodeBase64url(text: string): Uint8Array {
  if (text.length > Math.ceil(MESSAGE_MAX * 4 / 3)) throw tooLarge();
  try {
    if (!/^[A-Za-z0-9_-]*$/.test(text)) throw new SyntaxError("a character of another alphabet");
    return Uint8Array.fromBase64(text, { alphabet: "base64url" });
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new DohFault(400, "The message of ?dns=… must be base64url without padding");
  }
}
