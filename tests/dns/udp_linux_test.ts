/**
 * What only the Linux transport has: answers from the address asked, and a loop that never spins.
 *
 * @module
 */
import assert from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { COUNTER } from "../../src/dns/counters.ts";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import { Exchange } from "../../src/dns/exchange.ts";
import { LinuxUdp } from "../../src/dns/udp_linux.ts";
import type { BatchSocket } from "../../src/sockets/batch_socket.ts";
import { Loopback } from "./loopback.ts";
import { addresses, query } from "./packets.ts";
import { PLAIN, World } from "./world.ts";

const WORLD = { pools: [{ name: "web", members: ["192.0.2.1"] }], services: { "www.example.com": "web" } };
const WWW = query("www.example.com", "A");

for (const listen of ["0.0.0.0:0", "[::]:0"]) {
  Deno.test({
    name: `an answer leaves from the address that was asked, on ${listen}`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      await using node = await Loopback.start(WORLD, { listen: [listen], transport: "linux" });
      const client = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
      for (const hostname of ["127.0.0.1", "127.0.0.3", "127.1.2.3"]) {
        await client.send(WWW, { transport: "udp", hostname, port: node.address.port });
        const [answer, from] = await client.receive();
        assert.deepEqual([(from as Deno.NetAddr).hostname, addresses(answer)], [hostname, ["192.0.2.1"]]);
      }
      client.close();
    },
  });
}

/** How long the loop is watched, and how often it may read meanwhile; one that spins does so a hundred times as often. */
const WATCHED_MS = 500;
const READS_MAX = 2_000;

Deno.test({
  name: "a socket that is always ready and has nothing to give is read now and then, and no more",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const transport = new LinuxUdp(true, []);
    const socket = transport.bind({ hostname: "127.0.0.1", port: 0 });
    shutDownReading(socket.fd);
    const exchange = exchangeOf(new World(WORLD));
    let reads = 0;
    const receive = socket.receive.bind(socket);
    socket.receive = () => {
      reads++;
      return receive();
    };
    transport.serve([socket], exchange);
    // Time is the subject: how often the loop turns in it.
    await new Promise((resolve) => setTimeout(resolve, WATCHED_MS));
    await transport.stop();
    assert(reads > 0 && reads < READS_MAX, `${reads} reads`);
  },
});

/** Packets after which the event loop has its turn, where more of them always wait. */
const PACKETS_PER_TURN = 1024;
const TURNS = 5;

for (const waiting of [1, 8, 64]) {
  Deno.test({
    name:
      `the event loop has its turn at least every ${PACKETS_PER_TURN} packets where ${waiting} come at a time`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const transport = new LinuxUdp(true, []);
      const socket = transport.bind({ hostname: "127.0.0.1", port: 0 });
      // It waits for ever, so that the socket is always ready.
      const client = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
      await client.send(WWW, { transport: "udp", hostname: "127.0.0.1", port: socket.port });
      client.close();
      let packets = 0;
      // They are empty, and so not answered.
      socket.receive = () => {
        packets += waiting;
        return waiting;
      };
      transport.serve([socket], exchangeOf(new World(WORLD)));
      await turnEventLoop();
      const before = packets;
      for (let turn = 0; turn < TURNS; turn++) await turnEventLoop();
      const received = packets - before;
      // Where they come singly the time may be up before.
      if (waiting > 1) assert.equal(received, TURNS * PACKETS_PER_TURN);
      else assert(received > 0 && received <= TURNS * PACKETS_PER_TURN, `${received} packets`);
      await transport.stop();
    },
  });
}

Deno.test({
  name: "where packets come one by one only that socket is read which has one",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const transport = new LinuxUdp(true, []);
    const [silent, asked] = [0, 0].map((port) => transport.bind({ hostname: "127.0.0.1", port })) as [
      BatchSocket,
      BatchSocket,
    ];
    // It waits for ever, so that the socket is always ready.
    const client = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    await client.send(WWW, { transport: "udp", hostname: "127.0.0.1", port: asked.port });
    client.close();
    let looks = 0;
    let packets = 0;
    silent.receive = () => {
      looks++;
      return 0;
    };
    asked.receive = () => {
      packets++;
      return 1;
    };
    transport.serve([silent, asked], exchangeOf(new World(WORLD)));
    for (let turn = 0; turn < TURNS; turn++) await turnEventLoop();
    await transport.stop();
    assert(looks > 0 && packets > 10 * looks, `${looks} looks at the one, ${packets} packets of the other`);
  },
});

Deno.test({
  name: "what comes while it pauses is left for whoever has the socket, too, when it is stopped",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const world = new World(WORLD);
    const transport = new LinuxUdp(true, []);
    const socket = transport.bind({ hostname: "127.0.0.1", port: 0 });
    transport.serve([socket], exchangeOf(world));
    await transport.pause();
    const client = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    await client.send(WWW, { transport: "udp", hostname: "127.0.0.1", port: socket.port });
    await transport.stop();
    client.close();
    assert.equal(world.board.lane(0)[COUNTER.queriesUdp], 0);
  },
});

/** Names whose tables are larger than what a processor has at hand, so that a batch is read before it is answered. */
const NAMES = 20_000;
const POOLS = 8;

Deno.test({
  name: "each query of a batch gets its own answer where tables are large and the batch is read at once",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const world = new World({
      pools: Array.from({ length: POOLS }, (_, i) => ({ name: `p${i}`, members: [`192.0.2.${i}`] })),
      services: Object.fromEntries(
        Array.from({ length: NAMES }, (_, i) => [`n${i}.example.com`, `p${i % POOLS}`]),
      ),
    });
    const exchange = exchangeOf(world);
    assert(exchange.readsAhead, "the tables are too small for this test");
    const transport = new LinuxUdp(true, []);
    const socket = transport.bind({ hostname: "127.0.0.1", port: 0 });
    const client = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    // All of them wait when the first batch is received; every seventh is no query, and stays without an answer.
    const asked = Array.from({ length: 50 }, (_, i) => i * 397 % NAMES);
    for (const [i, n] of asked.entries()) {
      const packet = query(`n${n}.example.com`, "A", { id: i });
      const sent = i % 7 === 6 ? packet.subarray(0, 5) : packet;
      await client.send(sent, { transport: "udp", hostname: "127.0.0.1", port: socket.port });
    }
    transport.serve([socket], exchange);
    const wanted = asked.flatMap((n, i) => i % 7 === 6 ? [] : [[i, [`192.0.2.${n % POOLS}`]]]);
    const answers: [number, string[]][] = [];
    while (answers.length < wanted.length) {
      const [answer] = await client.receive();
      answers.push([answer[0]! << 8 | answer[1]!, addresses(answer)]);
    }
    assert.deepEqual(answers, wanted);
    client.close();
    await transport.stop();
  },
});

/** An exchange that answers from a world and is watched by no one. */
function exchangeOf(world: World): Exchange {
  const exchange = new Exchange(PLAIN, {
    samplesPerSecond: 0,
    sampleEvery: 1,
    rng: seededRng(1),
    fault: () => {},
  });
  exchange.use(world.snapshot, world.board);
  return exchange;
}

/** From now on `poll(2)` says that there is something, and every read gets nothing. */
function shutDownReading(fd: number): void {
  const libc = Deno.dlopen("libc.so.6", { shutdown: { parameters: ["i32", "i32"], result: "i32" } });
  libc.symbols.shutdown(fd, 0);
  libc.close();
}
