/**
 * What surrounds the engine in a worker: samples, timing, and what happens when the engine fails.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER, LATENCY_BOUNDS_NS, LATENCY_SAMPLE } from "../../src/dns/counters.ts";
import type { EngineOptions } from "../../src/dns/engine.ts";
import { Exchange, type Fault, NamedClient, type Sample } from "../../src/dns/exchange.ts";
import { parsePrefix } from "../../src/ip.ts";
import { query, show } from "./packets.ts";
import { PLAIN, World } from "./world.ts";

const FROM = named("192.0.2.53");

function named(text: string): NamedClient {
  const client = new NamedClient(false);
  client.text = text;
  return client;
}

/** An exchange whose watchers only keep what they are told. */
function watched({ samplesPerSecond = 0, engine = {} as Partial<EngineOptions> } = {}) {
  const samples: Sample[] = [];
  const faults: Fault[] = [];
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.10"] }],
    services: { "www.example.com": "web" },
  });
  const exchange = new Exchange({ ...PLAIN, ...engine }, {
    samplesPerSecond,
    sample: (sample) => samples.push(sample),
    fault: (fault) => faults.push(fault),
  });
  exchange.use(world.snapshot, world.board);
  const out = new Uint8Array(1232);
  const ask = (packet: Uint8Array, from = FROM) =>
    out.slice(0, exchange.answerDatagram(packet, packet.length, from, out));
  return { exchange, ask, samples, faults, lane: world.board.lane(0) };
}

/** Stands for any fault of ours: the engine throws as soon as it looks at this prefix. */
const FAULTY = {
  ...PLAIN.ecs,
  trusted: [{
    ...parsePrefix("192.0.2.0/24"),
    get bytes(): Uint8Array {
      throw new Error("the engine failed");
    },
  }],
};
const WWW = query("www.example.com", "A", { id: 0xabcd });
const FATAL = query("www.example.com", "A", { id: 0xabcd, ecs: "198.51.100.0/24" });

Deno.test("a query that makes the engine throw is answered SERVFAIL, and the next one as ever", () => {
  const { ask, lane } = watched({ engine: { ecs: FAULTY } });
  const answer = ask(FATAL);
  assert.equal(show(answer), "SERVFAIL");
  assert.deepEqual([...answer.subarray(0, 2)], [0xab, 0xcd]);
  assert.equal(lane[COUNTER.rcode + 2], 1);
  assert.equal(show(ask(WWW)), "NOERROR aa\nan www.example.com 30 A 192.0.2.10");
});

Deno.test("a fault is told with the packet that caused it", () => {
  const { ask, faults } = watched({ engine: { ecs: FAULTY } });
  ask(FATAL);
  assert.match(faults[0]!.reason, /the engine failed[\s\S]*engine\.ts/);
  assert.equal(faults[0]!.client, "192.0.2.53");
  assert.deepEqual(Uint8Array.fromHex(faults[0]!.query), FATAL);
});

Deno.test("faults are told five times a second at most", () => {
  const { ask, exchange, faults } = watched({ engine: { ecs: FAULTY } });
  for (let i = 0; i < 1000; i++) ask(FATAL);
  assert.equal(faults.length, 5);
  exchange.refill();
  for (let i = 0; i < 1000; i++) ask(FATAL);
  assert.equal(faults.length, 10);
});

Deno.test("samples show query, answer and client, IPv4 as IPv4", () => {
  const { ask, samples } = watched({ samplesPerSecond: 1 });
  const answer = ask(WWW, named("::ffff:192.0.2.53"));
  assert.deepEqual(samples, [{ transport: "udp", client: "192.0.2.53", query: WWW, answer }]);
});

Deno.test("there are as many samples a second as were asked for", () => {
  const { ask, exchange, samples } = watched({ samplesPerSecond: 3 });
  for (let i = 0; i < 10; i++) ask(WWW);
  assert.equal(samples.length, 3);
  exchange.refill();
  for (let i = 0; i < 10; i++) ask(WWW);
  assert.equal(samples.length, 6);
});

Deno.test("what isn't answered is no sample", () => {
  const { ask, samples } = watched({ samplesPerSecond: 3 });
  ask(WWW.with(2, 0x80));
  assert.deepEqual(samples, []);
});

Deno.test(`one query in ${LATENCY_SAMPLE} is timed`, () => {
  const { ask, lane } = watched();
  for (let i = 0; i < 10 * LATENCY_SAMPLE; i++) ask(WWW);
  const buckets = lane.subarray(COUNTER.latency, COUNTER.latency + LATENCY_BOUNDS_NS.length + 1);
  assert.equal(buckets.reduce((sum, count) => sum + count), 10);
  assert(lane[COUNTER.latencySum]! > 0);
});
