/** @module Saying which key is unknown, and showing values. */
import { equal } from "node:assert/strict";
import { kindOf, show, unknownKeyMessage } from "../../src/input/strict_object.ts";

Deno.test("an unknown key is shown with its nearest neighbour, or with all that is known", () => {
  equal(
    unknownKeyMessage("intervall", { known: ["checkInterval"], aliases: ["interval"] }),
    'Unknown key "intervall" (did you mean "interval"?)',
  );
  equal(unknownKeyMessage("colour", { known: ["a", "b"] }), 'Unknown key "colour" (known here: a, b)');
});

Deno.test("values are shown short", () => {
  equal(show("x".repeat(100)).length, 59);
  equal(show([1]), "a list");
  equal(show({}), "a mapping");
  equal(show(null), "null");
  equal(show(1.5), "1.5");
});

Deno.test("the kind of a value is told without the value", () => {
  equal(kindOf("secret"), "a text");
  equal(kindOf(7), "a number");
  equal(kindOf([1]), "a list");
  equal(kindOf({}), "a mapping");
  equal(kindOf(null), "null");
  equal(kindOf(undefined), "missing");
});
