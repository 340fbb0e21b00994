/**
 * Whether this node should believe its own eyes: one that finds most targets down while most of the others find them
 * healthy is more likely cut off than right.
 *
 * A target is **contradicted** where this node finds it unhealthy and more peers find it healthy than not, and **outvoted**
 * where they are more by two at least, so that they stay the majority when this node's own word is counted. Outvoted on more
 * than half of the targets that peers report, a node counts as blind; contradicted only, as with one peer, it can but
 * warn: either may be right.
 *
 * Nodes don't see an outage at the same moment. So doubt begins when it has lasted for as long as the peers' checks need to
 * find the same. It ends when no more than a quarter are outvoted, so that it doesn't come and go.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** What peers say of a target on which this node has found something: nothing · nothing else · the contrary, by few or many. */
export type Contradiction = "unreported" | "compared" | "contradicted" | "outvoted";

/** What a node thinks of its own sight: it sees · one peer says otherwise, so it can't tell · it is blind. */
export type SelfSight = "sees" | "contradicted" | "blind";

/** What doubt needs. */
export interface SelfDoubtOptions {
  /** Times how long a contradiction lasts. */
  readonly clock: Clock;
  /** Targets that must be contradicted at least: fewer say nothing of the node as a whole. */
  readonly atLeast: () => number;
  /** Told of each change. */
  readonly onChange: (sight: SelfSight, before: SelfSight) => void;
}

/** Doubts when most others see what this node doesn't. */
export class SelfDoubt {
  readonly #options: SelfDoubtOptions;
  /** Targets that peers report, by what they say. */
  readonly #counts = { compared: 0, contradicted: 0, outvoted: 0 };
  /** Targets that are contradicted or outvoted, by the time that their checks need. */
  readonly #spans = new Map<number, number>();
  #sight: SelfSight = "sees";
  /** What `#sight` becomes when it has lasted, and since when. */
  #pending: { readonly sight: SelfSight; readonly sinceMs: number; readonly timer: AbortController } | null =
    null;

  /** Sees. */
  constructor(options: SelfDoubtOptions) {
    this.#options = options;
  }

  /** What the node thinks of its sight. */
  get sight(): SelfSight {
    return this.#sight;
  }

  /**
   * Takes what peers say of one target now instead of before; `look` draws the conclusion from many.
   *
   * @param spanMs within which its check finds that it is down
   */
  count(before: Contradiction, now: Contradiction, spanMs: number): void {
    if (before === now) return;
    if (before !== "unreported") this.#counts[before]--;
    if (now !== "unreported") this.#counts[now]++;
    if (isAgainst(before)) this.#countSpan(spanMs, -1);
    if (isAgainst(now)) this.#countSpan(spanMs, 1);
  }

  /** Draws the conclusion. */
  look(): void {
    const sight = this.#conclude();
    if (sight === this.#sight || RANK[sight] < RANK[this.#sight]) {
      this.#forgetPending();
      return this.#become(sight);
    }
    if (this.#pending?.sight === sight) return;
    // From one peer's contradiction to that of many, the time that has passed counts.
    const sinceMs = this.#pending?.sinceMs ?? this.#options.clock.monotonicMs();
    this.#forgetPending();
    const timer = new AbortController();
    this.#pending = { sight, sinceMs, timer };
    this.#await(sinceMs + this.#spanMs(), timer);
  }

  #conclude(): SelfSight {
    const { compared, contradicted, outvoted } = this.#counts;
    const all = compared + contradicted + outvoted;
    const atLeast = this.#options.atLeast();
    const isMost = (count: number) => count >= atLeast && count * 2 > all;
    if (isMost(outvoted) || (this.#sight === "blind" && outvoted * 4 > all)) return "blind";
    return isMost(contradicted + outvoted) ? "contradicted" : "sees";
  }

  #become(sight: SelfSight): void {
    const before = this.#sight;
    if (sight === before) return;
    this.#sight = sight;
    this.#options.onChange(sight, before);
  }

  #await(untilMs: number, timer: AbortController): void {
    const { clock } = this.#options;
    clock.sleep(Math.max(0, untilMs - clock.monotonicMs()), timer.signal).then(() => {
      if (timer.signal.aborted || this.#pending === null) return;
      const { sight } = this.#pending;
      this.#pending = null;
      this.#become(sight);
    });
  }

  #forgetPending(): void {
    this.#pending?.timer.abort();
    this.#pending = null;
  }

  #spanMs(): number {
    return Math.max(0, ...this.#spans.keys());
  }

  #countSpan(spanMs: number, by: 1 | -1): void {
    const count = (this.#spans.get(spanMs) ?? 0) + by;
    if (count === 0) this.#spans.delete(spanMs);
    else this.#spans.set(spanMs, count);
  }
}

const RANK: Readonly<Record<SelfSight, number>> = { sees: 0, contradicted: 1, blind: 2 };

/** What peers say of a target that this node finds unhealthy, or not. */
export function contradictionOf(
  { own, healthy, unhealthy }: {
    readonly own: "healthy" | "unhealthy" | null;
    readonly healthy: number;
    readonly unhealthy: number;
  },
): Contradiction {
  if (own === null || healthy + unhealthy === 0) return "unreported";
  if (own === "healthy" || healthy <= unhealthy) return "compared";
  return healthy > unhealthy + 1 ? "outvoted" : "contradicted";
}

function isAgainst(contradiction: Contradiction): boolean {
  return contradiction === "contradicted" || contradiction === "outvoted";
}
