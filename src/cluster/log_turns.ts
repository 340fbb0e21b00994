/**
 * Whose turn it is to publish on the cluster's log.
 *
 * A publication is taken only where nothing came after what its node has read. So of several nodes that want to publish at
 * once one does, and all others read, make their entries again and try once more: whoever did is ahead of them next time as
 * well, and one of them may wait for ever. Hence each leaves some time to those whose last publication is older. What a server
 * refuses is heard by all nodes as well, so they know who wants to, and leave that one more time: it may have lost its turn
 * because it was slow, and isn't to lose it twice. It is a courtesy and no lock: a node that has nothing to publish costs the
 * others a few milliseconds, and what is published out of turn counts.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** What the node before gets to read, to make its entries again, and to publish, milliseconds: before that is known, and bounds. */
const STEP_MS = 10;
const STEP_MIN_MS = 6;
const STEP_MAX_MS = 120;
/** How much longer a node is waited for that was refused, and at most, milliseconds. */
const REFUSED_FACTOR = 4;
const REFUSED_MAX_MS = 240;
/** A node that wasn't heard of for so long isn't waited for, milliseconds. */
const LATELY_MS = 1_000;
/** Nodes that are waited for at most. */
const NODES_MAX = 8;

/** A node that has published lately, or wanted to. */
interface Publisher {
  readonly node: string;
  /** When the log had an entry of it; 0 = not lately. */
  readonly publishedMs: number;
  /** When it was heard of; later than its entry = it wants to, and was refused. */
  readonly heardMs: number;
}

/** The nodes that publish. */
export class LogTurns {
  readonly #node: string;
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** By their last entry, the oldest first. */
  #lately: readonly Publisher[] = [];
  /** When the log had an entry of any, and of which. */
  #last = { ms: 0, node: "" };
  /** What this node takes from another's entry to its own, as a moving average, milliseconds. */
  #tookMs = STEP_MS / 2;

  /** Knows of no other yet. @param node this one */
  constructor({ node, clock }: { readonly node: string; readonly clock: Pick<Clock, "monotonicMs"> }) {
    this.#node = node;
    this.#clock = clock;
  }

  /** Notes that a node wants to publish. */
  wants(node: string): void {
    const heardMs = this.#clock.monotonicMs();
    const lately = this.#heardSince(heardMs - LATELY_MS);
    const publishedMs = lately.find((each) => each.node === node)?.publishedMs ?? 0;
    this.#order(lately, { node, publishedMs, heardMs });
  }

  /** Notes that the log has another entry of a node. */
  published(node: string): void {
    const nowMs = this.#clock.monotonicMs();
    const tookMs = nowMs - this.#last.ms;
    if (node === this.#node && this.#last.node !== node && tookMs < STEP_MAX_MS) {
      this.#tookMs += (tookMs - this.#tookMs) / 8;
    }
    this.#last = { ms: nowMs, node };
    this.#order(this.#heardSince(nowMs - LATELY_MS), { node, publishedMs: nowMs, heardMs: nowMs });
  }

  /** How long this node still leaves it to others to publish, milliseconds; 0 = it is its turn. */
  waitMs(): number {
    const nowMs = this.#clock.monotonicMs();
    const lately = this.#heardSince(nowMs - LATELY_MS);
    const before = lately.slice(0, Math.max(lately.findIndex(({ node }) => node === this.#node), 0));
    const leftMs = before.reduce((sum, publisher) => sum + this.#stepMs(publisher), 0);
    return before.length === 0 ? 0 : Math.max(this.#last.ms + leftMs - nowMs, 0);
  }

  #stepMs({ heardMs, publishedMs }: Publisher): number {
    const stepMs = Math.min(Math.max(2 * this.#tookMs, STEP_MIN_MS), STEP_MAX_MS);
    return heardMs > publishedMs ? Math.min(REFUSED_FACTOR * stepMs, REFUSED_MAX_MS) : stepMs;
  }

  #heardSince(ms: number): Publisher[] {
    return this.#lately.filter(({ heardMs }) => heardMs > ms);
  }

  #order(lately: readonly Publisher[], publisher: Publisher): void {
    this.#lately = [...lately.filter(({ node }) => node !== publisher.node), publisher]
      .sort((a, b) => a.publishedMs - b.publishedMs)
      .slice(-NODES_MAX);
  }
}
