/**
 * What becomes of answers and of the model when servers or networks between nodes fail:
 * `deno task prove partition [--only NAME,…] [--rate QUERIES] [--short] [--write]`.
 *
 * Three `pleiades serve` with a database each share a model, and a cluster of three NATS servers, over networks that can be
 * cut. A member goes up and down; `a` and `c` see it, and `b`, which can't, goes by whoever finds it healthy. Each node is
 * asked 5,000 questions a second all the time (`partition/asker.ts`), and edited all the time under a name of its own
 * (`partition/watch.ts`). For each row a fault strikes and lasts longer than the time to live of heartbeats, and the member
 * becomes another one meanwhile.
 *
 * - No question may stay without an answer for five seconds, and none may be answered by another code than NOERROR. On a machine
 *   that can't carry so many questions fewer are asked, which is said, and isn't good enough either.
 * - `b` answers as the table says at the end of the fault.
 * - 5 s after its end `b` answers by the member's state, and all nodes have one model with all that was edited.
 * - No node ever answers an older address under an edited name than it did before, or none.
 *
 * `--write` puts the table into docs/cluster.md. `--short` is what the suite runs: nodes within this process, one server, a
 * hundred questions a second.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { deno, ROOT } from "../../scripts/process.ts";
import { LineProcess } from "../store/line_process.ts";
import type { Asked, Asking } from "./partition/asker.ts";
import { Bed, type BedTerms, conflictsAt, isMemberAnswered, reached } from "./partition/bed.ts";
import { type Fault, FAULTS } from "./partition/faults.ts";
import { addressesAt, counterOf, countOf, Editing, type Seen, SERVICE, Watch } from "./partition/watch.ts";

/** How much is asked and told. */
export interface PartitionTerms {
  readonly bed: BedTerms;
  /** Questions a second to each node, beside those of the watch. */
  readonly rate: number;
  /** Between two questions of the watch, and between two edits, milliseconds. */
  readonly askMs: number;
  readonly editMs: number;
  /** How long a fault lasts; `null` = as long as it says. */
  readonly lastingMs: number | null;
}

const FULL: PartitionTerms = {
  bed: { hasProcesses: true, servers: 3, heartbeatMs: 1_000, ttlMs: 10_000, probeMs: 1_000 },
  ...{ rate: 5_000, askMs: 20, editMs: 500, lastingMs: null },
};

/** What the suite runs. */
export const SHORT: PartitionTerms = {
  bed: { hasProcesses: false, servers: 1, heartbeatMs: 300, ttlMs: 1_500, probeMs: 250 },
  ...{ rate: 0, askMs: 10, editMs: 100, lastingMs: 200 },
};

/** What was seen of a fault. */
export interface PartitionRow {
  readonly fault: Fault;
  /** Questions to all nodes while it lasted and until they agreed again, and what was wrong with their answers. */
  readonly seen: Seen;
  /** What came of the questions of which so many a second were to be asked, by node; none where that is 0. */
  readonly rate: number;
  readonly asked: readonly Asked[];
  /** Edits at all nodes. */
  readonly edits: number;
  /** What `b` answered by at the end of the fault. */
  readonly meanwhile: "own" | "others";
  /** From the end of the fault until `b` answered by the member's state, and until all had one model; milliseconds. */
  readonly convergedMs: number;
  readonly agreedMs: number;
}

const CONVERGED_MS_MAX = 5_000;
/** How often a fault is made worse. */
const DURING_MS = 1_000;
/** Share of the rate that must be answered on the average of a fault: the rest is the machine's. */
const ANSWERED_SHARE_MIN = 0.98;

/** Runs it; all faults unless told otherwise. */
export async function prove(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: "string" },
      rate: { type: "string", default: String(FULL.rate) },
      short: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
  });
  const only = values.only?.split(",") ?? null;
  const terms = values.short ? SHORT : { ...FULL, rate: Number(values.rate) };
  const rows = await partitions(terms, only, tell);
  const text = tableOf(rows);
  console.log(`\n${text}`);
  if (values.write && rows.length === FAULTS.length) await write(text);
  return rows.every((row) => faultsOf(row).length === 0);
}

/** A row as soon as it is there. */
function tell(row: PartitionRow): void {
  const { fault, seen, asked, edits, meanwhile, convergedMs, agreedMs } = row;
  const { perSecond, fewest, p99Ms, oldestMs } = slowest(asked);
  console.log(
    `${fault.name.padEnd(15)} asked ${seen.asked} (${
      Math.floor(perSecond)
    } a second, ${fewest} in the worst, p99 ${p99Ms.toFixed(1)} ms, oldest ${
      oldestMs.toFixed(0)
    } ms), lost ${seen.lost}, empty ${seen.empty}, older ${seen.older}; by ${meanwhile}, ` +
      `right after ${convergedMs.toFixed(0)} ms; ${edits} edits, one model after ${agreedMs.toFixed(0)} ms`,
  );
  for (const each of faultsOf(row)) console.log(`NOT GOOD ${fault.name}: ${each}`);
}

/** The node that answered the fewest, and the oldest answers of all. */
function slowest(asked: readonly Asked[]): Pick<Asked, "perSecond" | "fewest" | "p99Ms" | "oldestMs"> {
  if (asked.length === 0) return { perSecond: 0, fewest: 0, p99Ms: 0, oldestMs: 0 };
  return {
    perSecond: Math.min(...asked.map(({ perSecond }) => perSecond)),
    fewest: Math.min(...asked.map(({ fewest }) => fewest)),
    p99Ms: Math.max(...asked.map(({ p99Ms }) => p99Ms)),
    oldestMs: Math.max(...asked.map(({ oldestMs }) => oldestMs)),
  };
}

/** What isn't as it should be. */
export function faultsOf(
  { fault, seen, rate, asked, meanwhile, convergedMs, agreedMs }: PartitionRow,
): string[] {
  const { lost, empty, older } = seen;
  const codes = asked.flatMap(({ codes }) => Object.entries(codes));
  const { perSecond } = slowest(asked);
  return [
    ...lost > 0 ? [`${lost} questions weren't answered`] : [],
    ...codes.length > 0
      ? [`answered with ${codes.map(([code, count]) => `RCODE ${code} ${count} times`).join(", ")}`]
      : [],
    ...perSecond < rate * ANSWERED_SHARE_MIN
      ? [`${Math.floor(perSecond)} questions a second of ${rate} were carried`]
      : [],
    ...empty > 0 ? [`${empty} answers were empty`] : [],
    ...older > 0 ? [`${older} answers were older than one before`] : [],
    ...meanwhile === fault.meanwhile ? [] : [`b went by ${meanwhile}, not by ${fault.meanwhile}`],
    ...convergedMs <= CONVERGED_MS_MAX ? [] : [`b was right again after ${convergedMs.toFixed(0)} ms`],
    ...agreedMs <= CONVERGED_MS_MAX ? [] : [`they had one model again after ${agreedMs.toFixed(0)} ms`],
  ];
}

/** Has each fault strike once, of those that are possible. */
export async function partitions(
  terms: PartitionTerms,
  only: readonly string[] | null,
  heard?: (row: PartitionRow) => void,
): Promise<PartitionRow[]> {
  const { servers, hasProcesses } = terms.bed;
  await using bed = await Bed.start(terms.bed);
  await using asker = terms.rate === 0 ? null : await startAsker(bed, terms.rate);
  const rows: PartitionRow[] = [];
  for (const fault of FAULTS) {
    if (only !== null && !only.includes(fault.name)) continue;
    if ((fault.needs === "servers" && servers === 1) || (fault.needs === "processes" && !hasProcesses)) {
      continue;
    }
    rows.push(await suffer(bed, fault, { terms, asker }));
    heard?.(rows.at(-1)!);
  }
  return rows;
}

async function startAsker({ nodes }: Bed, perSecond: number): Promise<LineProcess> {
  const asking: Asking = {
    servers: nodes.map(({ dns }) => dns),
    names: [SERVICE, ...nodes.map(({ id }) => counterOf(id))],
    perSecond,
  };
  const asker = new LineProcess(new URL("partition/asker.ts", import.meta.url), [JSON.stringify(asking)]);
  await asker.receive();
  return asker;
}

async function suffer(
  bed: Bed,
  fault: Fault,
  { terms, asker }: { readonly terms: PartitionTerms; readonly asker: LineProcess | null },
): Promise<PartitionRow> {
  const { nodes, nodes: [a, b, c] } = bed;
  const { rate, askMs, editMs } = terms;
  // Up before it and at its end, or what `b` finds by itself couldn't be told from what the others find.
  await bed.turnMember(true);
  const ids = nodes.map(({ id }) => id);
  const from = await Promise.all(nodes.map(async (node) => await countAt(node, node.id)));
  await asker?.ask("begin");
  const watches = nodes.map((node) => new Watch(node, ids, askMs));
  const editings = nodes.map((node, i) =>
    new Editing(node, { member: node.counter, from: from[i]!, pauseMs: editMs })
  );
  await fault.strike(bed);
  await last(bed, fault, terms.lastingMs ?? fault.seconds * 1_000);
  const meanwhile = await isMemberAnswered(b) ? "others" : "own";
  // While it lasts the member goes down and comes up again: `b` must hear of the last of it.
  await bed.turnMember(false, [a, c]);
  await bed.turnMember(true, [a, c]);
  await fault.heal(bed);
  const counts = Promise.all(editings.map((editing) => editing.end()));
  const healedMs = performance.now();
  const converging = reached("b answers the member", () => isMemberAnswered(b), true);
  const lastCounts = await counts;
  await bed.agreed();
  const agreedMs = performance.now() - healedMs;
  const answered = () => Promise.all(nodes.map((node) => Promise.all(ids.map((id) => countAt(node, id)))));
  await reached("all nodes answer what was edited last", async () => {
    return (await answered()).every((counts) => counts.join() === lastCounts.join());
  }, true).catch(async (error) => {
    const conflicts = await Promise.all(nodes.map(conflictsAt));
    throw new Error(
      `${error.message}: ${JSON.stringify({ edited: lastCounts, answered: await answered(), conflicts })}`,
    );
  });
  const convergedMs = await converging;
  const asked: readonly Asked[] = asker === null ? [] : JSON.parse((await asker.ask("end"))!);
  const seen = await Promise.all(watches.map((watch) => watch.end()));
  // And it goes on hearing of it.
  await bed.turnMember(false);
  const edits = lastCounts.reduce((sum, count, i) => sum + count - from[i]!, 0);
  return { fault, meanwhile, convergedMs, agreedMs, edits, rate, asked, seen: sumOf(seen, asked) };
}

async function last(bed: Bed, fault: Fault, ms: number): Promise<void> {
  const untilMs = performance.now() + ms;
  for (let leftMs = ms; leftMs > 0; leftMs = untilMs - performance.now()) {
    await fault.during?.(bed);
    // Time is the subject: how long the fault lasts.
    await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, DURING_MS)));
  }
}

async function countAt(node: Parameters<typeof addressesAt>[0], id: string): Promise<number> {
  return countOf((await addressesAt(node, counterOf(id)))[0] ?? "");
}

function sumOf(seen: readonly Seen[], asked: readonly Asked[]): Seen {
  const sum = (key: keyof Seen) => seen.reduce((total, each) => total + each[key], 0);
  const added = (key: "asked" | "lost" | "empty") =>
    asked.reduce((total, each) => total + each[key], sum(key));
  return { asked: added("asked"), lost: added("lost"), empty: added("empty"), older: sum("older") };
}

const MEANWHILE = {
  own: "as its own probes find, when heartbeats are older than the TTL",
  others: "as the others find",
} as const;

function tableOf(rows: readonly PartitionRow[]): string {
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  const cells = rows.map(({ fault, seen: { asked, lost }, edits, convergedMs, agreedMs }) =>
    `| ${fault.what} | ${MEANWHILE[fault.meanwhile]} | ${asked} (${lost}) | ${seconds(convergedMs)} | ` +
    `${edits} | ${seconds(agreedMs)} |`
  );
  const { heartbeatMs, ttlMs } = FULL.bed;
  const { perSecond, p99Ms, oldestMs } = slowest(rows.flatMap(({ asked }) => asked));
  return [
    `Heartbeats every ${heartbeatMs / 1_000} s with a TTL of ${
      ttlMs / 1_000
    } s, three nodes, three nats-servers ` +
    `2.15, and whatever asks and edits on ${navigator.hardwareConcurrency} cores; each node answered ` +
    `${Math.floor(perSecond)} questions a second or more in each row, 99 % of them within ${
      p99Ms.toFixed(1)
    } ms ` +
    `and all within ${
      Math.ceil(oldestMs)
    } ms. None was answered with an older address than before, or with none.`,
    "",
    "| what happens | what the node answers meanwhile | questions (lost) | right again after | edits meanwhile | one model again after |",
    "| --- | --- | --- | --- | --- | --- |",
    ...cells,
  ].join("\n");
}

const PAGE = `${ROOT}/docs/cluster.md`;
const MARKERS = /(<!-- prove partition: begin -->\n)[^]*?(<!-- prove partition: end -->)/;

async function write(text: string): Promise<void> {
  const page = await Deno.readTextFile(PAGE);
  await Deno.writeTextFile(PAGE, page.replace(MARKERS, `$1\n${text}\n\n$2`));
  await deno(["fmt", PAGE], { quiet: true });
}
