/**
 * What surrounds the engine in a worker: samples, timing, and what happens when the engine fails.
 *
 * @module
 */
import assert from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { COUNTER, LATENCY_BOUNDS_NS, LATENCY_SAMPLE } from "../../src/dns/counters.ts";
import type { EngineOptions } from "../../src/dns/engine.ts";
import { Exchange, type Fault, NamedClient } from "../../src/dns/exchange.ts";
import { readSamples, type Sample } from "../../src/dns/samples.ts";
import { parsePrefix } from "../../src/ip.ts";
import { query, show } from "./packets.ts";
import { PLAIN, World } from "./world.ts";

const FROM = named("192.0.2.53");

function named(text: string): NamedClient {
  const client = new NamedClient("udp");
  client.text = text;
  return client;
}

/** An exchange whose watchers only keep what they are told. */
function watched({ samplesPerSecond = 0, sampleEvery = 1, engine = {} as Partial<EngineOptions> } = {}) {
  const faults: Fault[] = [];
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.10"] }],
    services: { "www.example.com": "web" },
  });
  const exchange = new Exchange({ ...PLAIN, ...engine }, {
    samplesPerSecond,
    sampleEvery,
    rng: seededRng(1),
    fault: (fault) => faults.push(fault),
  });
  exchange.use(world.snapshot, world.board);
  const out = new Uint8Array(1232);
  const ask = (packet: Uint8Array, from = FROM) =>
    out.slice(0, exchange.answerDatagram(packet, packet.length, from, out));
  /** Those since the last call. */
  const samples = () => [...readSamples(exchange.takeSamples() ?? new Uint8Array(0))];
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
  assert.equal(faults[0]!.asked!.client, "192.0.2.53");
  assert.deepEqual(Uint8Array.fromHex(faults[0]!.asked!.query), FATAL);
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
  const [{ unixMs, ...sample }] = samples() as [Sample];
  assert.deepEqual(sample, { transport: "udp", client: "192.0.2.53", query: WWW, answer });
  assert(Math.abs(unixMs - Date.now()) < 60_000);
});

Deno.test("there are as many samples a second as were asked for, and the others are counted", () => {
  const { ask, exchange, samples, lane } = watched({ samplesPerSecond: 3 });
  for (let i = 0; i < 10; i++) ask(WWW);
  assert.equal(samples().length, 3);
  assert.equal(lane[COUNTER.samplesOverRate], 7);
  exchange.refill();
  for (let i = 0; i < 10; i++) ask(WWW);
  assert.equal(samples().length, 3);
  assert.equal(lane[COUNTER.samplesOverRate], 14);
});

Deno.test("one exchange in so many is sampled, by chance rather than by turn", () => {
  const { ask, samples } = watched({ samplesPerSecond: 1_000_000, sampleEvery: 10 });
  for (let id = 0; id < 20_000; id++) ask(query("www.example.com", "A", { id }));
  const ids = samples().map(({ query }) => query[0]! << 8 | query[1]!);
  assert(Math.abs(ids.length - 2_000) < 100, `${ids.length} of 20000`);
  const gaps = new Set(ids.slice(1).map((id, i) => id - ids[i]!));
  assert.deepEqual([...gaps].sort((a, b) => a - b), Array.from({ length: 19 }, (_, i) => i + 1));
});

Deno.test("samples that find no room are counted, and there is room again once they were taken", () => {
  const { ask, samples, lane } = watched({ samplesPerSecond: 1_000_000 });
  const asked = 30_000;
  for (let i = 0; i < asked; i++) ask(WWW);
  const kept = samples().length;
  assert(kept > 0 && kept < asked, `${kept} kept`);
  assert.equal(lane[COUNTER.samplesOverSize], asked - kept);
  ask(WWW);
  assert.equal(samples().length, 1);
});

Deno.test("an answer that the engine failed at is sampled, too", () => {
  const { ask, samples } = watched({ samplesPerSecond: 3, engine: { ecs: FAULTY } });
  const answer = ask(FATAL);
  assert.deepEqual(samples().map(({ query, answer }) => ({ query, answer })), [{ query: FATAL, answer }]);
});

Deno.test("what isn't answered is no sample", () => {
  const { ask, samples } = watched({ samplesPerSecond: 3 });
  ask(WWW.with(2, 0x80));
  assert.deepEqual(samples(), []);
});

Deno.test(`one query in ${LATENCY_SAMPLE} is timed`, () => {
  const { ask, lane } = watched();
  for (let i = 0; i < 10 * LATENCY_SAMPLE; i++) ask(WWW);
  const buckets = lane.subarray(COUNTER.latency, COUNTER.latency + LATENCY_BOUNDS_NS.length + 1);
  assert.equal(buckets.reduce((sum, count) => sum + count), 10);
  assert(lane[COUNTER.latencySum]! > 0);
});
