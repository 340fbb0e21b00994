/**
 * Canaries: targets outside, of which it is known that they are up. They tell "they are down" from "I am blind": a
 * node that reaches none of them shouldn't judge others.
 *
 * They are probed over TCP by a `HealthChecker` of their own, so that a stalled process blames no canary either. Two
 * failures in a row take one down, since a single lost packet must not blind the node; one success brings it back. On a
 * fresh look every canary is unknown again, and its first result counts.
 *
 * @module
 */
import type { CheckTarget } from "../desired/check_target.ts";
import { HEALTH_CHECK_DEFAULTS } from "../model/model.ts";
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import { HealthChecker, type HealthCheckerOptions } from "./health_checker.ts";

/**
 * What canaries show: there are none · most of them answer · some do, or it isn't known yet · every one is known not
 * to answer.
 */
export type Sight = "unaided" | "clear" | "blurred" | "blind";

/** Which canaries there are. */
export interface CanaryTerms {
  /** Where something listens for TCP; none = no canaries. */
  readonly targets: readonly SocketAddress[];
  /** Between the starts of two probes, milliseconds. */
  readonly intervalMs: number;
  /** Longest duration of a probe, milliseconds. */
  readonly timeoutMs: number;
}

/** What canaries need. */
export interface CanariesOptions extends Pick<HealthCheckerOptions, "clock" | "rng" | "probe" | "log"> {
  /** Told whenever something new is known, and when a fresh look has shown the same. */
  readonly onSight: (sight: Sight) => void;
}

/** Failures in a row after which a canary doesn't answer any more. */
const FALL = 2;

/** Probes the canaries, from `use` on. */
export class Canaries implements AsyncDisposable {
  readonly #options: CanariesOptions;
  readonly #checker: HealthChecker;
  #terms: CanaryTerms = { targets: [], intervalMs: 0, timeoutMs: 0 };
  #targets: readonly CheckTarget[] = [];

  /** Has no canaries yet. */
  constructor(options: CanariesOptions) {
    this.#options = options;
    this.#checker = new HealthChecker({
      ...options,
      log: options.log.with({ part: "canaries" }),
      onVerdicts: () => this.#tell(),
    });
  }

  /** What they show. */
  get sight(): Sight {
    const { all, up, down } = this.counts;
    if (all === 0) return "unaided";
    if (up * 2 > all) return "clear";
    return down === all ? "blind" : "blurred";
  }

  /** How many there are, answer, and don't. */
  get counts(): { readonly all: number; readonly up: number; readonly down: number } {
    const states = [...this.#checker.verdicts()].map(([, { state }]) => state);
    return {
      all: states.length,
      up: states.filter((state) => state === "healthy").length,
      down: states.filter((state) => state === "unhealthy").length,
    };
  }

  /** Within which it is noticed that they stop answering, milliseconds; 0 = there are none. */
  get spanMs(): number {
    const { targets, intervalMs, timeoutMs } = this.#terms;
    return targets.length === 0 ? 0 : intervalMs * FALL + timeoutMs;
  }

  /** Replaces the canaries; those that stay aren't disturbed. */
  use(terms: CanaryTerms): void {
    this.#terms = terms;
    this.#targets = terms.targets.map((target) => canaryOf(target, terms));
    this.#checker.use(this.#targets);
    if (this.#targets.length === 0) this.#options.onSight("unaided");
  }

  /** Probes all again at once, whatever was known of them. */
  look(): void {
    this.#checker.follow(this.#targets, this.#targets.map(({ key }) => key));
  }

  /** Stops; resolves when no probe is under way any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#checker[Symbol.asyncDispose]();
  }

  /** Says nothing while it depends on canaries that nothing is known of yet. */
  #tell(): void {
    const { all, up, down } = this.counts;
    const { sight } = this;
    if (sight !== "blurred" || up + down === all) this.#options.onSight(sight);
  }
}

function canaryOf({ hostname, port }: SocketAddress, { intervalMs, timeoutMs }: CanaryTerms): CheckTarget {
  return {
    key: `${formatSocketAddress({ hostname, port })} ${intervalMs} ${timeoutMs}`,
    ipAddress: hostname,
    port,
    check: { ...HEALTH_CHECK_DEFAULTS, type: "tcp", intervalMs, timeoutMs, rise: 1, fall: FALL },
  };
}
