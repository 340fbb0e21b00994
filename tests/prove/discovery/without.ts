/**
 * What discovery costs answers that have nothing to do with it: a node that has it, with instances that are registered, and
 * nodes that don't are asked for the same service in slices of a moment, in turn, and their processor time is compared. The two
 * that don't say how much chance there is in it.
 *
 * Of the slices of a node the median counts: what else the machine does falls on some of them. Two processes of the same program
 * differ by some percent for as long as they live, by where their memory happens to be. So all of them are started again and
 * again, in another order each time, and it is the mean of the starts that tells.
 *
 * @module
 */
import { encodeQuery } from "../../../src/wire/message.ts";
import { TYPE } from "../../../src/wire/record_type.ts";
import { nameOf } from "../million.ts";
import { askInBatches } from "./batches.ts";
import { FileRegistry, RunningNode, SHAPES } from "./registrations.ts";

/** How much. */
export interface WithoutTerms {
  /** Of each slice. */
  readonly queries: number;
  /** Slices of each node after a start. */
  readonly slices: number;
  /** Of all nodes. */
  readonly starts: number;
  readonly services: number;
  readonly instances: number;
}

/** Ratios of processor time to that of a node without discovery. */
export interface WithoutReport {
  /** Of a node with discovery. */
  readonly discovery: Ratios;
  /** Of another node without. */
  readonly chance: Ratios;
  /** Processor time that each node takes while nothing is asked, seconds a second. */
  readonly idle: { readonly discovery: number; readonly plain: number };
}

/** What is compared, of each start. */
export interface Ratios {
  /** All threads of the process. */
  readonly all: readonly number[];
  /** The one that answers. */
  readonly answering: readonly number[];
}

const KINDS = ["discovery", "plain", "another"] as const;
type Kind = (typeof KINDS)[number];
/** Slices before it counts: code is compiled by then. */
const WARM_SLICES = 10;
const IDLE_MS = 2_000;

/** Runs it. */
export async function withAndWithout(terms: WithoutTerms): Promise<WithoutReport> {
  const { queries, slices, starts, services, instances } = terms;
  const query = encodeQuery({ id: 1, name: nameOf(0), type: TYPE.A });
  const discovery = { all: [] as number[], answering: [] as number[] };
  const chance = { all: [] as number[], answering: [] as number[] };
  const idle = { discovery: [] as number[], plain: [] as number[] };
  for (let start = 0; start < starts; start++) {
    await using stack = new AsyncDisposableStack();
    const nodes = new Map<Kind, RunningNode>();
    for (const kind of rotated(start)) {
      const folder = await Deno.makeTempDir({ prefix: "pleiades-without-" });
      stack.defer(() => Deno.remove(folder, { recursive: true }));
      const settings = kind === "discovery"
        ? (await FileRegistry.create(folder, SHAPES.many, instances)).settings
        : null;
      nodes.set(kind, stack.use(await RunningNode.start(folder, settings, { services, isWatched: false })));
    }
    const costs = new Map(KINDS.map((kind) => [kind, { all: [] as number[], answering: [] as number[] }]));
    for (let slice = -WARM_SLICES; slice < slices; slice++) {
      for (const kind of rotated(start + slice + WARM_SLICES)) {
        const node = nodes.get(kind)!;
        const before = node.cpuSecondsByThread();
        await askInBatches(node.ready.dns, query, queries);
        const took = [...node.cpuSecondsByThread()].map(([id, seconds]) => seconds - (before.get(id) ?? 0));
        if (slice < 0) continue;
        costs.get(kind)!.all.push(took.reduce((sum, each) => sum + each, 0));
        costs.get(kind)!.answering.push(Math.max(...took));
      }
    }
    for (const part of ["all", "answering"] as const) {
      const [ours, plain, another] = KINDS.map((kind) => medianOf(costs.get(kind)![part]));
      discovery[part].push(ours! / plain!);
      chance[part].push(another! / plain!);
    }
    const before = new Map(KINDS.map((kind) => [kind, nodes.get(kind)!.cpuSeconds().all]));
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    for (const kind of ["discovery", "plain"] as const) {
      idle[kind].push((nodes.get(kind)!.cpuSeconds().all - before.get(kind)!) * 1000 / IDLE_MS);
    }
  }
  return {
    ...{ discovery, chance },
    idle: { discovery: medianOf(idle.discovery), plain: medianOf(idle.plain) },
  };
}

/** Who is first changes: what is measured later finds the machine warmer. */
function rotated(by: number): readonly Kind[] {
  return KINDS.map((_, i) => KINDS[(by + i) % KINDS.length]!);
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}
