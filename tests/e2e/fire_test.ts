/**
 * Short runs of `prove fire` and `prove overload`; what is a ratio of times needs the long ones.
 *
 * @module
 */
import assert from "node:assert/strict";
import { crowd } from "../prove/fire/crowd.ts";
import { swap } from "../prove/fire/swap.ts";

const onStep = () => {};

Deno.test("a certificate is replaced while clients connect, and a key that doesn't fit changes nothing", async () => {
  const lines = await swap({ swaps: 1, perSecond: 60, restMs: 200, onStep });
  assert.deepEqual(lines.filter(({ isMet }) => !isMet), []);
});

Deno.test({
  name: "connections that say nothing or don't read leave UDP as it is, and no descriptor behind",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const lines = await crowd({ silent: 200, slow: 8, rounds: 1, seconds: 1, perSecond: 500, onStep });
    assert.deepEqual(lines.filter(({ isMet, what }) => !isMet && !what.startsWith("UDP p99")), []);
  },
});
