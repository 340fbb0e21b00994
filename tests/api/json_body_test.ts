/** @module How many keys an object of a body may have, wherever it is and whatever its texts say. */
import { deepEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { readJsonBody } from "../../src/api/json_body.ts";
import { ApiProblem } from "../../src/api/problem.ts";
import { runs } from "../property_runs.ts";

const MANY = 10_000;
const TOO_MANY = /more than 10,000 keys/;

function wide(keys: number): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: keys }, (_, i) => [`k${i}`, i % 7]));
}

Deno.test("ten thousand keys are read, and one more isn't, wherever they are", () => {
  const anything = fc.record({
    before: fc.jsonValue({ maxDepth: 3 }),
    text: fc.oneof(fc.string(), fc.constantFrom('\\"', '{",', "\\\\", ',"', '"}')),
    after: fc.jsonValue({ maxDepth: 3 }),
    indent: fc.constantFrom(0, 1),
  });
  fc.assert(
    fc.property(anything, ({ before, text, after, indent }) => {
      for (const [keys, isRead] of [[MANY, true], [MANY + 1, false]] as const) {
        const value = { before, [text]: [text, { text, inner: { deeper: wide(keys) } }], after };
        const body = JSON.stringify(value, null, indent);
        if (isRead) deepEqual(readJsonBody(body), JSON.parse(body));
        else throws(() => readJsonBody(body), TOO_MANY);
      }
    }),
    { numRuns: runs(10) },
  );
});

Deno.test("a list may be as long as it is, and objects have many keys together", () => {
  const list = Array.from({ length: 30_000 }, () => ["a,b", 1]);
  deepEqual(readJsonBody(JSON.stringify(list)), list);
  const objects = Array.from({ length: 6_000 }, (_, id) => ({ id, name: "x", port: 80 }));
  deepEqual(readJsonBody(JSON.stringify({ objects })), { objects });
});

Deno.test("what isn't JSON is said to be none, however long it is", () => {
  for (
    const text of ["[".repeat(100_000), `"${"\\".repeat(100_001)}"`, "}]".repeat(50_000), '{"'.repeat(50_000)]
  ) {
    throws(() => readJsonBody(text), (error) => error instanceof ApiProblem && error.status === 400);
  }
});
