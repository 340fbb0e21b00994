/**
 * A short run of `prove fuzz`, the same packets every time; memory needs the long one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fuzzEngine, fuzzNode } from "../prove/fuzz.ts";
import { CORPUS, Mutator } from "./mutate.ts";

const SHORT = { seed: 1, onProgress: () => {} };

Deno.test("10,000 mutated packets are answered as they may be by the engine", () => {
  assert.equal(fuzzEngine({ ...SHORT, packets: 10_000 }), null);
});

const TRANSPORTS = Deno.build.os === "linux" ? ["linux", "portable"] as const : ["portable"] as const;
for (const transport of TRANSPORTS) {
  Deno.test(`3,000 mutated packets are answered as they may be over the network (${transport})`, async () => {
    const { fault } = await fuzzNode(transport, { ...SHORT, packets: 3_000, extensions: 0 });
    assert.equal(fault, null);
  });
}

Deno.test("the same seed gives the same packets", () => {
  const [a, b] = [new Mutator(7), new Mutator(7)];
  for (let i = 0; i < 1000; i++) assert.deepEqual(a.next(), b.next());
});

Deno.test("every query of the corpus is of its own", () => {
  assert(new Set(CORPUS.map((packet) => packet.subarray(2).toHex())).size > CORPUS.length * 0.9);
});
