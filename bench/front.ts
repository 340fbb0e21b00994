/**
 * What a relayed answer costs the balancer, and what it costs dnsdist: CPU time of the relaying process alone, in paired
 * rounds (ABBA), saturated and at a rate. Behind both stand programs in C that send back what they get, or the same node.
 *
 * `deno task bench front [--seconds N] [--rounds N] [--behind echo|node]`; with `--one-core` the balancer alone, all of its
 * threads on one core, and everything else on the others.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { BalancerProcess } from "../tests/front/balancer_process.ts";
import { freePort } from "../tests/free_port.ts";
import { ServeProcess } from "../tests/serve_process.ts";
import { cpuTime, processTree } from "./dns/account.ts";
import { buildC } from "./programs/c_program.ts";

/** What is offered. */
const LOADS = [
  { name: "256 under way", window: 256, perSecond: 0, ratioMax: 0.75 },
  { name: "64 under way", window: 64, perSecond: 0, ratioMax: null },
  { name: "20,000/s", window: 4096, perSecond: 20_000, ratioMax: 1.25 },
] as const;
const ONE_CORE_MIN = 120_000;

/** A program that relays, and how to end it. */
interface Relay extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

interface Round {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly lost: number;
}

/** Compares the two. */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: "string", default: "4" },
      rounds: { type: "string", default: "3" },
      behind: { type: "string", default: "echo" },
      "one-core": { type: "boolean", default: false },
    },
  });
  const folder = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  await Deno.mkdir(`${folder}/sockets`);
  const flood = await buildC("flood", folder);
  const questions = `${folder}/questions`;
  await Deno.writeTextFile(questions, "www.example.org A\n");
  const behind = values.behind === "node" ? await answeringNode(folder, stack) : await echoes(folder, stack);
  const ours = stack.use(await balancer(folder));
  const offer = { flood, questions, seconds: Number(values.seconds) };
  if (values["one-core"]) return await onOneCore(ours, behind.pids, offer);
  const relays = [ours, stack.use(await dnsdist(folder, behind.port))];
  for (const load of LOADS) {
    const rounds = relays.map((): Round[] => []);
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const i of [0, 1, 1, 0]) rounds[i]!.push(await measure(relays[i]!, { ...offer, ...load }));
    }
    for (const [i, relay] of relays.entries()) console.log(line(load.name, relay.name, rounds[i]!));
    const ratio = meanOf(rounds[0]!, "cpuUs") / meanOf(rounds[1]!, "cpuUs");
    const bound = load.ratioMax === null ? "" : ` (may be ${load.ratioMax})`;
    console.log(`${load.name.padEnd(14)} ratio ${ratio.toFixed(2)}${bound}`);
  }
}

/** What the balancer relays when all of its threads share one core. */
async function onOneCore(relay: Relay, others: readonly number[], offer: Offer): Promise<void> {
  const pin = (cores: string, pid: number) =>
    run("taskset", ["--all-tasks", "--cpu-list", "--pid", cores, `${pid}`]);
  await pin("0", relay.pid);
  for (const pid of others) await pin(OTHER_CORES, pid);
  const rounds: Round[] = [];
  for (let round = 0; round < 3; round++) {
    rounds.push(await measure(relay, { ...offer, window: 1024, perSecond: 0, cores: OTHER_CORES }));
  }
  console.log(line("one core", relay.name, rounds));
  console.log(`must be ${ONE_CORE_MIN}/s at least`);
}

/** All but the first. */
const OTHER_CORES = `1-${Math.max(1, navigator.hardwareConcurrency - 1)}`;

function line(load: string, name: string, rounds: readonly Round[]): string {
  const [perSecond, cpuUs, lost] = (["perSecond", "cpuUs", "lost"] as const).map((of) => meanOf(rounds, of));
  return `${load.padEnd(14)} ${name.padEnd(10)} ${perSecond!.toFixed(0).padStart(8)}/s  ` +
    `${cpuUs!.toFixed(2).padStart(6)} µs of CPU an answer  lost ${lost!.toFixed(0)}`;
}

function meanOf(rounds: readonly Round[], of: keyof Round): number {
  return rounds.reduce((sum, round) => sum + round[of], 0) / rounds.length;
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
}

/** Who answers: in `sockets`, and over UDP at this port. */
interface Behind {
  readonly port: number;
  readonly pids: readonly number[];
}

/** Programs that send back what they get. */
async function echoes(folder: string, stack: AsyncDisposableStack): Promise<Behind> {
  const port = freePort();
  const pids: number[] = [];
  for (
    const [name, args] of [["frame_echo", [`${folder}/sockets/5301`, "0"]], ["echo", [`${port}`]]] as const
  ) {
    const program = await buildC(name, folder);
    const child = new Deno.Command(program, { args: [...args], stdin: "piped", stdout: "null" }).spawn();
    pids.push(child.pid);
    stack.defer(async () => {
      await child.stdin.close(); // they end with it
      await child.status;
    });
  }
  return { port, pids };
}

/** A node that answers directly and behind the balancer. */
async function answeringNode(folder: string, stack: AsyncDisposableStack): Promise<Behind> {
  const settings = `${folder}/node.yaml`;
  await Deno.writeTextFile(
    settings,
    `dns: { domain: example.org, backendSocket: ${folder}/sockets/5301, cookies: { enabled: false } }\n` +
      "loadbalancer: { endpoints: [192.0.2.1] }\nworkers: 1\n",
  );
  const node = stack.use(await ServeProcess.start({ args: ["-c", settings, "--db", "none"] }));
  return { port: node.dns.port, pids: [node.pid] };
}

async function balancer(folder: string): Promise<Relay> {
  const process = await BalancerProcess.start(`${folder}/sockets`, { args: ["-l", "info"] });
  await process.line("backend is ok");
  return {
    ...{ name: "balancer", port: process.port, pid: process.pid },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

async function dnsdist(folder: string, backend: number): Promise<Relay> {
  const port = freePort();
  const file = `${folder}/dnsdist.conf`;
  await Deno.writeTextFile(
    file,
    `setLocal("127.0.0.1:${port}", {reusePort=false})\nsetACL("127.0.0.0/8")\n` +
      `newServer({address="127.0.0.1:${backend}", healthCheckMode="up"})\nsetUDPMultipleMessagesVectorSize(64)\n`,
  );
  const child = new Deno.Command("dnsdist", {
    args: ["--supervised", "--disable-syslog", "-C", file],
    ...{ stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  return {
    ...{ name: "dnsdist", port, pid: child.pid },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

interface Offer {
  readonly flood: string;
  readonly questions: string;
  readonly seconds: number;
}

async function measure(
  { port, pid }: Relay,
  { flood, questions, seconds, window, perSecond, cores }: Offer & {
    readonly window: number;
    /** 0 = as fast as answers come. */
    readonly perSecond: number;
    /** Where the load runs; absent = anywhere. */
    readonly cores?: string;
  },
): Promise<Round> {
  const tree = processTree(pid);
  const before = cpuTime(tree);
  const words = [flood, port, questions, seconds, window, 0, 1, perSecond].map(String);
  const [program, ...args] = cores === undefined ? words : ["taskset", "--cpu-list", cores, ...words];
  const { stdout } = await new Deno.Command(program!, { args }).output();
  const [answers = 0, took = 0, lost = 0] = new TextDecoder().decode(stdout).trim().split(/\s+/).map(Number);
  if (answers === 0) throw new Error("Nothing was answered");
  const cpu = cpuTime(tree).seconds - before.seconds;
  return { perSecond: answers / took, cpuUs: cpu * 1e6 / answers, lost };
}
