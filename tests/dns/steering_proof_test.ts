/** @module The proof of steering on a few models. */
import { deepEqual, ok } from "node:assert/strict";
import { compareModels } from "../prove/steering/compare.ts";

Deno.test("answers, turns, TTLs, scopes and explanations are what the docs say: 60 random models", () => {
  const { disagreements, questions, scopes } = compareModels({ first: 1, count: 60 });
  deepEqual(disagreements, []);
  ok(questions > 500 && scopes > 200, `${questions} questions, ${scopes} scopes`);
});
