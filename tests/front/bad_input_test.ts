/**
 * What else may come from backends, clients and the directory, and from another balancer.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { seededRng, systemClock } from "../../src/clock.ts";
import { Balancer } from "../../src/front/balancer.ts";
import type { FrontEvent } from "../../src/front/front_log.ts";
import { AGAIN, StreamSockets } from "../../src/sockets/stream_sockets.ts";
import { ByteBackend, type ByteSession, KNOWS_BOTH } from "./byte_backend.ts";
import { ManualFront, type UdpClient } from "./manual_front.ts";
import { answerBeats, scene, startAgain } from "./scene.ts";

const QUERY = "1234010000010000000000000377777706706c6569616465730000010001";
const LOCAL1 = "0100007f";

/** A frame of a client's datagram, or of the answer to it. */
function frame(type: string, { portHex }: UdpClient, message: string): string {
  return `${type}000000${LOCAL1}${portHex}`.replace("ea000000", "ea030000") +
    new Uint8Array(new Uint32Array([message.length / 2]).buffer).toHex() + message;
}

scene(
  "queries that a backend hadn't answered when it ended another one is asked, in their order, and no third",
  async ({ front, backends: [first], sessions: [dying, other], client }) => {
    const queries = Array.from({ length: 100 }, (_, i) => i.toString(16).padStart(4, "0") + QUERY.slice(4));
    for (const query of queries) await client.send(query);
    for (const query of queries) await dying.expect(frame("02", client, query));
    await dying.send(frame("ea", client, "0002" + "8180") + frame("ea", client, "0001" + "8180"));
    for (const id of ["0002", "0001"]) equal(await client.receive(), `${id}8180`);
    first.kill();
    const left = queries.filter((_, i) => i !== 1 && i !== 2);
    for (const query of left) await other.expect(frame("02", client, query));
    const { counts } = front.forwarder;
    deepEqual([counts.forwarded, counts.moved], [100, 98]);
    deepEqual([front.backend(5301).moved, front.backend(5301).lost], [98, 0]);
    equal(front.backend(5302).session!.inFlight, 98);
    await other.send(frame("ea", client, "0000" + "8180"));
    equal(await client.receive(), "00008180");
    // A backend that comes back is not asked what two have left.
    using again = await startAgain(front);
    const { session: back } = again;
    other.close();
    await front.until(() => !front.backend(5302).ok);
    deepEqual([front.backend(5302).moved, front.backend(5302).lost], [0, 97]);
    await client.send(QUERY);
    await back.expect(frame("02", client, QUERY));
    equal(counts.moved, 98);
  },
);

scene(
  "what isn't a query, and what is older than 2 s, is lost with its backend",
  async ({ front, backends: [first], sessions: [dying, other], client }) => {
    await client.send(QUERY);
    await dying.expect(frame("02", client, QUERY));
    await front.seconds(3);
    for (const message of ["", "00", "1234280000010000", "1234818000010000"]) {
      await client.send(message); // nothing, too short, an update, a response
      await dying.expect(frame("02", client, message));
    }
    first.kill();
    await front.until(() => !front.backend(5301).ok);
    deepEqual([front.backend(5301).moved, front.backend(5301).lost], [0, 5]);
    await client.send("abcd");
    await other.expect(frame("02", client, "abcd"));
  },
);

scene(
  "without another backend all that is under way is lost, and counted",
  async ({ front, backends: [first], sessions: [dying, other], client }) => {
    other.close();
    await front.until(() => !front.backend(5302).ok);
    for (let i = 0; i < 3; i++) await client.send(QUERY);
    for (let i = 0; i < 3; i++) await dying.expect(frame("02", client, QUERY));
    first.kill();
    await front.until(() => !front.backend(5301).ok);
    equal(front.backend(5301).lost, 3);
    await client.send(QUERY);
    await front.until(() => front.forwarder.counts.unserved === 1);
  },
);

scene(
  "random frames end their own session at most",
  async ({ front, backends: [first], sessions: [own, other] }) => {
    const rng = seededRng(22);
    const answering = answerBeats(other);
    const heads = ["e9030000", "ea030000", "eb030000", "ec030000", "ed030000", "ee030000", "02000000"];
    let session: ByteSession | null = own;
    for (let round = 0; round < 150; round++) {
      const bytes = new Uint8Array(4 + rng() % 64).map(() => rng() % 3 === 0 ? rng() : 0);
      bytes.set(Uint8Array.fromHex(heads[rng() % heads.length]!));
      session ??= await connected(front, first);
      await session.send(bytes.toHex()).catch(() => {});
      await front.turns(3);
      if (front.backend(5301).ok) continue;
      session.close();
      session = null;
    }
    const { faults } = front.backend(5301);
    ok(faults > 50, `${faults}`);
    deepEqual([front.backend(5302).ok, front.backend(5302).faults], [true, 0]);
    other.close();
    await answering;
  },
);

/** The next session of a backend, which is tried again until it is ok. */
async function connected(front: ManualFront, backend: ByteBackend): Promise<ByteSession> {
  const accepting = backend.accept();
  let isThere = false;
  void accepting.then(() => isThere = true);
  while (!isThere) await front.seconds(1);
  const session = await accepting;
  await session.send("e9030000");
  await front.until(() => front.backend(5301).ok);
  return session;
}

scene(
  "answers to port 0, to no address, to a broadcast, to this balancer and with a port of 32 bits harm no one",
  async ({ front, sessions: [session], client }) => {
    await client.send(QUERY);
    await session.expect(frame("02", client, QUERY));
    const own = new Uint8Array(new Uint32Array([front.port]).buffer).toHex();
    const to = (address: string, port: string) => `ea030000${address}${port}0100000041`;
    await session.send(
      to(LOCAL1, "00000000") + to("00000000", "35000000") + to("ffffffff", "35000000") + to(LOCAL1, own) +
        to(LOCAL1, client.portHex.slice(0, 4) + "ffff"),
    );
    equal(await client.receive(), "41"); // of a port's number the low 16 bits count
    const { counts } = front.forwarder;
    await front.until(() => counts.sendErrors === 2);
    equal(counts.misaddressed, 2);
    ok(front.backend(5301).ok);
  },
);

scene(
  "three bytes of a frame wait for the fourth; a heartbeat that isn't finished is none",
  async ({ front, sessions: [session, other] }) => {
    const answering = answerBeats(other);
    await front.seconds(6);
    equal(await session.read(4), "04000000");
    await session.send("ec0300");
    await front.seconds(10);
    ok(front.backend(5301).ok);
    await session.send("00");
    await front.until(() => front.backend(5301).beatByMs === Infinity);
    await session.send("ec0300");
    await front.seconds(21);
    equal(front.backend(5301).ok, false);
    ok(front.backend(5302).ok);
    other.close();
    await answering;
  },
);

scene(
  "one that doesn't read any more is at fault within 21 s, and is asked nothing meanwhile",
  async ({ front, sessions: [own, other], client }) => {
    const answering = answerBeats(other);
    while (front.backend(5301).stuck === 0) {
      await client.send("41".repeat(1400));
      await front.turns(1);
    }
    const { udp } = front.backend(5301);
    await front.seconds(19);
    ok(front.backend(5301).ok);
    await client.send(QUERY);
    await front.seconds(2);
    equal(front.backend(5301).ok, false);
    equal(front.backend(5301).udp, udp);
    for (const session of [own, other]) session.close();
    await answering;
  },
);

Deno.test({
  name:
    "a hello may come byte by byte; without one, or where no connection is taken, a backend is tried again",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using front = new ManualFront();
    using backend = new ByteBackend(front.path("5301"));
    await front.discover();
    const session = await backend.accept();
    for (const byte of ["e9", "03", "00", "00"]) {
      equal(front.backend(5301).ok, false);
      await session.send(byte);
      await front.turns(2);
    }
    await front.until(() => front.backend(5301).ok);
    // A listener that accepts nothing: its queue fills, and then there is no connection.
    using sockets = new StreamSockets();
    using descriptors = new DisposableStack();
    const keep = (fd: number) => descriptors.defer(() => sockets.close(fd));
    keep(sockets.listenUnix(front.path("5302"), 0));
    throws(() => {
      for (;;) keep(sockets.connectUnix(front.path("5302")));
    }, /Resource temporarily unavailable/);
    await front.discover();
    equal(front.backend(5302).session, null);
    equal(front.backend(5302).faults, 1);
    ok(front.backend(5301).ok);
  },
});

scene(
  "on a connection a wrong first frame ends it, and the backend is not at fault",
  async ({ front, backends: [first] }) => {
    for (const wrong of ["e9030000", "ea030000", "00000000", ""]) {
      using client = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
      const relayed = await first.accept();
      await relayed.read(12);
      if (wrong === "") relayed.close();
      else await relayed.send(wrong);
      equal(await client.read(new Uint8Array(1)).catch(() => null), null);
    }
    const { counts } = front.relay;
    equal(counts.refused, 4);
    ok(front.backend(5301).ok);
    // One more than there may be is reset, and no backend hears of it.
    counts.open = 16_384;
    const client = await Deno.connect({ hostname: "127.0.0.1", port: front.port }).catch(() => null);
    await client?.read(new Uint8Array(1)).catch(() => null);
    client?.close();
    deepEqual([counts.overLimit, counts.open, front.backend(5301).tcp], [1, 16_384, 4]);
  },
);

scene(
  "a client that resets its connection before it is taken, and one that has sent megabytes by then",
  async ({ front, backends: [first] }) => {
    using sockets = new StreamSockets();
    const gone = connectedTcp(front.port);
    const untaken = await first.accept();
    await untaken.read(12);
    sockets.abort(gone);
    equal(await untaken.read(1), "");
    await front.until(() => front.relay.counts.broken === 1);
    const early = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
    const flooding = (async () => {
      const bytes = new Uint8Array(1 << 16).fill(0x41);
      let sent = 0;
      try {
        for (; sent < 64 << 20;) sent += await early.write(bytes);
      } catch {
        // reset in the end
      }
      return sent;
    })();
    const relayed = await first.accept();
    await relayed.read(12);
    await relayed.send("eb030000");
    for (let i = 0; i < 64; i++) equal((await relayed.read(1 << 16)).length, 2 << 16);
    relayed.close();
    early.close();
    ok(await flooding < 64 << 20);
    await front.until(() => front.relay.counts.open === 0);
    ok(front.backend(5301).ok);
  },
);

/** A connection to a port of 127.0.0.1 that can be reset, as Deno's can't. @returns its descriptor */
function connectedTcp(port: number): number {
  const libc = Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  });
  const [family, stream] = [2, 1];
  const fd = libc.symbols.socket(family, stream, 0);
  const address = Uint8Array.of(family, 0, port >> 8, port & 255, 127, 0, 0, 1, ...new Uint8Array(8));
  equal(libc.symbols.connect(fd, address, address.length), 0);
  libc.close();
  return fd;
}

scene(
  "a connection goes byte by byte in both directions, without data too, and a fault of either side ends both",
  async ({ front, backends: [first] }) => {
    const open = async () => {
      const client = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
      const relayed = await first.accept();
      await relayed.read(12);
      for (const byte of ["eb", "03", "00", "00"]) await relayed.send(byte);
      return { client, relayed };
    };
    const one = await open();
    one.client.setNoDelay(true);
    for (let i = 0; i < 40; i++) {
      const byte = i.toString(16).padStart(2, "0");
      await one.client.write(Uint8Array.fromHex(byte));
      await one.relayed.expect(byte);
      await one.relayed.send(byte);
      const got = new Uint8Array(8);
      equal(await one.client.read(got), 1);
      equal(got[0], i);
    }
    // Closed with something unread: the other end gets a reset.
    await one.relayed.send("ff");
    await front.turns(5);
    one.client.close();
    equal(await one.relayed.read(1), "");
    const two = await open();
    await two.client.write(Uint8Array.fromHex("ff"));
    await front.turns(5);
    two.relayed.close();
    equal(await two.client.read(new Uint8Array(1)).catch(() => null), null);
    two.client.close();
    const three = await open();
    await three.client.closeWrite();
    equal(await three.relayed.read(1), "");
    three.relayed.close();
    equal(await three.client.read(new Uint8Array(1)), null);
    three.client.close();
    await front.until(() => front.relay.counts.open === 0);
    deepEqual([front.relay.counts.accepted, front.relay.counts.refused], [3, 0]);
  },
);

scene(
  "a server that has said all and left costs nothing while its client doesn't read, which then gets all of it",
  async ({ front }) => {
    using sockets = new StreamSockets();
    Deno.removeSync(front.path("5301"));
    const listener = sockets.listenUnix(front.path("5301"), 1);
    using _ = { [Symbol.dispose]: () => sockets.close(listener) };
    using client = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
    let accepted = sockets.accept(listener);
    for (; typeof accepted === "number"; accepted = sockets.accept(listener)) await front.turns(1);
    const { fd } = accepted;
    const head = new Uint8Array(12);
    while (sockets.receive(fd, head) === AGAIN) await front.turns(1);
    sockets.send(fd, Uint8Array.fromHex("eb030000"));
    // Until the kernel keeps no more for a client that doesn't read, and the balancer has the rest.
    const said = new Uint8Array(1 << 16).fill(0x42);
    let sent = 0;
    for (let full = 0; full < 3;) {
      const count = sockets.send(fd, said);
      if (count === AGAIN) full++;
      else [full, sent] = [0, sent + count];
      await front.turns(5);
    }
    sockets.close(fd);
    await front.turns(20);
    equal(front.readyStreams, 0);
    const bytes = new Uint8Array(1 << 20);
    let size = 0;
    for (let count: number | null; (count = await client.read(bytes)) !== null;) size += count;
    equal(size, sent);
    await front.until(() => front.relay.counts.open === 0);
    equal(front.relay.counts.broken, 0);
  },
);

scene(
  "lines about clients and their connections have the fields that mname-balancer gave them",
  async ({ front, backends: [first], client }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
    const relayed = await first.accept();
    await relayed.read(12);
    relayed.close();
    await conn.read(new Uint8Array(1)).catch(() => null);
    await front.until(() => front.relay.counts.open === 0);
    const ofConnection = {
      ...{ conn_id: 1, remote_ip: "127.0.0.1", remote_port: conn.localAddr.port },
      ...{ be_id: 5301, be_path: front.path("5301") },
    };
    conn.close();
    deepEqual(
      front.events.filter(({ fields }) => "conn_id" in fields),
      [
        { level: "debug", message: "connection is handed over", fields: ofConnection },
        { level: "debug", message: "connection is over", fields: { ...ofConnection, how: "refused" } },
      ],
    );
    await client.send("41".repeat(1501));
    await front.until(() => front.forwarder.counts.tooLong === 1);
    const { fields } = front.events.find(({ level }) => level === "warn")!;
    deepEqual(Object.keys(fields), ["remote_ip", "remote_port"]);
    equal(fields["remote_ip"], "127.0.0.1");
  },
);

scene(
  "one that is going again and again is at fault after the fourth time, and what it had still ends",
  async ({ front, backends: [first], sessions: [own, other] }) => {
    const answering = answerBeats(other);
    const going: ByteSession[] = [own];
    for (let i = 0; i < 4; i++) {
      await going.at(-1)!.send(KNOWS_BOTH + "ee030000");
      going.push(await first.greet());
    }
    await front.until(() => front.backend(5301).ok);
    equal(front.backend(5301).going.size, 4);
    await going.at(-1)!.send(KNOWS_BOTH + "ee030000");
    await going.at(-1)!.expectEnd();
    deepEqual([front.backend(5301).ok, front.backend(5301).faults], [false, 1]);
    going[0]!.close();
    await front.until(() => front.backend(5301).going.size === 3);
    await front.seconds(11); // the others have had their time
    equal(front.backend(5301).going.size, 0);
    equal(front.backend(5302).faults, 0);
    other.close();
    await answering;
  },
);

scene(
  "one that says that it goes while it doesn't read gets what is queued, and then the end",
  async ({ front, sessions: [going, other], client }) => {
    const answering = answerBeats(other);
    await going.send(KNOWS_BOTH);
    await front.until(() => front.backend(5301).features === 3);
    while (front.backend(5301).stuck === 0) {
      await client.send("41".repeat(1400));
      await front.turns(1);
    }
    await going.send("ee030000");
    await front.until(() => front.backend(5301).going.size === 1);
    let [size, isOver] = [0, false];
    const reading = (async () => {
      for (let hex = " "; hex !== "";) size += (hex = await going.read(1 << 16)).length / 2;
      isOver = true;
    })();
    await front.until(() => isOver);
    await reading;
    ok(size >= front.backend(5301).udp * (16 + 1400), `${size}`);
    other.close();
    await answering;
  },
);

Deno.test({
  name:
    "a second balancer on a port fails; on a directory both work, wherever it is and whatever else is in it",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const start = async (directory: string, port = 0) => {
        const events: FrontEvent[] = [];
        const told = { next: () => {} };
        const balancer = await Balancer.start({
          ...{ address: { hostname: "127.0.0.1", port }, directory, level: "info", clock: systemClock },
          take: (event) => {
            events.push(event);
            told.next();
          },
        });
        const until = async (isSo: (event: FrontEvent) => boolean) => {
          while (!events.some(isSo)) await new Promise<void>((resolve) => told.next = resolve);
        };
        return { balancer, until, [Symbol.asyncDispose]: () => balancer[Symbol.asyncDispose]() };
      };
      await Deno.writeTextFile(`${folder}/5390`, "a file");
      await Deno.mkdir(`${folder}/5391`);
      using backend = new ByteBackend(`${folder}/5301`);
      await using first = await start(folder);
      await using second = await start(folder);
      for (let i = 0; i < 2; i++) await backend.greet();
      const isOf = (id: number, text: string) => ({ message, fields }: FrontEvent) =>
        fields["be_id"] === id && message === text;
      for (const { until } of [first, second]) {
        await until(isOf(5301, "backend is ok"));
        for (const id of [5390, 5391]) await until(isOf(id, "backend can't be connected to"));
      }
      await rejects(start(folder, first.balancer.address.port), Deno.errors.AddrInUse);
      await using third = await start(`${folder}/5390`);
      await third.until(({ message }) => message === "the directory can't be read");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
