/**
 * The data of an APL record: `1:192.0.2.0/24 !2:2001:db8::/32` ↔ wire bytes.
 *
 * Each item is an address family, a prefix length, an octet with the negation's bit and a count, and so many bytes of
 * the address: those behind the last that isn't zero are left out.
 *
 * Source: RFC 3123.
 *
 * @module
 */
import { type Family, formatIp } from "../ip.ts";
import { parseAddress } from "./address.ts";

/** By the numbers that IANA has for address families. */
const FAMILIES: Readonly<Record<number, Family>> = { 1: 4, 2: 6 };
const NEGATED = 0x80;

/**
 * Reads a list of prefixes.
 *
 * @throws {SyntaxError} naming the item at fault
 */
export function parseAddressPrefixes(items: readonly string[]): Uint8Array {
  return Uint8Array.from(items.flatMap((item) => [...parseItem(item)]));
}

/**
 * Writes a list of prefixes as text that `parseAddressPrefixes` reads back to the same bytes.
 *
 * @throws {SyntaxError} when the bytes are no such list
 */
export function formatAddressPrefixes(bytes: Uint8Array): string {
  const items: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const number = bytes[at]! << 8 | bytes[at + 1]!;
    const family = FAMILIES[number];
    const [bits = 0, flags = 0] = bytes.subarray(at + 2, at + 4);
    const part = bytes.subarray(at + 4, at + 4 + (flags & 0x7f));
    if (at + 4 > bytes.length || family === undefined) {
      throw new SyntaxError("the APL data have no known family");
    }
    const address = new Uint8Array(family === 4 ? 4 : 16);
    if (
      bits > address.length * 8 || part.length < (flags & 0x7f) || part.length > address.length ||
      part.at(-1) === 0
    ) throw new SyntaxError("an item of the APL data doesn't fit its family");
    address.set(part);
    items.push(`${flags & NEGATED ? "!" : ""}${number}:${formatIp(address)}/${bits}`);
    at += 4 + part.length;
  }
  return items.join(" ");
}

function parseItem(item: string): Uint8Array {
  const [, negation, number = "", text = "", bits = ""] = /^(!?)([12]):([^/]+)\/(\d{1,3})$/.exec(item) ?? [];
  const family = FAMILIES[Number(number)];
  const address = family ? parseAddress(text, family) : null;
  if (!address || Number(bits) > address.length * 8) {
    throw new SyntaxError(`"${item}" is no prefix; write one such as 1:192.0.2.0/24 or !2:2001:db8::/32`);
  }
  const length = address.findLastIndex((byte) => byte !== 0) + 1;
  return Uint8Array.of(
    0,
    Number(number),
    Number(bits),
    (negation ? NEGATED : 0) | length,
    ...address.subarray(0, length),
  );
}
