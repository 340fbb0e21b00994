/**
 * What is explained is what is answered, and what is said of it is true.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { compareStates } from "../prove/explain.ts";

Deno.test("explained answers are byte by byte those of the engine right after, over 300 random states", () => {
  deepEqual(compareStates({ first: 1_000_000, count: 300 }).faults, []);
});
