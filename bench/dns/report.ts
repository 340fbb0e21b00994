/**
 * What the DNS bench has measured, and how it is told: every figure as its median over rounds, beside it the median of
 * its ratio to the echo's in the same round.
 *
 * @module
 */

/** Queries a second of the steady part. */
export const STEADY_PER_SECOND = 50_000;
/** Queries a second of the calm part. */
export const CALM_PER_SECOND = 20_000;

/** All figures of one call; what `--json` writes. */
export interface Measured {
  /** Where. */
  readonly machine: Machine;
  /** Whether every question had an OPT record. */
  readonly edns: boolean;
  /** Length of each part of a round. */
  readonly seconds: number;
  /** Rounds of a run. */
  readonly rounds: number;
  /** What was asked of whom. */
  readonly workloads: { readonly id: string; readonly title: string; readonly servers: readonly Figures[] }[];
}

/** Where and with what it was measured. */
export interface Machine {
  /** YYYY-MM-DD, UTC. */
  readonly date: string;
  /** Model, as the kernel names it. */
  readonly cpu: string;
  /** Of the whole machine. */
  readonly cores: number;
  /** Release of Linux. */
  readonly kernel: string;
  /** Where servers ran. */
  readonly serverCore: string;
  /** Where dnsperf ran. */
  readonly loadCore: string;
  /** By program. */
  readonly versions: Readonly<Record<string, string>>;
}

/** One server under one workload. */
export interface Figures {
  /** The peer's. */
  readonly name: string;
  /** From its start to its first answer. */
  readonly startSeconds: number;
  /** After all rounds. */
  memoryMebibytes: number;
  /** Runs of rounds. */
  readonly runs: Parts[][];
}

/** One round of one server. */
export interface Parts {
  /** As fast as it can, many questions at once. */
  readonly full: UnderLoad;
  /** As fast as it can, few questions at once. */
  readonly small: UnderLoad;
  /** As fast as it can, many questions at once, each from another address. */
  readonly apart: UnderLoad;
  /** At `STEADY_PER_SECOND`. */
  readonly steady: UnderLoad;
  /** At `CALM_PER_SECOND`. */
  readonly calm: { readonly p50Ms: number; readonly p99Ms: number; readonly lost: number };
}

/** A part in which CPU time is counted. */
export interface UnderLoad {
  /** Answers. */
  readonly perSecond: number;
  /** Queries without an answer. */
  readonly lost: number;
  /** CPU-seconds per million answers, of all threads and processes. */
  readonly cpuPerMillion: number;
  /** Share of its core that the server used. */
  readonly busy: number;
  /** Share of its CPU time that was the kernel's. */
  readonly kernel: number;
}

/** What one number of a round is called in the table. */
interface Column {
  readonly title: string;
  readonly of: (parts: Parts) => number;
  readonly digits: number;
  /** Whether its ratio to the echo says something. */
  readonly ratio: boolean;
}

const COLUMNS: readonly Column[] = [
  { title: "queries/s", of: ({ full }) => full.perSecond, digits: 0, ratio: true },
  { title: "busy %", of: ({ full }) => 100 * full.busy, digits: 0, ratio: false },
  { title: "kernel %", of: ({ full }) => 100 * full.kernel, digits: 0, ratio: false },
  { title: "CPU s/M", of: ({ full }) => full.cpuPerMillion, digits: 2, ratio: true },
  { title: "small batches", of: ({ small }) => small.cpuPerMillion, digits: 2, ratio: true },
  { title: "many clients", of: ({ apart }) => apart.cpuPerMillion, digits: 2, ratio: true },
  { title: "at 50k/s", of: ({ steady }) => steady.cpuPerMillion, digits: 2, ratio: true },
  { title: "p50 ms", of: ({ calm }) => calm.p50Ms, digits: 3, ratio: false },
  { title: "p99 ms", of: ({ calm }) => calm.p99Ms, digits: 3, ratio: true },
];

/** A table as text: the first server is the echo. Ratios stand behind `×`, with their range when there are several runs. */
export function table(servers: readonly Figures[]): string {
  const echo = servers[0]!;
  const head = ["", ...COLUMNS.map(({ title }) => title), "lost", "MiB", "start s"];
  const rows = servers.map((server) => [
    server.name,
    ...COLUMNS.map((column) => cell(server, echo, column)),
    String(
      sumOf(
        server,
        ({ full, small, apart, steady, calm }) =>
          full.lost + small.lost + apart.lost + steady.lost + calm.lost,
      ),
    ) + slowMark(server),
    server.memoryMebibytes.toFixed(0),
    server.startSeconds.toFixed(2),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]!.length)));
  const lines = [head, ...rows].map((row) =>
    row.map((text, i) => i === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[i]!)).join("  ")
  );
  if (servers.some((server) => slowMark(server) !== "")) {
    lines.push("* could not keep up with 50,000 queries/s");
  }
  return lines.join("\n");
}

/** The figures that `docs/performance.md` shows, as a Markdown table. */
export function markdown(servers: readonly Figures[]): string {
  const echo = servers[0]!;
  const cpuFull = ({ full }: Parts) => full.cpuPerMillion;
  const cpuSmall = ({ small }: Parts) => small.cpuPerMillion;
  const cpuApart = ({ apart }: Parts) => apart.cpuPerMillion;
  const cpuSteady = ({ steady }: Parts) => steady.cpuPerMillion;
  const of = (server: Figures, value: (parts: Parts) => number) =>
    median(server.runs.map((rounds) => median(rounds.map(value))));
  const ratioText = (server: Figures, value: (parts: Parts) => number) => {
    const { median: middle, min, max } = ratio(server, echo, value);
    if (Number.isNaN(middle)) return "–";
    return server === echo ? "1" : `${middle.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
  };
  const rows = servers.map((server) => [
    server.name,
    of(server, cpuFull).toFixed(2),
    ratioText(server, cpuFull),
    ratioText(server, cpuSmall),
    ratioText(server, cpuApart),
    ratioText(server, cpuSteady),
    ratioText(server, ({ calm }) => calm.p99Ms),
    (100 * of(server, ({ full }) => full.kernel)).toFixed(0),
    server.memoryMebibytes.toFixed(0),
    server.startSeconds.toFixed(1),
  ]);
  return [
    [
      "server",
      "CPU s/million",
      "× echo",
      "small batches × echo",
      "many clients × echo",
      "at 50k/s × echo",
      "p99 × echo",
      "kernel %",
      "MiB",
      "start s",
    ],
    ["---", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:"],
    ...rows,
  ].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** A server's ratio to the echo: the median over runs, and its range. */
export function ratio(
  server: Figures,
  echo: Figures,
  of: (parts: Parts) => number,
): { readonly median: number; readonly min: number; readonly max: number } {
  const runs = server.runs.map((rounds, run) =>
    median(rounds.map((parts, round) => of(parts) / of(echo.runs[run]![round]!)))
  );
  return { median: median(runs), min: Math.min(...runs), max: Math.max(...runs) };
}

function cell(server: Figures, echo: Figures, { of, digits, ratio: hasRatio }: Column): string {
  const value = median(server.runs.map((rounds) => median(rounds.map(of)))).toFixed(digits);
  if (value === "NaN") return "–";
  if (!hasRatio) return value;
  const { median: middle, min, max } = ratio(server, echo, of);
  const range = server.runs.length > 1 && server !== echo ? ` [${min.toFixed(2)}–${max.toFixed(2)}]` : "";
  return `${value} ×${middle.toFixed(2)}${range}`;
}

/** A server that can't answer so many isn't measured at the same work as the others. */
function slowMark({ runs }: Figures): string {
  const perSecond = median(runs.flat().map(({ steady }) => steady.perSecond));
  return perSecond < 0.97 * STEADY_PER_SECOND ? "*" : "";
}

function sumOf({ runs }: Figures, of: (parts: Parts) => number): number {
  return runs.flat().reduce((sum, parts) => sum + of(parts), 0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
