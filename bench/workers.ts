/**
 * How the engine scales: answers a second of two threads on one snapshot and one board, against those of one. No
 * sockets, so that what is seen is what workers share: the snapshot, which they only read, and the tickets of the
 * board, which both draw.
 *
 * `deno task bench workers [--answers N] [--rounds N] [--threads N]`. Rounds of one thread and of all take turns. The
 * ratio by the wall clock means something when as many cores are free; the ratio by CPU time — what an answer costs
 * one thread alone, over what it costs each of several at once — is what they cost each other and mostly
 * withstands a busy machine. With one name all threads draw from a single ticket, which is the worst case; with pools of
 * one member nothing is drawn, so that the difference to that is what exact rotation over all workers costs.
 *
 * @module
 */
import { cpuUsage } from "node:process";
import { query } from "../tests/dns/packets.ts";
import { type Declared, World } from "../tests/dns/world.ts";
import { declared, questions, WORKLOADS } from "./dns/workloads.ts";
import type { EngineOrder, EngineReport } from "./workers/thread.ts";

/** One after the other, and all at once. */
interface Round {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** Ratio of the answers a second of two threads to those of one, at least. */
const RATIO_MIN = 1.8;

/** Prints the ratios; 5,000,000 answers a thread, five rounds and two threads unless told otherwise. */
export async function bench(args: string[]): Promise<void> {
  const answers = numberAfter(args, "--answers") ?? 5_000_000;
  const rounds = numberAfter(args, "--rounds") ?? 5;
  const threads = numberAfter(args, "--threads") ?? 2;
  console.log(
    `load average ${Deno.loadavg()[0]!.toFixed(1)} on ${navigator.hardwareConcurrency} cores before; ` +
      `${answers} answers a thread, ${rounds} rounds; ratios: median (least–most)`,
  );
  console.log(
    `${"workload".padEnd(30)} one: ns/answer  ${threads}: answers/s ÷ one's     the same by CPU time`,
  );
  for (const workload of cases()) {
    const { ns, byWall, byCpu } = await compare(workload, { answers, rounds, threads });
    console.log(
      `${workload.title.padEnd(30)} ${ns.toFixed(0).padStart(14)}  ${spread(byWall).padEnd(24)}  ${
        spread(byCpu)
      }`,
    );
  }
  await printTickets({ rounds, threads });
  console.log(
    `load average ${Deno.loadavg()[0]!.toFixed(1)} after, these threads included; ` +
      `expected of two on free cores: at least ${RATIO_MIN}`,
  );
}

/** What is answered. */
interface Case {
  readonly title: string;
  readonly world: Declared;
  readonly packets: readonly Uint8Array[];
}

function cases(): Case[] {
  const drawn = WORKLOADS.filter(({ id, byPlace }) => id !== "d" && !byPlace).map((workload): Case => ({
    title: workload.title,
    world: declared(workload),
    packets: questions(workload).map(({ name }) => query(name, "A")),
  }));
  const { world, packets } = drawn.at(-1)!;
  const pools = world.pools!.map((pool) => ({ ...pool, members: pool.members.slice(0, 1) }));
  return [...drawn, { title: "the same, one member a pool", world: { ...world, pools }, packets }];
}

/** What a ticket costs by itself: the account of what the ratios lack. */
async function printTickets(
  { rounds, threads }: { readonly rounds: number; readonly threads: number },
): Promise<void> {
  const { world, packets } = cases()[1]!;
  const { snapshot, board } = new World(world);
  const team = await Promise.all(
    Array.from(
      { length: threads },
      (_, lane) => EngineThread.start({ kind: "prepare", snapshot, board: board.buffer, lane, packets }),
    ),
  );
  console.log("\nns a ticket, best of all rounds:  one thread alone   each of several");
  for (const slots of [1, world.pools!.length * 2]) {
    const best = [Infinity, Infinity];
    for (let round = 0; round < rounds; round++) {
      for (const [i, threads] of [team.slice(0, 1), team].entries()) {
        const start = performance.now();
        await Promise.all(threads.map((thread) => thread.draw(TICKETS, slots)));
        best[i] = Math.min(best[i]!, (performance.now() - start) * 1e6 / TICKETS);
      }
    }
    console.log(
      `${`${slots} slots`.padEnd(34)} ${best[0]!.toFixed(0).padStart(15)} ${
        best[1]!.toFixed(0).padStart(17)
      }`,
    );
  }
  for (const thread of team) thread.end();
}

/** Tickets that a thread draws in a round. */
const TICKETS = 5_000_000;

/** Rounds of one thread, each followed by one of all. */
async function compare(
  { world, packets }: Case,
  { answers, rounds, threads }: {
    readonly answers: number;
    readonly rounds: number;
    readonly threads: number;
  },
): Promise<{ readonly ns: number; readonly byWall: number[]; readonly byCpu: number[] }> {
  const { snapshot, board } = new World(world);
  const team = await Promise.all(
    Array.from(
      { length: threads },
      (_, lane) => EngineThread.start({ kind: "prepare", snapshot, board: board.buffer, lane, packets }),
    ),
  );
  const alone: number[] = [];
  const byWall: number[] = [];
  const byCpu: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const one = await time(team.slice(0, 1), answers);
    const all = await time(team, answers);
    alone.push(one.wallMs * 1e6 / answers);
    byWall.push(threads * one.wallMs / all.wallMs);
    byCpu.push(threads * threads * one.cpuMs / all.cpuMs);
  }
  for (const thread of team) thread.end();
  return { ns: Math.min(...alone), byWall, byCpu };
}

async function time(team: readonly EngineThread[], answers: number): Promise<Round> {
  const cpu = cpuUsage();
  const start = performance.now();
  await Promise.all(team.map((thread) => thread.answer(answers)));
  const wallMs = performance.now() - start;
  const { user, system } = cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000 };
}

/** An engine on a thread of its own. */
class EngineThread {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Resolves when it has warmed up. */
  static async start(order: EngineOrder): Promise<EngineThread> {
    const url = new URL("./workers/thread.ts", import.meta.url);
    const thread = new EngineThread(new Worker(url, { type: "module" }));
    await thread.#tell(order);
    return thread;
  }

  /** Answers so many; every one must be an answer. */
  async answer(count: number): Promise<void> {
    await this.#tell({ kind: "answer", count });
  }

  /** Draws so many tickets from as many slots in turn. */
  async draw(count: number, slots: number): Promise<void> {
    await this.#tell({ kind: "draw", count, slots });
  }

  end(): void {
    this.#worker.terminate();
  }

  #tell(order: EngineOrder): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data: { silent } }: MessageEvent<EngineReport>) =>
        silent === 0 ? resolve() : reject(new Error(`${silent} questions got no answer`));
      this.#worker.onerror = (event) => reject(new Error(event.message));
      this.#worker.postMessage(order);
    });
  }
}

function spread(ratios: readonly number[]): string {
  const sorted = ratios.toSorted((a, b) => a - b);
  const [median, least, most] = [sorted[sorted.length >> 1]!, sorted[0]!, sorted.at(-1)!];
  return `${median.toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`;
}

function numberAfter(args: readonly string[], flag: string): number | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : Number(args[at + 1]);
}
