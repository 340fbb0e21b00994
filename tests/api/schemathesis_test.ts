/**
 * A small variant of `prove api`: fewer cases, and of the edges of values another part of the operations each day.
 *
 * @module
 */
import assert from "node:assert/strict";
import { testWith } from "../programs.ts";
import { fuzzed } from "./schemathesis.ts";

/** Parts of the operations. */
const PARTS = 10;

testWith(
  ["schemathesis"],
  "schemathesis finds no 5xx, no answer and no status that the document doesn't have",
  async () => {
    const day = Math.floor(Date.now() / 86_400_000);
    for (
      const run of [
        { phases: ["examples", "fuzzing", "stateful"] as const },
        // Nine tenths of the time are those of the edges of every value: today's part of the operations.
        { phases: ["coverage"] as const, part: [day, PARTS] as const },
      ]
    ) {
      const { code, output, logged } = await fuzzed({ examples: 4, seed: 1, ...run });
      assert.equal(code, 0, `day ${day}: ${output}`);
      assert.deepEqual(logged, []);
    }
  },
);
