/**
 * Everything that is hostile, against a node that has well-behaved clients: `deno task prove hostile [MINUTES [PER_SECOND [ATTACK]]]`.
 *
 * For twenty minutes a real `serve` process answers 20,000 queries a second from dnsperf, while one attack after the
 * other, and every now and then all at once, is made on it from other addresses: connections that say nothing, half of
 * something, or ask and never read; queries that are none; a resolver and backends that answer what they must
 * not; bodies made to be dear; signals. No query of the well-behaved may be lost, over TCP and HTTP each must be
 * answered, the process must be the one that was started, complain of no error of its own, and keep no memory.
 *
 * @module
 */
import { raiseDescriptorLimit } from "../../src/node/descriptors.ts";
import { DnsLoad, isFlawless, type LoadReport, printLoad } from "../dns_load.ts";
import { type Flatness, ResidentMemory, SAMPLES } from "../resident_memory.ts";
import type { AttackersOrder, AttackersReport } from "./hostile/attackers.ts";
import { ATTACKS, type Victim } from "./hostile/attacks.ts";
import { GOOD_NAMES, Target } from "./hostile/target.ts";
import { WellBehaved } from "./hostile/well_behaved.ts";

/** How a run differs from the full one. */
export interface HostileOptions {
  readonly seconds: number;
  /** Queries that well-behaved clients offer. */
  readonly perSecond: number;
  /** How long one attack goes on. */
  readonly attackMs: number;
  /** Only attacks of whose names this is a part; `ALL_AT_ONCE` = nothing but that. */
  readonly only?: string;
  /** Whether the node's memory is judged. */
  readonly isMeasured?: boolean;
  readonly onProgress: (line: string) => void;
}

/** What came of it. */
export interface HostileReport {
  readonly load: LoadReport;
  /** How often something was done to the node: connections opened, packets and requests sent, a batch counting once. */
  readonly attacks: number;
  /** A line for each call of a well-behaved client that wasn't answered as it should be. */
  readonly unanswered: readonly string[];
  /** Lines of the log that tell of an error. */
  readonly complaints: readonly string[];
  /** How the process ended by itself; `null` = it didn't. */
  readonly ended: string | null;
  /** Slowest answers of the well-behaved, milliseconds. */
  readonly slowest: { readonly tcpMs: number; readonly httpMs: number };
  readonly memory: Flatness;
}

/** Runs the proof. */
export async function prove([minutes = "20", perSecond = "20000", only = ""]: string[]): Promise<boolean> {
  const report = await hostile({
    seconds: Number(minutes) * 60,
    perSecond: Number(perSecond),
    attackMs: 10_000,
    only,
    isMeasured: true,
    onProgress: (line) => console.log(line),
  });
  const { load, attacks, unanswered, complaints, ended, slowest, memory } = report;
  printLoad(load);
  console.log(`attacks            ${attacks}`);
  console.log(
    `slowest answers    ${slowest.tcpMs.toFixed(0)} ms over TCP, ${slowest.httpMs.toFixed(0)} ms over HTTP`,
  );
  console.log(`unanswered         ${unanswered.length}`);
  for (const line of unanswered.slice(0, 10)) console.log(`  ${line}`);
  console.log(`complaints         ${complaints.length}`);
  for (const line of complaints.slice(0, 10)) console.log(`  ${line}`);
  console.log(`process            ${ended ?? "the one that was started"}`);
  console.log(`memory             ${memory.text}`);
  return isSound(report) && memory.isFlat;
}

/** Whether nothing was lost, nothing ended and nothing complained. */
export function isSound({ load, unanswered, complaints, ended }: HostileReport): boolean {
  return isFlawless(load) && unanswered.length === 0 && complaints.length === 0 && ended === null;
}

/** Attacks a node. */
export async function hostile(options: HostileOptions): Promise<HostileReport> {
  const turns = turnsOf(options.only ?? "");
  raiseDescriptorLimit(); // the attackers are of this process
  await using target = await Target.start(options);
  const { serve, http } = target;
  using attackers = await Attackers.start({ dns: serve.dns, http, api: serve.api, pid: serve.pid });
  const memory = new ResidentMemory(serve.pid);
  let ended: string | null = null;
  serve.ended().then(({ code, signal }) => ended ??= signal ?? `ended with ${code}`);
  await using load = await DnsLoad.start({
    server: serve.dns,
    questions: GOOD_NAMES.map((name) => `${name} A`),
    perSecond: options.perSecond,
    seconds: options.seconds,
  });
  const over = new AbortController();
  const wellBehaved = new WellBehaved(target);
  const others = [
    wellBehaved.run(over.signal),
    attackInTurn(attackers, { ...options, turns }, over.signal),
    sampling(memory, options.seconds, over.signal),
  ];
  const report = await load.report();
  over.abort();
  await Promise.all(others);
  // Whether it still turns is asked once more when nothing disturbs it.
  await wellBehaved.askAll();
  const asExpected = ended;
  for (const l of serve.lines) if (l.includes('streams":')) console.log(l);
  return {
    load: report,
    attacks: attackers.made,
    unanswered: wellBehaved.unanswered,
    complaints: serve.lines.filter((line) => line.includes('"level":"error"') || !line.startsWith("{")),
    ended: asExpected,
    slowest: wellBehaved.slowest,
    memory: memory.judge(),
  };
}

/** What is told of all attacks together. */
const ALL_AT_ONCE = "all at once";

/** Names of attacks that are made at once. */
type Turn = readonly string[];

/** @throws {Error} where nothing is called so */
function turnsOf(only: string): readonly Turn[] {
  const names = Object.keys(ATTACKS);
  if (only === ALL_AT_ONCE) return [names];
  const all = names.filter((name) => name.includes(only));
  if (all.length > 0) return [...all.map((name) => [name]), all];
  throw new Error(`No attack has "${only}" in its name; there are: ${names.join(", ")}`);
}

/** One attack after the other, then all at once, and so on. */
async function attackInTurn(
  attackers: Attackers,
  { turns, attackMs, onProgress }: HostileOptions & { readonly turns: readonly Turn[] },
  over: AbortSignal,
): Promise<void> {
  const startMs = performance.now();
  over.addEventListener("abort", () => attackers.end());
  while (!over.aborted) {
    for (const attacks of turns) {
      if (over.aborted) return;
      const what = attacks.length === 1 ? attacks[0]! : ALL_AT_ONCE;
      onProgress(`${((performance.now() - startMs) / 1000).toFixed(0).padStart(5)} s  ${what}`);
      await attackers.make(attacks, attackMs);
    }
  }
}

/** The thread of those who attack. */
class Attackers implements Disposable {
  /** How often something was done so far. */
  made = 0;
  readonly #victim: Victim;
  readonly #worker = new Worker(new URL("./hostile/attackers.ts", import.meta.url), { type: "module" });
  #reported = Promise.withResolvers<AttackersReport>();

  private constructor(victim: Victim) {
    this.#victim = victim;
    this.#worker.onmessage = ({ data: report }: MessageEvent<AttackersReport>) => {
      const { resolve } = this.#reported;
      this.#reported = Promise.withResolvers();
      resolve(report);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#reported.reject(new Error(event.message));
    };
  }

  /** Starts it. */
  static async start(victim: Victim): Promise<Attackers> {
    using stack = new DisposableStack();
    const attackers = stack.use(new Attackers(victim));
    await attackers.#reported.promise;
    stack.move();
    return attackers;
  }

  /** Makes attacks at once, for so long, or until `end`. */
  async make(attacks: readonly string[], ms: number): Promise<void> {
    const ended = this.#reported.promise;
    this.#worker.postMessage({ victim: this.#victim, attacks, ms } satisfies AttackersOrder);
    this.made += (await ended)?.made ?? 0;
  }

  /** Ends attacks that are under way, for good. */
  end(): void {
    this.#worker.postMessage(null satisfies AttackersOrder);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

async function sampling(memory: ResidentMemory, seconds: number, over: AbortSignal): Promise<void> {
  const intervalMs = seconds * 1000 / SAMPLES;
  while (!over.aborted) {
    await memory.sample();
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}
