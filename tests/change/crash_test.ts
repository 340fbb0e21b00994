/**
 * The small variant of `deno task prove crash`: a writer on the change path, killed twice.
 *
 * @module
 */
import assert from "node:assert/strict";
import { crash } from "../prove/crash.ts";
import { directDriver, restDriver } from "../prove/crash/drivers.ts";

Deno.test("a killed writer leaves a sound database with every acknowledged write, and of the others whole ones", async () => {
  const rounds = [];
  const options = { driver: directDriver, kills: 2, writes: 50, lanes: 4, seed: 20_260_101 };
  for await (const round of crash(options)) rounds.push(round);
  assert.deepEqual(rounds.map((round) => round.faults), [[], []]);
  assert(rounds.every((round) => round.sent > 0));
  assert(rounds.some(({ large }) => large > 1), "a model was applied, and gone back to");
});

Deno.test("a killed node leaves the same behind when the writes come over REST", async () => {
  const rounds = [];
  const options = { driver: restDriver, kills: 2, writes: 50, lanes: 4, seed: 20_260_103 };
  for await (const round of crash(options)) rounds.push(round);
  assert.deepEqual(rounds.map((round) => round.faults), [[], []]);
  assert(rounds.every((round) => round.sent > 0));
  assert(rounds.some(({ large }) => large > 1), "a model was applied, and gone back to");
});
