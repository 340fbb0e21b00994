/**
 * A backend that is up for a second and down for a second, over and over: `rise` and `fall` bound how often that shows.
 *
 * A phase of `P` ms holds at most `⌊P / 0.95 I⌋ + 1` probes, since two starts lie at least 95 % of the interval `I`
 * apart, and at least one where `P` is longer than `I`. So where a phase has room for `fall` and for `rise` probes, the
 * answers change once a phase at most; where it has room for `fall` only, the backend leaves once and comes back when
 * the flapping is over; where it has no room for `fall`, it never leaves.
 *
 * @module
 */
import type { ServeProcess } from "../../serve_process.ts";
import { Prober } from "./prober.ts";
import type { Stage } from "./scenarios.ts";
import { countFlips, declare, DOMAIN, namesAny, ready, type Terms } from "./trial.ts";

/** How it flaps. */
export interface Flapping {
  readonly terms: Terms;
  /** Of each phase, up or down, milliseconds; longer than the interval. */
  readonly phaseMs: number;
  /** Pairs of a phase down and a phase up. */
  readonly times: number;
}

/** What it came to. */
export interface FlappingTrial {
  readonly flips: number;
  readonly flipsMax: number;
  /** From the last end of a phase down to the last change of the answers, milliseconds; 0 = it changed before. */
  readonly settledMs: number;
  /** The longest that may take, slack excepted. */
  readonly settledMsMax: number;
  /** Whether it was named at the end. */
  readonly isBack: boolean;
  readonly asked: number;
  /** Questions without an answer, and answers without an address. */
  readonly lost: number;
}

const STEERED = { steering: "rule", check: "http" } as const;
/** Jitter shortens an interval by so much at most. */
const JITTER = 0.05;

/** Has the first backend flap between 200 and 503. */
export async function flap(node: ServeProcess, stage: Stage, flapping: Flapping): Promise<FlappingTrial> {
  const { terms, phaseMs, times } = flapping;
  await declare(node, stage, { scenario: STEERED, terms });
  using prober = new Prober(node.dns, DOMAIN);
  await ready(node, stage, { prober, scenario: STEERED });
  const { notes } = prober;
  const from = notes.length;
  const backend = stage.backends[0]!;
  let endedMs = performance.now();
  for (let time = 0; time < times; time++) {
    await backend.behave({ status: 503 });
    await prober.until(performance.now() + phaseMs);
    await backend.behave({ status: 200 });
    endedMs = performance.now();
    if (time < times - 1) await prober.until(endedMs + phaseMs);
  }
  const settledMsMax = terms.rise * terms.intervalMs + terms.timeoutMs;
  await prober.until(endedMs + settledMsMax + terms.slackMs + phaseMs);

  const faulty = new Set([backend.address]);
  const seen = notes.slice(from).toSorted((a, b) => a.askedMs - b.askedMs);
  const lastWithout = seen.findLast((note) => !namesAny(note, faulty));
  return {
    flips: countFlips(seen, faulty),
    flipsMax: flipsMax(flapping),
    settledMs: Math.max(0, (lastWithout?.askedMs ?? 0) - endedMs),
    settledMsMax,
    isBack: namesAny(seen.at(-1)!, faulty),
    asked: seen.length,
    lost: prober.unanswered + seen.filter(({ names }) => names.length === 0).length,
  };
}

/** How often answers can change at most. */
export function flipsMax({ terms: { intervalMs, rise, fall }, phaseMs, times }: Flapping): number {
  const probesMax = Math.floor(phaseMs / (intervalMs * (1 - JITTER))) + 1;
  if (fall > probesMax) return 0;
  return rise > probesMax ? 2 : 2 * times;
}
