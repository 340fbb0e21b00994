/**
 * Keys out of bytes, whole and in pieces.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { type Input, KeyDecoder } from "../../src/tui/key_decoder.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const names = (inputs: readonly Input[]) =>
  inputs.map((each) => each.kind === "key" ? each.key : `"${each.text}"`);

const ROWS: ReadonlyArray<readonly [sent: string, keys: readonly string[]]> = [
  ["a", ["a"]],
  ["jk", ["j", "k"]],
  ["é", ["é"]],
  ["数", ["数"]],
  [" ", ["space"]],
  ["\r", ["enter"]],
  ["\t", ["tab"]],
  ["\x7f", ["backspace"]],
  ["\x03", ["ctrl-c"]],
  ["\x1a", ["ctrl-z"]],
  ["\x1b[A", ["up"]],
  ["\x1bOB", ["down"]],
  ["\x1b[1;5C", ["right"]],
  ["\x1b[Z", ["shift-tab"]],
  ["\x1b[5~\x1b[6~", ["page-up", "page-down"]],
  ["\x1b[3~", ["delete"]],
  ["\x1bOP", ["f1"]],
  ["\x1b[11~", ["f1"]],
  // Unknown ones are dropped whole, and what follows isn't.
  ["\x1b[99~x", ["x"]],
  ["\x1b[?2026;2$yx", ["x"]],
  // An escape before another key is a key of its own.
  ["\x1bq", ["escape", "q"]],
  ["\x1b[200~a\nb\x1b[201~c", ['"a b"', "c"]],
];

for (const [sent, keys] of ROWS) {
  Deno.test(`${JSON.stringify(sent)} is ${keys.join(", ")}, whole and in pieces`, () => {
    deepEqual(names(new KeyDecoder().push(bytes(sent))), keys);
    const decoder = new KeyDecoder();
    deepEqual(names([...bytes(sent)].flatMap((byte) => decoder.push(Uint8Array.of(byte)))), keys);
  });
}

Deno.test("an escape alone is a key when nothing follows it", () => {
  const decoder = new KeyDecoder();
  deepEqual(decoder.push(bytes("\x1b")), []);
  equal(decoder.isPending, true);
  deepEqual(names(decoder.flush()), ["escape"]);
  deepEqual(decoder.flush(), []);
});

Deno.test("a long paste is cut, and what is typed after it isn't lost", () => {
  const decoder = new KeyDecoder();
  decoder.push(bytes("\x1b[200~"));
  for (let i = 0; i < 300; i++) decoder.push(bytes(`line ${i} of a long text\n`));
  const [paste, key] = decoder.push(bytes("\x1b[201~x"));
  equal(
    paste?.kind === "paste" && paste.text.startsWith("line 0 of a long text line 1") &&
      paste.text.length <= 4_096,
    true,
  );
  deepEqual(key, { kind: "key", key: "x" });
});

Deno.test("lines that arrive at once are a paste, although the terminal doesn't say so", () => {
  deepEqual(names(new KeyDecoder().push(bytes("www.example.org\rapi.example.org\r"))), [
    '"www.example.org api.example.org"',
  ]);
  deepEqual(names(new KeyDecoder().push(bytes("ab\r"))), ["a", "b", "enter"]);
});

Deno.test("a sequence that never ends is dropped", () => {
  const decoder = new KeyDecoder();
  deepEqual(names(decoder.push(bytes(`\x1b[${"1;".repeat(40)}`))), []);
  deepEqual(names(decoder.push(bytes("x"))), ["x"]);
});
