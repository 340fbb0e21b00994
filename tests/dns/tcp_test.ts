/**
 * The TCP transport by itself: framing, limits and ends of connections.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER } from "../../src/dns/counters.ts";
import { seededRng } from "../../src/clock.ts";
import { Exchange, type Fault } from "../../src/dns/exchange.ts";
import { type StreamLimits, type StreamListener, StreamServer } from "../../src/dns/stream_server.ts";
import { FramedConnection, type StreamSocket } from "../../src/dns/tcp.ts";
import { StreamTurns } from "../../src/dns/stream_turns.ts";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { decodeMessage, encodeQuery } from "../../src/wire/message.ts";
import { keepThread, TELLS_OF_BYTES_FIRST } from "../late_together.ts";
import { framed, TcpClient } from "./clients.ts";
import { ROOMY } from "./loopback.ts";
import { addresses, query, show } from "./packets.ts";
import { PLAIN, World } from "./world.ts";

/** Long enough to be seen to end, short enough to be waited for. */
const GRACE_MS = 100;

/** A server in this thread. */
class Server implements AsyncDisposable {
  readonly world = new World({
    pools: [{ name: "web", members: ["192.0.2.10", "192.0.2.11"] }, {
      name: "large",
      maxAnswers: 0,
      members: Array.from({ length: 2000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`),
    }],
    services: { "www.example.com": "web", "large.example.com": "large" },
  });
  readonly address: SocketAddress;
  readonly #server: StreamServer<StreamSocket>;

  constructor(
    limits: Partial<StreamLimits> = {},
    hostname = "127.0.0.1",
    turns: StreamTurns = new StreamTurns(),
  ) {
    const listener = Deno.listen({ hostname, port: 0 });
    this.address = listener.addr;
    this.#server = serverOn(listener, exchangeOf(this.world), {
      limits: { ...ROOMY, ...limits },
      turns,
    });
  }

  count(counter: number): number {
    return this.world.board.lane(0)[counter]!;
  }

  async close(graceMs: number, isSucceeded: boolean = false): Promise<void> {
    await this.#server.close(graceMs, isSucceeded);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close(GRACE_MS);
  }
}

function serverOn(
  listener: StreamListener<StreamSocket>,
  exchange: Exchange,
  { limits, turns }: { readonly limits: StreamLimits; readonly turns: StreamTurns },
): StreamServer<StreamSocket> {
  return new StreamServer(listener, exchange, {
    ...{ transport: "tcp", limits },
    serve: (socket, hooks) => new FramedConnection(socket, { ...hooks, exchange, limits, turns }),
  });
}

function exchangeOf({ snapshot, board }: World, fault: (fault: Fault) => void = () => {}): Exchange {
  const exchange = new Exchange(PLAIN, {
    samplesPerSecond: 0,
    sampleEvery: 1,
    rng: seededRng(1),
    fault,
  });
  exchange.use(snapshot, board);
  return exchange;
}

/** A listener that has these connections to give. */
class Sockets implements StreamListener<StreamSocket> {
  readonly #closed = Promise.withResolvers<never>();
  readonly #sockets: StreamSocket[];

  constructor(sockets: readonly StreamSocket[]) {
    this.#sockets = [...sockets];
    this.#closed.promise.catch(() => {}); // it may be closed while nothing is accepted
  }

  accept(): Promise<StreamSocket> {
    const socket = this.#sockets.shift();
    return socket ? Promise.resolve(socket) : this.#closed.promise;
  }

  close(): void {
    this.#closed.reject(new Deno.errors.BadResource("closed"));
  }
}

const www = (id: number) => query("www.example.com", "A", { id });
const ids = (answers: (Uint8Array | null)[]) =>
  answers.map((answer) => answer && (answer[0]! << 8 | answer[1]!));

/** Queries whose answers, 32 KB each, are more than the kernel buffers for a connection. */
const MORE_THAN_FITS_COUNT = 1000;
const MORE_THAN_FITS = framed(
  ...Array.from({ length: MORE_THAN_FITS_COUNT }, (_, id) => query("large.example.com", "A", { id })),
);

/** How many idle times without an answer show that a connection is stalled. */
const IDLE_TIMES = 4;

/** A query with the option edns-tcp-keepalive (RFC 7828), which carries these bytes. */
function asksForKeepalive(id: number, data: readonly number[] = []): Uint8Array {
  const option = { code: 11, data: Uint8Array.from(data) };
  return encodeQuery({ id, name: "www.example.com", type: 1, edns: { udpSize: 1232, options: [option] } });
}

function keepaliveOf(answer: Uint8Array | null): Uint8Array | undefined {
  return decodeMessage(answer!).edns?.options.find(({ code }) => code === 11)?.data;
}

Deno.test("clients that ask hear for how long an idle connection stays, and others don't", async () => {
  const server = new Server({ idleTimeout: 12_345 });
  using client = await TcpClient.connect(server.address);
  const others = [query("www.example.com", "A", { nsid: true }), asksForKeepalive(2, [0, 1])];
  // The last one is finished when the server closes, and says so.
  await client.write(framed(asksForKeepalive(1), ...others, asksForKeepalive(3)).subarray(0, -1));
  const answers = (await client.readAll(3)).map(keepaliveOf);
  assert.deepEqual(answers, [new Uint8Array([0, 123]), undefined, undefined]);
  const closed = server.close(60_000);
  await client.write(asksForKeepalive(3).subarray(-1));
  assert.deepEqual(keepaliveOf(await client.read()), new Uint8Array(2));
  await closed;
});

Deno.test({
  name:
    "a query that has come is answered, and its connection goes on, though the idle time was over before it was read",
  ignore: !TELLS_OF_BYTES_FIRST,
  fn: async () => {
    await using server = new Server({ idleTimeout: 200, queryTimeout: 200 });
    const answered: boolean[] = [];
    // On a busy machine a query may come a turn later than its time is over.
    while (!answered.includes(true) && answered.length < 5) {
      using client = await TcpClient.connect(server.address);
      await client.write(framed(www(1)));
      await client.read();
      const written = client.write(framed(www(2)));
      keepThread(250);
      await written.catch(() => {});
      // The connection goes on, too.
      const last = async () =>
        await client.read() !== null && (await client.write(framed(www(3))), await client.read() !== null);
      answered.push(await last().catch(() => false));
    }
    assert(answered.includes(true));
  },
});

Deno.test("many queries in one write are answered in order", async () => {
  await using server = new Server();
  using client = await TcpClient.connect(server.address);
  const order = Array.from({ length: 500 }, (_, i) => i);
  await client.write(framed(...order.map(www)));
  assert.deepEqual(ids(await client.readAll(500)), order);
});

Deno.test("a query that comes byte by byte is answered", async () => {
  await using server = new Server();
  using client = await TcpClient.connect(server.address);
  for (const byte of framed(www(1), www(2))) await client.write(new Uint8Array([byte]));
  assert.deepEqual(ids(await client.readAll(2)), [1, 2]);
});

Deno.test("queries split anywhere over two writes are answered", async () => {
  await using server = new Server();
  using client = await TcpClient.connect(server.address);
  const bytes = framed(www(1), www(2), www(3));
  for (let cut = 1; cut < bytes.length; cut++) {
    await client.write(bytes.subarray(0, cut));
    await client.write(bytes.subarray(cut));
    assert.deepEqual(ids(await client.readAll(3)), [1, 2, 3], `cut after byte ${cut}`);
  }
});

Deno.test("an answer of 32 KB comes whole", async () => {
  await using server = new Server();
  using client = await TcpClient.connect(server.address);
  await client.write(framed(query("large.example.com", "A")));
  assert.equal(addresses(await client.read()).length, 2000);
});

Deno.test("large answers to pipelined queries come whole and in order", async () => {
  await using server = new Server();
  using client = await TcpClient.connect(server.address);
  const order = Array.from({ length: 40 }, (_, i) => i);
  await client.write(framed(...order.map((id) => query("large.example.com", "A", { id }))));
  assert.deepEqual(ids(await client.readAll(40)), order);
});

Deno.test("a message of the largest size is read whole", async () => {
  await using server = new Server();
  using client = await TcpClient.connect(server.address);
  const message = new Uint8Array(65_535);
  message.set(www(7));
  await client.write(framed(message));
  assert.deepEqual(ids([await client.read()]), [7]);
});

Deno.test("a malformed message is answered FORMERR and the connection goes on", async () => {
  await using server = new Server();
  using client = await TcpClient.connect(server.address);
  await client.write(framed(www(1).subarray(0, 20), www(2)));
  assert.equal(show(await client.read()), "FORMERR");
  assert.deepEqual(ids([await client.read()]), [2]);
});

for (
  const [what, message] of [
    ["an empty message", new Uint8Array(0)],
    ["a message too short for a header", new Uint8Array(11)],
    ["a response", www(1).with(2, 0x80)],
  ] as const
) {
  Deno.test(`${what} ends the connection, after the answers to what came before it`, async () => {
    await using server = new Server();
    using client = await TcpClient.connect(server.address);
    await client.write(framed(www(1), message, www(2)));
    assert.deepEqual(ids(await client.readAll(2)), [1, null]);
  });
}

const OF_NOTHING: Record<string, Partial<StreamSocket>> = {
  reads: { read: () => Promise.resolve(0) },
  takes: { write: () => Promise.resolve(0) },
};
for (const [what, nothing] of Object.entries(OF_NOTHING)) {
  Deno.test(`a socket that ${what} nothing is closed at once, and nothing spins`, async () => {
    const closed = Promise.withResolvers<void>();
    const frame = framed(www(1));
    const socket: StreamSocket = {
      localAddr: { transport: "tcp", hostname: "192.0.2.53", port: 53 },
      remoteAddr: { transport: "tcp", hostname: "192.0.2.1", port: 1 },
      setNoDelay: () => {},
      read: (into) => {
        into.set(frame);
        return Promise.resolve(frame.length);
      },
      write: (bytes) => Promise.resolve(bytes.length),
      close: () => closed.resolve(),
      ...nothing,
    };
    const server = serverOn(new Sockets([socket]), exchangeOf(new World({})), {
      limits: ROOMY,
      turns: new StreamTurns(),
    });
    await closed.promise;
    await server.close(GRACE_MS);
  });
}

Deno.test("a connection without a query is closed after the idle time", async () => {
  await using server = new Server({ idleTimeout: 50 });
  using client = await TcpClient.connect(server.address);
  assert.equal(await client.read(), null);
});

Deno.test("half a query doesn't keep a connection open", async () => {
  await using server = new Server({ idleTimeout: 600_000, queryTimeout: 50 });
  using client = await TcpClient.connect(server.address);
  await client.write(framed(www(1)).subarray(0, 20));
  assert.equal(await client.read(), null);
});

Deno.test("a query that drips in doesn't keep a connection open", async () => {
  await using server = new Server({ idleTimeout: 50 });
  using client = await TcpClient.connect(server.address);
  const closed = client.read();
  let open = true;
  closed.then(() => open = false);
  await client.write(new Uint8Array([0xff, 0xff]));
  for (let sent = 0; open && sent < 60_000; sent++) {
    await client.write(new Uint8Array(1)).catch(() => open = false);
  }
  assert.equal(await closed, null);
});

Deno.test("each answered query starts the idle time anew", async () => {
  await using server = new Server({ idleTimeout: 500 });
  using client = await TcpClient.connect(server.address);
  using idle = await TcpClient.connect(server.address);
  let isOpen = true;
  const closed = idle.read().then(() => isOpen = false);
  while (isOpen) {
    await client.write(framed(www(1)));
    assert.deepEqual(ids([await client.read()]), [1]);
  }
  await closed;
  await client.write(framed(www(2)));
  assert.deepEqual(ids([await client.read(), await client.read()]), [2, null]);
});

Deno.test("a client that doesn't read is given up after the idle time", async () => {
  await using server = new Server({ idleTimeout: 50 });
  using client = await TcpClient.connect(server.address);
  await client.write(MORE_THAN_FITS);
  // Once nothing more was answered while later connections were idle for their whole time, this one was idle, too.
  // Several of them: on a busy machine one idle time may pass between two writes.
  for (let [idle, answered] = [0, -1]; idle < IDLE_TIMES; idle++) {
    using later = await TcpClient.connect(server.address);
    assert.equal(await later.read(), null);
    if (answered !== server.count(COUNTER.queriesTcp)) {
      [idle, answered] = [0, server.count(COUNTER.queriesTcp)];
    }
  }
  assert((await readToEnd(client)) < MORE_THAN_FITS_COUNT);
});

Deno.test("a client that waits for others to be served isn't idle, and has its own time from then on", async () => {
  const [waits, turn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  class Turns extends StreamTurns {
    override mustWait(): boolean {
      return true;
    }
    override next(): Promise<void> {
      waits.resolve();
      return turn.promise;
    }
  }
  await using server = new Server({ idleTimeout: 50 }, "127.0.0.1", new Turns());
  using client = await TcpClient.connect(server.address);
  await client.write(framed(www(1)));
  await waits.promise;
  for (let idle = 0; idle < IDLE_TIMES; idle++) {
    using other = await TcpClient.connect(server.address);
    assert.equal(await other.read(), null);
  }
  turn.resolve();
  assert.deepEqual(ids([await client.read(), await client.read()]), [1, null]);
});

Deno.test("bytes that never become a query don't start the idle time anew", async () => {
  await using server = new Server({ idleTimeout: 50 });
  using dripping = await TcpClient.connect(server.address);
  await dripping.write(new Uint8Array([0xff, 0xff]));
  let isOpen = true;
  const closed = dripping.read().then(() => isOpen = false, () => {});
  // While later connections, one after the other, are idle for their whole time, a byte comes now and then.
  for (let idle = 0; idle < IDLE_TIMES; idle++) {
    using later = await TcpClient.connect(server.address);
    let isLaterOpen = true;
    const laterClosed = later.read().then(() => isLaterOpen = false);
    while (isLaterOpen) {
      if (isOpen) await dripping.write(new Uint8Array(1)).catch(() => {});
      await turnEventLoop();
    }
    await laterClosed;
  }
  assert.equal(isOpen, false);
  await closed;
});

for (const hostname of ["127.0.0.1", "::"]) {
  Deno.test({
    name: `a client that doesn't read loses its place after the idle time, on ${hostname}`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      await using server = new Server({ idleTimeout: 50, maxConnections: 1 }, hostname);
      const address = { ...server.address, hostname: "127.0.0.1" };
      using client = await TcpClient.connect(address);
      await client.write(MORE_THAN_FITS);
      let answer: Uint8Array | null = null;
      while (answer === null) answer = await askOnce(address);
      assert.deepEqual(ids([answer]), [1]);
      assert((await readToEnd(client)) < MORE_THAN_FITS_COUNT);
    },
  });
}

/** A connection whose client says nothing and leaves; `closed` resolves when the server has let go of it. */
function silentSocket(): { readonly last: StreamSocket; readonly closed: Promise<void> } {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const last: StreamSocket = {
    localAddr: { transport: "tcp", hostname: "192.0.2.53", port: 53 },
    remoteAddr: { transport: "tcp", hostname: "192.0.2.1", port: 1 },
    setNoDelay: () => {},
    read: () => Promise.resolve(null),
    write: (bytes) => Promise.resolve(bytes.length),
    close: () => resolve(),
  };
  return { last, closed };
}

Deno.test("accepts that fail are counted, told of once, and tried again", async () => {
  const told: string[] = [];
  const world = new World({});
  const { last, closed } = silentSocket();
  const listener = new Sockets([last]);
  let failures = 0;
  const accept = () => failures++ < 3 ? Promise.reject(new Error("Too many open files")) : listener.accept();
  const server = serverOn(
    { accept, close: () => listener.close() },
    exchangeOf(world, ({ kind, reason }) => told.push(`${kind} ${reason}`)),
    { limits: ROOMY, turns: new StreamTurns() },
  );
  await closed;
  assert.deepEqual(told, ["shortage Too many open files"]);
  assert.equal(world.board.lane(0)[COUNTER.acceptErrors], 3);
  await server.close(GRACE_MS);
});

Deno.test("connections that were reset before they were accepted keep nobody waiting", async () => {
  const world = new World({});
  const { last, closed } = silentSocket();
  const listener = new Sockets([last]);
  let resets = 1000;
  const accept = () => resets-- > 0 ? Promise.reject(new Deno.errors.NotConnected()) : listener.accept();
  const startMs = performance.now();
  const server = serverOn(
    { accept, close: () => listener.close() },
    exchangeOf(world),
    { limits: ROOMY, turns: new StreamTurns() },
  );
  await closed;
  // A pause for each of them, as after a lack of descriptors, would make 50 s.
  assert.ok(performance.now() - startMs < 10_000);
  assert.equal(world.board.lane(0)[COUNTER.acceptErrors], 0);
  await server.close(GRACE_MS);
});

Deno.test("addresses of one IPv6 /64 are one client", async () => {
  const accepted: string[] = [];
  const evicted: string[] = [];
  const hostnames = [
    "2001:db8::1",
    "2001:db8::ffff:ffff:ffff:ffff",
    "2001:db8:0:1::1",
    "192.0.2.1",
    "192.0.2.2",
  ];
  const closed = Promise.withResolvers<void>();
  const sockets = hostnames.map((hostname): StreamSocket => ({
    localAddr: { transport: "tcp", hostname: "192.0.2.53", port: 53 },
    remoteAddr: { transport: "tcp", hostname, port: 1 },
    setNoDelay: () => accepted.push(hostname),
    read: () => closed.promise.then(() => null),
    write: (bytes) => Promise.resolve(bytes.length),
    close: () => evicted.push(hostname),
  }));
  const server = serverOn(new Sockets(sockets), exchangeOf(new World({})), {
    limits: { ...ROOMY, maxConnectionsPerClient: 1 },
    turns: new StreamTurns(),
  });
  while (accepted.length < hostnames.length) await turnEventLoop();
  assert.deepEqual(evicted, [hostnames[0]]);
  closed.resolve();
  await server.close(GRACE_MS);
});

Deno.test("with what is read first a connection goes before others, and after its first few messages behind them", async () => {
  const calls: string[] = [];
  class Turns extends StreamTurns {
    override mustWait(): boolean {
      return true;
    }
    override isOver(answered: number): boolean {
      calls.push(`over? ${answered}`);
      return answered === 2;
    }
    override next(answered: number): Promise<void> {
      calls.push(`next ${answered}`);
      return Promise.resolve();
    }
  }
  await using server = new Server({}, "127.0.0.1", new Turns());
  using client = await TcpClient.connect(server.address);
  await client.write(framed(www(1), www(2), www(3), www(4)));
  for (let id = 1; id <= 4; id++) assert.deepEqual(ids([await client.read()]), [id]);
  await client.write(framed(www(5)));
  assert.deepEqual(ids([await client.read()]), [5]);
  assert.deepEqual(calls, ["next 0", "over? 1", "over? 2", "next 2", "over? 3", "next 0"]);
});

Deno.test("close() doesn't wait for a client that doesn't read", async () => {
  const server = new Server();
  using client = await TcpClient.connect(server.address);
  await client.write(MORE_THAN_FITS);
  await client.read();
  await server[Symbol.asyncDispose]();
  assert((await readToEnd(client)) < MORE_THAN_FITS_COUNT);
});

Deno.test("where all connections are taken the one that was idle for longest gives way", async () => {
  await using server = new Server({ maxConnections: 3 });
  using used = await TcpClient.connect(server.address);
  using silent = await TcpClient.connect(server.address);
  using halfway = await TcpClient.connect(server.address);
  await halfway.write(framed(www(1)).subarray(0, 20));
  while (server.count(COUNTER.connections) < 3) await turnEventLoop();
  await used.write(framed(www(2))); // and so the oldest is the youngest
  assert.deepEqual(ids([await used.read()]), [2]);
  const newcomers = new DisposableStack();
  using _ = newcomers;
  for (const loser of [silent, halfway]) {
    const newcomer = newcomers.use(await TcpClient.connect(server.address));
    await newcomer.write(framed(www(3)));
    assert.deepEqual(ids([await newcomer.read()]), [3]);
    assert.equal(await loser.read(), null);
  }
  await used.write(framed(www(4)));
  assert.deepEqual(ids([await used.read()]), [4]);
  assert.equal(server.count(COUNTER.tcpEvicted), 2);
  assert.equal(server.count(COUNTER.tcpRefused), 0);
});

Deno.test("a client with more than its share of the connections loses one, another its only one not", async () => {
  await using server = new Server({ maxConnections: 3 }, "::");
  const connect = (hostname: string) => TcpClient.connect({ ...server.address, hostname });
  const accepted = async (count: number) => {
    while (server.count(COUNTER.connections) < count) await turnEventLoop();
  };
  using only = await connect("::1");
  await accepted(1);
  using first = await connect("127.0.0.1");
  await accepted(2);
  using second = await connect("127.0.0.1");
  using third = await connect("127.0.0.1");
  assert.equal(await first.read(), null);
  for (const client of [only, second, third]) {
    await client.write(framed(www(1)));
    assert.deepEqual(ids([await client.read()]), [1]);
  }
  assert.equal(server.count(COUNTER.tcpEvicted), 1);
});

Deno.test("where all connections are busy a newcomer is closed at once", async () => {
  const written = Promise.withResolvers<void>();
  const closed: number[] = [];
  const frame = framed(www(1));
  const sockets = [1, 2, 3].map((port): StreamSocket => ({
    localAddr: { transport: "tcp", hostname: "192.0.2.53", port: 53 },
    remoteAddr: { transport: "tcp", hostname: "192.0.2.1", port },
    setNoDelay: () => {},
    read: (into) => {
      into.set(frame);
      return Promise.resolve(frame.length);
    },
    write: () => written.promise.then(() => Promise.reject(new Deno.errors.BrokenPipe("gone"))),
    close: () => closed.push(port),
  }));
  const listener = new Sockets(sockets);
  let accepted = 0;
  const world = new World({});
  const server = serverOn(
    {
      accept: async () => {
        if (accepted++ > 0) await turnEventLoop(); // until the one before has its query
        return await listener.accept();
      },
      close: () => listener.close(),
    },
    exchangeOf(world),
    { limits: { ...ROOMY, maxConnections: 2 }, turns: new StreamTurns() },
  );
  while (closed.length === 0) await turnEventLoop();
  const lane = world.board.lane(0);
  assert.deepEqual([closed, lane[COUNTER.tcpRefused], lane[COUNTER.tcpEvicted]], [[3], 1, 0]);
  written.resolve();
  await server.close(GRACE_MS);
});

Deno.test("a client at its own limit loses the connection it used least, and no other client does", async () => {
  await using server = new Server({ maxConnectionsPerClient: 1 }, "::");
  const [ipv4, ipv6] = ["127.0.0.1", "::1"].map((hostname) => ({ ...server.address, hostname }));
  using other = await TcpClient.connect(ipv6!);
  using first = await TcpClient.connect(ipv4!);
  using second = await TcpClient.connect(ipv4!);
  assert.equal(await first.read(), null);
  for (const client of [second, other]) {
    await client.write(framed(www(1)));
    assert.deepEqual(ids([await client.read()]), [1]);
  }
  assert.equal(server.count(COUNTER.tcpEvicted), 1);
});

Deno.test("a place that becomes free is given to the next client", async () => {
  await using server = new Server({ maxConnections: 1 });
  for (let round = 1; round <= 20; round++) {
    let answer: Uint8Array | null = null;
    // The server may not have seen yet that the one before is gone.
    while (answer === null) answer = await askOnce(server.address);
    assert.deepEqual(ids([answer]), [1]);
  }
  assert.equal(server.count(COUNTER.connections), 20);
});

Deno.test("close() ends connections that wait at once", async () => {
  const server = new Server();
  using client = await TcpClient.connect(server.address);
  await client.write(framed(www(1)));
  await client.read();
  const start = performance.now();
  await server.close(60_000);
  assert(performance.now() - start < 30_000);
  assert.equal(await client.read(), null);
});

Deno.test("close() lets a half-read query be finished and answered", async () => {
  const server = new Server();
  using client = await TcpClient.connect(server.address);
  await client.write(framed(www(1), www(2)).subarray(0, -1));
  await client.read();
  const closed = server.close(60_000);
  await client.write(www(2).subarray(-1));
  assert.deepEqual(ids(await client.readAll(2)), [2, null]);
  await closed;
});

Deno.test("close() ends connections that never finish their query when the grace is over", async () => {
  const server = new Server();
  using client = await TcpClient.connect(server.address);
  await client.write(framed(www(1), www(2)).subarray(0, -1));
  await client.read();
  await server[Symbol.asyncDispose]();
  assert.equal(await client.read(), null);
});

Deno.test("where another process answers from then on, close() answers those who have just connected, and the next query of the others", async () => {
  const server = new Server();
  const fresh = await TcpClient.connect(server.address);
  // It has come later, so that the other one is known by the time of its answer.
  const asked = await TcpClient.connect(server.address);
  await asked.write(framed(www(1)));
  await asked.read();
  const closed = server.close(60_000, true);
  await asked.write(framed(www(2)));
  assert.deepEqual(ids(await asked.readAll(2)), [2, null]);
  await fresh.write(framed(www(3)));
  assert.deepEqual(ids(await fresh.readAll(2)), [3, null]);
  asked[Symbol.dispose]();
  fresh[Symbol.dispose]();
  await closed;
});

Deno.test("where another process answers from then on, a query that comes too late is read, so that nothing is reset", async () => {
  const server = new Server();
  const connection = await Deno.connect(server.address);
  await connection.write(framed(www(1)));
  const answer = new Uint8Array(512);
  await connection.read(answer);
  const closed = server.close(60_000, true);
  assert.equal(await connection.read(answer), null);
  for (let i = 0; i < 3; i++) await connection.write(framed(www(2)));
  assert.equal(await connection.read(answer), null);
  connection.close();
  await closed;
});

Deno.test("where another process answers from then on, clients that stay all the same are let go when the grace is over", async () => {
  const server = new Server();
  using client = await TcpClient.connect(server.address);
  await client.write(framed(www(1)));
  await client.read();
  await server.close(GRACE_MS, true);
  assert.equal(await client.read(), null);
});

/** How many messages came before the end. */
async function readToEnd(client: TcpClient): Promise<number> {
  for (let count = 0;; count++) if (await client.read() === null) return count;
}

/** `null` when the server closes without an answer. */
async function askOnce(address: SocketAddress): Promise<Uint8Array | null> {
  using client = await TcpClient.connect(address);
  await client.write(framed(www(1))).catch(() => {}); // refused while writing: then the read says so
  return await client.read();
}
