/**
 * A short run of `prove replay`.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { isWithin, replay } from "../prove/replay.ts";

Deno.test("what a plan foretells of recorded queries is what comes, within its error bar", async () => {
  const found = await replay({ seconds: 2, networks: 40, onStep: () => {} });
  ok(found.length > 0);
  for (const each of found) ok(isWithin(each), JSON.stringify(each));
});
