/** @module Tests of numbers of things in sentences. */
import { equal } from "node:assert/strict";
import { countOf } from "../../src/input/count.ts";

Deno.test("countOf() has one thing in the singular, none and several in the plural", () => {
  equal([0, 1, 2].map((count) => countOf(count, "zone")).join(", "), "0 zones, 1 zone, 2 zones");
});
