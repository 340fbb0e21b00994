/**
 * Tests of `src/wire/name.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  checkDomain,
  isAtOrBelow,
  isWildcard,
  labelOffsets,
  lowerCaseName,
  nameSize,
  nameToWire,
  readCompressedName,
  wireToName,
} from "../../src/wire/name.ts";

const hex = (bytes: Uint8Array) => bytes.toHex();

Deno.test("nameToWire() writes labels with their lengths, case kept", () => {
  const rows: [string, string][] = [
    [".", "00"],
    ["com", "03636f6d00"],
    ["com.", "03636f6d00"],
    ["Www.Example.COM", "03577777074578616d706c6503434f4d00"],
    ["*.a", "012a016100"],
    ["a\\.b.c", "03612e62016300"],
    ["\\000\\255.x", "0200ff017800"],
    ["a\\065\\\\", "0361415c00"],
    ["\\@", "014000"],
  ];
  for (const [text, wire] of rows) assert.equal(hex(nameToWire(text)), wire, text);
});

Deno.test("nameToWire() completes a relative name with the origin, and @ stands for the origin", () => {
  const origin = nameToWire("example.com");
  assert.equal(wireToName(nameToWire("www", origin)), "www.example.com");
  assert.equal(wireToName(nameToWire("www.", origin)), "www");
  assert.equal(wireToName(nameToWire("@", origin)), "example.com");
  assert.equal(wireToName(nameToWire("www\\.", origin)), "www\\..example.com");
});

Deno.test("nameToWire() names the fault", () => {
  const long = "a".repeat(63);
  const rows: [string, RegExp][] = [
    ["", /it is empty/],
    ["a..b", /a label is empty/],
    [".a", /a label is empty/],
    ["..", /a label is empty/],
    [`${long}a.com`, /longer than 63 bytes/],
    [`${long}.${long}.${long}.${long}`, /longer than 255 bytes/],
    [`${long}.${long}.${long}.${long}.`, /longer than 255 bytes/],
    ["a\\25", /three decimal digits/],
    ["a\\256", /three decimal digits/],
    ["a\\", /lone backslash/],
    ["münchen.de", /xn--/],
    ["a\\ü", /xn--/],
  ];
  for (const [text, fault] of rows) {
    assert.throws(
      () => nameToWire(text),
      (error) => error instanceof SyntaxError && fault.test(error.message),
      text,
    );
  }
});

Deno.test("nameToWire() takes a name of exactly 255 bytes and refuses one of 256", () => {
  const label = "a".repeat(63);
  const text = `${label}.${label}.${label}.${"b".repeat(61)}`;
  assert.equal(nameToWire(text).length, 255);
  assert.equal(nameToWire(`${text}.`).length, 255);
  assert.throws(() => nameToWire(`${text}b`), /255/);
  assert.throws(() => nameToWire(`${text}b.`), /255/);
  assert.throws(() => nameToWire("a", nameToWire(text)), /with its origin/);
});

Deno.test("wireToName() refuses bytes that are no whole name", () => {
  for (const bytes of ["", "01", "0161", "026100", "c00c", "0161c000"]) {
    assert.throws(() => wireToName(Uint8Array.fromHex(bytes)), SyntaxError, bytes);
  }
});

Deno.test("any name survives wire → presentation → wire, and so does its text", () => {
  const name = fc.array(fc.uint8Array({ minLength: 1, maxLength: 63 }), { maxLength: 5 })
    .map((labels) => new Uint8Array([...labels.flatMap((label) => [label.length, ...label]), 0]))
    .filter((wire) => wire.length <= 255);
  fc.assert(fc.property(name, (wire) => {
    const text = wireToName(wire);
    assert.deepEqual(nameToWire(text), wire);
    assert.equal(wireToName(nameToWire(text)), text);
    assert.equal(nameSize(wire), wire.length);
  }));
});

Deno.test("nameToWire() throws nothing but SyntaxError on random text, and never returns too long a name", () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom("\\", ".", "0", "9", "a", "@"), maxLength: 600 }),
  );
  fc.assert(fc.property(text, (candidate) => {
    try {
      const wire = nameToWire(candidate);
      assert.equal(nameSize(wire), wire.length);
    } catch (error) {
      assert.ok(error instanceof SyntaxError, String(error));
    }
  }));
});

Deno.test("readCompressedName() follows pointers backwards and ends behind the first", () => {
  const message = Uint8Array.fromHex("03636f6d00" + "0161c000" + "0162c005" + "ff");
  const { name, end } = readCompressedName(message, 9);
  assert.equal(wireToName(name), "b.a.com");
  assert.equal(end, 13);
});

Deno.test("readCompressedName() refuses pointers that don't lead back, and names that grow too long", () => {
  const rows: [string, number, RegExp][] = [
    ["c000", 0, /leads to byte 0/],
    ["0161c000", 0, /leads to byte 0/],
    ["c00200", 0, /leads to byte 2/],
    ["c002c000", 2, /leads to byte 2/],
    ["c0", 0, /compression pointer/],
    ["8000", 0, /label octet 128/],
    [`00${("3f" + "61".repeat(63)).repeat(3)}3e${"62".repeat(62)}c000`, 1, /longer than 255/],
  ];
  for (const [hex, offset, fault] of rows) {
    assert.throws(
      () => readCompressedName(Uint8Array.fromHex(hex), offset),
      (error) => error instanceof SyntaxError && fault.test(error.message),
      hex,
    );
  }
});

Deno.test("readCompressedName() takes a chain of 8,000 pointers without recursion", () => {
  const chain = Array.from({ length: 8000 }, (_, i) => 0xc000 | Math.max(0, 2 * i - 1));
  const bytes = Uint8Array.from([0, ...chain.flatMap((pointer) => [pointer >> 8, pointer & 255])]);
  assert.deepEqual(readCompressedName(bytes, bytes.length - 2), {
    name: Uint8Array.of(0),
    end: bytes.length,
  });
});

Deno.test("lowerCaseName() changes only A–Z", () => {
  assert.equal(wireToName(lowerCaseName(nameToWire("WwW.\\196Z[@.x"))), "www.\\196z[\\@.x");
});

Deno.test("isAtOrBelow() compares labels, not bytes", () => {
  const below = (name: string, ancestor: string) => isAtOrBelow(nameToWire(name), nameToWire(ancestor));
  assert.equal(below("www.example.com", "example.com"), true);
  assert.equal(below("example.com", "example.com"), true);
  assert.equal(below("example.com", "."), true);
  assert.equal(below("com", "example.com"), false);
  assert.equal(below("xexample.com", "example.com"), false);
  assert.equal(below("x\\003com", "com"), false);
});

Deno.test("labelOffsets() and isWildcard() look at the labels", () => {
  const wire = nameToWire("*.example.com");
  assert.deepEqual(labelOffsets(wire), [0, 2, 10]);
  assert.equal(isWildcard(wire), true);
  assert.equal(isWildcard(nameToWire("*a.example.com")), false);
  assert.equal(isWildcard(nameToWire("a.*.example.com")), false);
});

Deno.test("checkDomain() returns the canonical form", () => {
  assert.equal(checkDomain("WWW.Example.COM."), "www.example.com");
  assert.equal(checkDomain("*.example.com"), "*.example.com");
  assert.equal(checkDomain("_sip._tcp.a-b.c1"), "_sip._tcp.a-b.c1");
  assert.equal(
    checkDomain(`${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}`).length,
    253,
  );
});

Deno.test("checkDomain() names the fault and the mend", () => {
  const rows: [string, RegExp][] = [
    ["", /write a name such as/],
    [".", /write a name such as/],
    ["a..b", /a label is empty/],
    ["a b.com", /only letters, digits/],
    ["*", /only letters|whole first label/],
    ["a.*.com", /whole first label/],
    ["a*.com", /whole first label/],
    ["münchen.de", /xn--mnchen-3ya\.de/],
    [`${"a".repeat(64)}.com`, /longer than 63/],
    [`${"a.".repeat(126)}aa`, /longer than 253/],
    ["a\\.b.com", /only letters/],
  ];
  for (const [text, fault] of rows) {
    assert.throws(
      () => checkDomain(text),
      (error) => error instanceof SyntaxError && fault.test(error.message),
      text,
    );
  }
});
