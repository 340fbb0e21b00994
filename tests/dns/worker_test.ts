/**
 * A worker on real sockets, asked by real clients.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER } from "../../src/dns/counters.ts";
import type { Sample } from "../../src/dns/samples.ts";
import { Tally } from "../../src/dns/tally.ts";
import { formatSocketAddress, type SocketAddress } from "../../src/ip.ts";
import { pause } from "../clock.ts";
import { askTcp, askUdp, framed, TcpClient, UdpClient } from "./clients.ts";
import { testEachTransport } from "./each_transport.ts";
import { Loopback } from "./loopback.ts";
import { addresses, query, show } from "./packets.ts";
import type { Declared } from "./world.ts";

const MANY = Array.from({ length: 60 }, (_, i) => `10.0.0.${i + 1}`);
const EXAMPLE: Declared = {
  pools: [
    { name: "web", members: ["192.0.2.10", "2001:db8::10"] },
    { name: "large", maxAnswers: 0, members: MANY },
  ],
  services: { "www.example.com": "web", "large.example.com": "large" },
  zones: { "example.com": null },
};
const WWW = query("www.example.com", "A");
const LARGE = query("large.example.com", "A");
const ANSWER = "NOERROR aa\nan www.example.com 30 A 192.0.2.10";
const EVERY_FAMILY = ["127.0.0.1:0", "[::1]:0"];

testEachTransport("a worker answers over UDP and TCP on every address", async (start) => {
  await using node = await start(EXAMPLE, { listen: [...EVERY_FAMILY, "127.0.0.2:0"] });
  assert.equal(node.fleet.addresses.length, 3);
  for (const address of node.fleet.addresses) {
    assert.equal(show(await askUdp(address, WWW)), ANSWER, formatSocketAddress(address));
    assert.equal(show(await askTcp(address, WWW)), ANSWER, formatSocketAddress(address));
  }
});

testEachTransport("dig reads the answers of every address, UDP and TCP", async (start) => {
  await using node = await start(EXAMPLE, { listen: EVERY_FAMILY });
  for (const address of node.fleet.addresses) {
    for (const transport of ["+notcp", "+tcp"]) {
      assert.equal(await dig(address, "+short", transport, "www.example.com", "A"), "192.0.2.10\n");
      assert.equal(await dig(address, "+short", transport, "www.example.com", "AAAA"), "2001:db8::10\n");
      assert.match(await dig(address, transport, "nope.example.com"), /status: NXDOMAIN[\s\S]*\bSOA\b/);
    }
  }
}, ["dig"]);

testEachTransport(
  "kdig gets back the client subnet it sent, and several answers on one connection",
  async (start) => {
    await using node = await start(EXAMPLE);
    const { port } = node.address;
    const output = await run("kdig", [
      "@127.0.0.1",
      `-p${port}`,
      "+subnet=198.51.100.0/24",
      "www.example.com",
    ]);
    assert.match(output, /CLIENT-SUBNET: 198\.51\.100\.0\/24\/0/);
    const open = await run("kdig", [
      "@127.0.0.1",
      `-p${port}`,
      "+tcp",
      "+keepopen",
      "+short",
      ...TWO_QUESTIONS,
    ]);
    assert.equal(open, "192.0.2.10\n2001:db8::10\n");
  },
  ["kdig"],
);
const TWO_QUESTIONS = ["www.example.com", "A", "www.example.com", "AAAA"];

testEachTransport("dig comes back over TCP when the answer is truncated", async (start) => {
  await using node = await start(EXAMPLE);
  const text = await dig(node.address, "+noedns", "large.example.com", "A");
  assert.match(text, /Truncated, retrying in TCP mode/);
  assert.equal(text.match(/\bIN\s+A\s+10\.0\.0\.\d+/g)!.length, MANY.length);
}, ["dig"]);

testEachTransport("an answer too large for UDP has TC set and is whole over TCP", async (start) => {
  await using node = await start(EXAMPLE);
  assert.equal(show(await askUdp(node.address, LARGE)), "NOERROR aa tc");
  assert.equal(addresses(await askTcp(node.address, LARGE)).length, MANY.length);
});

testEachTransport("port 0 becomes one free port, the same for UDP and TCP", async (start) => {
  await using node = await start(EXAMPLE);
  assert.notEqual(node.address.port, 0);
  assert.equal(show(await askUdp(node.address, WWW)), ANSWER);
  assert.equal(show(await askTcp(node.address, WWW)), ANSWER);
});

testEachTransport("0.0.0.0 and :: may stand together on one port", async (start) => {
  const port = await freePort();
  const lines: string[] = [];
  await using node = await start(EXAMPLE, {
    listen: [`0.0.0.0:${port}`, `[::]:${port}`],
    onLog: (line) => lines.push(line),
  });
  for (const hostname of ["127.0.0.1", "::1"]) {
    assert.equal(show(await askUdp({ hostname, port }, WWW)), ANSWER);
    assert.equal(show(await askTcp({ hostname, port }, WWW)), ANSWER);
  }
  assert.deepEqual(node.fleet.addresses, [{ hostname: "::", port }]);
  assert.deepEqual(lines, [`debug 0.0.0.0:${port} needs no socket of its own on this machine`]);
});

for (
  const [transport, ss, hold] of [
    ["UDP", "-lunp", () => Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 })],
    ["TCP", "-ltnp", () => Deno.listen({ hostname: "127.0.0.1", port: 0 })],
  ] as const
) {
  testEachTransport(
    `a port that is taken for ${transport} is named with the fix, and nothing stays bound`,
    async (start) => {
      // Another process may hold the same port for the other transport, which is named then: another is tried.
      for (let attempts = 1;; attempts++) {
        const taken = hold();
        const { port } = taken.addr as Deno.NetAddr;
        const listen = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${port}`];
        const error = await start(EXAMPLE, { listen }).then(() => null, (error: Error) => error);
        taken.close();
        const message = `Cannot listen on 127.0.0.1:${port}: the port is taken (see who holds it: ` +
          `ss ${ss} 'sport = :${port}'; or choose another with --dns ADDR:PORT)`;
        if (error?.message !== message && attempts < 5) continue;
        assert.deepEqual([error?.name, error?.message], ["AddrInUse", message]);
        await using node = await onceFree(() => start(EXAMPLE, { listen }));
        assert.equal(show(await askUdp(node.address, WWW)), ANSWER);
        return;
      }
    },
  );
}

/** Starts as soon as the addresses are free: a worker that was ended lets go of its sockets a moment later. */
async function onceFree<Node>(start: () => Promise<Node>): Promise<Node> {
  for (let turn = 0, untilMs = performance.now() + 60_000;; turn++) {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse) || performance.now() > untilMs) throw error;
      await pause(turn);
    }
  }
}

testEachTransport("an address of another machine is named", async (start) => {
  await assert.rejects(
    start(EXAMPLE, { listen: ["192.0.2.1:0"] }),
    /^Error: Cannot listen on 192\.0\.2\.1:0: .*(?:no such|assign requested) address/i,
  );
});

testEachTransport("what isn't a query gets no answer over UDP and disturbs none", async (start) => {
  await using node = await start(EXAMPLE);
  using client = new UdpClient(node.address);
  await client.send(new Uint8Array(0));
  await client.send(new Uint8Array(11));
  await client.send(WWW.with(2, 0x80));
  assert.equal(show(await client.ask(WWW)), ANSWER);
});

testEachTransport("a packet longer than any query is answered or refused, not fatal", async (start) => {
  await using node = await start(EXAMPLE);
  using client = new UdpClient(node.address);
  const long = new Uint8Array(60_000);
  long.set(WWW);
  assert.equal(show(await client.ask(long)), ANSWER);
  assert.equal(show(await client.ask(WWW)), ANSWER);
});

testEachTransport("many clients at once each get their own answer", async (start) => {
  await using node = await start(EXAMPLE);
  const asked = await Promise.all(
    Array.from({ length: 200 }, async (_, id) => {
      const answer = await askUdp(node.address, query("www.example.com", id % 2 ? "A" : "AAAA", { id }));
      return [answer[0]! << 8 | answer[1]!, addresses(answer)[0]];
    }),
  );
  assert.deepEqual(asked, asked.map((_, id) => [id, id % 2 ? "192.0.2.10" : "2001:db8::10"]));
});

testEachTransport(
  "a client that doesn't read its answers over TCP keeps nobody else waiting",
  async (start) => {
    await using node = await start(EXAMPLE);
    using slow = await TcpClient.connect(node.address);
    await slow.write(framed(...Array<Uint8Array>(20_000).fill(LARGE)));
    for (let i = 0; i < 100; i++) {
      assert.equal(show(await askUdp(node.address, WWW)), ANSWER);
      assert.equal(show(await askTcp(node.address, WWW)), ANSWER);
    }
  },
);

testEachTransport("what follows a message that is no query keeps nobody waiting", async (start) => {
  await using node = await start(EXAMPLE);
  const response = framed(WWW.with(2, 0x80));
  for (const more of [0, 1, 1024 - response.length, 1024, 4096, 70_000]) {
    using client = await TcpClient.connect(node.address);
    await client.write(new Uint8Array([...response, ...new Uint8Array(more)])).catch(() => {}); // closed meanwhile
    assert.equal(await client.read(), null);
    assert.equal(show(await soon(askUdp(node.address, WWW))), ANSWER, `${more} bytes behind it`);
    assert.equal(show(await soon(askTcp(node.address, WWW))), ANSWER, `${more} bytes behind it`);
  }
});

testEachTransport("the limits of the settings hold", async (start) => {
  await using node = await start(EXAMPLE, {
    tcp: { maxConnections: 2, maxConnectionsPerClient: 2, idleTimeout: 50 },
  });
  using first = await TcpClient.connect(node.address);
  using second = await TcpClient.connect(node.address);
  using third = await TcpClient.connect(node.address);
  assert.equal(await third.read(), null);
  assert.deepEqual([await first.read(), await second.read()], [null, null]);
});

testEachTransport("queries, drops and connections are counted", async (start) => {
  await using node = await start(EXAMPLE);
  using client = new UdpClient(node.address);
  await client.send(new Uint8Array(11));
  await client.send(WWW.with(2, 0x80));
  for (let i = 0; i < 3; i++) await client.ask(WWW);
  await client.ask(query("nope.example.com", "A"));
  await client.ask(LARGE);
  await askTcp(node.address, LARGE);
  const tally = new Tally();
  tally.update(node.world.board);
  const counted = (Object.keys(COUNTER) as (keyof typeof COUNTER)[])
    .filter((name) => !/latency|bytes/.test(name) && tally.total(COUNTER[name]) > 0)
    .map((name) => `${name} ${tally.total(COUNTER[name])}`);
  assert.deepEqual(counted, [
    "queriesUdp 7",
    "queriesTcp 1",
    "droppedMalformed 1",
    "droppedResponse 1",
    "truncated 1",
    "rcode 5",
    "steered 5",
    "connections 1",
    "messages 1",
  ]);
  assert.equal(tally.total(COUNTER.rcode + 3), 1);
});

testEachTransport("samples of both transports come out of the workers", async (start) => {
  const samples: Sample[] = [];
  const both = Promise.withResolvers<void>();
  await using node = await start(EXAMPLE, {
    samplesPerSecond: 100,
    onSample: (sample) => {
      samples.push(sample);
      if (samples.length === 2) both.resolve();
    },
  });
  const overUdp = await askUdp(node.address, WWW);
  const overTcp = await askTcp(node.address, LARGE);
  await both.promise;
  // Each worker reports by itself.
  samples.sort((a, b) => a.transport.localeCompare(b.transport));
  assert.deepEqual(samples.map(({ unixMs: _, ...sample }) => sample), [
    { transport: "tcp", client: "127.0.0.1", query: LARGE, answer: overTcp },
    { transport: "udp", client: "127.0.0.1", query: WWW, answer: overUdp },
  ]);
});

/** A worker that hangs would let its test hang, too. */
async function soon<T>(answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  // Time is the subject: a hang is a silence that lasts.
  const timer = setTimeout(() => late.reject(new Error("No answer within 60 s")), 60_000);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function dig({ hostname, port }: SocketAddress, ...args: string[]): Promise<string> {
  return await run("dig", [`@${hostname}`, `-p${port}`, "+tries=1", ...args]);
}

async function run(program: string, args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(program, { args }).output();
  return new TextDecoder().decode(stdout);
}

/** A port that nobody holds at this moment. */
async function freePort(): Promise<number> {
  await using node = await Loopback.start(EXAMPLE, { listen: ["[::]:0"] });
  return node.address.port;
}
