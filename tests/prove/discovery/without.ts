/**
 * What discovery costs answers that have nothing to do with it: a node that has it, with instances that are registered, and
 * nodes that don't are asked for the same service in turn, and their processor time is compared. The two that don't say how
 * much chance there is in it.
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
  /** Of each measure. */
  readonly queries: number;
  /** Measures of each node after a start. */
  readonly pairs: number;
  /** Of all nodes: two processes with the same program differ by some percent for as long as they live. */
  readonly starts: number;
  readonly services: number;
  readonly instances: number;
}

/** Ratios of processor time to that of a node without discovery, in ascending order. */
export interface WithoutReport {
  /** Of a node with discovery. */
  readonly discovery: Ratios;
  /** Of another node without. */
  readonly chance: Ratios;
}

/** What is compared. */
export interface Ratios {
  /** All threads of the process. */
  readonly all: readonly number[];
  /** The one that answers. */
  readonly answering: readonly number[];
}

const KINDS = ["discovery", "plain", "another"] as const;

/** Runs it. */
export async function withAndWithout(terms: WithoutTerms): Promise<WithoutReport> {
  const { queries, pairs, starts, services, instances } = terms;
  const query = encodeQuery({ id: 1, name: nameOf(0), type: TYPE.A });
  const ratios = { discovery: { all: [], answering: [] }, chance: { all: [], answering: [] } } as Record<
    keyof WithoutReport,
    Record<keyof Ratios, number[]>
  >;
  for (let start = 0; start < starts; start++) {
    await using stack = new AsyncDisposableStack();
    const nodes = new Map<(typeof KINDS)[number], RunningNode>();
    for (const kind of KINDS) {
      const folder = await Deno.makeTempDir({ prefix: "pleiades-without-" });
      stack.defer(() => Deno.remove(folder, { recursive: true }));
      const settings = kind === "discovery"
        ? (await FileRegistry.create(folder, SHAPES.many, instances)).settings
        : null;
      nodes.set(kind, stack.use(await RunningNode.start(folder, settings, services)));
    }
    const cost = async (kind: (typeof KINDS)[number]) => {
      const node = nodes.get(kind)!;
      const before = node.cpuSecondsByThread();
      await askInBatches(node.ready.dns, query, queries);
      const took = [...node.cpuSecondsByThread()].map(([id, seconds]) => seconds - (before.get(id) ?? 0));
      return { all: took.reduce((sum, each) => sum + each, 0), answering: Math.max(...took) };
    };
    // Code is compiled by then.
    for (const kind of KINDS) await cost(kind);
    for (let pair = 0; pair < pairs; pair++) {
      const costs = new Map<(typeof KINDS)[number], Awaited<ReturnType<typeof cost>>>();
      // Who is first changes: what is measured later finds the machine warmer.
      for (let i = 0; i < KINDS.length; i++) {
        const kind = KINDS[(pair + i) % KINDS.length]!;
        costs.set(kind, await cost(kind));
      }
      const plain = costs.get("plain")!;
      for (const  of of["all", "answering"] as const) {
        ratios.discovery[of].push(costs.get("discovery")![of] / plain[of]);
        ratios.chance[of].push(costs.get("another")![of] / plain[of]);
      }
    }
  }
  for (const those of Object.values(ratios)) {
    for (const each of Object.values(those)) each.sort((a, b) => a - b);
  }
  return ratios;
}
