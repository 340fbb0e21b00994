/**
 * A small variant of `prove api`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { testWith } from "../programs.ts";
import { fuzzed } from "./schemathesis.ts";

testWith(
  ["schemathesis"],
  "schemathesis finds no 5xx, no answer and no status that the document doesn't have",
  async () => {
    const { code, output, logged } = await fuzzed({ examples: 8, seed: 1 });
    assert.equal(code, 0, output);
    assert.deepEqual(logged, []);
  },
);
