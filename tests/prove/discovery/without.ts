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

/** Ratios of processor time, in ascending order: of a node with discovery, and of another one without, to one without. */
export interface WithoutReport {
  readonly discovery: readonly number[];
  readonly chance: readonly number[];
}

const KINDS = ["discovery", "plain", "another"] as const;

/** Runs it. */
export async function withAndWithout(terms: WithoutTerms): Promise<WithoutReport> {
  const { queries, pairs, starts, services, instances } = terms;
  const query = encodeQuery({ id: 1, name: nameOf(0), type: TYPE.A });
  const [discovery, chance]: [number[], number[]] = [[], []];
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
      const before = node.cpuSeconds().all;
      await askInBatches(node.ready.dns, query, queries);
      return node.cpuSeconds().all - before;
    };
    // Code is compiled by then.
    for (const kind of KINDS) await cost(kind);
    for (let pair = 0; pair < pairs; pair++) {
      const costs = new Map<(typeof KINDS)[number], number>();
      // Who is first changes: what is measured later finds the machine warmer.
      for (let i = 0; i < KINDS.length; i++) {
        const kind = KINDS[(pair + i) % KINDS.length]!;
        costs.set(kind, await cost(kind));
      }
      discovery.push(costs.get("discovery")! / costs.get("plain")!);
      chance.push(costs.get("another")! / costs.get("plain")!);
    }
  }
  return { discovery: discovery.sort((a, b) => a - b), chance: chance.sort((a, b) => a - b) };
}
