/**
 * A datacenter of Consul's, asked for node by node: there a change brings an answer of one node's services, however many instances
 * its product has, and wakes one question.
 *
 * ```text
 * /v1/catalog/nodes            blocked: which nodes there are ─▶ a reading for each
 * /v1/catalog/node-services/…  blocked, one for each node: what it has      ─┐
 * /v1/health/node/…            plain, after each of these: what of it fails ─┴▶ put, remove
 * /v1/health/state/…           blocked: of which nodes something fails, or doesn't any more ─▶ these are read again
 * ```
 *
 * A node and its checks are two answers, which may be of two moments. An instance that comes together with a check that fails must
 * not be answered in between: so checks are read after services. One that goes together with its failing check must not, either:
 * so where a check doesn't fail any more, services are read again after it, until they are those that were known.
 *
 * @module
 */
import type { Channel, ConsulAnswer, ConsulQuestion } from "../consul/client.ts";
import type { News } from "../consul/following.ts";
import { type Change, type Instance, isSameInstance } from "./catalog.ts";
import { type EntryReading, readFailing, readNode, readNodes, readServiceOf } from "./consul_entries.ts";
import { EntryList } from "./entry_list.ts";
import type { ListRoom } from "./json_list.ts";
import { NodeEntries } from "./node_entries.ts";

/** What is followed. */
export interface Followed {
  /** Whose faults it has. */
  readonly source: string;
  /** What is asked. */
  readonly path: string;
  /** Likewise. */
  readonly query: Readonly<Record<string, string>>;
  /** Whether it is one of the many questions about instances. */
  readonly instances: boolean;
  /** Whether an empty answer is fine even where it is for lack of rights. */
  readonly mayBeFiltered: boolean;
  /** Ends it. */
  readonly over: AbortSignal;
  /** Gets each answer, and the channel on which nothing else is asked meanwhile. @returns whether to go on */
  readonly take: (
    answer: ConsulAnswer,
    how: News & { readonly channel: Channel },
  ) => boolean | Promise<boolean>;
}

/** What a reading by nodes needs. */
export interface NodesReadingParts {
  /** The datacenter. */
  readonly zone: string;
  /** Where answers are kept to be compared. */
  readonly room: ListRoom;
  /** Follows until it is over. */
  readonly follow: (followed: Followed) => void;
  /** A question that doesn't block. */
  readonly plain: (path: string, query: Readonly<Record<string, string>>) => ConsulQuestion;
  /** Gets what changes. */
  readonly write: (changes: readonly Change[]) => void;
  /** Instances that count by what was known before, as far as nodes haven't said anything; what is taken is struck out. */
  readonly left: Map<string, Instance | null>;
  /** Hears what can't be used of a node's entries. */
  readonly complain: (list: EntryList, node: string) => void;
  /** Hears that something isn't followed any more. */
  readonly ended: (source: string) => void;
  /** How many nodes may be asked for. */
  readonly nodesMax: () => number;
  /** Hears that nodes can't be asked for any more, and why; it is over then. */
  readonly giveUp: (reason: string) => void;
}

/** What fails: what isn't `passing`, as where products are asked for. */
const FAILING_STATES = ["critical", "warning"];
/** How often services and checks of a node are read until they are of one moment. */
const ROUNDS_MAX = 5;

/** Reads nodes. */
export class NodesReading implements Disposable {
  readonly #parts: NodesReadingParts;
  readonly #over = new AbortController();
  readonly #nodes = new Map<string, NodeReading>();
  /** What fails of each node, by state, as text. */
  readonly #failing = new Map<string, ReadonlyMap<string, string>>();
  readonly #entries = new NodeEntries();

  /** Begins to read. */
  constructor(parts: NodesReadingParts, nodes: readonly string[]) {
    this.#parts = parts;
    this.#expect(nodes);
    parts.follow({
      ...{ source: "nodes", path: "/v1/catalog/nodes", query: {}, instances: false, mayBeFiltered: true },
      over: this.#over.signal,
      take: ({ document, isFiltered }) =>
        this.#isUnfiltered(isFiltered) && this.#takeNodes(readNodes(document)),
    });
    for (const state of FAILING_STATES) {
      parts.follow({
        ...{
          source: state,
          path: `/v1/health/state/${state}`,
          query: {},
          instances: false,
          mayBeFiltered: true,
        },
        over: this.#over.signal,
        take: async ({ document, isFiltered }, { channel }) =>
          this.#isUnfiltered(isFiltered) && await this.#takeFailing(state, readFailing(document), channel),
      });
    }
  }

  /** All instances. */
  get instances(): Instance[] {
    return this.#entries.instances();
  }

  /** How many there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** What a change brings, in the mean of all instances. */
  get bytesPerChange(): number {
    let sum = 0;
    for (const [name, { list }] of this.#nodes) sum += this.#entries.sizeOf(name) * list.bytes;
    return sum / Math.max(1, this.#entries.size);
  }

  /** Reads no more. */
  [Symbol.dispose](): void {
    this.#over.abort();
    for (const node of this.#nodes.values()) node.end();
  }

  /** What is told in part says nothing of what a node lacks. */
  #isUnfiltered(isFiltered: boolean): boolean {
    if (isFiltered) this.#parts.giveUp("the token may not see all of them");
    return !isFiltered;
  }

  #takeNodes(names: readonly string[]): boolean {
    if (names.length > this.#parts.nodesMax()) {
      this.#parts.giveUp("there are too many");
      return false;
    }
    this.#expect(names);
    return true;
  }

  #expect(names: readonly string[]): void {
    const wanted = new Set(names);
    for (const name of wanted) {
      if (this.#nodes.has(name)) continue;
      const node = new NodeReading(name, this.#parts);
      this.#nodes.set(name, node);
      this.#parts.follow({
        ...{
          source: sourceOf(name),
          path: servicesOf(name),
          query: {},
          instances: true,
          mayBeFiltered: true,
        },
        over: node.over.signal,
        take: (answer, { isAwaited, channel }) =>
          node.inTurn(async () => {
            // What was read meanwhile may be newer.
            const isOld = isAwaited && answer.index !== 0 && answer.index < node.index;
            return (isOld || this.#read(node, answer)) && await this.#settle(node, channel);
          }),
      });
    }
    for (const [name, node] of this.#nodes) {
      if (wanted.has(name)) continue;
      node.end();
      this.#nodes.delete(name);
      this.#write(name, []);
      this.#parts.ended(sourceOf(name));
    }
  }

  /** Reads again what nodes have of which something else fails than before. */
  async #takeFailing(
    state: string,
    failing: ReadonlyMap<string, ReadonlySet<string>>,
    channel: Channel,
  ): Promise<boolean> {
    const before = this.#failing.get(state);
    const now = new Map([...failing].map(([node, ids]) => [node, JSON.stringify([...ids].sort())]));
    for (const name of new Set([...now.keys(), ...before?.keys() ?? []])) {
      const node = this.#nodes.get(name);
      if (before?.get(name) === now.get(name) || node === undefined) continue;
      await node.inTurn(async () => !node.isRead || await this.#settle(node, channel));
      if (this.#over.signal.aborted) return false;
    }
    this.#failing.set(state, now);
    return true;
  }

  /** @returns whether to go on */
  #read(node: NodeReading, { body, index, isFiltered }: ConsulAnswer): boolean {
    if (node.over.signal.aborted || !this.#isUnfiltered(isFiltered)) return false;
    node.list.take(body);
    node.index = index;
    return true;
  }

  /** Writes what a node has and what doesn't fail of it, as both were at one moment. @returns whether to go on */
  async #settle(node: NodeReading, channel: Channel): Promise<boolean> {
    const { plain } = this.#parts;
    for (let round = 1;; round++) {
      const checks = await channel.ask(plain(checksOf(node.name), { filter: 'Status != "passing"' }));
      if (node.over.signal.aborted || !this.#isUnfiltered(checks.isFiltered)) return false;
      const failing = readFailing(checks.document).get(node.name) ?? NONE;
      const isBack = [...node.failing].some((id) => !failing.has(id));
      if (isBack && round < ROUNDS_MAX) {
        const { index } = node;
        const again = await channel.ask({ ...plain(servicesOf(node.name), {}), isBodyEnough: true });
        if (!this.#read(node, again)) return false;
        if (index === 0 || index !== node.index) continue;
      }
      node.failing = failing;
      node.isRead = true;
      this.#write(node.name, node.list.entries.filter((entry) => !isFailing(entry, node)));
      this.#parts.complain(node.list, node.name);
      return true;
    }
  }

  #write(name: string, entries: readonly EntryReading[]): void {
    const { left, write, zone } = this.#parts;
    const { put, gone } = this.#entries.take(name, entries);
    const news = put.filter((instance) => {
      const before = left.get(instance.id);
      left.delete(instance.id);
      return !before || !isSameInstance(before, instance);
    });
    const changes: Change[] = [];
    // In this order: where others take the place of all there were, there is no moment without any.
    if (news.length > 0) changes.push({ kind: "put", zone, instances: news });
    if (gone.length > 0) changes.push({ kind: "remove", zone, ids: gone });
    if (changes.length > 0) write(changes);
  }
}

/** One node. */
class NodeReading {
  readonly name: string;
  readonly over = new AbortController();
  readonly list: EntryList;
  /** Of the answer that was read last; 0 = it had none. */
  index = 0;
  /** Ids of services that fail; an empty one = all of the node. */
  failing: ReadonlySet<string> = NONE;
  /** Whether what it has is written. */
  isRead = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(name: string, { zone, room }: NodesReadingParts) {
    this.name = name;
    let node: unknown = null;
    this.list = new EntryList({
      room,
      opening: '"Services":[',
      elementsOf: (document) => {
        const said = readNode(document);
        node = said.node;
        return said.services;
      },
      read: (service) => readServiceOf(node, service, zone),
    });
  }

  /** What is read of it by its own question and for its checks, one after the other. */
  inTurn(work: () => Promise<boolean>): Promise<boolean> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  end(): void {
    this.over.abort();
    this.list.forget();
  }
}

const NONE: ReadonlySet<string> = new Set();

function isFailing({ instance }: EntryReading, { name, failing }: NodeReading): boolean {
  if (instance === null || failing.size === 0) return false;
  return failing.has("") || failing.has(instance.id.slice(name.length + 1));
}

function sourceOf(node: string): string {
  return `node ${node}`;
}

function servicesOf(node: string): string {
  return `/v1/catalog/node-services/${encodeURIComponent(node)}`;
}

function checksOf(node: string): string {
  return `/v1/health/node/${encodeURIComponent(node)}`;
}
