/**
 * What the licence gate costs: `deno task bench license [--rounds N] [--pairs N]`.
 *
 * First the answering side of a worker alone, in paired rounds with the gate off and on: for batches of 64 and of one
 * packet, far from the limit and near it, where each packet takes for itself. Then whole workers, with the limits that a
 * node has by default: the CPU time of a fleet under a steady load, with licensing on and off in turn, twice a second.
 * Other programs on the machine show in the quartiles; what is judged is the lower one.
 *
 * @module
 */
import { cpuUsage } from "node:process";
import { setTimeout as wait } from "node:timers/promises";
import { seededRng } from "../src/clock.ts";
import { Exchange } from "../src/dns/exchange.ts";
import { type LimitTerms, NO_LIMITS } from "../src/dns/limits.ts";
import { Allowance, type AllowanceTerms } from "../src/license/allowance.ts";
import { LicenseGate } from "../src/license/gate.ts";
import { Loopback } from "../tests/dns/loopback.ts";
import { query } from "../tests/dns/packets.ts";
import { type Declared, PLAIN, World } from "../tests/dns/world.ts";
import { buildC } from "./programs/c_program.ts";
import { median, printPairedRounds } from "./timing/paired_rounds.ts";

const NAMES = 10_000;
const ANSWERS_A_ROUND = 320_000;
/** Transports of a busy node; one that has little to do spends its time on waking up. */
const LOADS = [
  { transport: "linux", by: "udp", perSecond: 60_000 },
  { transport: "portable", by: "udp", perSecond: 20_000 },
  { transport: "linux", by: "tcp", perSecond: 20_000 },
] as const;
const RATIO_MAX = 1.02;
/** As a node has them by default: cookies are on, and there are no others. */
const OF_A_NODE: LimitTerms = { ...NO_LIMITS, cookieSecrets: [new Uint8Array(16).fill(7)] };
/** Between two changes of what is on; what else the machine does changes more slowly. */
const SLICE_MS = 500;
const FAR: AllowanceTerms = { limit: 1_000_000_000, expiresAt: null, standing: "valid" };
/** A window that is always near its end, and never there: a second is over after fewer answers. */
const NEAR: AllowanceTerms = { ...FAR, limit: 1_000 };
const ANSWERS_A_SECOND_NEAR = 640;

const CASES = [
  { name: "off, batches of 64", gate: gateOf(null), batch: 64 },
  { name: "on, batches of 64", gate: gateOf(FAR), batch: 64 },
  { name: "on, near the limit, batches of 64", gate: gateOf(NEAR), batch: 64 },
];
const SINGLE_CASES = [
  { name: "off, single packets", gate: gateOf(null), batch: 1 },
  { name: "on, single packets", gate: gateOf(FAR), batch: 1 },
];

const CLIENT = new Uint8Array([192, 0, 2, 53]);
const client = { stream: false, address: () => CLIENT };
const out = new Uint8Array(1232);

/** Prints the tables. @throws {Error} when licensing costs more than 2 % of CPU time in three pairs of four */
export async function bench(args: string[]): Promise<void> {
  const names = Array.from({ length: NAMES }, (_, i) => `n${i}.example.org`);
  const declared: Declared = {
    pools: [{ name: "web", members: ["192.0.2.10", "192.0.2.11"] }],
    services: Object.fromEntries(names.map((name) => [name, "web"])),
  };
  const packets = names.map((name) => query(name, "A"));
  for (const cases of [CASES, SINGLE_CASES]) {
    printPairedRounds(cases.map((each) => ({ name: each.name, time: timed(declared, packets, each) })), args);
  }
  const ratios = await wholeWorkers(declared, names[0]!, args);
  if (ratios.some((ratio) => ratio > RATIO_MAX)) throw new Error("Licensing costs more than 2 %");
}

type MakeGate = (clock: { unixMs: number }) => LicenseGate;

function gateOf(terms: AllowanceTerms | null): MakeGate {
  const allowance = Allowance.create();
  allowance.set(terms);
  // The real clock is read as well, so that what it costs is in the figure.
  return (clock) => new LicenseGate(allowance, () => Date.now() * 0 + clock.unixMs);
}

function timed(
  declared: Declared,
  packets: readonly Uint8Array[],
  { gate, batch }: { readonly gate: MakeGate; readonly batch: number },
): () => number {
  const world = new World(declared);
  const clock = { unixMs: 0 };
  const fault = ({ reason }: { readonly reason: string }) => {
    throw new Error(reason);
  };
  const watchers = { sampleEvery: 1, samplesPerSecond: 0, rng: seededRng(1), fault };
  const exchange = new Exchange(PLAIN, watchers, gate(clock));
  exchange.use(world.snapshot, world.board);
  return () => {
    const start = performance.now();
    for (let i = 0; i < ANSWERS_A_ROUND; i += batch) {
      if (i % ANSWERS_A_SECOND_NEAR === 0) clock.unixMs += 1000;
      exchange.begin(batch);
      for (let j = i; j < i + batch; j++) {
        const packet = packets[j % NAMES]!;
        exchange.read(0, packet, packet.length);
        const size = exchange.answerRead(0, packet, packet.length, client, out);
        if (size === 0 || (out[3]! & 15) !== 0) throw new Error("No answer");
      }
      exchange.end();
    }
    return (performance.now() - start) * 1e6 / ANSWERS_A_ROUND;
  };
}

/** @returns CPU time with licensing on ÷ off, for each load: the lower quartile */
async function wholeWorkers(declared: Declared, name: string, args: readonly string[]): Promise<number[]> {
  const pairs = numberAfter(args, "--pairs") ?? 60;
  const folder = await Deno.makeTempDir({ prefix: "bench-license-" });
  try {
    const offer = await buildC("offer", folder);
    console.log(
      `${"CPU time".padEnd(34)}       off        on  on ÷ off: median (quartiles) of ${pairs} pairs`,
    );
    const ratios: number[] = [];
    for (const { transport, by, perSecond } of LOADS) {
      const allowance = Allowance.create();
      await using loopback = await Loopback.start(declared, { transport, allowance, limits: OF_A_NODE });
      const load = new Deno.Command(offer, {
        args: [loopback.address.port, name, by, perSecond, pairs * 2 * SLICE_MS / 1000 + 60].map(String),
        stdout: "null",
      }).spawn();
      await wait(2_000);
      const off: number[] = [];
      const on: number[] = [];
      for (let pair = 0; pair < pairs; pair++) {
        // Which comes first alternates, so that neither gains by it.
        for (const terms of pair % 2 === 0 ? [null, FAR] : [FAR, null]) {
          allowance.set(terms);
          (terms === null ? off : on).push(await cpuShareOf(SLICE_MS));
        }
      }
      load.kill();
      await load.status;
      const paired = on.map((share, pair) => share / off[pair]!).sort((a, b) => a - b);
      const [low, middle, high] = [0.25, 0.5, 0.75].map((share) =>
        paired[Math.floor(paired.length * share)]!
      );
      ratios.push(low!);
      const percent = (shares: readonly number[]) => `${(median(shares) * 100).toFixed(1)} %`.padStart(10);
      console.log(
        `${`${by.toUpperCase()}, ${transport}, ${perSecond} a second`.padEnd(34)}${percent(off)}${
          percent(on)
        }  ` +
          `${middle!.toFixed(3)} (${low!.toFixed(3)}–${high!.toFixed(3)})`,
      );
    }
    return ratios;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Of this process, all of its threads, in the next milliseconds; 1 = a core. */
async function cpuShareOf(ms: number): Promise<number> {
  const start = performance.now();
  const before = cpuUsage();
  await wait(ms);
  const { user, system } = cpuUsage(before);
  return (user + system) / 1000 / (performance.now() - start);
}

function numberAfter(args: readonly string[], flag: string): number | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : Number(args[at + 1]);
}
