/**
 * A node behind a balancer: as a balancer of mname-balancer's protocol finds it, byte for byte, and with what is announced.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { Sample } from "../../src/dns/samples.ts";
import { StreamSockets } from "../../src/sockets/stream_sockets.ts";
import { UdpClient } from "./clients.ts";
import { Loopback, type LoopbackOptions } from "./loopback.ts";
import { addresses, query } from "./packets.ts";
import type { Declared } from "./world.ts";

const WWW = query("www.example.com", "A");
const WORLD: Declared = {
  pools: [{ name: "web", members: ["192.0.2.1"] }, {
    name: "near",
    algorithm: "geoip",
    members: ["192.0.2.1", "192.0.2.2"],
    geoRules: [{ cidr: "198.51.100.0/24", member: 1 }, {
      cidr: "2001:db8::/32",
      member: 1,
    }],
  }],
  services: { "www.example.com": "web", "near.example.com": "near" },
};
const HELLO = "01000000";
const SERVER_HELLO = "e9030000";
const CLIENT4 = "056433c6" + "409c0000"; // 198.51.100.5 port 40000
const CLIENT6 = "20010db8000000000000000000000001" + "409c0000";
const ANNOUNCED = "0000000000000000" + "08000000" + "504c445303000000";

function linux(
  name: string,
  fn: (
    place: { readonly node: Loopback; readonly path: string; readonly t: Deno.TestContext },
  ) => Promise<void>,
  options: Partial<LoopbackOptions> = {},
): void {
  Deno.test({
    name,
    ignore: Deno.build.os !== "linux",
    fn: async (t) => {
      const folder = await Deno.makeTempDir();
      const path = `${folder}/5301`;
      try {
        await using node = await Loopback.start(WORLD, { ...options, backendSocket: path });
        await fn({ node, path, t });
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

/** A balancer that says what a test has it say. */
class Peer implements Disposable {
  readonly #conn: Deno.UnixConn;

  private constructor(conn: Deno.UnixConn) {
    this.#conn = conn;
  }

  static async connect(path: string): Promise<Peer> {
    return new Peer(await Deno.connect({ transport: "unix", path }));
  }

  async send(hex: string): Promise<void> {
    const bytes = Uint8Array.fromHex(hex);
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  async read(size: number): Promise<string> {
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const count = await this.#conn.read(bytes.subarray(filled)).catch(() => null);
      if (count === null) break;
      filled += count;
    }
    return bytes.subarray(0, filled).toHex();
  }

  async expect(hex: string): Promise<void> {
    equal(await this.read(hex.length / 2), hex);
  }

  endSending(): Promise<void> {
    return this.#conn.closeWrite();
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

function sized(bytes: Uint8Array): string {
  return new Uint8Array(new Uint32Array([bytes.length]).buffer).toHex() + bytes.toHex();
}

async function greeted(path: string): Promise<Peer> {
  const peer = await Peer.connect(path);
  await peer.send(HELLO);
  await peer.expect(SERVER_HELLO);
  return peer;
}

/** The datagram of the next answer to a client. */
async function answer(peer: Peer, head: string): Promise<string> {
  await peer.expect(head);
  const size = await peer.read(4);
  return await peer.read(Uint8Array.fromHex(size)[0]! | Uint8Array.fromHex(size)[1]! << 8);
}

linux(
  "a query through a balancer is answered as on the direct port, with nothing but frames of old",
  async ({ node, path }) => {
    using peer = await greeted(path);
    using client = new UdpClient(node.address);
    const direct = (await client.ask(WWW)).toHex();
    await peer.send(`02000000${CLIENT4}${sized(WWW)}`);
    equal((await answer(peer, `ea030000${CLIENT4}`)).slice(4), direct.slice(4));
    await peer.send("04000000" + HELLO + "04000000");
    await peer.expect("ec030000" + SERVER_HELLO + "ec030000");
  },
);

linux("frames cut into bytes, and hundreds in one write, are all answered", async ({ path }) => {
  using peer = await greeted(path);
  const frame = `02000000${CLIENT4}${sized(WWW)}`;
  for (const byte of frame.match(/../g)!) await peer.send(byte);
  await answer(peer, `ea030000${CLIENT4}`);
  const sent = peer.send(frame.repeat(500));
  for (let i = 0; i < 500; i++) await answer(peer, `ea030000${CLIENT4}`);
  await sent;
});

const samples: Sample[] = [];
const sampled = Promise.withResolvers<void>();
linux("the client's own address steers, and is what the log has", async ({ path }) => {
  using peer = await greeted(path);
  const near = query("near.example.com", "A");
  await peer.send(`02000000${CLIENT4}${sized(near)}`);
  deepEqual(addresses(Uint8Array.fromHex(await answer(peer, `ea030000${CLIENT4}`))), ["192.0.2.2"]);
  await peer.send(`05000000${CLIENT6}${sized(near)}`);
  deepEqual(addresses(Uint8Array.fromHex(await answer(peer, `ed030000${CLIENT6}`))), ["192.0.2.2"]);
  const other = "010000cb" + "409c0000";
  await peer.send(`02000000${other}${sized(near)}`);
  await answer(peer, `ea030000${other}`);
  await sampled.promise;
  deepEqual(samples.map(({ client }) => client), ["198.51.100.5", "2001:db8::1", "203.0.0.1"]);
}, {
  samplesPerSecond: 100,
  onSample: (sample) => {
    if (samples.push(sample) === 3) sampled.resolve();
  },
});

linux("a connection through a balancer is taken, answered, and ends with its client", async ({ path }) => {
  using peer = await Peer.connect(path);
  await peer.send(`03000000${CLIENT4}`);
  await peer.expect("eb030000");
  const message = new Uint8Array([0, WWW.length, ...WWW]).toHex();
  await peer.send(message + message);
  for (let i = 0; i < 2; i++) {
    const size = Number.parseInt(await peer.read(2), 16);
    deepEqual(addresses(Uint8Array.fromHex(await peer.read(size))), ["192.0.2.1"]);
  }
  await peer.endSending();
  equal(await peer.read(1), "");
  using peer6 = await Peer.connect(path);
  await peer6.send(`06000000${CLIENT6}${message}`);
  await peer6.expect("eb030000");
  equal((await peer6.read(2)).length, 4);
});

const ENDING = [
  ["an unknown type", "07000000"],
  ["a heartbeat before the hello", "04000000"],
  ["a datagram before the hello", `02000000${CLIENT4}${sized(WWW)}`],
  ["an unknown type behind the hello", HELLO + "ffffffff"],
  ["a datagram of 1501 bytes", `${HELLO}02000000${CLIENT4}dd050000`],
  ["a datagram of 4 GiB", `${HELLO}02000000${CLIENT4}ffffffff`],
  ["a connection on a control session", `${HELLO}03000000${CLIENT4}`],
  ["something that is no DNS on a connection", `03000000${CLIENT4}000400000000`],
] as const;

linux("what a balancer mustn't say ends that session, and no other", async ({ path, t }) => {
  using good = await greeted(path);
  for (const [what, hex] of ENDING) {
    await t.step(what, async () => {
      using bad = await Peer.connect(path);
      await bad.send(hex);
      const said = await bad.read(1000);
      ok(["", SERVER_HELLO, "eb030000"].includes(said), said);
      await good.send(`02000000${CLIENT4}${sized(WWW)}`);
      await answer(good, `ea030000${CLIENT4}`);
    });
  }
});

linux("an unparsable datagram gets no answer, and neither does what is no announcement", async ({ path }) => {
  using peer = await greeted(path);
  await peer.send(
    `02000000${CLIENT4}0300000001020302000000${"00".repeat(8)}0800000001020304050607080400` + "0000",
  );
  await peer.expect("ec030000");
});

linux(
  "who announces itself is told what is understood, and a sixty-fifth balancer is cut",
  async ({ path }) => {
    using peer = await greeted(path);
    await peer.send(`02000000${ANNOUNCED}`);
    await peer.expect(`ea030000${ANNOUNCED}`);
    using others = new DisposableStack();
    for (let i = 1; i < 64; i++) others.use(await greeted(path));
    using more = await Peer.connect(path);
    await more.send(HELLO);
    equal(await more.read(1), "");
  },
);

linux(
  "who doesn't say in time what it is is cut",
  async ({ path }) => {
    using half = await Peer.connect(path);
    await half.send(HELLO.slice(2));
    equal(await half.read(1), "");
  },
  { tcp: { queryTimeout: 100 } },
);

linux(
  "a node that stops removes its file, says so to who understands it, and answers all that was sent",
  async ({ node, path }) => {
    using peer = await greeted(path);
    await peer.send(`02000000${ANNOUNCED}`);
    await peer.expect(`ea030000${ANNOUNCED}`);
    using old = await greeted(path);
    await old.send(`02000000${CLIENT4}${sized(WWW)}`.repeat(10));
    const stopped = node.fleet[Symbol.asyncDispose]();
    await peer.expect("ee030000");
    equal(await Deno.lstat(path).catch(() => null), null);
    await peer.send(`02000000${CLIENT4}${sized(WWW)}`.repeat(100));
    await peer.endSending();
    for (let i = 0; i < 100; i++) await answer(peer, `ea030000${CLIENT4}`);
    equal(await peer.read(1), "");
    for (let i = 0; i < 10; i++) await answer(old, `ea030000${CLIENT4}`); // with what has come by then
    equal(await old.read(1), "");
    await stopped;
  },
);

linux("a successor takes the path over, and keeps it when the first one stops", async ({ node, path }) => {
  using before = await greeted(path);
  {
    await using _second = await Loopback.start(WORLD, { backendSocket: path });
    using after = await greeted(path);
    await before.send(`02000000${CLIENT4}${sized(WWW)}`);
    await answer(before, `ea030000${CLIENT4}`);
    await after.send(`02000000${CLIENT4}${sized(WWW)}`);
    await answer(after, `ea030000${CLIENT4}`);
  }
  await node.fleet[Symbol.asyncDispose]();
});

Deno.test({
  name: "a socket that a crash has left is taken over; a folder that isn't there is said",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/5301`;
    try {
      using sockets = new StreamSockets();
      sockets.close(sockets.listenUnix(path, 1));
      await using _node = await Loopback.start(WORLD, { backendSocket: path });
      using _peer = await greeted(path);
      deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["5301"]);
      const fault = await Loopback.start(WORLD, { backendSocket: `${folder}/none/5301` }).catch((error) =>
        error
      );
      ok(
        /^dns\.backendSocket can't be served: Cannot listen on .*No such file/.test(fault.message),
        fault.message,
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "a path that a live process has is left to it, which is named, but for who takes its place",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/5301`;
    const listen = `Deno.listen({ transport: "unix", path: ${
      JSON.stringify(path)
    } }); console.log("listening");`;
    const again = `for await (const _ of Deno.stdin.readable) { Deno.removeSync(${
      JSON.stringify(path)
    }); ${listen} }`;
    const holder = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", "--no-lock", `${listen} ${again}`],
      ...{ stdin: "piped", stdout: "piped", stderr: "null" },
    }).spawn();
    const orders = holder.stdin.getWriter();
    try {
      const reader = holder.stdout.getReader();
      await reader.read();
      const fault = await Loopback.start(WORLD, { backendSocket: path }).catch((error) => error);
      equal(
        fault.message,
        `dns.backendSocket can't be served: process ${holder.pid} listens at ${path}: ` +
          "end it, take its place by --replace, or name another path",
      );
      const succession = { listening: [], sockets: () => Promise.resolve([]), onAnswering: () => {} };
      {
        await using _node = await Loopback.start(WORLD, { backendSocket: path, succession });
        using _peer = await greeted(path);
        // Another process takes it, and keeps it when this one stops.
        await orders.write(Uint8Array.of(10));
        await reader.read();
      }
      ok(Deno.lstatSync(path).isSocket);
      await reader.cancel();
    } finally {
      await orders.close().catch(() => {});
      holder.kill("SIGKILL");
      await holder.status;
      await Deno.remove(folder, { recursive: true });
    }
  },
});

linux("a balancer that doesn't read is not read from, and others are answered", async ({ path }) => {
  using deaf = await greeted(path);
  using good = await greeted(path);
  const frame = `02000000${CLIENT4}${sized(WWW)}`;
  let sent = 0;
  let isOver = false;
  const flooding = (async () => {
    for (; !isOver; sent++) await deaf.send(frame.repeat(200));
  })();
  for (let before = -1; before !== sent;) {
    before = sent;
    for (let i = 0; i < 50; i++) {
      await good.send(frame);
      await answer(good, `ea030000${CLIENT4}`);
    }
  }
  ok(sent * 200 * frame.length / 2 < 8 << 20, "sockets hold no more");
  isOver = true;
  const asked = (sent + 1) * 200; // with those of the write under way
  for (let i = 0; i < asked; i++) await answer(deaf, `ea030000${CLIENT4}`);
  await flooding;
});
