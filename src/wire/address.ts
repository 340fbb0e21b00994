/**
 * Addresses in record data, where an A record holds 4 bytes and an AAAA record 16, whatever they mean.
 *
 * @module
 */

import { type Family, parseIp } from "../ip.ts";

/**
 * Reads an address of exactly that family.
 *
 * `parseIp` turns an IPv4-mapped address (`::ffff:192.0.2.1`) into the IPv4 one; here it stays IPv6, since the
 * record's type has decided.
 *
 * @returns 4 or 16 new bytes; `null` for an address of the other family or none
 */
export function parseAddress(text: string, family: Family): Uint8Array | null {
  if (text.includes(":") !== (family === 6)) return null;
  const bytes = parseIp(text);
  if (bytes === null || family === 4 || bytes.length === 16) return bytes;
  const mapped = new Uint8Array(16);
  mapped.fill(0xff, 10, 12);
  mapped.set(bytes, 12);
  return mapped;
}
