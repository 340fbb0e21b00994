/**
 * Tests of `src/wire/zone_tokens.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bytesToString,
  type Entry,
  type Problem,
  scanEntries,
  scanLine,
  stringToBytes,
} from "../../src/wire/zone_tokens.ts";

function scan(text: string): { entries: Entry[]; problems: Problem[] } {
  const problems: Problem[] = [];
  return { entries: [...scanEntries(text, (problem) => problems.push(problem))], problems };
}

Deno.test("scanEntries() tells plain, quoted and mixed tokens and keeps escapes", () => {
  const { entries } = scan('a\\;b "c;d\\"" k="v w" e;comment');
  assert.deepEqual(entries[0]!.tokens.map(({ kind, text }) => [kind, text]), [
    ["plain", "a\\;b"],
    ["quoted", 'c;d\\"'],
    ["mixed", 'k="v w"'],
    ["plain", "e"],
  ]);
});

Deno.test("scanEntries() places tokens in lines and columns, entries that span lines too", () => {
  const { entries } = scan('\n a ( b\n  "c" )\r\nd');
  assert.deepEqual(
    entries.map(({ tokens, startsBlank }) => [
      startsBlank,
      ...tokens.map(({ line, column, endColumn }) => [line, column, endColumn]),
    ]),
    [[true, [2, 2, 3], [2, 6, 7], [3, 3, 6]], [false, [4, 1, 2]]],
  );
});

Deno.test("scanEntries() leaves out lines without tokens", () => {
  assert.deepEqual(scan("\ufeff\n;\n  \n \t; x\n()\r\n").entries, []);
});

Deno.test("scanEntries() takes tokens of any text once, in order and from where it says", () => {
  const text = fc.string({ unit: fc.constantFrom(...'ab \n\t\r;()"\\'.split("")), maxLength: 80 });
  fc.assert(
    fc.property(text, (candidate) => {
      const { entries, problems } = scan(candidate);
      const lines = candidate.split("\n");
      let last = { line: 1, endColumn: 1 };
      for (const token of entries.flatMap(({ tokens }) => tokens)) {
        const written = lines[token.line - 1]!.slice(token.column - 1, token.endColumn - 1);
        assert.ok(written.includes(token.text), JSON.stringify({ candidate, token }));
        assert.ok(
          token.line > last.line || token.column >= last.endColumn,
          JSON.stringify({ candidate, token }),
        );
        last = token;
      }
      // One parenthesis may stand where none may, and be never closed too.
      assert.ok(problems.length <= 2 * candidate.length);
    }),
    { numRuns: 5000 },
  );
});

Deno.test("scanLine() throws for what can't be split", () => {
  assert.deepEqual(scanLine("10 a.").map(({ text }) => text), ["10", "a."]);
  assert.deepEqual(scanLine("( a )").map(({ text }) => text), ["a"]);
  assert.throws(() => scanLine('"a'), /quote is never closed/);
  assert.throws(() => scanLine("(a"), /never closed/);
  assert.throws(() => scanLine("a)"), /without a "\("/);
});

Deno.test("stringToBytes() resolves escapes and writes the rest as UTF-8", () => {
  const rows: [string, string][] = [
    ["", ""],
    ["abc", "616263"],
    ["\\a\\000\\255\\\\", "6100ff5c"],
    ["ü\\ü", "c3bcc3bc"],
    ["\\😀😀", "f09f9880f09f9880"],
  ];
  for (const [text, hex] of rows) assert.equal(stringToBytes(text).toHex(), hex, text);
  for (const text of ["\\", "a\\", "\\2", "\\25x", "\\256"]) {
    assert.throws(() => stringToBytes(text), SyntaxError, text);
  }
});

Deno.test("bytesToString() comes back through stringToBytes()", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    const text = bytesToString(bytes);
    assert.match(text, /^[ -~]*$/);
    assert.deepEqual([...stringToBytes(text)], [...bytes]);
  }));
});
