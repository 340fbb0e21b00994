/**
 * Writing DER (X.690): the few types that a certificate is made of.
 *
 * @module
 */

/** A value with its tag and its length. */
export function tagged(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  return joined([Uint8Array.of(tag, ...lengthOf(size)), ...parts]);
}

/** SEQUENCE. */
export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return tagged(0x30, ...parts);
}

/** SET; the caller has its parts in order. */
export function set(...parts: readonly Uint8Array[]): Uint8Array {
  return tagged(0x31, ...parts);
}

/** INTEGER of a number that isn't negative, most significant byte first. */
export function integer(bytes: Uint8Array): Uint8Array {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at++;
  const digits = bytes.subarray(at);
  // A leading 1 bit would make it negative.
  return tagged(0x02, ...(digits[0]! & 0x80 ? [Uint8Array.of(0)] : []), digits);
}

/** OBJECT IDENTIFIER, such as `2.5.4.3`. */
export function oid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  return tagged(0x06, Uint8Array.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** BIT STRING of whole bytes. */
export function bitString(bytes: Uint8Array, unused = 0): Uint8Array {
  return tagged(0x03, Uint8Array.of(unused), bytes);
}

/** OCTET STRING. */
export function octetString(bytes: Uint8Array): Uint8Array {
  return tagged(0x04, bytes);
}

/** BOOLEAN true. */
export function isTrue(): Uint8Array {
  return tagged(0x01, Uint8Array.of(0xff));
}

/** UTF8String. */
export function utf8(text: string): Uint8Array {
  return tagged(0x0c, new TextEncoder().encode(text));
}

/** UTCTime or, from 2050 on, GeneralizedTime (RFC 5280 §4.1.2.5); whole seconds. */
export function time(unixMs: number): Uint8Array {
  const date = new Date(unixMs);
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  const isShort = date.getUTCFullYear() < 2050;
  return tagged(isShort ? 0x17 : 0x18, new TextEncoder().encode(isShort ? digits.slice(2) : digits));
}

/** One after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function lengthOf(size: number): number[] {
  if (size < 0x80) return [size];
  const bytes: number[] = [];
  for (let rest = size; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift(rest & 0x7f | 0x80);
  return bytes;
}
