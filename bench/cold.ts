/**
 * Answers by place while little is known of clients: right after a start, when a site falls, so that the candidates of
 * every pool change at once, and when a member somewhere changes its health. 10,000 names, rules for continents over
 * five sites or the nearest of them, every query from another /24.
 *
 * The engine alone, in this process. What is made to have a world is collected first, since it isn't part of a worker: that
 * pause would be a third of a second of the next part. A collection that is asked for throws compiled code away, so that
 * behind it another world is asked until the code is there again. Means are CPU time; percentiles are not, and tell of other programs,
 * too. A ratio is to the answers of a warm engine, with three microseconds added to both: what the kernel takes to receive
 * and send a packet (docs/performance.md).
 *
 * `deno task bench cold [--answers N]`: so many of each part, 20,000 unless told otherwise, about what a resolver asks in
 * a second.
 *
 * @module
 */
import process from "node:process";
import { query } from "../tests/dns/packets.ts";
import { type Declared, World } from "../tests/dns/world.ts";
import { geoDatabase, questions, siteAddresses, WORKLOADS, ZONE } from "./dns/workloads.ts";
import { geoDataOf, SITES } from "./dns/geo_database.ts";

/** Runs when no name is given. */
export const quick = true;

const NAMES = 10_000;
const KERNEL_NS = 3000;
/** Answers before a map is made out ahead. */
const ASKED_BEFORE = 100;

/** What a part took, nanoseconds an answer. */
interface Part {
  readonly name: string;
  readonly mean: number;
  readonly p99: number;
  readonly most: number;
}

/** Prints a table for each kind of pool. */
export function bench(args: string[]): Promise<void> {
  const at = args.indexOf("--answers");
  const answers = at < 0 ? 20_000 : Number(args[at + 1]);
  const geoData = geoDataOf(geoDatabase().bytes);
  const packets = questions(WORKLOADS.find(({ id }) => id === "c")!).slice(0, 12 * answers)
    .map(({ name, subnet }) => query(name, "A", { ecs: subnet! }));
  for (const kind of ["rules for continents", "nearest site"] as const) {
    const parts = measure({ ...declared(kind), geoData }, packets, answers);
    const warm = parts.find(({ name }) => name === "warm")!;
    console.log(
      `${kind.padEnd(40)} ${"ns".padStart(7)} ${"p99 ns".padStart(8)} ${"most ms".padStart(8)}  × warm`,
    );
    for (const { name, mean, p99, most } of parts) {
      const ratio = (mean + KERNEL_NS) / (warm.mean + KERNEL_NS);
      console.log(
        `${name.padEnd(40)} ${mean.toFixed(0).padStart(7)} ${p99.toFixed(0).padStart(8)} ` +
          `${(most / 1e6).toFixed(2).padStart(8)}  ${ratio.toFixed(2)}`,
      );
    }
  }
  return Promise.resolve();
}

function measure(world: Declared, packets: readonly Uint8Array[], answers: number): Part[] {
  const spare = opened(world, packets);
  collect();
  const first = { name: "start, code not compiled yet, a tenth", ...spare.ask(answers / 10) };
  const start = { name: "start, behind that", ...spare.ask(answers) };
  const { health, ask } = opened(world, packets);
  const later = opened(world, packets);
  const part = (name: string) => ({ name, ...ask(answers) });
  collect();
  for (let i = 0; i < 5; i++) spare.ask(answers);
  const restart = part("start with compiled code");
  later.ask(ASKED_BEFORE);
  const begin = ownCpuNs();
  later.makeAhead();
  const aheadMs = ((ownCpuNs() - begin) / 1e6).toFixed(0);
  const ahead = { name: `start, made out ahead in ${aheadMs} ms`, ...later.ask(answers) };
  for (let i = 0; i < 11; i++) ask(answers);
  const warm = part("warm");
  health(Object.fromEntries(Array.from({ length: NAMES }, (_, i) => [siteAddresses(i)[0]!, false])));
  const fallen = part("a site falls");
  for (let i = 0; i < 11; i++) ask(answers);
  health({ [siteAddresses(7)[1]!]: false });
  return [first, start, restart, ahead, warm, fallen, part("a member elsewhere falls")];
}

/** Collects what was made for a world, hundreds of megabytes: else that is done while something is measured. */
function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

/** A world, and what it asks: the packets one after the other, in turn. */
function opened(declared: Declared, packets: readonly Uint8Array[]) {
  const world = new World(declared);
  const out = new Uint8Array(1232);
  const address = new Uint8Array([192, 0, 2, 53]);
  const client = { stream: false, address: () => address };
  let next = 0;
  const ask = (count: number) => {
    const times = new Float64Array(count);
    let before = performance.now();
    const begin = ownCpuNs();
    for (let i = 0; i < count; i++) {
      const packet = packets[next++ % packets.length]!;
      if (world.engine.answer(packet, packet.length, client, out, out.length) === 0) {
        throw new Error("no answer");
      }
      const now = performance.now();
      times[i] = (now - before) * 1e6;
      before = now;
    }
    const mean = (ownCpuNs() - begin) / count;
    times.sort();
    return {
      mean,
      p99: times[Math.floor(count * 0.99)]!,
      most: times.at(-1)!,
    };
  };
  return {
    ask,
    health: (verdicts: Record<string, boolean>) => world.health(verdicts),
    makeAhead: () => world.engine.makeAhead(() => false),
  };
}

/** CPU time of the process, compiler and collector included: what others do on the machine isn't in it. */
function ownCpuNs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

function declared(kind: "rules for continents" | "nearest site"): Declared {
  const isNearest = kind === "nearest site";
  return {
    pools: Array.from({ length: NAMES }, (_, i) => ({
      name: `p${i}`,
      algorithm: isNearest ? "geoip" as const : "round-robin" as const,
      members: SITES.map(({ latitude, longitude }, site) => ({
        ipAddress: siteAddresses(i)[site]!,
        ...isNearest ? { latitude, longitude } : {},
      })),
      geoRules: isNearest ? [] : SITES.map(({ continent }, member) => ({ continent, member })),
    })),
    services: Object.fromEntries(Array.from({ length: NAMES }, (_, i) => [`n${i}.${ZONE}`, `p${i}`])),
  };
}
