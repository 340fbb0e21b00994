/**
 * Load by dnsperf, pinned to a core of its own.
 *
 * Its receive buffer is made large (`-b`), for otherwise it is dnsperf that loses answers. What it prints goes to a
 * file, so that nobody reads along while it measures.
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
  /** Queries a second; absent = as fast as answers come back. */
  readonly perSecond?: number;
  /** Whether the time of each answer is wanted, which costs dnsperf itself some. */
  readonly timed?: boolean;
}

/** What dnsperf saw. */
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
/** Questions under way at most. */
const OUTSTANDING = 400;
/** Kibibytes; the kernel's usual limit for anybody. */
const BUFFER = 4096;
/** An answer that comes later is lost. */
const TIMEOUT_SECONDS = 1;

/** Asks, and tells what came of it. */
export async function load({ port, queryFile, seconds, perSecond, timed }: Load): Promise<LoadReport> {
  const log = `${queryFile}.dnsperf`;
  const args = [
    ...["-s", "127.0.0.1", "-p", port, "-d", queryFile, "-l", seconds, "-t", TIMEOUT_SECONDS],
    ...["-T", 1, "-c", SOCKETS, "-q", OUTSTANDING, "-b", BUFFER],
    ...(perSecond === undefined ? [] : ["-Q", perSecond]),
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
