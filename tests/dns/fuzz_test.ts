/**
 * A short run of `prove fuzz`, the same packets every time.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fuzz } from "../prove/fuzz.ts";
import { CORPUS, Mutator } from "./mutate.ts";

Deno.test("20,000 mutated packets are answered as they may be, by the engine and over the network", async () => {
  assert.equal(await fuzz({ seed: 1, count: 20_000, onProgress: () => {} }), null);
});

Deno.test("the same seed gives the same packets", () => {
  const [a, b] = [new Mutator(7), new Mutator(7)];
  for (let i = 0; i < 1000; i++) assert.deepEqual(a.next(), b.next());
});

Deno.test("every query of the corpus is of its own", () => {
  assert(new Set(CORPUS.map((packet) => packet.subarray(2).toHex())).size > CORPUS.length * 0.9);
});
