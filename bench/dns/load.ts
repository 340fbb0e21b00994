/**
 * Load on a server, from a core of its own: `flood.c` for as much as the server can bear, dnsperf at a fixed rate and for
 * latency.
 *
 * dnsperf can't ask as fast as the better servers answer; where it is the limit, they wait in between, and what an
 * answer costs then depends on how they wait. Its receive buffer is made large (`-b`), for otherwise it is dnsperf that loses
 * answers. What it prints goes to a file, so that nobody reads along while it measures.
 *
 * @module
 */

/** What to ask. */
export interface Load {
  /** Of the server, on 127.0.0.1. */
  readonly port: number;
  /** One question a line. */
  readonly queryFile: string;
  /** How long. */
  readonly seconds: number;
  /** Whether every question has an OPT record, as nearly all of a resolver's have. */
  readonly edns: boolean;
}

/** Load by `flood.c`. */
export interface Flood extends Load {
  /** What `flood.c` was built to. */
  readonly program: string;
  /** Questions under way. */
  readonly outstanding: number;
  /** From how many addresses they come; 1 = from four ports of one. */
  readonly senders: number;
}

/** Load by dnsperf. */
export interface MeasuredLoad extends Load {
  /** Queries a second. */
  readonly perSecond: number;
  /** Whether the time of each answer is wanted, which costs dnsperf itself some. */
  readonly timed?: boolean;
}

/** What was seen from outside. */
export interface LoadReport {
  /** Queries that were answered. */
  readonly answers: number;
  /** Answers a second. */
  readonly perSecond: number;
  /** Queries that weren't, in time. */
  readonly lost: number;
  /** Sorted; empty unless wanted. */
  readonly latenciesMs: readonly number[];
}

/** The core that the load runs on. */
export const LOAD_CORE = "1";
const SOCKETS = 4;
/** Questions under way where batches are to be large: some of the largest. */
export const LARGE_BATCHES = 512;
/** The same where they are to be small: eight a socket, as on a server that has little to do. */
export const SMALL_BATCHES = 32;
/** Addresses that questions come from in turn, where hardly two answers of a batch are to go to the same one. */
export const MANY_SENDERS = 60_000;
/** Kibibytes; the kernel's usual limit for anybody. */
const BUFFER = 4096;
/** An answer that comes later is lost. */
const TIMEOUT_SECONDS = 1;

/** Asks as fast as answers come back. */
export async function flood(
  { program, port, queryFile, seconds, outstanding, senders, edns }: Flood,
): Promise<LoadReport> {
  const { stdout } = await new Deno.Command("taskset", {
    args: [
      ...["-c", LOAD_CORE, program],
      ...[port, queryFile, seconds, outstanding, edns ? 1 : 0, senders].map(String),
    ],
  }).output();
  const [answers, took, lost] = new TextDecoder().decode(stdout).split(" ").map(Number);
  if (lost === undefined) throw new Error("Cannot make load: flood.c ended without a report");
  return { answers: answers!, perSecond: answers! / took!, lost, latenciesMs: [] };
}

/** Asks by dnsperf. */
export async function load(
  { port, queryFile, seconds, edns, perSecond, timed }: MeasuredLoad,
): Promise<LoadReport> {
  const log = `${queryFile}.dnsperf`;
  const args = [
    ...["-s", "127.0.0.1", "-p", port, "-d", queryFile, "-l", seconds, "-t", TIMEOUT_SECONDS],
    ...["-T", 1, "-c", SOCKETS, "-q", LARGE_BATCHES, "-b", BUFFER],
    ...["-Q", perSecond],
    ...(edns ? ["-e"] : []),
    ...(timed ? ["-v"] : []),
  ];
  await new Deno.Command("taskset", {
    args: ["-c", LOAD_CORE, "sh", "-c", 'exec dnsperf "$@" >"$0" 2>&1', log, ...args.map(String)],
  }).output();
  const report = await Deno.readTextFile(log);
  return {
    answers: figure(report, /Queries completed:\s+(\d+)/),
    perSecond: figure(report, /Queries per second:\s+([\d.]+)/),
    lost: figure(report, /Queries lost:\s+(\d+)/),
    latenciesMs: timed
      ? [...report.matchAll(/^> \S+ \S+ \S+ ([\d.]+)$/gm)].map(([, s]) => Number(s) * 1000).sort((a, b) =>
        a - b
      )
      : [],
  };
}

function figure(text: string, expression: RegExp): number {
  const found = expression.exec(text);
  if (!found) throw new Error(`Cannot read dnsperf's report: ${text.slice(-2000)}`);
  return Number(found[1]);
}
