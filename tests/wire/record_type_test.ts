/**
 * Tests of `src/wire/record_type.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  classNumber,
  isMetaType,
  opcodeName,
  rcodeName,
  TYPE,
  typeName,
  typeNumber,
} from "../../src/wire/record_type.ts";

Deno.test("typeNumber() knows mnemonics in any case and the generic form", () => {
  assert.equal(typeNumber("A"), 1);
  assert.equal(typeNumber("https"), 65);
  assert.equal(typeNumber("TYPE65280"), 65280);
  assert.equal(typeNumber("type1"), TYPE.A);
});

Deno.test("typeNumber() returns null for what names no type", () => {
  for (const text of ["", "TYPE", "TYPE65536", "TYPE-1", "TYPE1x", "B", "toString", "constructor", "1"]) {
    assert.equal(typeNumber(text), null, text);
  }
});

Deno.test("typeName() and rcodeName() fall back to generic names", () => {
  assert.equal(typeName(28), "AAAA");
  assert.equal(typeName(65280), "TYPE65280");
  assert.equal(rcodeName(16), "BADVERS");
  assert.equal(rcodeName(3841), "RCODE3841");
  assert.equal(opcodeName(4), "NOTIFY");
  assert.equal(opcodeName(9), "OPCODE9");
});

Deno.test("classNumber() knows IN and the generic form", () => {
  assert.equal(classNumber("in"), 1);
  assert.equal(classNumber("CLASS32"), 32);
  assert.equal(classNumber("CLASSES"), null);
});

Deno.test("isMetaType() tells query types from data types", () => {
  assert.deepEqual([0, 41, 250, 252, 255].map(isMetaType), [true, true, true, true, true]);
  assert.deepEqual([1, 99, 257, 65280].map(isMetaType), [false, false, false, false]);
});
