/**
 * Licence tokens: how many answers a second a node may give, until when, signed by whoever sells that.
 *
 * ```text
 *  token     = payload "." signature
 *  payload   = base64url(JSON)                        RFC 4648 §5, no padding
 *  signature = base64url(HMAC-SHA256(secret, payload))   over the characters of the payload, not over the JSON
 *  JSON      = {"tier": "paid", "maxRps": 1000, "iat": 1767225600, "exp": 1769817600, "id": "acme-7"}
 * ```
 *
 * A license has one spelling for each part of its token: other characters, padding or spare bits that aren't zero are
 * refused, so that a token can be told from another by its text. The payload is read only when its signature matches: what
 * was not signed with the secret is never parsed.
 *
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";

/** What a token says. */
export interface License {
  /** `free`, or the name of what was paid for. */
  readonly tier: string;
  /** Answers a second; `null` = what the tier has by itself, which only `free` does. */
  readonly maxRps: number | null;
  /** When it was issued, Unix seconds; it counts from the beginning, whatever the clock says. */
  readonly iat: number;
  /** Unix seconds; from then on it doesn't count. */
  readonly exp: number;
  /** Names the token where its text must not be shown. */
  readonly id: string;
}

/** What a token is worth: the license that it stands for, or why it stands for none. Neither holds a part of its text. */
export type Reading =
  | { readonly license: License; readonly reason: null }
  | { readonly license: null; readonly reason: string };

/** Answers a second of the tier `free`, unless its token says more or less. */
export const FREE_RPS = 50;
/** The tier that needs no `maxRps`. */
export const FREE_TIER = "free";
/** Answers a second that a token may allow: far more than a machine gives, and it can be counted in 32 bits. */
export const MAX_RPS = 1_000_000_000;
/** Characters of the longest tier and the longest id. */
export const NAME_LENGTH_MAX = 128;
/** The last second of the year 9999: later ones can't be written as a date. */
const SECONDS_MAX = 253_402_300_799;
/** Characters of the longest token: ten times the longest that is issued. */
const TOKEN_LENGTH_MAX = 8_192;
/** Of SHA-256. */
const SIGNATURE_BYTES = 32;

/** Writes the token of a license. @throws {RangeError} when a token that says this would be refused */
export function issueToken(license: License, secret: string): string {
  const { tier, maxRps, iat, exp, id } = license;
  const json = JSON.stringify({ tier, ...(maxRps !== null && { maxRps }), iat, exp, id });
  const fault = faultOf(JSON.parse(json));
  if (fault !== null) throw new RangeError(`Cannot issue a token: ${fault}`);
  const payload = base64url(new TextEncoder().encode(json));
  return `${payload}.${base64url(sign(payload, secret))}`;
}

/**
 * Reads a token; whether it has expired is another question (`isExpired`).
 *
 * @param secrets any of them may have signed it, so that one can be replaced by another while tokens of both are in use
 */
export function readToken(token: string, secrets: readonly string[]): Reading {
  if (token.length > TOKEN_LENGTH_MAX) {
    return refused(`the token has ${token.length} characters, ${TOKEN_LENGTH_MAX} at most make sense`);
  }
  const parts = token.split(".");
  if (parts.length !== 2) {
    return refused(`the token has ${parts.length - 1} dots, PAYLOAD.SIGNATURE has one`);
  }
  const [payload, signature] = [bytesOf(parts[0]!), bytesOf(parts[1]!)];
  if ("fault" in payload) return refused(`the payload ${payload.fault}`);
  if ("fault" in signature) return refused(`the signature ${signature.fault}`);
  if (signature.bytes.length !== SIGNATURE_BYTES) {
    return refused(`the signature has ${signature.bytes.length} bytes, HMAC-SHA256 has ${SIGNATURE_BYTES}`);
  }
  if (!isSigned(parts[0]!, signature.bytes, secrets)) {
    return refused("the signature doesn't match: another secret made it, or the token was changed");
  }
  return readPayload(payload.bytes);
}

/** Whether a license has ended. @param unixSeconds which time it is */
export function isExpired({ exp }: License, unixSeconds: number): boolean {
  return unixSeconds >= exp;
}

/** Answers a second that a license allows. */
export function rateOf({ maxRps }: License): number {
  return maxRps ?? FREE_RPS;
}

/** Every secret is tried, and every byte looked at, so that the time taken tells nothing of either. */
function isSigned(payload: string, signature: Uint8Array, secrets: readonly string[]): boolean {
  let isOne = false;
  for (const secret of secrets) isOne = timingSafeEqual(sign(payload, secret), signature) || isOne;
  return isOne;
}

function sign(payload: string, secret: string): Uint8Array {
  return createHmac("sha256", secret).update(payload, "ascii").digest();
}

function readPayload(bytes: Uint8Array): Reading {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    return refused("the payload isn't JSON in UTF-8"); // the parser's own words would quote it
  }
  const fault = faultOf(value) ?? repeatedField(text);
  if (fault !== null) return refused(fault);
  const { tier, maxRps = null, iat, exp, id } = value as License & { readonly maxRps?: number };
  return { license: { tier, maxRps, iat, exp, id }, reason: null };
}

/** What is wrong with the fields; `null` = nothing, and then the value is a license but for a `maxRps` that isn't there. */
function faultOf(value: unknown): string | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "the payload isn't a JSON object";
  }
  const unknown = Object.keys(value).filter((key) => !FIELDS.some(({ name }) => name === key)).length;
  if (unknown > 0) {
    return `the payload has ${unknown === 1 ? "a field" : `${unknown} fields`} besides ${FIELD_NAMES}`;
  }
  const fields: Readonly<Record<string, unknown>> = { ...value };
  for (const { name, rule, isFine } of FIELDS) {
    if (!Object.hasOwn(fields, name)) {
      if (name !== "maxRps") return `${name} is missing`;
    } else if (!isFine(fields[name])) return `${name} must be ${rule}`;
  }
  return fields["tier"] !== FREE_TIER && !Object.hasOwn(fields, "maxRps")
    ? `maxRps is missing, which only the tier ${FREE_TIER} can do without`
    : null;
}

/**
 * A field that is there twice means one thing to one reader and something else to the next. In valid JSON a text before
 * a colon is a field's name, and each text begins where the one before has ended.
 */
function repeatedField(json: string): string | null {
  const names = [...json.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?/g)]
    .flatMap(([, text, colon]) => colon === undefined ? [] : [JSON.parse(text!) as string]);
  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  return repeated === undefined ? null : `${repeated} is there twice`;
}

interface Field {
  readonly name: keyof License;
  /** Completes "NAME must be …". */
  readonly rule: string;
  readonly isFine: (value: unknown) => boolean;
}

const FIELDS: readonly Field[] = [
  { name: "tier", rule: `a text of 1–${NAME_LENGTH_MAX} characters`, isFine: isName },
  {
    name: "maxRps",
    rule: `a whole number of answers a second, 1–${MAX_RPS}`,
    isFine: (value) => isWhole(value, 1, MAX_RPS),
  },
  { name: "iat", rule: "a whole number of Unix seconds", isFine: (value) => isWhole(value, 0, SECONDS_MAX) },
  { name: "exp", rule: "a whole number of Unix seconds", isFine: (value) => isWhole(value, 0, SECONDS_MAX) },
  { name: "id", rule: `a text of 1–${NAME_LENGTH_MAX} characters`, isFine: isName },
];
const FIELD_NAMES = FIELDS.map(({ name }) => name).join(", ");

/** It stands in logs and on terminals: no control characters (Unicode category C). */
function isName(value: unknown): boolean {
  return typeof value === "string" && value !== "" && value.length <= NAME_LENGTH_MAX &&
    !/\p{C}/u.test(value);
}

function isWhole(value: unknown, min: number, max: number): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max;
}

function refused(reason: string): Reading {
  return { license: null, reason };
}

function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Only the one spelling that `base64url` gives. */
function bytesOf(text: string): { readonly bytes: Uint8Array } | { readonly fault: string } {
  if (text === "") return { fault: "is empty" };
  if (text.endsWith("=")) return { fault: "is padded with =, which a token isn't" };
  if (/[+/]/.test(text)) return { fault: "has + or /: it is base64, and a token is base64url (- and _)" };
  if (!/^[A-Za-z0-9_-]+$/.test(text)) return { fault: "has characters that base64url hasn't" };
  if (text.length % 4 === 1) return { fault: "isn't base64url: a character is missing or too many" };
  const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
  return base64url(bytes) === text ? { bytes } : { fault: "has spare bits that aren't zero" };
}
