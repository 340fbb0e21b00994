/**
 * Streams have a worker of their own: whatever becomes of it, UDP is answered.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER } from "../../src/dns/counters.ts";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import { STREAM_LANE } from "../../src/dns/fleet.ts";
import type { Patience } from "../../src/dns/pulse.ts";
import { pause } from "../clock.ts";
import { askTcp, askUdp, UdpClient } from "./clients.ts";
import { testEachTransport } from "./each_transport.ts";
import { ENDS_HUNG_THREADS, fatal } from "./faulty_snapshots.ts";
import { HaltingThreads } from "./halting_threads.ts";
import { interceptOrders, starts } from "./intercepted_orders.ts";
import { Loopback } from "./loopback.ts";
import { addresses, query } from "./packets.ts";
import type { Declared } from "./world.ts";

const WWW = query("www.example.com", "A");

/** A world in which `www.example.com` has this address. */
function at(member: string): Declared {
  return { pools: [{ name: "web", members: [member] }], services: { "www.example.com": "web" } };
}

/** Quick to despair, and yet far from a busy machine's pauses. */
const IMPATIENT: Patience = { lookMs: 20, quietMs: 200, hungMs: 1_000, deafMs: 5_000 };

testEachTransport("UDP and streams are counted in lanes of their own", async (start) => {
  await using node = await start(at("192.0.2.1"));
  await askUdp(node.address, WWW);
  await askTcp(node.address, WWW);
  const counted = [0, STREAM_LANE].map((lane) => {
    const counters = node.world.board.lane(lane);
    return [counters[COUNTER.queriesUdp], counters[COUNTER.queriesTcp], counters[COUNTER.connections]];
  });
  assert.deepEqual(counted, [[1, 0, 0], [0, 1, 1]]);
});

Deno.test({
  name: "the stream worker gives way to UDP on a processor that they share",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const before = new Set(threads());
    await using _node = await Loopback.start(at("192.0.2.1"));
    const nicest = Math.max(...threads().filter((thread) => !before.has(thread)).map(niceness));
    assert.equal(nicest, niceness(Deno.pid) + 5);
  },
});

Deno.test({
  name: "a UDP worker asks for short slices of a processor, and no other thread does",
  ignore: Deno.build.os !== "linux" || sliceOf(Deno.pid) === null,
  fn: async () => {
    const before = new Set(threads());
    await using _node = await Loopback.start(at("192.0.2.1"), { workers: 1 });
    const slices = threads().filter((thread) => !before.has(thread)).map(sliceOf);
    const isShort = (ns: number | null) => ns !== null && ns < sliceOf(Deno.pid)!;
    // Other files' nodes run in this process as well, and may have begun meanwhile.
    assert.deepEqual([...new Set(slices.filter(isShort))], [300_000]);
    assert.ok(!slices.every(isShort), "every thread asks for them");
  },
});

/** As `/proc` shows it, nanoseconds; `null` = the thread has ended, or this kernel doesn't tell. */
function sliceOf(thread: number): number | null {
  const text = unless(Deno.errors.NotFound, () => Deno.readTextFileSync(`/proc/self/task/${thread}/sched`));
  const slice = /^se\.slice\s*:\s*(\d+)/m.exec(text ?? "");
  return slice && Number(slice[1]);
}

/** The threads of this process, of which the main one has its number. */
function threads(): number[] {
  return [...Deno.readDirSync("/proc/self/task")].map(({ name }) => Number(name));
}

/** As `proc_pid_stat(5)` has it; `-Infinity` = the thread has ended meanwhile. */
function niceness(thread: number): number {
  const stat = unless(Deno.errors.NotFound, () => Deno.readTextFileSync(`/proc/self/task/${thread}/stat`));
  return stat === null ? -Infinity : Number(stat.slice(stat.lastIndexOf(")")).split(" ")[17]);
}

if (ENDS_HUNG_THREADS) {
  testEachTransport(
    "while the stream worker hangs UDP is answered, and from what is published; then it is replaced",
    async (start) => {
      using threads = new HaltingThreads();
      const lines: string[] = [];
      const replaced = Promise.withResolvers<string>();
      await using node = await start(at("192.0.2.1"), {
        patience: IMPATIENT,
        onReplace: replaced.resolve,
        onLog: (line) => lines.push(line),
      });
      const { fleet } = node;
      await threads.halt("streams");
      using udp = new UdpClient(node.address);
      let published: Promise<void> = node.publish(at("192.0.2.2"));
      while (addresses(await udp.ask(WWW))[0] !== "192.0.2.2") await turnEventLoop();
      let isReplaced = false;
      replaced.promise.then(() => isReplaced = true);
      for (let asked = 0; !isReplaced; asked++) {
        assert.deepEqual(addresses(await udp.ask(WWW)), ["192.0.2.2"]);
        assert(fleet.isAnswering);
        await pause();
      }
      assert.equal(await replaced.promise, "hung");
      assert.equal(fleet.isAnsweringStreams, false);
      published = node.publish(at("192.0.2.3")); // a reload during the replacement
      await published;
      assert(fleet.isAnsweringStreams);
      assert.deepEqual(addresses(await askTcp(node.address, WWW)), ["192.0.2.3"]);
      assert.deepEqual(addresses(await udp.ask(WWW)), ["192.0.2.3"]);
      assert.deepEqual(lines, ["error The DNS stream worker hung; starting another"]);
    },
  );

  testEachTransport("when the stream worker can't be replaced the node goes on with UDP", async (start) => {
    using threads = new HaltingThreads();
    const lines: string[] = [];
    let lost: Error | null = null;
    await using node = await start(at("192.0.2.1"), {
      patience: IMPATIENT,
      onLost: (error) => lost = error,
      onLog: (line) => lines.push(line),
    });
    const { fleet } = node;
    await threads.halt("streams");
    {
      using _failing = interceptOrders((order) =>
        starts(order, "streams") ? { ...order, snapshot: fatal(order.snapshot) } : order
      );
      await node.publish(at("192.0.2.2"));
    }
    assert.deepEqual(lines, [
      "error The DNS stream worker hung; starting another",
      "error The DNS stream worker can't be replaced; trying again later",
    ]);
    assert.deepEqual([fleet.isAnswering, fleet.isAnsweringStreams, lost], [true, false, null]);
    await node.publish(at("192.0.2.3"));
    await fleet.turning();
    assert.deepEqual(addresses(await askUdp(node.address, WWW)), ["192.0.2.3"]);
    assert.equal(await askTcp(node.address, WWW).catch(() => null), null);
  });

  testEachTransport("while another has the TCP port the stream worker is tried again", async (start) => {
    using threads = new HaltingThreads();
    await using node = await start(at("192.0.2.1"), { patience: IMPATIENT });
    await threads.halt("streams");
    let taken: Deno.TcpListener | null = null;
    let refused = 0;
    using _taking = interceptOrders((order) => {
      if (!starts(order, "streams")) return order;
      if (taken === null) taken = takeOnceFree(order.options.listen[0]!);
      else if (++refused === 2) taken.close();
      return order;
    });
    await node.publish(at("192.0.2.2"));
    assert.deepEqual(addresses(await askTcp(node.address, WWW)), ["192.0.2.2"]);
    assert.equal(refused >= 2, true);
  });
}

testEachTransport("a fleet whose stream worker hangs can be stopped, and UDP ends at once", async (start) => {
  using threads = new HaltingThreads();
  const node = await start(at("192.0.2.1"));
  await threads.halt("streams");
  const stopped = node[Symbol.asyncDispose]();
  const { hostname, port } = node.address;
  for (let socket: Deno.DatagramConn | null = null; socket === null; await pause()) {
    socket = unless(Deno.errors.AddrInUse, () => Deno.listenDatagram({ transport: "udp", hostname, port }));
    socket?.close();
  }
  await stopped;
});

testEachTransport(
  "a port that is found for TCP and taken for UDP is exchanged for another",
  async (start) => {
    const found: number[] = [];
    const taken: Deno.DatagramConn[] = [];
    {
      using _racing = interceptOrders((order) => {
        if (!starts(order, "udp")) return order;
        for (const { hostname, port } of order.options.listen) {
          found.push(port);
          // Somebody is quicker, twice.
          if (found.length <= 2) taken.push(Deno.listenDatagram({ transport: "udp", hostname, port }));
        }
        return order;
      });
      await using node = await start(at("192.0.2.1"));
      assert.equal(found.length, 3);
      assert.equal(node.address.port, found[2]);
      assert.deepEqual(addresses(await askUdp(node.address, WWW)), ["192.0.2.1"]);
      assert.deepEqual(addresses(await askTcp(node.address, WWW)), ["192.0.2.1"]);
    }
    for (const socket of taken) socket.close();
  },
);

/** Binds as soon as a thread that was ended has let go. */
function takeOnceFree({ hostname, port }: { hostname: string; port: number }): Deno.TcpListener {
  for (;;) {
    const listener = unless(Deno.errors.AddrInUse, () => Deno.listen({ hostname, port }));
    if (listener !== null) return listener;
  }
}

function unless<T>(expected: new (...args: never[]) => Error, make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof expected) return null;
    throw error;
  }
}
