/** @module The kernel's table of TCP sockets, by either way of reading it. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { SocketAddress } from "../../src/ip.ts";
import { arrived } from "../../src/sockets/listener_control.ts";
import { StreamSockets } from "../../src/sockets/stream_sockets.ts";
import {
  endOf,
  familyAt,
  inText,
  SocketDiag,
  type TcpSocket,
  type TcpState,
} from "../../src/sockets/tcp_table.ts";

const isLinux = Deno.build.os === "linux";

const WAYS: readonly (readonly [name: string, open: () => Disposable & Pick<SocketDiag, "inState">])[] = [
  ["sock_diag(7)", () => SocketDiag.open()!],
  ["the text in /proc", () => ({ inState: inText, [Symbol.dispose]: () => {} })],
];

/** The sockets whose own end is this. */
function at(way: Pick<SocketDiag, "inState">, state: TcpState, address: SocketAddress): TcpSocket[] {
  return way.inState(state, familyAt(address))!.filter(({ local }) => local === endOf(address));
}

for (const [name, open] of WAYS) {
  for (const hostname of ["127.0.0.1", "::1"]) {
    Deno.test({
      name: `by ${name} listeners at ${hostname} are known with their queues, beside what isn't asked for`,
      ignore: !isLinux,
      fn: async () => {
        using way = open();
        using listener = Deno.listen({ hostname, port: 0, reusePort: true });
        const here = { hostname, port: (listener.addr as Deno.NetAddr).port };
        using _client = await Deno.connect(here);
        const [one] = at(way, "listening", here);
        equal(one?.port, here.port);
        equal(one?.queued, 1);
        using _accepted = await listener.accept();
        equal(at(way, "listening", here)[0]?.queued, 0);
        using _other = Deno.listen({ hostname, port: here.port, reusePort: true });
        const both = at(way, "listening", here);
        equal(both.length, 2);
        ok(both.some(({ inode }) => inode === one?.inode));
        // The connection has the same end as its listener.
        deepEqual(at(way, "connecting", here), []);
      },
    });
  }

  Deno.test({
    name: `by ${name} a connection whose handshake hasn't ended is known by both ends`,
    ignore: !isLinux,
    fn: async () => {
      using way = open();
      using listener = new Deferred();
      using client = await Deno.connect(listener.address);
      const [connecting, ...others] = at(way, "connecting", listener.address);
      deepEqual(others, []);
      equal(connecting?.peer, endOf(client.localAddr as Deno.NetAddr));
      await client.write(new Uint8Array(1));
      deepEqual(at(way, "connecting", listener.address), []);
    },
  });

  Deno.test({
    name: `by ${name} a client of IPv4 that is connecting to :: is one of IPv6`,
    ignore: !isLinux,
    fn: async () => {
      using way = open();
      using listener = new Deferred("::");
      const { port } = listener.address;
      using client = await Deno.connect({ hostname: "127.0.0.1", port });
      const known = (family: 4 | 6) =>
        way.inState("connecting", family)!.filter((each) => each.port === port);
      deepEqual([known(4).length, known(6).length], [0, 1]);
      await client.write(new Uint8Array(1));
      deepEqual([...known(4), ...known(6)], []);
    },
  });
}

Deno.test({
  name: "more sockets than come in one piece are all known, each once",
  ignore: !isLinux,
  fn: () => {
    using diag = SocketDiag.open()!;
    using listeners = new DisposableStack();
    const hostname = "127.0.0.1";
    const ports = Array.from({ length: 1_000 }, () => {
      const { addr } = listeners.use(Deno.listen({ hostname, port: 0 }));
      return (addr as Deno.NetAddr).port;
    });
    const wrong = () => {
      const known = diag.inState("listening", 4)!.map(({ local }) => local);
      return ports.filter((port) => {
        const here = endOf({ hostname, port });
        return known.filter((each) => each === here).length !== 1;
      });
    };
    // Others open and close theirs meanwhile, over which a look in pieces may stumble.
    for (let look = 0; look < 20 && wrong().length > 0; look++);
    deepEqual(wrong(), []);
  },
});

Deno.test({
  name: "whoever is connecting is waited for",
  ignore: !isLinux,
  fn: async () => {
    using listener = new Deferred();
    const { signal } = new AbortController();
    await arrived([listener.address], signal); // of whom there is none
    using client = await Deno.connect(listener.address);
    let isThere = false;
    const waiting = arrived([listener.address], signal).then(() => isThere = true);
    // Each of these takes one look.
    for (let look = 0; look < 3; look++) await arrived([{ ...listener.address, port: 1 }], signal);
    equal(isThere, false);
    await client.write(new Uint8Array(1));
    listener.accept();
    await waiting;
  },
});

/** A listener for which a handshake ends with the first byte (`TCP_DEFER_ACCEPT`, tcp(7)). */
class Deferred implements Disposable {
  readonly address: SocketAddress;
  readonly #sockets = new StreamSockets();
  readonly #fd: number;
  readonly #accepted: number[] = [];

  constructor(hostname: string = "127.0.0.1") {
    const { fd, port } = this.#sockets.listenTcp({ hostname, port: 0 }, 16);
    this.#fd = fd;
    this.address = { hostname, port };
    const libc = Deno.dlopen("libc.so.6", {
      setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
    });
    const seconds = new Uint8Array(new Int32Array([60]).buffer);
    equal(libc.symbols.setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds, seconds.length), 0);
    libc.close();
  }

  accept(): void {
    const accepted = this.#sockets.accept(this.#fd);
    if (typeof accepted !== "number") this.#accepted.push(accepted.fd);
  }

  [Symbol.dispose](): void {
    for (const fd of [...this.#accepted, this.#fd]) this.#sockets.close(fd);
    this.#sockets[Symbol.dispose]();
  }
}

const IPPROTO_TCP = 6;
const TCP_DEFER_ACCEPT = 9;
