/**
 * Answers by place while little is known of clients: in the first second after a start, when a site falls, so that the
 * candidates of every pool change at once, and when a member somewhere changes its health. 10,000 names, rules for
 * continents over five sites or the nearest of them, every query from another /24.
 *
 * Each kind of pool has a thread of its own, as a DNS worker is one: what has been compiled elsewhere is of no use to it. It answers
 * 20 queries each millisecond, with a worker's slices of work ahead in between; a part is a second of that. Means
 * are CPU time of the thread and of those that compile and collect for it, work ahead included; percentiles are
 * not, and tell of other programs, too. A ratio is to the answers of a warm engine, with three microseconds
 * added to both: what the kernel takes to receive and send a packet (docs/performance.md).
 *
 * What a start leaves to be done after the first answer is in none of this, so a node as it is shipped is asked as well: the
 * executable (`PLEIADES_EXECUTABLE`, else `dist/pleiades`, if it is there), over UDP, and with the processor time of all of its
 * threads, the kernel's for them included; after a start, and when an operator forces a site down in all pools.
 *
 * `deno task bench cold [--answers N]`: so many of each part, 20,000 unless told otherwise.
 *
 * @module
 */
import { query } from "../tests/dns/packets.ts";
import { type Declared, World } from "../tests/dns/world.ts";
import type { CpuShares } from "./cold/cpu.ts";
import { nodeTaken } from "./cold/node.ts";
import type { ColdOrder, Queries, Taken } from "./cold/thread.ts";
import { geoDatabase, questions, siteAddresses, WORKLOADS, ZONE } from "./dns/workloads.ts";
import { geoDataOf, SITES } from "./dns/geo_database.ts";

/** Runs when no name is given. */
export const quick = true;

const NAMES = 10_000;
const KERNEL_NS = 3000;
const PER_MS = 20;
/** Parts' worth of queries, the last of which are of clients that are new to warm code; then every client is known. */
const QUERIES = 12;
/** What an answer may cost, as a multiple of a warm one, … */
const RATIO_MAX = 1.2;
/** … and in how many milliseconds 99 of 100 have to be given. */
const P99_MAX_MS = 3;

/** A second of answers. */
interface Part extends Taken {
  readonly name: string;
  /** CPU time of an answer, nanoseconds. */
  readonly mean: number;
}

/** Prints a table for each kind of pool. */
export async function bench(args: string[]): Promise<void> {
  const at = args.indexOf("--answers");
  const answers = at < 0 ? 20_000 : Number(args[at + 1]);
  const geoData = geoDataOf(geoDatabase().bytes);
  const queries = queriesOf(
    questions(WORKLOADS.find(({ id }) => id === "c")!).slice(0, QUERIES * answers)
      .map(({ name, subnet }) => query(name, "A", { ecs: subnet! })),
  );
  for (const kind of ["rules for continents", "nearest site"] as const) {
    print(kind, await measure(new World({ ...declared(kind), geoData }), { queries, answers }));
  }
  await printNode(answers);
}

async function printNode(answers: number): Promise<void> {
  const taken = await nodeTaken(answers);
  if (taken === null) return console.log("no executable: deno task compile");
  const { seconds, forceDownMs } = taken;
  const known = seconds.find(({ name }) => name.startsWith("later"))!;
  console.log(`${"the executable, nearest site".padEnd(34)}     ns  main thread     V8's   others  × later`);
  for (const { name, perAnswer } of seconds) {
    const ratio = sumOf(perAnswer) / sumOf(known.perAnswer);
    const shares = [perAnswer.main, perAnswer.v8, perAnswer.others].map((ns) => ns.toFixed(0));
    console.log(
      `${name.padEnd(34)} ${sumOf(perAnswer).toFixed(0).padStart(6)} ${shares[0]!.padStart(12)} ` +
        `${shares[1]!.padStart(8)} ${shares[2]!.padStart(8)}  ${ratio.toFixed(2)}`,
    );
  }
  console.log(`to force a site down in all pools: ${forceDownMs.toFixed(0)} ms`);
}

function sumOf({ main, v8, others }: CpuShares): number {
  return main + v8 + others;
}

function print(kind: string, parts: readonly Part[]): void {
  const warm = parts.find(({ name }) => name === "warm")!;
  console.log(
    `${kind.padEnd(34)} ${"ns".padStart(6)} ${"of it ahead".padStart(11)} ${"p99 ms".padStart(7)} ${
      "most ms".padStart(8)
    }  × warm`,
  );
  for (const { name, mean, aheadNs, p99, most } of parts) {
    const ratio = (mean + KERNEL_NS) / (warm.mean + KERNEL_NS);
    const isAbove = ratio > RATIO_MAX || p99 > P99_MAX_MS * 1e6;
    console.log(
      `${name.padEnd(34)} ${mean.toFixed(0).padStart(6)} ${aheadNs.toFixed(0).padStart(11)} ` +
        `${(p99 / 1e6).toFixed(3).padStart(7)} ${(most / 1e6).toFixed(2).padStart(8)}  ${ratio.toFixed(2)}` +
        `${isAbove ? ` ABOVE ${RATIO_MAX} or ${P99_MAX_MS} ms` : ""}`,
    );
  }
}

async function measure(
  world: World,
  { queries, answers }: { readonly queries: Queries; readonly answers: number },
): Promise<Part[]> {
  const part = async (name: string, thread: Thread): Promise<Part> => {
    const taken = await thread.tell({ kind: "ask", answers, perMs: PER_MS });
    return { ...taken, name, mean: taken.cpuNs / answers, aheadNs: taken.aheadNs / answers };
  };
  using thread = new Thread();
  await thread.loaded;
  const know = (parts: number) => thread.tell({ kind: "ask", answers: parts * answers, perMs: Infinity });
  const { snapshot, board: { buffer: board } } = world;
  thread.begin({ kind: "begin", snapshot, board, queries });
  const start = await part("a start", thread);
  await know(QUERIES - 2);
  const fresh = await part("warm, clients new", thread);
  const warm = await part("warm", thread);
  world.health(Object.fromEntries(Array.from({ length: NAMES }, (_, i) => [siteAddresses(i)[0]!, false])));
  const fallen = await part("a site falls", thread);
  await know(QUERIES - 1);
  world.health({ [siteAddresses(7)[1]!]: false });
  return [start, fresh, warm, fallen, await part("a member elsewhere falls", thread)];
}

/** The thread that answers. Disposing ends it. */
class Thread implements Disposable {
  readonly #worker = new Worker(new URL("./cold/thread.ts", import.meta.url), { type: "module" });

  /** Resolves when it hears orders. */
  readonly loaded = new Promise<void>((resolve) => this.#worker.onmessage = () => resolve());

  /** Gives it what it answers from. */
  begin(order: ColdOrder & { readonly kind: "begin" }): void {
    this.#worker.postMessage(order);
  }

  /** Resolves when it has answered. */
  async tell(order: ColdOrder & { readonly kind: "ask" }): Promise<Taken> {
    const { promise, resolve, reject } = Promise.withResolvers<Taken>();
    this.#worker.onmessage = ({ data }: MessageEvent<Taken>) => resolve(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    this.#worker.postMessage(order);
    return await promise;
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

function queriesOf(packets: readonly Uint8Array[]): Queries {
  const ends = new SharedArrayBuffer(packets.length * 4);
  const bytes = new SharedArrayBuffer(packets.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const [i, packet] of packets.entries()) {
    new Uint8Array(bytes).set(packet, end);
    new Uint32Array(ends)[i] = end += packet.length;
  }
  return { bytes, ends };
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
