/**
 * The statements that a faithful balancer of mname-balancer's protocol must show, one by one, on real sockets; time is the
 * test's.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { ByteBackend, KNOWS_BOTH } from "./byte_backend.ts";
import { ManualFront, UdpClient } from "./manual_front.ts";
import { answerBeats, scene, startAgain } from "./scene.ts";

const QUERY = "12340100000100000000000003777777076578616d706c65036e65740000010001".slice(0, 58);
const LOCAL1 = "0100007f";
const LOCAL2 = "0200007f";

function linux(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: Deno.build.os !== "linux", fn });
}

linux(
  "spec line 1: a socket that appears in an empty directory is connected to, and the hello comes first",
  async () => {
    await using front = new ManualFront();
    await front.discover();
    equal(front.forwarder.backends.all.length, 0);
    using backend = new ByteBackend(front.path("5301"));
    await front.discover();
    const session = await backend.accept();
    equal(await session.read(4), "01000000");
  },
);

linux(
  "spec line 2: a heartbeat comes 5 to 6 s after the hello, and without an answer the end 15 to 16 s later",
  async () => {
    await using front = new ManualFront();
    using backend = new ByteBackend(front.path("5301"));
    await front.discover();
    const session = await backend.greet();
    await front.seconds(4);
    const beaten = session.read(4);
    let hasCome = false;
    void beaten.then(() => hasCome = true);
    await front.turns(20);
    equal(hasCome, false);
    await front.seconds(2);
    equal(await beaten, "04000000");
    await front.seconds(13);
    ok(front.backend(5301).ok);
    await front.seconds(2);
    await session.expectEnd();
    equal(front.backend(5301).ok, false);
  },
);

linux(
  "spec line 3: a query arrives as type, reversed address, port, length and the bytes themselves",
  async () => {
    await using front = new ManualFront();
    using backend = new ByteBackend(front.path("5301"));
    await front.discover();
    const session = await backend.greet();
    using client = new UdpClient(front.port);
    await client.send(QUERY);
    equal(await session.read(16 + 29), `02000000${LOCAL1}${client.portHex}1d000000${QUERY}`);
  },
);

linux("spec line 4: a reply split over many writes, and many in one write, all arrive", async () => {
  await using front = new ManualFront();
  using backend = new ByteBackend(front.path("5301"));
  await front.discover();
  const session = await backend.greet();
  using client = new UdpClient(front.port);
  await client.send(QUERY);
  await session.read(45);
  const reply = (hex: string) => `ea030000${LOCAL1}${client.portHex}02000000${hex}`;
  for (const byte of reply("abcd").match(/../g)!) {
    await session.send(byte);
    await front.turns(2);
  }
  equal(await client.receive(), "abcd");
  const many = Array.from({ length: 50 }, (_, i) => (0x1000 + i).toString(16));
  await session.send(many.map(reply).join(""));
  const got: string[] = [];
  for (const _ of many) got.push(await client.receive());
  deepEqual(got, many);
});

scene(
  "spec line 5: two clients go to two backends, and each stays with its own over UDP and TCP",
  async ({ front, backends: [first], sessions, client: one }) => {
    using two = new UdpClient(front.port, "127.0.0.2");
    for (let i = 0; i < 3; i++) {
      await one.send(QUERY);
      await two.send(QUERY);
      equal((await sessions[0].read(45)).slice(8, 16), LOCAL1);
      equal((await sessions[1].read(45)).slice(8, 16), LOCAL2);
    }
    using tcp = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
    const relayed = await first.accept();
    const { port } = tcp.localAddr as Deno.NetAddr;
    equal(
      await relayed.read(12),
      `03000000${LOCAL1}${new Uint8Array(new Uint32Array([port]).buffer).toHex()}`,
    );
  },
);

scene(
  "spec line 6: a client whose primary dies has a backup, and returns to the primary",
  async ({ front, backends: [first], sessions: [dying, standIn], client }) => {
    await client.send(QUERY);
    await dying.read(45);
    first.kill();
    await front.until(() => !front.backend(5301).ok);
    await standIn.read(45); // the query that the first one hadn't answered
    await client.send(QUERY);
    await standIn.read(45);
    equal(front.forwarder.remotes.rows(0, 1)[0]!.backup, 5302);
    using again = await startAgain(front);
    await client.send(QUERY);
    await again.session.read(45);
    deepEqual(rowOf(front), { primary: 5301, backup: 0 });
  },
);

scene(
  "spec line 7: one that unlinks its socket and ends loses its clients, and is left alone until the file is back",
  async ({ front, backends: [first], sessions: [ending, other], client }) => {
    await client.send(QUERY);
    await ending.read(45);
    first[Symbol.dispose](); // removes the file, too
    await front.until(() => !front.backend(5301).ok);
    await front.seconds(3);
    ok(front.backend(5301).removed);
    const { faults } = front.backend(5301);
    await other.read(45); // the query that the first one hadn't answered
    await client.send(QUERY);
    await other.read(45);
    deepEqual(rowOf(front), { primary: 5302, backup: 0 });
    const answering = answerBeats(other);
    await front.seconds(60);
    equal(front.backend(5301).faults, faults);
    using again = new ByteBackend(front.path("5301"));
    await front.discover();
    await again.greet();
    other.close();
    await answering;
  },
);

linux("spec line 8: tries to connect wait 0, 1, 3, 5 … 33 s, and 1 s again after a hello", async () => {
  await using front = new ManualFront();
  new ByteBackend(front.path("5301")).kill();
  await front.discover();
  const tries: number[] = [];
  for (let second = 0, before = 0; second < 400; second++) {
    const { faults } = front.backend(5301);
    if (faults > before) tries.push(second);
    before = faults;
    await front.seconds(1);
  }
  const waits = tries.slice(1).map((at, i) => at - tries[i]!);
  deepEqual(waits.slice(0, 18), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 33]);
  Deno.removeSync(front.path("5301"));
  using backend = new ByteBackend(front.path("5301"));
  await front.seconds(35);
  const session = await backend.greet();
  await front.until(() => front.backend(5301).ok);
  session.close();
  await front.until(() => !front.backend(5301).ok);
  await front.seconds(1);
  await backend.accept();
});

linux(
  "spec line 9: a TCP client gets no byte before the OK; a backend that never says it is at fault after 10 s",
  async () => {
    await using front = new ManualFront();
    using backend = new ByteBackend(front.path("5301"));
    await front.discover();
    const control = await backend.greet();
    await front.until(() => front.backend(5301).ok);
    using taken = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
    const relayed = await backend.accept();
    await relayed.read(12);
    const read = taken.read(new Uint8Array(1));
    let hasRead = false;
    void read.then(() => hasRead = true);
    await relayed.send("eb0300");
    await front.turns(20);
    equal(hasRead, false);
    await relayed.send("0041");
    equal(await read, 1);
    const silent = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
    const ignoring = await backend.accept();
    await ignoring.read(12);
    await front.seconds(3);
    ok(front.backend(5301).ok);
    const answering = answerBeats(control);
    await front.seconds(8);
    equal(front.backend(5301).ok, false);
    equal(await silent.read(new Uint8Array(1)).catch(() => null), null);
    silent.close();
    await answering;
  },
);

linux("spec line 10: a client that half-closes after its query still gets the answer", async () => {
  await using front = new ManualFront();
  using backend = new ByteBackend(front.path("5301"));
  await front.discover();
  await backend.greet();
  await front.until(() => front.backend(5301).ok);
  using client = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
  await client.write(Uint8Array.fromHex("000141"));
  await client.closeWrite();
  const relayed = await backend.accept();
  await relayed.read(12);
  await relayed.send("eb030000");
  equal(await relayed.read(4), "000141");
  await relayed.send("00024243");
  relayed.close();
  equal(new Uint8Array(await new Response(client.readable).arrayBuffer()).toHex(), "00024243");
});

const FAULTY: Readonly<Record<string, string>> = {
  "a heartbeat that was not asked for": "ec030000",
  "a second hello": "e9030000",
  "an unknown type": "09000000",
  "the answer to a connection": "eb030000",
  "a datagram of 1501 bytes": `ea030000${LOCAL1}10270000dd050000`,
  "a datagram of 4 GiB": `ea030000${LOCAL1}10270000ffffffff`,
  "a farewell that was not announced": "ee030000",
  "an IPv6 address that was not announced": `ed030000${"00".repeat(15)}0110270000` +
    "0000000001000000".slice(0, 8),
};

for (const [what, hex] of Object.entries(FAULTY)) {
  scene(
    `spec line 11: ${what} ends that session, and only that backend's`,
    async ({ front, sessions: [session] }) => {
      await session.send(hex);
      await session.expectEnd();
      deepEqual([front.backend(5301).ok, front.backend(5301).faults], [false, 1]);
      deepEqual([front.backend(5302).ok, front.backend(5302).faults], [true, 0]);
    },
  );
}

linux("spec line 11: any frame before the hello ends the session", async () => {
  for (const hex of ["ec030000", `ea030000${LOCAL1}102700000100000041`, "e9"]) {
    await using front = new ManualFront();
    using backend = new ByteBackend(front.path("5301"));
    await front.discover();
    const session = await backend.accept();
    await session.expect("01000000");
    await session.send(hex);
    if (hex === "e9") await front.seconds(31); // a type of which a byte came is waited for no longer than a hello
    await session.expectEnd();
  }
});

scene(
  "spec line 12: what a backend that doesn't read would get is dropped and counted; others are unaffected",
  async ({ front, sessions: [stopped, reading], client: one }) => {
    using two = new UdpClient(front.port, "127.0.0.2");
    const long = "41".repeat(1400);
    await one.send(long);
    await two.send(long);
    await reading.read(16 + 1400);
    while (front.backend(5301).stuck < 100) {
      await one.send(long);
      await front.turns(1);
    }
    const { udpDropped } = front.forwarder.remotes.rows(0, 1)[0]!;
    const { counts } = front.forwarder;
    await front.until(() => counts.received === counts.forwarded + counts.stuck);
    equal(udpDropped, counts.stuck);
    equal(counts.stuck, front.backend(5301).stuck);
    ok(counts.forwarded * 1416 < 2 << 20, "the kernel holds no more than it was told to");
    await two.send(QUERY);
    equal((await reading.read(45)).slice(8, 16), LOCAL2);
    // It reads again: what waits leaves whole, and then it takes datagrams again.
    for (let i = 0; i < counts.forwarded - 2; i++) await stopped.read(1416);
    await front.turns(5);
    await one.send(QUERY);
    equal((await stopped.read(45)).slice(-58), QUERY);
  },
);

linux(
  "spec line 13: of 10 clients on one backend 8 are moved when a second appears, in turn over both",
  async () => {
    await using front = new ManualFront();
    using first = new ByteBackend(front.path("5301"));
    await front.discover();
    const one = await first.greet();
    await front.until(() => front.backend(5301).ok);
    const clients = Array.from({ length: 10 }, (_, i) => new UdpClient(front.port, `127.0.0.${i + 1}`));
    for (const client of clients) {
      await client.send(QUERY);
      await one.read(45);
    }
    equal(front.backend(5301).remotes, 10);
    using second = new ByteBackend(front.path("5302"));
    await front.discover();
    const two = await second.greet();
    await front.until(() => front.backend(5302).ok);
    const answering = [answerBeats(one), answerBeats(two)];
    await front.seconds(15);
    equal(front.backend(5301).remotes, 2);
    deepEqual(front.forwarder.remotes.rows(0, 10).map(({ primary }) => primary), [
      ...[0, 0, 0, 0, 0, 0, 0, 0, 5301, 5301],
    ]);
    for (const client of clients) await client.send(QUERY);
    await front.until(() => front.backend(5301).remotes + front.backend(5302).remotes === 10);
    deepEqual([front.backend(5301).remotes, front.backend(5302).remotes], [6, 4]);
    for (const client of clients) client[Symbol.dispose]();
    one.close();
    two.close();
    await Promise.all(answering);
  },
);

linux("spec line 14: a client that is silent for 5 min is forgotten within 30 s more", async () => {
  await using front = new ManualFront();
  using backend = new ByteBackend(front.path("5301"));
  await front.discover();
  const session = await backend.greet();
  using client = new UdpClient(front.port);
  await client.send(QUERY);
  await session.read(45);
  const answering = answerBeats(session);
  await front.seconds(299);
  equal(front.forwarder.remotes.count, 1);
  await front.seconds(32);
  equal(front.forwarder.remotes.count, 0);
  equal(front.backend(5301).remotes, 0);
  session.close();
  await answering;
});

linux("spec line 15: a datagram of 1501 bytes is dropped with a warning, one of 1500 isn't", async () => {
  await using front = new ManualFront();
  using backend = new ByteBackend(front.path("5301"));
  await front.discover();
  const session = await backend.greet();
  using client = new UdpClient(front.port);
  for (const size of [1501, 65_000]) await client.send("41".repeat(size));
  await client.send("42".repeat(1500));
  equal(
    (await session.read(16 + 1500)).slice(24, 36),
    "dc0542424242".replace("dc05", "dc050000").slice(0, 12),
  );
  equal(front.forwarder.counts.tooLong, 2);
  equal(front.events.filter(({ level }) => level === "warn").length, 1);
  await client.send("");
  equal((await session.read(16)).slice(24), "00000000");
});

linux("an IPv6 client goes to a backend that has announced its frames, and to no other", async () => {
  await using front = new ManualFront("::1");
  using first = new ByteBackend(front.path("5301"));
  using second = new ByteBackend(front.path("5302"));
  await front.discover();
  await first.greet();
  const session = await second.greet();
  await session.send(KNOWS_BOTH);
  await front.until(() => front.backend(5302).features === 3);
  using client = new UdpClient(front.port, "::1", "::1");
  const address = `${"00".repeat(15)}01`;
  for (let i = 0; i < 3; i++) {
    await client.send("abcd");
    await session.expect(`05000000${address}${client.portHex}02000000abcd`);
  }
  await session.send(`ed030000${address}${client.portHex}02000000dcba`);
  equal(await client.receive(), "dcba");
  using tcp = await Deno.connect({ hostname: "::1", port: front.port });
  const relayed = await second.accept();
  equal((await relayed.read(24)).slice(0, 40), `06000000${address}`);
  await relayed.send("eb030000");
  await relayed.send("41");
  equal(await tcp.read(new Uint8Array(4)), 1);
});

linux(
  "an answer leaves from the address that its client has asked last, where several are listened on",
  async () => {
    await using front = new ManualFront("0.0.0.0");
    using backend = new ByteBackend(front.path("5301"));
    await front.discover();
    const session = await backend.greet();
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    using _socket = { [Symbol.dispose]: () => socket.close() };
    const { port } = socket.addr as Deno.NetAddr;
    const portHex = new Uint8Array(new Uint32Array([port]).buffer).toHex();
    for (const hostname of ["127.0.0.3", "127.0.0.4", "127.0.0.3"]) {
      await socket.send(Uint8Array.fromHex(QUERY), { transport: "udp", hostname, port: front.port });
      await session.expect(`02000000${LOCAL1}${portHex}1d000000${QUERY}`);
      await session.send(`ea030000${LOCAL1}${portHex}0100000041`);
      const [, from] = await socket.receive();
      equal((from as Deno.NetAddr).hostname, hostname);
    }
  },
);

scene(
  "one that is going answers what it has, while its clients are elsewhere",
  async ({ front, backends: [first], sessions: [going, other], client }) => {
    await going.send(KNOWS_BOTH);
    await front.until(() => front.backend(5301).features === 3);
    await front.seconds(6);
    for (const session of [going, other]) await session.expect("04000000");
    await other.send("ec030000");
    await client.send(QUERY);
    await going.read(45);
    first.close();
    await going.send("ee030000");
    await going.expectEnd();
    await client.send(QUERY);
    await other.read(45);
    await going.send("ec030000"); // to the heartbeat that crossed its farewell
    await going.send(`ea030000${LOCAL1}${client.portHex}0100000041`);
    equal(await client.receive(), "41");
    going.close();
    await front.until(() => front.events.some(({ message }) => message === "backend is gone"));
    equal(front.backend(5301).lost, 0);
  },
);

function rowOf(front: ManualFront): { readonly primary: number; readonly backup: number } {
  const { primary, backup } = front.forwarder.remotes.rows(0, 1)[0]!;
  return { primary, backup };
}
