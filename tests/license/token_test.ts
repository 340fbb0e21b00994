/** @module Tokens: what counts, what doesn't, and why; and that what is said of one shows nothing of its text. */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { isExpired, issueToken, type License, rateOf, readToken } from "../../src/license/token.ts";

const SECRET = "a-secret-of-the-tests-0001";
const OTHER = "a-secret-of-the-tests-0002";
const NOW = 1_767_225_600;
const PAID: License = { tier: "paid", maxRps: 1000, iat: NOW, exp: NOW + 3600, id: "acme-7" };

/** Signed as it is, whatever it says. */
function signed(json: string | Uint8Array, secret = SECRET): string {
  const payload = Buffer.from(json).toString("base64url");
  return `${payload}.${createHmac("sha256", secret).update(payload).digest("base64url")}`;
}

const fields = (change: Readonly<Record<string, unknown>>) => signed(JSON.stringify({ ...PAID, ...change }));
const token = signed(JSON.stringify(PAID));
const [payload, signature] = token.split(".") as [string, string];

/** The last character but one more: its two spare bits aren't zero. */
function withSpareBits(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.at(-1)!) + 1];
}

function withFlippedBit(text: string, at: number): string {
  const bytes = Buffer.from(text, "base64url");
  bytes[at]! ^= 1;
  return bytes.toString("base64url");
}

const REFUSED: ReadonlyArray<readonly [what: string, token: string, reason: RegExp]> = [
  ["nothing", "", /^the token has 0 dots/],
  ["one part", payload, /^the token has 0 dots, PAYLOAD\.SIGNATURE has one$/],
  ["a dot too many", `${token}.`, /^the token has 2 dots/],
  ["three parts, as a JWT has", `eyJhbGciOiJub25lIn0.${token}`, /^the token has 2 dots/],
  ["no payload", `.${signature}`, /^the payload is empty$/],
  ["no signature", `${payload}.`, /^the signature is empty$/],
  ["a padded signature", `${token}=`, /^the signature is padded/],
  ["a padded payload", `${payload}==.${signature}`, /^the payload is padded/],
  ["base64 with +", `+${payload}.${signature}`, /^the payload has \+ or \//],
  ["base64 with /", `${payload}./${signature.slice(1)}`, /^the signature has \+ or \//],
  ["a space", `${payload} .${signature}`, /^the payload has characters/],
  [
    "a line feed inside",
    `${payload.slice(0, 8)}\n${payload.slice(8)}.${signature}`,
    /^the payload has characters/,
  ],
  ["a length that none has", `${payload}.${signature}AA`, /^the signature isn't base64url: a character/],
  ["spare bits", `${payload}.${withSpareBits(signature)}`, /^the signature has spare bits/],
  [
    "a cut signature",
    `${payload}.${signature.slice(0, 24)}`,
    /^the signature has 18 bytes, HMAC-SHA256 has 32$/,
  ],
  [
    "a flipped bit in the payload",
    `${withFlippedBit(payload, 20)}.${signature}`,
    /^the signature doesn't match/,
  ],
  [
    "a flipped bit in the signature",
    `${payload}.${withFlippedBit(signature, 0)}`,
    /^the signature doesn't match/,
  ],
  [
    "the last bit of the signature",
    `${payload}.${withFlippedBit(signature, 31)}`,
    /^the signature doesn't match/,
  ],
  ["another secret", signed(JSON.stringify(PAID), OTHER), /^the signature doesn't match/],
  ["an empty secret", signed(JSON.stringify(PAID), ""), /^the signature doesn't match/],
  ["no JSON", signed("{tier: paid}"), /^the payload isn't JSON/],
  ["no UTF-8", signed(new Uint8Array([0x22, 0xff, 0x22])), /^the payload isn't JSON/],
  ["a byte order mark", signed(`\ufeff${JSON.stringify(PAID)}`), /^the payload isn't JSON/],
  ["a list", signed("[]"), /^the payload isn't a JSON object$/],
  ["null", signed("null"), /^the payload isn't a JSON object$/],
  [
    "a field that means nothing",
    fields({ alg: "none" }),
    /^the payload has a field besides tier, maxRps, iat, exp, id$/,
  ],
  ["__proto__", signed(`{"__proto__":{"maxRps":9},"tier":"free"}`), /^the payload has a field besides/],
  ["a field twice", signed(JSON.stringify(PAID).replace("}", `,"maxRps":9000}`)), /^maxRps is there twice$/],
  [
    "twice, in another spelling",
    signed(JSON.stringify(PAID).replace("}", `,"e\\u0078p" : 9000}`)),
    /^exp is there twice$/,
  ],
  ["exp as text", fields({ exp: String(NOW + 3600) }), /^exp must be a whole number of Unix seconds$/],
  ["exp with a fraction", fields({ exp: NOW + 0.5 }), /^exp must be/],
  ["exp of 2⁵³", fields({ exp: 2 ** 53 }), /^exp must be/],
  ["no exp", fields({ exp: undefined }), /^exp is missing$/],
  ["exp null", fields({ exp: null }), /^exp must be/],
  ["iat as text", fields({ iat: "now" }), /^iat must be/],
  ["no id", fields({ id: undefined }), /^id is missing$/],
  ["a number for an id", fields({ id: 7 }), /^id must be/],
  ["a line feed in the id", fields({ id: "a\nb" }), /^id must be/],
  ["an empty tier", fields({ tier: "" }), /^tier must be/],
  [
    "a negative rate",
    fields({ maxRps: -1 }),
    /^maxRps must be a whole number of answers a second, 1–1000000000$/,
  ],
  ["a rate of 0", fields({ maxRps: 0 }), /^maxRps must be/],
  ["a rate of 2⁵³", fields({ maxRps: 2 ** 53 }), /^maxRps must be/],
  ["a rate with a fraction", fields({ maxRps: 10.5 }), /^maxRps must be/],
  ["a rate as text", fields({ maxRps: "1000" }), /^maxRps must be/],
  ["a rate of null", fields({ maxRps: null }), /^maxRps must be/],
  ["true for a rate", fields({ maxRps: true }), /^maxRps must be/],
  [
    "a paid tier without a rate",
    fields({ maxRps: undefined }),
    /^maxRps is missing, which only the tier free/,
  ],
  ["10,000 characters", "e".repeat(10_000), /^the token has 10000 characters/],
];

for (const [what, text, reason] of REFUSED) {
  Deno.test(`a token doesn't count with ${what}`, () => {
    const reading = readToken(text, [SECRET]);
    equal(reading.license, null);
    match(reading.reason!, reason);
    for (const part of text.split(".").filter((part) => part.length > 4)) {
      ok(!reading.reason!.includes(part), "the reason shows a part of the token");
    }
  });
}

Deno.test("a token that is issued is read as what it was issued for, with spaces or without", () => {
  const licenses: License[] = [
    PAID,
    { ...PAID, tier: "free", maxRps: null },
    { ...PAID, tier: "free", maxRps: 7 },
    { ...PAID, tier: "Größe ∞", id: "x".repeat(128), maxRps: 1_000_000_000 },
    { ...PAID, iat: 0, exp: 253_402_300_799 },
  ];
  for (const license of licenses) {
    deepEqual(readToken(issueToken(license, SECRET), [SECRET]), { license, reason: null });
    const { maxRps, ...rest } = license;
    const spaced = JSON.stringify({ ...rest, ...(maxRps !== null && { maxRps }) }, null, 2);
    deepEqual(readToken(signed(spaced), [SECRET]), { license, reason: null });
  }
  equal(issueToken(PAID, SECRET), token, "the documented bytes are signed, with no others around them");
});

Deno.test("each of two secrets is valid while one replaces the other, and none of no secrets", () => {
  for (const secrets of [[SECRET, OTHER], [OTHER, SECRET], [SECRET]]) {
    deepEqual(readToken(token, secrets).license, PAID);
  }
  equal(readToken(token, [OTHER]).license, null);
  equal(readToken(token, []).license, null);
});

Deno.test("no license that would be refused is issued", () => {
  for (const wrong of [{ maxRps: 0 }, { maxRps: null }, { tier: "" }, { exp: 2 ** 53 }, { id: "\u0007" }]) {
    throws(() => issueToken({ ...PAID, ...wrong }, SECRET), RangeError);
  }
});

Deno.test("a license has ended in the second of its exp, and allows what it says or what free has", () => {
  deepEqual([-1, 0, 1].map((after) => isExpired(PAID, PAID.exp + after)), [false, true, true]);
  deepEqual([PAID, { ...PAID, tier: "free", maxRps: null }].map(rateOf), [1000, 50]);
});

Deno.test("no change of one character of a token counts", () => {
  for (let at = 0; at < token.length; at++) {
    for (const other of ["A", "B", "-", "."]) {
      if (other === token[at]) continue;
      equal(readToken(token.slice(0, at) + other + token.slice(at + 1), [SECRET]).license, null);
    }
  }
});
