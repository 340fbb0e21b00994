/**
 * What peers cost the main thread: `deno task prove health_view`.
 *
 * Joins a node that probes 10,000 targets with four peers that report them all, has peers leave, and has all reports
 * turn at once. Measures the longest time for which the main thread computed in one go, and what one report costs;
 * both in time that the thread was running, so that a busy machine doesn't count.
 *
 * @module
 */
import { seededRng, systemClock } from "../../src/clock.ts";
import { checkTargetOf } from "../../src/desired/check_target.ts";
import { NodeHealth } from "../../src/health/node_health.ts";
import { HEALTH_CHECK_DEFAULTS } from "../../src/model/model.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ToldPeers } from "../health/view_bed.ts";

const TARGETS = 10_000;
/** When nodes come and go. */
const PAUSE_MAX_MS = 20;
/** When the state of every target turns at once, the flip guard takes all of it at one stroke. */
const STROKE_MAX_MS = 40;
const REPORT_MAX_US = 50;
const REPORTS = 10_000;

/** Runs the proof. */
export async function prove(): Promise<boolean> {
  const check = { ...HEALTH_CHECK_DEFAULTS, type: "https", intervalMs: 3_600_000 } as const;
  const targets = Array.from(
    { length: TARGETS },
    (_, i) => checkTargetOf({ ipAddress: `10.0.${i >> 8}.${i & 255}`, port: 443 }, check),
  );
  const clock = systemClock;
  await using health = new NodeHealth({
    clock,
    rng: seededRng(1),
    registry: new Registry({}),
    log: createLogger({ level: "error", format: "json", clock, write: () => {} }),
    probe: () => Promise.resolve({ ok: true, latencyMs: 1 }),
    guard: {
      flipGuard: { share: 0, atLeast: 5, holdMs: 30_000 },
      canaries: { targets: [], intervalMs: 1_000, timeoutMs: 500, holdMs: 60_000 },
    },
    addressesOf: () => [],
    memory: {
      verdicts: () => [],
      outs: () => [],
      keepVerdicts: () => {},
      forgetVerdicts: () => {},
      keepOuts: () => {},
    },
  });
  let passed = 0;
  health.onVerdicts((changes) => passed += changes.length);
  health.eligibility.follow({ added: targets, gone: [] });
  await health.checker.firstRound(AbortSignal.timeout(60_000));
  const peers = new ToldPeers("a");
  for (const node of ["b", "c", "d", "e"]) {
    peers.come(node);
    peers.say(node, "healthy", targets);
  }
  using pauses = new Pauses();
  let good = true;
  const phase = async (what: string, expected: number, act: () => void) => {
    passed = 0;
    act();
    pauses.begin();
    await pauses.quiet();
    const isGood = passed === expected && pauses.worstMs <= (expected === 0 ? PAUSE_MAX_MS : STROKE_MAX_MS);
    console.log(`${what.padEnd(24)} ${pauses.worstMs.toFixed(1)} ms at most, ${passed} changes`);
    good &&= isGood;
  };
  const terms = { policy: "global-quorum", quorumMinPercent: 51 } as const;
  using _joined = await (async () => {
    let joined: ReturnType<NodeHealth["join"]>;
    await phase("joining", 0, () => joined = health.join({ node: "a", peers, terms }));
    return joined!;
  })();
  await phase("a peer leaves", 0, () => peers.leave("e"));
  await phase("another leaves", 0, () => peers.leave("d"));
  peers.say("b", "unhealthy", targets);
  await phase("all reports turn", TARGETS, () => peers.say("c", "unhealthy", targets));
  await phase("all turn back", TARGETS, () => peers.say("c", "healthy", targets));
  const beforeMs = runningMs();
  for (let i = 0; i < REPORTS; i++) peers.say("c", i % 2 ? "healthy" : "unhealthy", [targets[5]!]);
  const reportUs = (runningMs() - beforeMs) * 1000 / REPORTS;
  console.log(`one report ${reportUs.toFixed(1)} µs`);
  return good && reportUs <= REPORT_MAX_US;
}

/** For how long this thread was running, milliseconds. */
function runningMs(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;
}

/** How long the event loop had to wait for this thread. */
class Pauses implements Disposable {
  worstMs = 0;
  #lastMs = runningMs();
  #quietTicks = 0;
  #resolve: (() => void) | null = null;
  readonly #timer = setInterval(() => this.#tick(), 1);

  begin(): void {
    this.worstMs = 0;
    this.#lastMs = runningMs();
  }

  /** Resolves when nothing has been computed for a while. */
  quiet(): Promise<void> {
    this.#quietTicks = 0;
    return new Promise((resolve) => this.#resolve = resolve);
  }

  #tick(): void {
    const nowMs = runningMs();
    const ranMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.worstMs = Math.max(this.worstMs, ranMs);
    this.#quietTicks = ranMs < 1 ? this.#quietTicks + 1 : 0;
    if (this.#quietTicks >= 200) this.#resolve?.();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
