/**
 * Our DNS transports beside a bare C echo of the same packets, by dnsperf, in one run.
 *
 * Rounds are interleaved, server and load are pinned to a core each, and every figure is the median over the rounds.
 * Absolute figures are those of a noisy machine: the result is the ratio to the echo, above all in CPU-seconds per
 * million answers, which doesn't depend on how fast dnsperf asks.
 *
 * `deno task bench dns [--rounds N] [--seconds N]`; about half a minute by default.
 *
 * @module
 */
import { program } from "../tests/programs.ts";
import { questions } from "./dns_names.ts";

/** Runs when no name is given. */
export const quick = true;

/** One server under load. */
interface Server {
  readonly name: string;
  readonly child: Deno.ChildProcess;
  readonly port: number;
}

/** What one round showed. */
interface Round {
  readonly perSecond: number;
  /** CPU-seconds per million answers, all threads. */
  readonly cpu: number;
  readonly lost: number;
}

/** What is asked for how long. */
interface Load {
  readonly queryFile: string;
  readonly seconds: number;
}

/** All that is known of one server. */
interface Result {
  readonly server: Server;
  readonly rounds: Round[];
  readonly latenciesMs: number[];
}

const SERVER_CORE = "0";
const LOAD_CORE = "1";
/** Queries a second at which latency is taken. */
const CALM_PER_SECOND = 10_000;
/** Ticks of /proc/PID/stat a second; fixed in Linux's interface to programs. */
const TICKS_PER_SECOND = 100;
const NEEDED = {
  cc: "builds the echo (apt install gcc)",
  dnsperf: "makes the load (apt install dnsperf)",
  taskset: "pins server and load (apt install util-linux)",
};

/** Prints the table. */
export async function bench(args: string[]): Promise<void> {
  const missing = Object.entries(NEEDED).filter(([name]) => program(name) === null);
  for (const [name, use] of missing) console.log(`not measured: ${name} is missing; it ${use}`);
  if (missing.length > 0) return;
  const rounds = numberAfter(args, "--rounds") ?? 3;
  const seconds = numberAfter(args, "--seconds") ?? 2;
  const folder = await Deno.makeTempDir({ prefix: "bench-dns-" });
  const servers: Server[] = [];
  try {
    const queryFile = `${folder}/queries`;
    await Deno.writeTextFile(queryFile, questions(100_000).map((name) => `${name} A\n`).join(""));
    servers.push(await start("C echo", [await buildEcho(folder)]));
    for (const transport of transports()) servers.push(await start(`ours, ${transport}`, ours(transport)));
    for (const server of servers) await load(server, { queryFile, seconds: 1 }); // code gets compiled
    const results = servers.map((server): Result => ({ server, rounds: [], latenciesMs: [] }));
    for (let round = 0; round < rounds; round++) {
      for (const { server, rounds } of results) rounds.push(await load(server, { queryFile, seconds }));
    }
    for (const { server, latenciesMs } of results) {
      latenciesMs.push(...await latencies(server, { queryFile, seconds: 1 }));
    }
    print(results, seconds);
  } finally {
    for (const { child } of servers) await stop(child);
    await Deno.remove(folder, { recursive: true });
  }
}

function transports(): string[] {
  return Deno.build.os === "linux" ? ["linux", "portable"] : ["portable"];
}

function ours(transport: string): string[] {
  const script = new URL("./dns_server.ts", import.meta.url).pathname;
  return [Deno.execPath(), "run", "-A", "--unstable-net", "--no-check", script, transport];
}

async function buildEcho(folder: string): Promise<string> {
  const source = new URL("./echo.c", import.meta.url).pathname;
  const { success, stderr } = await new Deno.Command("cc", { args: ["-O2", "-o", `${folder}/echo`, source] })
    .output();
  if (!success) throw new Error(`Cannot build echo.c: ${new TextDecoder().decode(stderr)}`);
  return `${folder}/echo`;
}

/** Starts a server, which says its port on the first line. */
async function start(name: string, command: readonly string[]): Promise<Server> {
  const child = new Deno.Command("taskset", {
    args: ["-c", SERVER_CORE, ...command],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  for await (const bytes of child.stdout.values({ preventCancel: true })) {
    return { name, child, port: Number(new TextDecoder().decode(bytes)) };
  }
  throw new Error(`Cannot measure "${name}": it ended without naming its port`);
}

/** A server ends with its stdin. */
async function stop(child: Deno.ChildProcess): Promise<void> {
  await child.stdin.close();
  await child.stdout.cancel();
  await child.status;
}

/** As fast as the server answers, with 200 queries under way. */
async function load({ name, child, port }: Server, { queryFile, seconds }: Load): Promise<Round> {
  const before = cpuSeconds(child.pid);
  const report = await dnsperf(port, queryFile, ["-l", String(seconds), "-c", "4", "-q", "200"]);
  const cpu = cpuSeconds(child.pid) - before;
  return {
    perSecond: figure(report, /Queries per second:\s+([\d.]+)/, name),
    cpu: cpu * 1e6 / figure(report, /Queries completed:\s+(\d+)/, name),
    lost: figure(report, /Queries lost:\s+(\d+)/, name),
  };
}

/** Milliseconds at a load that any of them bears, sorted. */
async function latencies({ port }: Server, { queryFile, seconds }: Load): Promise<number[]> {
  const args = ["-l", String(seconds), "-c", "4", "-Q", String(CALM_PER_SECOND), "-v"];
  const report = await dnsperf(port, queryFile, args);
  return [...report.matchAll(/^> \S+ \S+ \S+ ([\d.]+)$/gm)].map(([, s]) => Number(s) * 1000)
    .sort((a, b) => a - b);
}

async function dnsperf(port: number, queryFile: string, args: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command("taskset", {
    args: ["-c", LOAD_CORE, "dnsperf", "-s", "127.0.0.1", "-p", String(port), "-d", queryFile, ...args],
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

function figure(text: string, expression: RegExp, name: string): number {
  const found = expression.exec(text);
  if (!found) throw new Error(`Cannot read dnsperf's report on "${name}":\n${text}`);
  return Number(found[1]);
}

/** CPU time of a process with all its threads, from fields 14 and 15 of its `stat` (proc(5)). */
function cpuSeconds(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function rssMebibytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]) / 1024;
}

function print(results: readonly Result[], seconds: number): void {
  console.log(
    `10,000 names, 10 % NXDOMAIN; ${results[0]!.rounds.length} rounds of ${seconds} s, medians; ` +
      `server on core ${SERVER_CORE}, dnsperf on core ${LOAD_CORE}; latency at ${CALM_PER_SECOND} queries/s`,
  );
  console.log(
    row(["", "queries/s", "of echo", "CPU s/million", "× echo", "p50 ms", "p99 ms", "lost", "RSS MiB"]),
  );
  const echo = results[0]!.rounds;
  for (const { server, rounds, latenciesMs } of results) {
    const of = (value: (round: Round, i: number) => number) => median(rounds.map(value));
    console.log(row([
      server.name,
      of((round) => round.perSecond).toFixed(0),
      `${of((round, i) => 100 * round.perSecond / echo[i]!.perSecond).toFixed(0)} %`,
      of((round) => round.cpu).toFixed(2),
      of((round, i) => round.cpu / echo[i]!.cpu).toFixed(2),
      ...[0.5, 0.99].map((share) => latenciesMs[Math.floor(latenciesMs.length * share)]?.toFixed(3) ?? "–"),
      rounds.reduce((sum, { lost }) => sum + lost, 0).toFixed(0),
      rssMebibytes(server.child.pid).toFixed(0),
    ]));
  }
}

function row(cells: readonly string[]): string {
  const [name, ...figures] = cells;
  return name!.padEnd(16) + figures.map((figure) => figure.padStart(14)).join("");
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

function numberAfter(args: readonly string[], flag: string): number | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : Number(args[at + 1]);
}
