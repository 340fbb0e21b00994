/**
 * Sets of record types, as NSEC, NSEC3 and CSYNC have them: `A NS TYPE1234` ↔ windows of bits.
 *
 * A window holds the types of one high octet: its number, how many octets follow, and those octets, the first bit of
 * which stands for the lowest type. Windows ascend, and none is empty or ends in an empty octet.
 *
 * Source: RFC 4034 §4.1.2.
 *
 * @module
 */
import { typeName, typeNumber } from "./record_type.ts";

/**
 * Reads a set of types, in any order.
 *
 * @throws {SyntaxError} naming what is no type
 */
export function parseTypes(texts: readonly string[]): Uint8Array {
  const windows = new Map<number, Uint8Array>();
  for (const text of texts) {
    const type = typeNumber(text);
    if (type === null) throw new SyntaxError(`"${text}" is no record type`);
    const bits = windows.get(type >> 8) ?? new Uint8Array(32);
    bits[type >> 3 & 31]! |= 0x80 >> (type & 7);
    windows.set(type >> 8, bits);
  }
  const wire = [...windows].sort(([a], [b]) => a - b).flatMap(([window, bits]) => {
    const length = bits.findLastIndex((octet) => octet !== 0) + 1;
    return [window, length, ...bits.subarray(0, length)];
  });
  return Uint8Array.from(wire);
}

/**
 * Writes a set of types as text that `parseTypes` reads back to the same bytes.
 *
 * @throws {SyntaxError} when the bytes are no such set
 */
export function formatTypes(bytes: Uint8Array): string {
  const names: string[] = [];
  let last = -1;
  for (let at = 0; at < bytes.length;) {
    const window = bytes[at]!;
    const length = bytes[at + 1] ?? 0;
    const bits = bytes.subarray(at + 2, at + 2 + length);
    if (window <= last || length < 1 || length > 32 || bits.length < length || bits.at(-1) === 0) {
      throw new SyntaxError("the set of types isn't in windows as RFC 4034 §4.1.2 has them");
    }
    for (let bit = 0; bit < length * 8; bit++) {
      if (bits[bit >> 3]! & 0x80 >> (bit & 7)) names.push(typeName(window << 8 | bit));
    }
    last = window;
    at += 2 + length;
  }
  return names.join(" ");
}
