/**
 * Which part of a rate a node of a cluster has, so that all nodes together give no more than the license allows.
 *
 * The rate is split evenly by the nodes that are there; what can't be split goes to the first of them by id. A part that
 * becomes smaller counts at once, and one that becomes larger only when the others have had time to take theirs back: so the
 * sum is never more than the rate but in the second in which a node comes. A node that is cut off can't know who else is there:
 * it keeps its part for as long as others believe that it is there, and then takes that of one of all nodes that there may be.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { Port } from "../port.ts";

/** The nodes of the cluster, as this one knows them. */
export interface ClusterNodes {
  /** Ids of those that are there, this one included. */
  active(): readonly string[];
  /** Whether there is a connection by which it could know. */
  isConnected(): boolean;
  /** How long others believe that a node is there which they don't hear, milliseconds. */
  readonly ttlMs: number;
  /** Calls the listener when another node comes or goes, until the result is disposed of. */
  subscribe(listener: () => void): Disposable;
}

/** Where they are told, by a node with `state.nats.servers`. */
export const CLUSTER_NODES: Port<ClusterNodes> = new Port("nodes of the cluster");

/** One of so many equal parts. */
export interface Part {
  /** Which one, from 0 on; the first ones get what can't be split. */
  readonly index: number;
  /** How many there are, 1 or more. */
  readonly of: number;
}

/** How long a larger part is held back: a heartbeat's way, a turn of a busy node, and a whole second of the license. */
export const HOLD_MS = 2_000;

/** Answers a second that a part of a rate has; all parts together have the rate. */
export function rateOfPart(rate: number, { index, of }: Part): number {
  return Math.floor(rate / of) + (index < rate % of ? 1 : 0);
}

/** The part of one node. */
export class NodePart {
  readonly #node: string;
  readonly #configured: number;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #part: Part;
  #mostSeen = 1;
  #cutOffMs: number | null = null;
  #larger: { readonly part: Part; readonly sinceMs: number } | null = null;

  /**
   * The part of a node that hasn't heard of any other.
   *
   * @param configured how many nodes the cluster has; `null` = as many as were ever seen
   */
  constructor(
    { node, configured, clock }: {
      readonly node: string;
      readonly configured: number | null;
      readonly clock: Pick<Clock, "monotonicMs">;
    },
  ) {
    this.#node = node;
    this.#configured = configured ?? 1;
    this.#clock = clock;
    this.#part = this.#alone();
  }

  /** The part of now. */
  get part(): Part {
    return this.#part;
  }

  /** Looks who is there. @param nodes `null` = that can't be known yet. @returns whether the part is another one */
  look(nodes: ClusterNodes | null): boolean {
    const nowMs = this.#clock.monotonicMs();
    const wanted = this.#wanted(nodes, nowMs);
    const before = this.#part;
    if (!isLarger(wanted, before)) {
      this.#larger = null;
      this.#part = wanted;
    } else {
      // What is wanted first waits its time, and so does whatever is more than that.
      const held = this.#larger;
      const isMore = held === null || isLarger(wanted, held.part);
      this.#larger = { part: wanted, sinceMs: isMore ? nowMs : held.sinceMs };
      if (nowMs - this.#larger.sinceMs >= HOLD_MS) {
        this.#larger = null;
        this.#part = wanted;
      }
    }
    return this.#part.index !== before.index || this.#part.of !== before.of;
  }

  #wanted(nodes: ClusterNodes | null, nowMs: number): Part {
    if (nodes?.isConnected()) {
      this.#cutOffMs = null;
      const ids = [...new Set([...nodes.active(), this.#node])].sort();
      this.#mostSeen = Math.max(this.#mostSeen, ids.length);
      return { index: ids.indexOf(this.#node), of: ids.length };
    }
    this.#cutOffMs ??= nowMs;
    return nodes === null || nowMs - this.#cutOffMs < nodes.ttlMs ? this.#part : this.#alone();
  }

  /** The smallest of the parts that there may be. */
  #alone(): Part {
    const of = Math.max(this.#configured, this.#mostSeen);
    return { index: of - 1, of };
  }
}

function isLarger(a: Part, b: Part): boolean {
  return a.of < b.of || (a.of === b.of && a.index < b.index);
}
