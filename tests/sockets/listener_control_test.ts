/** @module What is told, and known, of listeners that share a port. */
import { equal } from "node:assert/strict";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { arrived, ListenerControl, oneIsLeft } from "../../src/sockets/listener_control.ts";

Deno.test({
  name:
    "of two listeners at an address one is left when the other is closed, and one elsewhere doesn't count",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { signal } = new AbortController();
    const older = Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort: true });
    const { port } = older.addr as Deno.NetAddr;
    const here: SocketAddress = { hostname: "127.0.0.1", port };
    using elsewhere = Deno.listen({ hostname: "127.0.0.2", port });
    using connections = new DisposableStack();
    // More than the kernel gives at once.
    for (let i = 0; i < 100; i++) {
      connections.use(await Deno.connect({ hostname: "127.0.0.2", port }));
      connections.use(await elsewhere.accept());
    }
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

Deno.test({
  name: "of two listeners at each of several addresses the newer ones get all that comes",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using listeners = new DisposableStack();
    using control = new ListenerControl();
    const listen = (hostname: string, port: number) =>
      listeners.use(Deno.listen({ hostname, port, reusePort: true }));
    const addresses: SocketAddress[] = [];
    const newer: Deno.TcpListener[] = [];
    const toOlder: Promise<string>[] = [];
    for (const hostname of ["127.0.0.1", "127.0.0.2"]) {
      const older = listen(hostname, 0);
      const { port } = older.addr as Deno.NetAddr;
      addresses.push({ hostname, port });
      toOlder.push(
        older.accept().then((connection) => {
          connection.close();
          return "the older one";
        }, () => "closed"),
      );
      newer.push(listen(hostname, port));
    }
    control.steerToNewest(addresses);
    for (const [i, address] of addresses.entries()) {
      // Dealt out, all of them would come to one of two listeners once in a million.
      for (let n = 0; n < 20; n++) {
        using _client = await Deno.connect(address);
        const accepted = newer[i]!.accept().then((connection) => {
          connection.close();
          return "the newer one";
        }, () => "closed");
        equal(await Promise.race([accepted, toOlder[i]!]), "the newer one");
      }
    }
  },
});

Deno.test({
  name: "whoever has connected and isn't accepted yet is waited for",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const here: SocketAddress = { hostname: "127.0.0.1", port };
    const { signal } = new AbortController();
    await arrived([here], signal); // of whom there is none
    using _client = await Deno.connect(here);
    let isThere = false;
    const waiting = arrived([here], signal).then(() => isThere = true);
    // Each of these takes one look.
    for (let look = 0; look < 3; look++) await arrived([{ hostname: "127.0.0.2", port }], signal);
    equal(isThere, false);
    using _accepted = await listener.accept();
    await waiting;
  },
});

Deno.test("whoever waits for listeners that aren't there waits until it is told not to", async () => {
  const ending = new AbortController();
  const left = oneIsLeft([{ hostname: "127.0.0.1", port: 1 }], ending.signal);
  ending.abort();
  await left;
});
