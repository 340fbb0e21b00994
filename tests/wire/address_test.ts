/**
 * Tests of `src/wire/address.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseAddress } from "../../src/wire/address.ts";

Deno.test("parseAddress() reads addresses of the family asked for, and no others", () => {
  assert.equal(parseAddress("192.0.2.1", 4)!.toHex(), "c0000201");
  assert.equal(parseAddress("2001:db8::1", 6)!.toHex(), "20010db8000000000000000000000001");
  assert.equal(parseAddress("192.0.2.1", 6), null);
  assert.equal(parseAddress("2001:db8::1", 4), null);
  assert.equal(parseAddress("example.com", 4), null);
  assert.equal(parseAddress("::g", 6), null);
});

Deno.test("parseAddress() keeps an IPv4-mapped address at 16 bytes, and refuses it as IPv4", () => {
  assert.equal(parseAddress("::ffff:192.0.2.1", 6)!.toHex(), "00000000000000000000ffffc0000201");
  assert.equal(parseAddress("::ffff:192.0.2.1", 4), null);
});
