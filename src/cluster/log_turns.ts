/**
 * Whose turn it is to publish on the cluster's log.
 *
 * A publication is taken only where nothing came after what its node goes by. So of several nodes that want to publish at
 * once one does, and all others read, make their entries again and try once more: whoever did is ahead of them next time as
 * well, and one of them may wait for ever. Hence each leaves some time to those whose last publication is older. What a server
 * refuses is heard by all nodes as well, so they know who wants to, and leave that one more time: it may have lost its turn
 * because it was slow, and isn't to lose it twice. It is a courtesy and no lock: a node that has nothing to publish costs the
 * others a few milliseconds, and what is published out of turn counts.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** What a node gets that may want to publish, milliseconds: often it doesn't, and all wait in vain. */
const STEP_MS = 14;
/** What a node takes to publish, milliseconds: before that is known, and what isn't its work any more. */
const TOOK_MS = 5;
const TOOK_MAX_MS = 120;
/** What a node gets that was refused, in times of that, and bounds, milliseconds. */
const REFUSED_FACTOR = 8;
const REFUSED_MIN_MS = 24;
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
  /** Since when this node has something to publish, and since when it is its turn; `null` = it hasn't, it isn't. */
  #wantsMs: number | null = null;
  #dueMs: number | null = null;
  /** What this node takes from when it is its turn, which is another's entry, to its own, as a moving average, milliseconds. */
  #tookMs = TOOK_MS;

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
    if (node === this.#node) {
      // What it waited for others, and for something to publish, isn't what others have to wait for it.
      const tookMs = nowMs - (this.#dueMs ?? -Infinity);
      if (this.#last.node !== node && tookMs < TOOK_MAX_MS) this.#tookMs += (tookMs - this.#tookMs) / 8;
      this.#wantsMs = null;
    }
    this.#dueMs = null;
    this.#last = { ms: nowMs, node };
    this.#order(this.#heardSince(nowMs - LATELY_MS), { node, publishedMs: nowMs, heardMs: nowMs });
  }

  /** How long this node, which has something to publish, still leaves it to others, milliseconds; 0 = it is its turn. */
  waitMs(): number {
    const nowMs = this.#clock.monotonicMs();
    this.#wantsMs ??= nowMs;
    const lately = this.#heardSince(nowMs - LATELY_MS);
    const before = lately.slice(0, Math.max(lately.findIndex(({ node }) => node === this.#node), 0));
    const leftMs = before.reduce((sum, publisher) => sum + this.#stepMs(publisher), 0);
    const turnMs = this.#last.ms + leftMs;
    if (before.length > 0 && turnMs > nowMs) return turnMs - nowMs;
    this.#dueMs ??= Math.max(Math.min(turnMs, nowMs), this.#wantsMs);
    return 0;
  }

  #stepMs({ heardMs, publishedMs }: Publisher): number {
    if (heardMs <= publishedMs) return STEP_MS;
    return Math.min(Math.max(REFUSED_FACTOR * this.#tookMs, REFUSED_MIN_MS), REFUSED_MAX_MS);
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
