/** @module Guessing which word was meant. */
import { equal } from "node:assert/strict";
import { nearest } from "../../src/input/nearest.ts";

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
