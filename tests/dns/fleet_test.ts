/**
 * The fleet: new snapshots, deaths and the end, as clients see them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER } from "../../src/dns/counters.ts";
import type { Patience } from "../../src/dns/pulse.ts";
import { Tally } from "../../src/dns/tally.ts";
import { pause } from "../clock.ts";
import { askTcp, askUdp, framed, TcpClient, UdpClient } from "./clients.ts";
import { type Start, testEachTransport } from "./each_transport.ts";
import { endless, ENDS_HUNG_THREADS, fatal } from "./faulty_snapshots.ts";
import { HaltingThreads } from "./halting_threads.ts";
import { Loopback } from "./loopback.ts";
import { addresses, query } from "./packets.ts";
import type { Declared } from "./world.ts";

const WWW = query("www.example.com", "A");

/** A world in which `www.example.com` has these addresses. */
function at(...members: string[]): Declared {
  return { pools: [{ name: "web", members }], services: { "www.example.com": "web" } };
}

testEachTransport("a published snapshot is in the very next answer", async (start) => {
  await using node = await start(at("192.0.2.0"));
  using udp = new UdpClient(node.address);
  using tcp = await TcpClient.connect(node.address);
  for (let i = 1; i <= 50; i++) {
    await node.publish(at(`192.0.2.${i}`));
    assert.deepEqual(addresses(await udp.ask(WWW)), [`192.0.2.${i}`]);
    await tcp.write(framed(WWW));
    assert.deepEqual(addresses(await tcp.read()), [`192.0.2.${i}`]);
  }
});

testEachTransport("of snapshots published one after the other the last one stays", async (start) => {
  await using node = await start(at("192.0.2.0"));
  const published = [1, 2, 3, 4, 5].map((i) => node.publish(at(`192.0.2.${i}`)));
  await published[2];
  assert.match(addresses(await askUdp(node.address, WWW))[0]!, /^192\.0\.2\.[345]$/);
  await Promise.all(published);
  assert.deepEqual(addresses(await askUdp(node.address, WWW)), ["192.0.2.5"]);
});

testEachTransport("a change of health is in the very next answer", async (start) => {
  await using node = await start(at("192.0.2.1", "192.0.2.2"));
  using udp = new UdpClient(node.address);
  for (let i = 0; i < 50; i++) {
    node.world.health({ "192.0.2.1": i % 2 === 0, "192.0.2.2": i % 2 === 1 });
    assert.deepEqual(addresses(await udp.ask(WWW)), [i % 2 === 0 ? "192.0.2.1" : "192.0.2.2"]);
  }
});

testEachTransport("health, rotation and counters outlive a board that grows", async (start) => {
  await using node = await start(at("192.0.2.1", "192.0.2.2", "192.0.2.3"));
  const { world, fleet } = node;
  const tally = new Tally();
  using udp = new UdpClient(node.address);
  world.health({ "192.0.2.2": false });
  assert.deepEqual(addresses(await udp.ask(WWW)), ["192.0.2.1"]);
  tally.update(world.board);
  const grown = world.board.grownTo({ healthSlots: 200_000, ticketSlots: 200_000 });
  await fleet.publish({ ...world.snapshot, epoch: world.snapshot.epoch + 1 }, grown);
  assert.deepEqual(addresses(await udp.ask(WWW)), ["192.0.2.3"]);
  assert.deepEqual(addresses(await udp.ask(WWW)), ["192.0.2.1"]);
  tally.update(grown);
  assert.equal(tally.total(COUNTER.queriesUdp), 3);
});

testEachTransport(
  "dead workers are replaced on their addresses, with the last snapshot and its board",
  async (start) => {
    const lines: string[] = [];
    await using node = await start(at("192.0.2.1", "192.0.2.2"), {
      listen: ["127.0.0.1:0", "[::1]:0"],
      onLog: (line, { reason }) => {
        lines.push(`${line}: ${reason}`);
        // Told before another is started: the state that killed the first is gone by then.
        healed = node.publish(at("192.0.2.1", "192.0.2.2"));
      },
    });
    let healed = Promise.resolve();
    assert.deepEqual(addresses(await askUdp(node.address, WWW)), ["192.0.2.1"]);
    await node.fleet.publish(fatal(node.world.snapshot), node.world.board);
    await healed;
    const reason = "Uncaught TypeError: Cannot open a snapshot: the buffer holds something else";
    assert.deepEqual(lines.toSorted(), [
      `error A DNS worker died; starting another: ${reason}`,
      `error The DNS stream worker died; starting another: ${reason}`,
    ]);
    assert.deepEqual(addresses(await askUdp(node.fleet.addresses[0]!, WWW)), ["192.0.2.2"]);
    assert.deepEqual(addresses(await askTcp(node.fleet.addresses[1]!, WWW)), ["192.0.2.1"]);
  },
);

testEachTransport("workers that take the place of dead ones count queries as those did", async (start) => {
  const counted: string[] = [];
  let heard = Promise.withResolvers<void>();
  await using node = await start(at("192.0.2.1"), {
    onCounted: ({ name, type, network, weight }) => {
      counted.push(`${name} ${type} ${network} ${weight}`);
      heard.resolve();
    },
    onLog: () => {
      healed = node.publish(at("192.0.2.2"));
    },
  });
  let healed = Promise.resolve();
  const ask = async (asking: typeof askTcp) => {
    heard = Promise.withResolvers();
    await asking(node.address, WWW);
    await heard.promise;
  };
  node.fleet.countTraffic(100);
  await node.publish(at("192.0.2.1")); // a worker reads one order after the other
  for (const asking of [askUdp, askTcp]) await ask(asking);
  await node.fleet.publish(fatal(node.world.snapshot), node.world.board);
  await healed;
  for (const asking of [askUdp, askTcp]) await ask(asking);
  assert.deepEqual(counted, Array(4).fill("www.example.com A 127,0,0 1"));
  node.fleet.countTraffic(0);
  await node.publish(at("192.0.2.1"));
  for (const asking of [askUdp, askTcp]) await asking(node.address, WWW);
  // What a worker has counted until then it tells when it is stopped.
  await node.fleet[Symbol.asyncDispose]();
  assert.equal(counted.length, 4);
});

testEachTransport(
  "what is published while a worker is being replaced is answered by the new one",
  async (start) => {
    await using node = await start(at("192.0.2.0"), {
      onLog: () => {
        published = node.publish(at("192.0.2.1"));
        queueMicrotask(() => published = node.publish(at("192.0.2.2")));
      },
    });
    let published = Promise.resolve();
    await node.fleet.publish(fatal(node.world.snapshot), node.world.board);
    await published;
    assert.deepEqual(addresses(await askUdp(node.address, WWW)), ["192.0.2.2"]);
    await node.publish(at("192.0.2.3"));
    assert.deepEqual(addresses(await askUdp(node.address, WWW)), ["192.0.2.3"]);
  },
);

testEachTransport("a replacement can die and be replaced, too", async (start) => {
  await using node = await start(at("192.0.2.0"), {
    onLog: () => {
      healed = node.publish(at("192.0.2.0"));
    },
  });
  let healed = Promise.resolve();
  for (let i = 0; i < 3; i++) {
    await node.fleet.publish(fatal(node.world.snapshot), node.world.board);
    await healed;
    assert.deepEqual(addresses(await askUdp(node.address, WWW)), ["192.0.2.0"]);
  }
});

testEachTransport(
  "when no UDP worker can be had any more, that is said, and nobody waits for one",
  async (start) => {
    const lost = Promise.withResolvers<Error>();
    const lines: string[] = [];
    await using node = await start(at("192.0.2.0"), {
      onLost: lost.resolve,
      onLog: (line) => lines.push(line),
    });
    const published = node.fleet.publish(fatal(node.world.snapshot), node.world.board);
    await assert.rejects(published, /Cannot start a DNS worker: .*Cannot open a snapshot/);
    assert.match((await lost.promise).message, /Cannot open a snapshot/);
    assert.deepEqual(lines.filter((line) => !line.includes("stream")), [
      "error A DNS worker died; starting another",
      "error A DNS worker can't be replaced",
    ]);
    await assert.rejects(node.publish(at("192.0.2.1")), /Cannot open a snapshot/);
  },
);

/** Quick to despair, and yet far from a busy machine's pauses. */
const IMPATIENT: Patience = { lookMs: 20, quietMs: 200, hungMs: 1_000, deafMs: 5_000 };

/** A worker that hangs, by `hang`, is replaced; until then the fleet doesn't answer and nothing is settled. */
async function hungAndReplaced(start: Start, hang: (node: Loopback) => Promise<unknown>): Promise<void> {
  const lines: string[] = [];
  const replaced = Promise.withResolvers<string>();
  await using node = await start(at("192.0.2.1"), {
    patience: IMPATIENT,
    onReplace: replaced.resolve,
    onLog: (line, { reason }) => lines.push(`${line}: ${reason}`),
  });
  const { fleet } = node;
  assert(fleet.isAnswering);
  await hang(node);
  while (fleet.isAnswering) await pause();
  const settled = fleet.turning().then(() => fleet.isAnswering);
  const published = node.publish(at("192.0.2.2"));
  assert.equal(await replaced.promise, "hung");
  assert.equal(fleet.isAnswering, false);
  await published;
  assert.equal(await settled, true);
  assert.match(
    lines[0]!,
    /^error A DNS worker hung; starting another: it has not run for 1(\.\d+)? s$/,
  );
  assert.deepEqual(addresses(await askUdp(node.address, WWW)), ["192.0.2.2"]);
  assert.deepEqual(addresses(await askTcp(node.address, WWW)), ["192.0.2.2"]);
}

if (ENDS_HUNG_THREADS) {
  testEachTransport("a worker that stands still is ended and replaced", async (start) => {
    using threads = new HaltingThreads();
    await hungAndReplaced(start, () => threads.halt("udp"));
  });

  Deno.test("a worker that looks for a name for ever is ended and replaced", async () => {
    await hungAndReplaced(
      (declared, options) => Loopback.start(declared, options),
      async ({ address, fleet, world }) => {
        await fleet.publish(endless(world.snapshot), world.board);
        using client = new UdpClient(address);
        await client.send(WWW); // is never answered
      },
    );
  });
}

testEachTransport("a fleet whose worker hangs can be stopped", async (start) => {
  using threads = new HaltingThreads();
  const node = await start(at("192.0.2.1"));
  await threads.halt("udp");
  await node[Symbol.asyncDispose]();
});

Deno.test("a main thread that hangs is told of by a worker, and when it turns again, too", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--unstable-net", new URL("hung_main.ts", import.meta.url).pathname],
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stderr);
  assert.equal(code, 0, text);
  const told = text.split("\n").filter((line) => line.includes("main thread"))
    .map((line) => JSON.parse(line) as { level: string; message: string });
  const said = told.map(({ level, message }) => `${level} ${message}`);
  const both = [
    "error The main thread hangs: DNS goes on, health checks, changes and the API don't",
    "warn The main thread runs again",
  ];
  // A busy machine may keep it from running once more.
  assert.deepEqual(said, Array(Math.max(1, said.length >> 1)).fill(both).flat());
});

testEachTransport("a fleet that stops answers nothing more and frees its ports", async (start) => {
  const node = await start(at("192.0.2.0"));
  using tcp = await TcpClient.connect(node.address);
  await tcp.write(framed(WWW));
  await tcp.read();
  await node[Symbol.asyncDispose]();
  assert.equal(await tcp.read(), null);
  const { hostname, port } = node.address;
  Deno.listen({ hostname, port }).close();
  Deno.listenDatagram({ transport: "udp", hostname, port }).close();
});

testEachTransport(
  "a fleet stops though a client never finishes its query",
  async (start) => {
    const node = await start(at("192.0.2.0"));
    using tcp = await TcpClient.connect(node.address);
    await tcp.write(framed(WWW, WWW).subarray(0, -1));
    await tcp.read();
    const since = performance.now();
    await node[Symbol.asyncDispose]();
    // Two seconds, and what a busy machine adds; the client itself would have a minute.
    assert(performance.now() - since < 20_000, `${performance.now() - since} ms`);
    assert.equal(await tcp.read(), null);
  },
);

testEachTransport(
  "a fleet may be stopped twice, and a snapshot published to it goes nowhere",
  async (start) => {
    const node = await start(at("192.0.2.0"));
    await Promise.all([node[Symbol.asyncDispose](), node[Symbol.asyncDispose]()]);
    await node[Symbol.asyncDispose]();
    await node.publish(at("192.0.2.1"));
  },
);

testEachTransport("a fleet can be stopped while a worker is being replaced", async (start) => {
  const died = Promise.withResolvers<void>();
  const node = await start(at("192.0.2.0"), {
    onLog: () => {
      node.publish(at("192.0.2.1"));
      died.resolve();
    },
  });
  const published = node.fleet.publish(fatal(node.world.snapshot), node.world.board);
  await died.promise;
  await node[Symbol.asyncDispose]();
  await published;
});
