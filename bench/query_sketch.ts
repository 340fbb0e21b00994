/**
 * What the query sketch costs: `deno task bench query_sketch [--rounds N]`.
 *
 * The same queries, of 10,000 names from 5,000 networks, go through the answering side of a worker with several settings,
 * in turn, round after round; a round's figure is compared with that of the same round without a sketch. What was counted
 * is taken once a second, at 100,000 queries a second. What the main thread does with it is measured apart: reading and
 * adding up per counted query, and writing per row, with the longest turn.
 *
 * @module
 */
import { seededRng, systemClock } from "../src/clock.ts";
import { Exchange } from "../src/dns/exchange.ts";
import { readTraffic } from "../src/dns/traffic_block.ts";
import { Store } from "../src/store/store.ts";
import { Sketch } from "../src/traffic/sketch.ts";
import { COUNTED_A_SECOND, hourOf } from "../src/traffic/traffic.ts";
import { query } from "../tests/dns/packets.ts";
import { PLAIN, World } from "../tests/dns/world.ts";
import { median, printPairedRounds } from "./timing/paired_rounds.ts";

/** Runs when no name is given. */
export const quick = true;

const NAMES = 10_000;
const NETWORKS = 5_000;
const ANSWERS_A_ROUND = 300_000;
const ANSWERS_A_SECOND = 100_000;
const MINUTE = 60;
const CASES = [
  { name: "no sketch", share: 0 },
  { name: "queries.sketch: true", share: COUNTED_A_SECOND },
  { name: "every query counted", share: Number.MAX_SAFE_INTEGER },
];

const address = new Uint8Array(4);
const client = { stream: false, address: () => address };
const out = new Uint8Array(1232);

/** Prints the tables. */
export async function bench(args: string[]): Promise<void> {
  const names = Array.from({ length: NAMES }, (_, i) => `n${i}.example.org`);
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.10", "192.0.2.11"] }],
    services: Object.fromEntries(names.map((name) => [name, "web"])),
  });
  const packets = names.map((name) => query(name, "A"));
  const exchanges = CASES.map(({ share }) => {
    const fault = ({ reason }: { readonly reason: string }) => {
      throw new Error(reason);
    };
    const exchange = new Exchange(PLAIN, { sampleEvery: 1, samplesPerSecond: 0, rng: seededRng(1), fault });
    exchange.use(world.snapshot, world.board);
    exchange.countTraffic(share);
    return exchange;
  });
  printPairedRounds(
    CASES.map(({ name }, i) => ({ name, time: () => time(exchanges[i]!, packets) })),
    args,
  );
  await printWriting(exchanges[1]!, packets);
}

function time(exchange: Exchange, packets: readonly Uint8Array[]): number {
  const start = performance.now();
  for (let i = 0; i < ANSWERS_A_ROUND; i++) {
    const size = ask(exchange, packets, i);
    if (size === 0) throw new Error("No answer");
    if (i % ANSWERS_A_SECOND === 0) {
      exchange.takeTraffic();
      exchange.refill();
    }
  }
  return (performance.now() - start) * 1e6 / ANSWERS_A_ROUND;
}

function ask(exchange: Exchange, packets: readonly Uint8Array[], i: number): number {
  const packet = packets[i % NAMES]!;
  const network = (i * 7) % NETWORKS;
  address[1] = network >> 8;
  address[2] = network;
  return exchange.answerDatagram(packet, packet.length, client, out);
}

/** Three minutes of 100,000 queries a second, written to a file minute by minute. */
async function printWriting(exchange: Exchange, packets: readonly Uint8Array[]): Promise<void> {
  const folder = await Deno.makeTempDir();
  using store = Store.open(`${folder}/pleiades.db`);
  const hour = hourOf(systemClock.unixMs());
  for (let minute = 0; minute < 3; minute++) {
    const sketch = new Sketch();
    let readMs = 0;
    let counted = 0;
    for (let second = 0; second < MINUTE; second++) {
      for (let i = 0; i < ANSWERS_A_SECOND; i++) ask(exchange, packets, i);
      const bytes = exchange.takeTraffic()!;
      const start = performance.now();
      for (const each of readTraffic(bytes)) {
        sketch.add(hour, each);
        counted++;
      }
      readMs += performance.now() - start;
      exchange.refill();
    }
    const start = performance.now();
    const counts = sketch.drain();
    const drainMs = performance.now() - start;
    const steps: number[] = [];
    const writing = store.traffic.writing(counts, { maxBytes: 64 * 1024 * 1024, onDropped: () => {} });
    for (let isMore = true; isMore;) {
      const stepStart = performance.now();
      isMore = writing.step();
      steps.push(performance.now() - stepStart);
    }
    const { rows, bytes } = store.traffic.kept();
    const wal = Deno.statSync(`${folder}/pleiades.db-wal`).size;
    console.log(
      `minute ${minute + 1}: ${counted} counted, ${(readMs * 1000 / counted).toFixed(1)} µs to read each; ` +
        `drained in ${drainMs.toFixed(1)} ms; written in ${steps.length} steps, ${
          sum(steps).toFixed(0)
        } ms in all, ` +
        `median ${median(steps).toFixed(1)} ms, 99 % ${
          steps.toSorted((a, b) => a - b)[Math.floor(steps.length * 0.99)]!.toFixed(1)
        } ms, ` +
        `longest ${Math.max(...steps).toFixed(1)} ms; ${rows} rows, ${(bytes / 1e6).toFixed(1)} MB, log ${
          (wal / 1e6).toFixed(1)
        } MB`,
    );
  }
  await Deno.remove(folder, { recursive: true });
}

function sum(figures: readonly number[]): number {
  return figures.reduce((all, figure) => all + figure, 0);
}
