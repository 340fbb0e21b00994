/** @module The pages made from code are those that the code makes today. */
import { staleFiles } from "../scripts/generate.ts";
import { none } from "./source_text.ts";

Deno.test("no generated page has fallen behind the code (deno task generate)", () => {
  none(staleFiles());
});
