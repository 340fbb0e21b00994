/** @module Answers beside a plain reading of the rules; `deno task prove discovery oracle` does the same over long. */
import { agreeWithOracle } from "./oracle.ts";

Deno.test("random catalogs are answered over DNS and in look-ups as the rules say", () => {
  agreeWithOracle(150, 1);
});
