/**
 * Which nodes are there, by their heartbeats.
 *
 * Ages are measured by this node's monotonic clock from when a heartbeat came in; what a heartbeat says of time is never
 * looked at. A boot counts until it is silent for the time to live or says goodbye, or the node's next boot is heard of; after
 * that it never counts again before it has been silent that long: so two processes with one id don't replace each other at
 * every heartbeat, and a late heartbeat brings back no process that has ended.
 *
 * @module
 */
import type { NodeModel } from "./node_model.ts";
import type { Heartbeat } from "./wire_format.ts";

/** Nodes that are kept in mind; far more than a cluster has, so that heartbeats of more can't take all memory. */
export const NODES_MAX = 256;
/** Boots that were replaced and aren't forgotten yet, for each node. */
const REPLACED_MAX = 16;

/** A node that is heard of. */
export interface KnownNode {
  /** Its id. */
  readonly node: string;
  /** Its region; may be empty. */
  readonly region: string;
  /** The process that counts. */
  readonly boot: string;
  /** When its last heartbeat came in, monotonic milliseconds. */
  readonly heardMs: number;
  /** How far its model had come then; `null` = it doesn't say. */
  readonly model: NodeModel | null;
}

/** What a heartbeat was. */
export type Heard =
  /** The first of a node, or of its next boot, or the last of one that says goodbye: other reports count now. */
  | "changed"
  /** A further one. */
  | "alive"
  /** A repeated or a late one, or one too many. */
  | "ignored";

interface Entry extends KnownNode {
  /** Whether it said goodbye, and is only kept so that what is late of it isn't taken for a return. */
  isGone: boolean;
  seq: number;
  heardMs: number;
  region: string;
  model: NodeModel | null;
  /** Boots that don't count, with when they were heard of last. */
  readonly replaced: Map<string, number>;
}

/** The nodes that are heard of. */
export class Membership {
  readonly #ttlMs: number;
  readonly #nodes = new Map<string, Entry>();

  /**
   * None yet.
   *
   * @param ttlMs how long a node counts after a heartbeat
   */
  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  /** Takes a heartbeat that came in at `nowMs`. */
  hear(node: string, { boot, seq, region, kind, model: said }: Heartbeat, nowMs: number): Heard {
    const entry = this.#nodes.get(node);
    const model = said ?? null;
    if (entry?.boot === boot) {
      if (seq <= entry.seq) return "ignored";
      const wasGone = entry.isGone;
      entry.seq = seq;
      entry.heardMs = nowMs;
      entry.region = region;
      entry.model = model;
      entry.isGone = kind === "bye";
      return entry.isGone === wasGone ? "alive" : "changed";
    }
    const replaced = entry?.replaced ?? new Map<string, number>();
    const replacedMs = replaced.get(boot);
    if (replacedMs !== undefined) {
      replaced.set(boot, nowMs);
      return "ignored";
    }
    if (kind === "bye" || (entry === undefined && this.#nodes.size >= NODES_MAX)) return "ignored";
    if (entry) replaced.set(entry.boot, nowMs);
    if (replaced.size > REPLACED_MAX) replaced.delete(replaced.keys().next().value!);
    this.#nodes.set(node, { node, boot, seq, region, model, heardMs: nowMs, replaced, isGone: false });
    return "changed";
  }

  /** Forgets what has been silent for too long; gives the nodes that don't count from now on. */
  expire(nowMs: number): string[] {
    const gone: string[] = [];
    for (const { node, heardMs, replaced, isGone } of this.#nodes.values()) {
      for (const [boot, atMs] of replaced) if (nowMs - atMs > this.#ttlMs) replaced.delete(boot);
      if (nowMs - heardMs <= this.#ttlMs) continue;
      if (!isGone) gone.push(node);
      this.#nodes.delete(node);
    }
    return gone;
  }

  /** Grants all nodes the time in which this one couldn't listen. */
  grant(ms: number): void {
    for (const entry of this.#nodes.values()) entry.heardMs += ms;
  }

  /** When the next node may have been silent for too long, monotonic milliseconds; `Infinity` = there is none. */
  nextExpiryMs(): number {
    let firstMs = Infinity;
    for (const { heardMs } of this.#nodes.values()) firstMs = Math.min(firstMs, heardMs + this.#ttlMs);
    return firstMs;
  }

  /** The boot of a node that counts; `null` = the node isn't heard of. */
  bootOf(node: string): string | null {
    const entry = this.#nodes.get(node);
    return entry === undefined || entry.isGone ? null : entry.boot;
  }

  /** The nodes that count. */
  *nodes(): Generator<KnownNode> {
    for (const entry of this.#nodes.values()) if (!entry.isGone) yield entry;
  }
}
