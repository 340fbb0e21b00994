/**
 * A short run of `prove streams`; memory needs the long one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { attackNode } from "../prove/streams.ts";

const TRANSPORTS = Deno.build.os === "linux" ? ["linux", "portable"] as const : ["portable"] as const;
for (const transport of TRANSPORTS) {
  Deno.test(`150 hostile connections over TCP, TLS and HTTPS leave a node as it was (${transport})`, async () => {
    const { fault, udp } = await attackNode(transport, {
      seed: 1,
      connections: 150,
      extensions: 0,
      onProgress: () => {},
    });
    assert.equal(fault, null);
    assert(udp.answers > 0);
  });
}
