/** @module Guessing which key was meant, and showing values. */
import { equal } from "node:assert/strict";
import { nearest, show, unknownKeyMessage } from "../../src/config/strict_object.ts";

const KNOWN = ["interval", "timeout", "rise", "fall", "http", "port"];

const GUESSES: readonly (readonly [word: string, guess: string | null])[] = [
  ["intervall", "interval"],
  ["Interval", "interval"],
  ["INTERVAL", "interval"],
  ["intreval", "interval"],
  ["timout", "timeout"],
  ["time-out", "timeout"],
  ["prot", "port"],
  ["https", "http"],
  ["colour", null],
  ["", null],
  ["x".repeat(100_000), null],
];

for (const [word, guess] of GUESSES) {
  Deno.test(`nearest() takes "${word.slice(0, 12)}" for ${guess}`, () => {
    equal(nearest(word, KNOWN), guess);
  });
}

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
