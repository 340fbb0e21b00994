/** @module What is told, and known, of listeners that share a port. */
import { equal } from "node:assert/strict";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { oneIsLeft } from "../../src/sockets/listener_control.ts";

Deno.test({
  name:
    "of two listeners at an address one is left when the other is closed, and one elsewhere doesn't count",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { signal } = new AbortController();
    const older = Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort: true });
    const { port } = older.addr as Deno.NetAddr;
    const here: SocketAddress = { hostname: "127.0.0.1", port };
    using _elsewhere = Deno.listen({ hostname: "127.0.0.2", port });
    await oneIsLeft([here], signal);
    using _newer = Deno.listen({ ...here, reusePort: true });
    let isLeft = false;
    const left = oneIsLeft([here, { ...here, hostname: "127.0.0.2" }], signal).then(() => isLeft = true);
    await turnEventLoop();
    equal(isLeft, false);
    older.close();
    await left;
  },
});

Deno.test("whoever waits for listeners that aren't there waits until it is told not to", async () => {
  const ending = new AbortController();
  const left = oneIsLeft([{ hostname: "127.0.0.1", port: 1 }], ending.signal);
  ending.abort();
  await left;
});
