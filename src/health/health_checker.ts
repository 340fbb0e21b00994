/**
 * When each target is probed, and who is told when a verdict changes.
 *
 * One loop drives everything: it sleeps until the next start or deadline is due, starts what is due, and ends what
 * has taken too long. Three promises hold:
 *
 * - **Two starts of a target lie at most its interval apart** (and at least 95 % of it: jitter only shortens, so that
 *   `interval × fall + timeout` bounds the time to a verdict). Starts follow a plan, not the end of the probe
 *   before, so load doesn't make them drift; a probe never overlaps itself.
 * - **A blocked process blames no target.** A deadline that passes while the event loop stood still says nothing about
 *   the target: time in which this loop couldn't run is added to the deadlines that it fell into.
 * - **A target without a verdict is probed at once**, one with a restored verdict at a random point of its interval, so
 *   that a restart neither waits for what it knows nor sends all probes in one burst.
 *
 * @module
 */
import type { Clock, Rng } from "../clock.ts";
import type { CheckTarget } from "../desired/check_target.ts";
import type { HealthCheck } from "../model/model.ts";
import { type Family, formatSocketAddress } from "../ip.ts";
import type { Logger } from "../telemetry/log.ts";
import { betweenSlices } from "../slices.ts";
import { type Due, DueQueue } from "./due_queue.ts";
import {
  judge,
  type Judgement,
  judgementOf,
  type ProbeResult,
  UNKNOWN_VERDICT,
  type Verdict,
} from "./verdict.ts";

/**
 * Probes a target once. What can be wrong with a target is a value; a rejection means that the probe could not be made at
 * all (no free file descriptor) and says nothing about the target. When `signal` is aborted it must settle
 * soon and leave nothing open.
 */
export type Probe = (target: CheckTarget, signal: AbortSignal) => Promise<ProbeResult>;

/** A target whose state became another one. */
export interface VerdictChange {
  /** Of the target. */
  readonly key: string;
  /** What is believed now. */
  readonly verdict: Verdict;
  /** What was believed before. */
  readonly previous: Verdict;
  /** Unix milliseconds of the last result that agreed with `previous`, if this run had one: the change came after. */
  readonly agreedAt?: number | null;
  /** Whether it follows from what other nodes report, and not from what this one found. */
  readonly isOfPeers?: boolean;
}

/** Counts what happens; `registerHealthMetrics` makes one. */
export interface HealthObserver {
  /** A probe came to a result (`durationMs` from its start), or could not be made (`error`). */
  probed(
    type: CheckTarget["check"]["type"],
    result: "success" | "failure" | "error",
    durationMs: number,
  ): void;
  /** A healthy target was found down, or an unhealthy one up, at most `seconds` after it happened. */
  detected(direction: "down" | "up", seconds: number): void;
}

/** What a `HealthChecker` needs. */
export interface HealthCheckerOptions {
  /** Times the rounds and stamps the verdicts. */
  readonly clock: Clock;
  /** Spreads the rounds. */
  readonly rng: Rng;
  /** Does the work. */
  readonly probe: Probe;
  /** Probes under way at the same time; `CONCURRENCY_MAX` when left out. */
  readonly concurrency?: number;
  /** Told of changes and of probes that can't be made. */
  readonly log: Logger;
  /** Told of changes of state, never with an empty list; several in one call when they came together. */
  readonly onVerdicts: (changes: readonly VerdictChange[]) => void;
  /**
   * Told of a target whose verdict was restored, when the first results of this run agree with it: no state changes, but
   * from now on `found` knows it.
   */
  readonly onConfirmed?: (key: string) => void;
  /** Counts probes and detections. */
  readonly observer?: HealthObserver;
}

/**
 * Probes under way at the same time unless told otherwise: with 10,000 dead targets at a 10 s interval and a 2 s
 * time-out 2,000 are; a socket each, that is well below the 524,288 descriptors a systemd service gets.
 */
const CONCURRENCY_MAX = 4_096;

/** How many of the endpoints of a family are up. */
export interface EndpointCounts {
  /** Of the addresses. */
  readonly family: Family;
  /** All that are probed. */
  readonly total: number;
  /** Those not known to be unhealthy. */
  readonly healthy: number;
}

/** Probes targets round after round and keeps what is believed of them. */
export class HealthChecker implements AsyncDisposable {
  readonly #options: HealthCheckerOptions;
  readonly #concurrency: number;
  readonly #entries = new Map<string, Entry>();
  readonly #waiting = new DueQueue<Entry>();
  readonly #running = new DueQueue<Entry>();
  /** Every probe that has not settled, those of forgotten targets included. */
  readonly #unsettled = new Set<Promise<void>>();
  readonly #end = new AbortController();
  readonly #loop: Promise<void>;
  readonly #between: Disposable;
  #restored = new Map<string, Verdict>();
  #wake = new AbortController();
  /** Milliseconds of this checker's life in which its loop could not run. */
  #stalledMs = 0;
  #unknownCount = 0;
  #roundWaiters: (() => void)[] = [];
  #changes: VerdictChange[] = [];
  #lines = { untilMs: 0, count: 0 };

  /** Starts with no targets. */
  constructor(options: HealthCheckerOptions) {
    this.#options = options;
    this.#concurrency = options.concurrency ?? CONCURRENCY_MAX;
    this.#loop = this.#run();
    this.#between = betweenSlices(() => this.#startLate());
  }

  /** Follows the configuration: starts what is new, forgets what is gone, leaves the rest undisturbed. */
  use(targets: Iterable<CheckTarget>): void {
    const wanted = new Set<string>();
    const added: CheckTarget[] = [];
    for (const target of targets) {
      wanted.add(target.key);
      added.push(target);
    }
    this.follow(added, [...this.#entries.keys()].filter((key) => !wanted.has(key)));
  }

  /** The same by the difference alone, at a cost that doesn't depend on how many targets there are. */
  follow(added: Iterable<CheckTarget>, gone: Iterable<string>): void {
    for (const key of gone) {
      const entry = this.#entries.get(key);
      if (entry) this.#forget(entry);
    }
    for (const target of added) if (!this.#entries.has(target.key)) this.#add(target);
    this.#restored.clear();
    this.#endRoundIfDone();
    this.#wake.abort();
  }

  /** Gives targets the verdicts of the last run, until their first new result; call it before the first `use` or `follow`. */
  restore(entries: Iterable<readonly [string, Verdict]>): void {
    this.#restored = new Map(entries);
  }

  /** What is believed of a target; of one that isn't probed nothing is known. */
  verdict(key: string): Verdict {
    return this.#entries.get(key)?.judgement.verdict ?? UNKNOWN_VERDICT;
  }

  /** What probes of this run have found; `null` = nothing, though there may be a verdict of the last one. */
  found(key: string): Verdict | null {
    const judgement = this.#entries.get(key)?.judgement;
    return judgement?.agreedAt == null ? null : judgement.verdict;
  }

  /** All that is probed; what comes and goes while it is read may be among it or not. */
  *targets(): Generator<CheckTarget> {
    for (const { target } of this.#entries.values()) yield target;
  }

  /** How a target is checked; `null` = it isn't. */
  checkOf(key: string): HealthCheck | null {
    return this.#entries.get(key)?.target.check ?? null;
  }

  /** How many targets there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** What is believed of all targets. */
  *verdicts(): Generator<[string, Verdict]> {
    for (const [key, { judgement }] of this.#entries) yield [key, judgement.verdict];
  }

  /** How many endpoints there are and how many are up, per family. */
  endpoints(): EndpointCounts[] {
    return ([4, 6] as const).map((family) => {
      const states = [...this.#entries.values()].filter((entry) => familyOfTarget(entry.target) === family)
        .map((entry) => entry.judgement.verdict.state);
      return {
        family,
        total: states.length,
        healthy: states.filter((state) => state !== "unhealthy").length,
      };
    });
  }

  /** Resolves when every target has a verdict, restored or probed, or when `signal` is aborted. */
  firstRound(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted || this.#unknownCount === 0) return resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
      this.#roundWaiters.push(resolve);
    });
  }

  /** Stops; resolves when no probe is under way any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    this.#wake.abort();
    this.#between[Symbol.dispose]();
    for (const entry of [...this.#entries.values()]) this.#forget(entry);
    this.#endRoundIfDone();
    await Promise.all([this.#loop, ...this.#unsettled]);
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#end.signal.aborted) {
      const fromMs = clock.monotonicMs();
      const sleepMs = this.#sleepMs(fromMs);
      await clock.sleep(sleepMs, this.#wake.signal);
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
      const nowMs = clock.monotonicMs();
      const lateMs = nowMs - fromMs - sleepMs;
      if (lateMs > STALL_MS) this.#stalledMs += lateMs;
      try {
        this.#endOverdue(nowMs);
        this.#startDue(nowMs);
      } catch (error) {
        this.#options.log.error("Health checks met an error and go on", { error });
      }
    }
  }

  #sleepMs(nowMs: number): number {
    const startMs = this.#unsettled.size < this.#concurrency ? this.#waiting.peek()?.dueMs : undefined;
    const nextMs = Math.min(startMs ?? Infinity, this.#running.peek()?.dueMs ?? Infinity) - nowMs;
    const mostMs = this.#unsettled.size > 0 ? WATCH_MS : IDLE_MS;
    return Math.min(Math.max(nextMs, TICK_MS), mostMs);
  }

  /** In turns that are long the timer of the loop comes late. */
  #startLate(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const entry = this.#waiting.peek();
    if (!entry || nowMs - entry.dueMs < TICK_MS) return;
    try {
      this.#startDue(nowMs);
    } catch (error) {
      this.#options.log.error("Health checks met an error and go on", { error });
    }
  }

  #startDue(nowMs: number): void {
    for (let started = 0; started < START_MAX && this.#unsettled.size < this.#concurrency; started++) {
      const entry = this.#waiting.peek();
      if (!entry || entry.dueMs > nowMs) return;
      this.#waiting.remove(entry);
      this.#start(entry, nowMs);
    }
  }

  #endOverdue(nowMs: number): void {
    for (let entry = this.#running.peek(); entry && entry.dueMs <= nowMs; entry = this.#running.peek()) {
      const round = entry.round!;
      const { timeoutMs } = entry.target.check;
      // At most the time-out once more, so that a hanging target is found by a process that is always late, too.
      const grantMs = Math.min(this.#stalledMs - round.stalledMs, timeoutMs - round.grantedMs);
      if (grantMs > 0) {
        round.stalledMs = this.#stalledMs;
        round.grantedMs += grantMs;
        this.#running.put(entry, nowMs + grantMs);
      } else if (!round.isLastLook) {
        // What arrived in time may still wait behind this timer in the event loop.
        round.isLastLook = true;
        this.#running.put(entry, nowMs + TICK_MS);
      } else {
        const error = `timeout after ${timeoutMs} ms`;
        try {
          this.#conclude(entry, round, { ok: false, error });
        } finally {
          round.controller.abort();
        }
      }
    }
  }

  #start(entry: Entry, nowMs: number): void {
    const { target } = entry;
    const { intervalMs, timeoutMs } = target.check;
    const controller = new AbortController();
    const round: Round = {
      controller,
      startMs: nowMs,
      stalledMs: this.#stalledMs,
      grantedMs: 0,
      isLastLook: false,
      isOver: false,
    };
    entry.round = round;
    entry.nextMs = this.#nextStart(entry, nowMs, intervalMs);
    this.#running.put(entry, nowMs + timeoutMs);
    const settled = Promise.try(this.#options.probe, target, controller.signal).then(
      (result) => this.#conclude(entry, round, result),
      (error) => this.#reportFault(entry, round, error),
    ).catch((error) => this.#options.log.error("Health checks met an error and go on", { error })).then(
      () => {
        this.#unsettled.delete(settled);
        this.#release(entry, round);
      },
    );
    this.#unsettled.add(settled);
  }

  #nextStart(entry: Entry, nowMs: number, intervalMs: number): number {
    // The first probe of all targets comes at once; their second spreads them over the interval.
    const fraction = entry.nextMs === null ? this.#random() : 1 - JITTER * this.#random();
    // A plan that is a whole round behind (too many slow probes, a stalled process) starts over instead of catching up.
    const plannedMs = entry.nextMs !== null && nowMs - entry.nextMs < intervalMs ? entry.nextMs : nowMs;
    return plannedMs + intervalMs * fraction;
  }

  /** Takes a result, unless the round is over already. */
  #conclude(entry: Entry, round: Round, result: ProbeResult): void {
    if (!this.#endRound(entry, round)) return;
    const { clock, observer } = this.#options;
    const { check } = entry.target;
    const before = entry.judgement;
    const after = judge(before, result, { rise: check.rise, fall: check.fall, unixMs: clock.unixMs() });
    entry.judgement = after;
    // What others do with it comes behind: none of it may keep the verdict from being told.
    if (after.verdict.state !== before.verdict.state) this.#announce(entry, before);
    else if (before.agreedAt === null && after.agreedAt !== null) {
      this.#options.onConfirmed?.(entry.target.key);
    }
    observer?.probed(check.type, result.ok ? "success" : "failure", clock.monotonicMs() - round.startMs);
  }

  #reportFault(entry: Entry, round: Round, error: unknown): void {
    if (!this.#endRound(entry, round)) return;
    const { clock, observer } = this.#options;
    observer?.probed(entry.target.check.type, "error", clock.monotonicMs() - round.startMs);
    if (this.#mayWriteLine()) this.#options.log.error("Cannot probe", { ...nameOf(entry.target), error });
  }

  /** Takes the round's deadline away; false when the round had ended before. */
  #endRound(entry: Entry, round: Round): boolean {
    if (entry.round !== round || round.isOver) return false;
    round.isOver = true;
    this.#running.remove(entry);
    return true;
  }

  /** Lets the next round come, now that nothing of this one is under way. */
  #release(entry: Entry, round: Round): void {
    if (entry.round !== round) return;
    entry.round = null;
    this.#waiting.put(entry, entry.nextMs!);
  }

  #announce(entry: Entry, before: Judgement): void {
    const { key } = entry.target;
    const { verdict } = entry.judgement;
    const previous = before.verdict;
    this.#changes.push({ key, verdict, previous, agreedAt: before.agreedAt });
    // Results that came in the same turn of the event loop go out together.
    if (this.#changes.length === 1) queueMicrotask(() => this.#flush());
    if (previous.state === "unknown") this.#unknownCount--;
    else if (before.agreedAt !== null) {
      const seconds = (verdict.since! - before.agreedAt) / 1000;
      this.#options.observer?.detected(verdict.state === "healthy" ? "up" : "down", Math.max(0, seconds));
    }
    this.#logChange(entry, previous);
  }

  #flush(): void {
    const changes = this.#changes;
    this.#changes = [];
    try {
      this.#options.onVerdicts(changes);
    } catch (error) {
      // Probing goes on for the others; the caller's state is the caller's to fix.
      this.#options.log.error("Cannot act on new verdicts", { count: changes.length, error });
    }
    this.#endRoundIfDone();
  }

  #logChange(entry: Entry, previous: Verdict): void {
    const { log } = this.#options;
    const { verdict } = entry.judgement;
    const fields = { ...nameOf(entry.target), was: previous.state, error: verdict.lastError ?? undefined };
    if (verdict.state === "healthy" && previous.state === "unknown") {
      return log.debug("Target is healthy", fields);
    }
    if (!this.#mayWriteLine()) return;
    if (verdict.state === "healthy") log.info("Target is healthy", fields);
    else log.warn("Target is unhealthy", fields);
  }

  /** A thousand targets that fall together must not drown the log that tells why. */
  #mayWriteLine(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs >= this.#lines.untilMs) {
      const hidden = this.#lines.count - LINES_MAX;
      if (hidden > 0) this.#options.log.warn("More targets changed than are listed", { hidden });
      this.#lines = { untilMs: nowMs + LINES_WINDOW_MS, count: 0 };
    }
    return ++this.#lines.count <= LINES_MAX;
  }

  #add(target: CheckTarget): void {
    const restored = this.#restored.get(target.key);
    const verdict = restored ?? UNKNOWN_VERDICT;
    const nowMs = this.#options.clock.monotonicMs();
    const isKnown = verdict.state !== "unknown";
    const entry: Entry = {
      target,
      judgement: judgementOf(verdict),
      round: null,
      nextMs: isKnown ? nowMs + target.check.intervalMs * this.#random() : null,
      dueMs: 0,
      heapIndex: -1,
    };
    if (!isKnown) this.#unknownCount++;
    this.#entries.set(target.key, entry);
    this.#waiting.put(entry, entry.nextMs ?? nowMs);
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry.target.key);
    this.#waiting.remove(entry);
    this.#running.remove(entry);
    if (entry.judgement.verdict.state === "unknown") this.#unknownCount--;
    const { round } = entry;
    entry.round = null;
    round?.controller.abort();
  }

  #endRoundIfDone(): void {
    if (this.#unknownCount > 0) return;
    for (const resolve of this.#roundWaiters.splice(0)) resolve();
  }

  /** A uniform draw from [0, 1). */
  #random(): number {
    return this.#options.rng() / 2 ** 32;
  }
}

/** A start comes up to this share of the interval early, so that targets which began together drift apart. */
const JITTER = 0.05;

/** What is due within a tick is handled together: 100 wake-ups a second at most, however many targets. */
const TICK_MS = 10;

/**
 * Starts in one turn, and behind each slice of other work: where processors are short, some slices a second are all there is. At
 * 30–60 µs each the event loop is held for 8 ms at most, and 12,800 a second get through.
 */
const START_MAX = 128;

/** While probes run the loop looks at the clock this often, so that it sees a stall of the process. */
const WATCH_MS = 50;

/** The longest sleep; without probes under way there is nothing to watch. */
const IDLE_MS = 60_000;

/** A loop that wakes this much late has been blocked; ordinary turns of the event loop are shorter. */
const STALL_MS = 20;

/** Lines about single targets in a window. */
const LINES_MAX = 50;
const LINES_WINDOW_MS = 1_000;

interface Entry extends Due {
  readonly target: CheckTarget;
  judgement: Judgement;
  /** The probe under way. */
  round: Round | null;
  /** Monotonic milliseconds of the next start by plan; `null` before the first one. */
  nextMs: number | null;
}

interface Round {
  readonly controller: AbortController;
  readonly startMs: number;
  /** The checker's lost time when the deadline was set last. */
  stalledMs: number;
  /** By how much the deadline was put off for lost time. */
  grantedMs: number;
  isLastLook: boolean;
  isOver: boolean;
}

/** How the log names a target. */
function nameOf({ ipAddress, port, check }: CheckTarget): { type: string; target: string } {
  return { type: check.type, target: formatSocketAddress({ hostname: ipAddress, port }) };
}

function familyOfTarget({ ipAddress }: CheckTarget): Family {
  return ipAddress.includes(":") ? 6 : 4;
}
