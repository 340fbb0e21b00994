/**
 * Very many wrong tokens beside right ones, on a process of its own; the proof `access` measures what that costs others.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { LOGIN_BURST } from "../../src/api/login_limiter.ts";
import { attackTokens } from "../prove/access.ts";

const TOKENS = 400;

Deno.test("wrong tokens of one network are slowed down, and right ones are answered from everywhere", async () => {
  const { refused, ownerStatus, lost } = await attackTokens({
    tokens: TOKENS,
    rounds: 1,
    onProgress: () => {},
  });
  deepEqual(Object.keys(refused).sort(), ["401", "429"]);
  equal(refused["401"]! + refused["429"]!, TOKENS);
  // One more a second is looked at, for as long as it takes.
  ok(refused["401"]! >= LOGIN_BURST && refused["401"]! < TOKENS / 2, JSON.stringify(refused));
  deepEqual([ownerStatus, lost], [200, 0]);
});
