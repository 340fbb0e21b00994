/**
 * More than can be answered, on a real socket; the bars are those of `prove overload`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER } from "../../src/dns/counters.ts";
import { kernelDrops } from "../../src/dns/kernel_drops.ts";
import { Asking, sockets } from "../prove/fire/asking.ts";
import { Loopback } from "./loopback.ts";

/** More than any worker answers. */
const PER_SECOND = 500_000;

Deno.test({
  name: "of what comes in an overload all is answered or counted, and afterwards all is answered",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using node = await Loopback.start({
      pools: [{ name: "web", members: ["192.0.2.1"] }],
      services: { "www.example.com": "web" },
    }, { transport: "linux" });
    await using asking = await Asking.start({
      ...{ server: node.address, name: "www.example.com", isRandom: false, sources: sockets(4) },
    });
    const [flood] = (await asking.ask({ perSecond: PER_SECOND, seconds: 1 })).seconds;
    const counted = node.world.board.lane(0)[COUNTER.stale]! + kernelDrops(node.fleet.addresses)!;
    assert.equal(flood!.asked - flood!.answered, counted);
    const [after] = (await asking.ask({ perSecond: 1_000, seconds: 1 })).seconds;
    assert.equal(after!.answered, after!.asked);
  },
});
