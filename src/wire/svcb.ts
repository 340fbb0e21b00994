/**
 * The parameters of SVCB and HTTPS records: `alpn=h2,h3 port=8443` ↔ wire bytes.
 *
 * In wire form each parameter is a 16-bit key, a 16-bit length and a value, and the keys ascend strictly. Every
 * key has the generic name `keyNNN` beside its own, and with it a value that is the wire form itself.
 *
 * Sources: RFC 9460 §2.1, §2.2, §7, §8, appendix A; RFC 9461 §5 (dohpath).
 *
 * @module
 */

import { type Family, formatIp } from "../ip.ts";
import { parseAddress } from "./address.ts";
import { bytesToString, stringToBytes } from "./zone_tokens.ts";

/**
 * Reads parameters in any order.
 *
 * @param texts one `KEY` or `KEY=VALUE` each, escapes as written; the value may be in quotes
 * @returns new bytes, keys ascending
 * @throws {SyntaxError} naming the parameter at fault
 */
export function parseSvcParams(texts: readonly string[]): Uint8Array {
  const values = new Map<number, Uint8Array>();
  for (const text of texts) {
    const { key, value } = parseParam(text);
    if (values.has(key)) fail(`the parameter ${keyName(key)} is there twice; keep one`);
    values.set(key, value);
  }
  const wire: number[] = [];
  for (const [key, value] of [...values].sort(([a], [b]) => a - b)) {
    wire.push(key >> 8, key & 0xff, value.length >> 8, value.length & 0xff);
    for (const byte of value) wire.push(byte);
  }
  const bytes = Uint8Array.from(wire);
  checkTogether(values);
  return bytes;
}

/**
 * Writes parameters as text that `parseSvcParams` reads back to the same bytes.
 *
 * @throws {SyntaxError} when the bytes are no parameters, or the keys don't ascend (RFC 9460 §2.2)
 */
export function formatSvcParams(bytes: Uint8Array): string {
  const values = new Map<number, Uint8Array>();
  let last = -1;
  for (let at = 0; at < bytes.length;) {
    if (at + 4 > bytes.length) fail("SVCB parameters end early");
    const key = bytes[at]! << 8 | bytes[at + 1]!;
    const end = at + 4 + (bytes[at + 2]! << 8 | bytes[at + 3]!);
    if (end > bytes.length) fail("SVCB parameters end early");
    if (key <= last) fail("SVCB parameters aren't in ascending order");
    values.set(key, bytes.subarray(at + 4, end));
    last = key;
    at = end;
  }
  checkTogether(values);
  return [...values].map(([key, value]) => formatParam(key, value)).join(" ");
}

/** How the value of one key is read and written. */
interface Param {
  readonly key: number;
  readonly name: string;
  /** Reads the value; `null` = the key stands alone. @throws {SyntaxError} */
  parse(value: string | null): Uint8Array;
  /** Writes the value without quotes, or `null` for none. @throws {SyntaxError} for bytes that are no such value */
  format(value: Uint8Array): string | null;
}

const PARAMS: readonly Param[] = [
  {
    key: 0,
    name: "mandatory",
    parse: (value) => bytesOfKeys(splitList(needed("mandatory", value, "alpn,port")).map(keyOf)),
    format: (value) => keysOf(value).map(keyName).join(","),
  },
  {
    key: 1,
    name: "alpn",
    parse: (value) => lengthPrefixed(splitItems(needed("alpn", value, "h2,h3"))),
    format: formatAlpn,
  },
  {
    key: 2,
    name: "no-default-alpn",
    parse: (value) => value === null ? new Uint8Array() : fail("no-default-alpn takes no value"),
    format: (value) => value.length === 0 ? null : fail("no-default-alpn has a value"),
  },
  {
    key: 3,
    name: "port",
    parse(value) {
      const text = needed("port", value, "443");
      const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
      return port <= 0xffff ? Uint8Array.of(port >> 8, port) : fail(`port=${text} must be 0–65535`);
    },
    format: (value) =>
      value.length === 2 ? String(value[0]! << 8 | value[1]!) : fail("the SVCB port isn't 2 bytes"),
  },
  {
    key: 4,
    name: "ipv4hint",
    parse: (value) => parseHints(needed("ipv4hint", value, "192.0.2.1"), 4),
    format: (value) => formatHints(value, 4),
  },
  {
    key: 5,
    name: "ech",
    parse(value) {
      const text = needed("ech", value, "AEn+DQ==");
      return decodeBase64(text) ?? fail(`ech=${text} must be base64`);
    },
    format: (value) => value.length > 0 ? value.toBase64() : fail("the SVCB ech value is empty"),
  },
  {
    key: 6,
    name: "ipv6hint",
    parse: (value) => parseHints(needed("ipv6hint", value, "2001:db8::1"), 6),
    format: (value) => formatHints(value, 6),
  },
  {
    key: 7,
    name: "dohpath",
    parse: (value) => stringToBytes(needed("dohpath", value, "/dns-query{?dns}")),
    format: (value) => value.length > 0 ? bytesToString(value) : fail("the SVCB dohpath is empty"),
  },
];

const PARAMS_BY_KEY: ReadonlyMap<number, Param> = new Map(PARAMS.map((param) => [param.key, param]));
const KEYS_BY_NAME: ReadonlyMap<string, number> = new Map(PARAMS.map(({ name, key }) => [name, key]));

/** 65535 is reserved as an invalid key, RFC 9460 §14.3.2. */
const KEY_MAX = 0xfffe;

function parseParam(text: string): { key: number; value: Uint8Array } {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? null : unquote(text.slice(equals + 1));
  const key = keyOf(name);
  const param = KEYS_BY_NAME.has(name) ? PARAMS_BY_KEY.get(key) : undefined;
  const bytes = param ? param.parse(value) : value === null ? new Uint8Array() : stringToBytes(value);
  if (bytes.length > 0xffff) fail(`the value of ${keyName(key)} may take 65535 bytes at most`);
  // By its generic name a known key has its value in wire form, which must be one all the same.
  PARAMS_BY_KEY.get(key)?.format(bytes);
  return { key, value: bytes };
}

function formatParam(key: number, value: Uint8Array): string {
  const param = PARAMS_BY_KEY.get(key);
  if (!param && value.length === 0) return keyName(key);
  const text = param ? param.format(value) : bytesToString(value);
  if (text === null) return keyName(key);
  return /[^0-9A-Za-z.,:/+=_-]/.test(text) || !param
    ? `${keyName(key)}="${text}"`
    : `${keyName(key)}=${text}`;
}

/** The rules that concern several parameters, RFC 9460 §7.1.1 and §8. */
function checkTogether(values: ReadonlyMap<number, Uint8Array>): void {
  if (values.has(2) && !values.has(1)) fail("no-default-alpn needs alpn beside it");
  const mandatory = values.get(0);
  if (!mandatory) return;
  for (const key of keysOf(mandatory)) {
    if (!values.has(key)) fail(`${keyName(key)} is mandatory but not there; add it or take it off the list`);
  }
}

/** Keys are in lower case (RFC 9460 §2.1); other servers take no others, so a zone with them would load only here. */
function keyOf(name: string): number {
  const known = KEYS_BY_NAME.get(name);
  if (known !== undefined) return known;
  const lower = name.toLowerCase();
  if (lower !== name && (KEYS_BY_NAME.has(lower) || lower.startsWith("key"))) {
    fail(`write "${name}" in lower case: ${lower}`);
  }
  const digits = /^key(\d{1,5})$/.exec(name)?.[1];
  const key = digits === undefined ? NaN : Number(digits);
  if (!(key <= KEY_MAX)) {
    fail(
      `"${name}" is no SVCB parameter; known are ${
        PARAMS.map((param) => param.name).join(", ")
      } and keyNNN up to key${KEY_MAX}`,
    );
  }
  return key;
}

function keyName(key: number): string {
  return PARAMS_BY_KEY.get(key)?.name ?? `key${key}`;
}

function bytesOfKeys(keys: readonly number[]): Uint8Array {
  return Uint8Array.from(keys.toSorted((a, b) => a - b).flatMap((key) => [key >> 8, key & 0xff]));
}

/** The list of `mandatory`: keys ascending, none twice, and not itself (RFC 9460 §8). */
function keysOf(value: Uint8Array): number[] {
  if (value.length === 0 || value.length % 2 !== 0) fail("the list of mandatory is empty or cut off");
  const keys: number[] = [];
  for (let at = 0; at < value.length; at += 2) keys.push(value[at]! << 8 | value[at + 1]!);
  keys.forEach((key, i) => {
    if (key === 0) fail("mandatory may not list itself");
    if (i > 0 && key <= keys[i - 1]!) fail(`mandatory lists ${keyName(key)} twice or out of order`);
  });
  return keys;
}

function formatAlpn(value: Uint8Array): string {
  const items: string[] = [];
  for (let at = 0; at < value.length; at += value[at]! + 1) {
    const item = value.subarray(at + 1, at + 1 + value[at]!);
    if (item.length === 0 || item.length < value[at]!) {
      fail("the SVCB alpn list has an empty or cut-off item");
    }
    // Two levels: the list's own backslashes, then those of the string that holds it.
    const listed = Array.from(item).flatMap((byte) => byte === 0x2c || byte === 0x5c ? [0x5c, byte] : [byte]);
    items.push(bytesToString(Uint8Array.from(listed)));
  }
  return items.length > 0 ? items.join(",") : fail("the SVCB alpn list is empty");
}

function parseHints(text: string, family: Family): Uint8Array {
  const bytes: number[] = [];
  for (const part of splitList(text)) {
    const address = parseAddress(part, family);
    if (!address) fail(`"${part}" in ipv${family}hint is no IPv${family} address`);
    bytes.push(...address);
  }
  return Uint8Array.from(bytes);
}

function formatHints(value: Uint8Array, family: Family): string {
  const size = family === 4 ? 4 : 16;
  if (value.length === 0 || value.length % size !== 0) {
    fail(`the SVCB ipv${family}hint isn't a list of addresses`);
  }
  const texts: string[] = [];
  for (let at = 0; at < value.length; at += size) texts.push(formatIp(value.subarray(at, at + size)));
  return texts.join(",");
}

function needed(name: string, value: string | null, example: string): string {
  return value ? value : fail(`${name} needs a value, such as ${name}=${example}`);
}

function splitList(text: string): string[] {
  return text.split(",");
}

/** The items of a comma-separated list whose commas and backslashes are escaped, RFC 9460 appendix A.1. */
function splitItems(text: string): Uint8Array[] {
  const items: number[][] = [[]];
  const bytes = stringToBytes(text);
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === 0x2c) items.push([]);
    else if (byte !== 0x5c) items.at(-1)!.push(byte);
    else items.at(-1)!.push(bytes[++i] ?? fail("the list ends in a lone backslash"));
  }
  return items.map((item) => Uint8Array.from(item));
}

function lengthPrefixed(items: readonly Uint8Array[]): Uint8Array {
  const wire: number[] = [];
  for (const item of items) {
    if (item.length === 0) fail("alpn has an empty item; write one comma between items");
    if (item.length > 255) fail("an item of alpn may take 255 bytes at most");
    wire.push(item.length, ...item);
  }
  return Uint8Array.from(wire);
}

function unquote(text: string): string {
  const bare = text.startsWith('"') && text.endsWith('"') && text.length > 1 ? text.slice(1, -1) : text;
  // Behind an escape a quote is a character like any other.
  return /^(?:[^"\\]|\\[^])*\\?$/.test(bare)
    ? bare
    : fail(`put the whole value in one pair of quotes, not ${text}`);
}

function decodeBase64(text: string): Uint8Array | null {
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch {
    return null;
  }
}

function fail(message: string): never {
  throw new SyntaxError(message);
}
