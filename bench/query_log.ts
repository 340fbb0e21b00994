/**
 * What the query log costs an answer: `deno task bench query_log [--rounds N]`.
 *
 * The same queries go through the answering side of a worker with several settings, in turn, round after round; a round's
 * figure is compared with that of the same round without a log. Blocks are taken as often as a worker takes them at
 * 100,000 queries a second. Decoding and writing lines is the main thread's; it is measured apart, per line.
 *
 * @module
 */
import { seededRng } from "../src/clock.ts";
import { Exchange } from "../src/dns/exchange.ts";
import { recordOf } from "../src/dns/query_log.ts";
import { readSamples } from "../src/dns/samples.ts";
import { query } from "../tests/dns/packets.ts";
import { PLAIN, World } from "../tests/dns/world.ts";
import { printPairedRounds } from "./timing/paired_rounds.ts";

/** Runs when no name is given. */
export const quick = true;

const NAMES = 10_000;
const ANSWERS_A_ROUND = 300_000;
/** Answers between two reports, and between two seconds, at 100,000 a second. */
const ANSWERS_A_BLOCK = 10_000;
const ANSWERS_A_SECOND = 100_000;
const LINES = 20_000;
const CASES = [
  { name: "no log (sample: 0)", sampleEvery: 1, samplesPerSecond: 0 },
  { name: "sample: 100, maxPerSecond: 100", sampleEvery: 100, samplesPerSecond: 100 },
  { name: "sample: 100, all of them", sampleEvery: 100, samplesPerSecond: 100_000 },
  { name: "sample: 1, maxPerSecond: 100", sampleEvery: 1, samplesPerSecond: 100 },
  { name: "sample: 1, all of them", sampleEvery: 1, samplesPerSecond: 100_000 },
];

const CLIENT_ADDRESS = new Uint8Array([192, 0, 2, 53]);
const client = { stream: false, address: () => CLIENT_ADDRESS };
const out = new Uint8Array(1232);

/** Prints the table. */
export function bench(args: string[]): Promise<void> {
  const names = Array.from({ length: NAMES }, (_, i) => `n${i}.example.org`);
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.10", "192.0.2.11"] }],
    services: Object.fromEntries(names.map((name) => [name, "web"])),
  });
  const packets = names.map((name) => query(name, "A"));
  const exchanges = CASES.map(({ sampleEvery, samplesPerSecond }) => {
    const fault = ({ reason }: { readonly reason: string }) => {
      throw new Error(reason);
    };
    const exchange = new Exchange(PLAIN, { sampleEvery, samplesPerSecond, rng: seededRng(1), fault });
    exchange.use(world.snapshot, world.board);
    return exchange;
  });
  printPairedRounds(
    CASES.map(({ name }, i) => ({ name, time: () => time(exchanges[i]!, packets) })),
    args,
  );
  console.log(`a line, decoded on the main thread  ${lineNs(exchanges.at(-1)!, packets).toFixed(0)} ns`);
  return Promise.resolve();
}

function time(exchange: Exchange, packets: readonly Uint8Array[]): number {
  const start = performance.now();
  for (let i = 0; i < ANSWERS_A_ROUND; i++) {
    const packet = packets[i % packets.length]!;
    const size = exchange.answerDatagram(packet, packet.length, client, out);
    if (size < packet.length) throw new Error(`An answer of ${size} bytes`);
    if (i % ANSWERS_A_BLOCK === 0) exchange.takeSamples();
    if (i % ANSWERS_A_SECOND === 0) exchange.refill();
  }
  return (performance.now() - start) * 1e6 / ANSWERS_A_ROUND;
}

function lineNs(exchange: Exchange, packets: readonly Uint8Array[]): number {
  exchange.takeSamples();
  exchange.refill();
  for (let i = 0; i < LINES; i++) {
    const packet = packets[i % packets.length]!;
    exchange.answerDatagram(packet, packet.length, client, out);
  }
  const bytes = exchange.takeSamples()!;
  const start = performance.now();
  let lines = 0;
  for (const sample of readSamples(bytes)) {
    if (JSON.stringify(recordOf(sample)).length > 0) lines++;
  }
  return (performance.now() - start) * 1e6 / lines;
}
