/**
 * Stands between verdicts and answers, for the whole node: when very many targets go down at once, it is more
 * likely that this node is wrong than that they all are, so the last good set is held for a while.
 *
 * - **Trip.** More than `share` of all targets, and at least `atLeast`, turned from healthy to unhealthy within one check
 *   interval (the longest of those that turned, as a sliding window). Their downs are taken back, and held like
 *   those that follow, for `holdMs`; then they count all the same.
 * - **Canaries**, where there are any, know better: when most of them answer on a fresh look, the targets are down
 *   indeed, and nothing is held any longer.
 * - **Blindness.** When no canary answers, or most peers see what this node doesn't, every down that it finds itself is held
 *   from the first, for `blindHoldMs` at most. When sight is back, the held ones get the time that their checks need to
 *   find them well again. Downs that follow from what peers report are credible, and pass.
 *
 * Ups are never held, who is down before a trip's window stays down, and what is held is held no longer than said: each
 * hold has one end, which nothing puts off.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { HealthCheck } from "../model/model.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Sight } from "./canaries.ts";
import type { VerdictChange } from "./health_checker.ts";

/** When a guard trips and how long it holds. */
export interface FlipGuardTerms {
  /** Of all targets, 0–1: more must go down; 0 = it never trips. */
  readonly share: number;
  /** Targets that must go down at least. */
  readonly atLeast: number;
  /** The longest hold after a trip, milliseconds. */
  readonly holdMs: number;
  /** The longest hold while no canary answers, milliseconds. */
  readonly blindHoldMs: number;
  /** Within which canaries that stop answering are found out, milliseconds; 0 = there are none. */
  readonly canarySpanMs: number;
}

/** What became of a trip. */
export type TripOutcome = (typeof TRIP_OUTCOMES)[number];

/**
 * Every outcome: the hold ran out · all came back meanwhile · the canaries answered, so the targets were down indeed ·
 * no canary answered, so the node was blind.
 */
export const TRIP_OUTCOMES = ["failed_over", "recovered", "confirmed", "blind"] as const;

/** What happened to a guard. */
export type GuardEvent =
  | {
    readonly kind: "tripped" | "blinded";
    /** Whose downs are held at this moment. */
    readonly held: number;
    readonly targets: number;
    /** When they count at the latest. */
    readonly untilUnixMs: number;
  }
  | {
    readonly kind: "ended";
    readonly outcome: TripOutcome;
    /** Whose downs count from now on. */
    readonly failedOver: number;
  }
  | {
    readonly kind: "sighted" | "overdue";
    /** `sighted`: still held, until their checks have had time; `overdue`: whose downs count from now on. */
    readonly held: number;
  };

/** A change of verdict that answers follow. */
export interface PassedChange extends VerdictChange {
  /** Whether a down that was passed before is to be as if it had never been. */
  readonly isTakenBack: boolean;
}

/** What a guard needs. */
export interface FlipGuardOptions {
  /** Times windows and holds. */
  readonly clock: Clock;
  /** Hears at once, and loudly, of every hold and its end. */
  readonly log: Logger;
  /** Those of now: asked each time, so that settings may change. */
  readonly terms: () => FlipGuardTerms;
  /** How many targets are checked. */
  readonly targets: () => number;
  /** How a target is checked; `null` = it isn't any more. */
  readonly checkOf: (key: string) => Pick<HealthCheck, "intervalMs" | "timeoutMs" | "rise"> | null;
  /** What the canaries showed last, or the peers. */
  readonly sight: () => Sight;
  /** By what this node knows whether it sees. */
  readonly witnesses: () => Witnesses;
  /** Has the canaries probed again at once; what they show comes by `see`. */
  readonly look: () => void;
  /** Told what answers are to follow, never an empty list. */
  readonly pass: (changes: readonly PassedChange[]) => void;
  /** Told of trips and blindness. */
  readonly onEvent: (event: GuardEvent) => void;
}

/** By what a node knows that it is blind: no canary answers, or most of its peers see what it doesn't. */
export type Witnesses = "canaries" | "peers";

/** Why the downs of now are held: too many at once · it is blind · it was until a moment ago. */
export type HoldCause = "flips" | "blindness" | "recovery";

/** Holds verdicts back when too many go down at once. */
export class FlipGuard implements Disposable {
  readonly #options: FlipGuardOptions;
  readonly #recent = new RecentDowns();
  readonly #held = new Map<string, VerdictChange>();
  #hold: Hold | null = null;
  /** Whether this blindness has used its hold up. */
  #isBlindnessSpent = false;
  /** Of the last blindness. */
  #witnesses: Witnesses = "canaries";

  /** Holds nothing. */
  constructor(options: FlipGuardOptions) {
    this.#options = options;
  }

  /** Why downs are held now; `null` = none are. */
  get holding(): HoldCause | null {
    return this.#hold?.cause ?? null;
  }

  /** Whose downs are held. */
  get heldCount(): number {
    return this.#held.size;
  }

  /** By what the last blindness was known. */
  get witnesses(): Witnesses {
    return this.#witnesses;
  }

  /** Whether the target's down is held, so that it counts as up. */
  holds(key: string): boolean {
    return this.#held.has(key);
  }

  /** Takes new verdicts, and passes on what answers are to follow. */
  judge(changes: readonly VerdictChange[]): void {
    const passed: PassedChange[] = [];
    const downs: VerdictChange[] = [];
    for (const change of changes) {
      if (change.verdict.state === "unhealthy") downs.push(change);
      else {
        this.#release(change.key);
        passed.push({ ...change, isTakenBack: false });
      }
    }
    const isTripping = this.#hold === null && this.#isTooMuch(downs);
    if (isTripping) passed.push(...this.#trip(downs));
    for (const change of downs) {
      if (this.#holdsNow(change)) this.#held.set(change.key, change);
      else passed.push({ ...change, isTakenBack: false });
    }
    if (passed.length > 0) this.#options.pass(passed);
    if (isTripping) this.#announceTrip();
    this.#endIfEmpty();
  }

  /** Takes what the canaries show; the same may come again and again. */
  see(sight: Sight): void {
    if (sight === "blind") return this.#goBlind();
    this.#isBlindnessSpent = false;
    const cause = this.#hold?.cause;
    if (cause === "blindness") this.#regainSight(sight);
    else if (cause === "flips" && sight === "clear") this.#end("confirmed");
  }

  /** Forgets targets that nothing checks any more. */
  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#release(key);
    this.#endIfEmpty();
  }

  /** Ends without passing anything on. */
  [Symbol.dispose](): void {
    this.#hold?.timer.abort();
    this.#hold = null;
  }

  #release(key: string): void {
    this.#held.delete(key);
    this.#recent.delete(key);
  }

  /** Whether downs of now are held; a trip leaves a target that was never found well no last good state. */
  #holdsNow(change: VerdictChange): boolean {
    if (this.#hold === null) return false;
    return this.#hold.cause === "flips" ? isTurn(change) : !change.isOfPeers;
  }

  /** Whether these downs, with those of late, are more than may turn at once. */
  #isTooMuch(downs: readonly VerdictChange[]): boolean {
    if (downs.length === 0) return false;
    const { clock, checkOf, terms, targets } = this.#options;
    const { share, atLeast, canarySpanMs } = terms();
    const atMs = clock.monotonicMs();
    for (const change of downs) {
      this.#recent.add({ change, atMs, intervalMs: checkOf(change.key)?.intervalMs ?? 0 });
    }
    this.#recent.prune(atMs, canarySpanMs);
    const { turnedCount } = this.#recent;
    return share > 0 && turnedCount >= atLeast && turnedCount > share * targets();
  }

  /** Begins to hold; gives what takes earlier downs back. */
  #trip(downs: readonly VerdictChange[]): PassedChange[] {
    const { clock, terms } = this.#options;
    this.#begin("flips", clock.monotonicMs() + terms().holdMs);
    const fresh = new Set(downs.map(({ key }) => key));
    return this.#takeBackRecent(({ key }) => !fresh.has(key));
  }

  #announceTrip(): void {
    const { log, terms, targets, sight, look } = this.#options;
    const { share, holdMs } = terms();
    const asksCanaries = sight() === "clear" || sight() === "blurred";
    log.error("Very many targets went down at once; the last good set is held", {
      down: this.#held.size,
      targets: targets(),
      allowedShare: share,
      then: (asksCanaries ? "if most canaries answer now, they count as down at once; else " : "") +
        `those still down in ${holdMs / 1000} s count as down all the same`,
    });
    this.#tellBeginning("tripped");
    if (asksCanaries) look();
  }

  #goBlind(): void {
    if (this.#isBlindnessSpent || this.#hold?.cause === "blindness") return;
    const { clock, log, terms, targets, pass, witnesses } = this.#options;
    this.#witnesses = witnesses();
    const nowMs = clock.monotonicMs();
    const { blindHoldMs, canarySpanMs } = terms();
    const before = this.#hold;
    this.#recent.prune(nowMs, canarySpanMs);
    // What was held before is held no longer for it; a blindness that comes again in its recovery is the same one.
    const untilMs = before?.cause === "recovery"
      ? before.blindUntilMs
      : (before?.sinceMs ?? nowMs) + blindHoldMs;
    if (before?.cause === "flips") this.#options.onEvent({ kind: "ended", outcome: "blind", failedOver: 0 });
    this.#begin("blindness", untilMs);
    const takenBack = this.#takeBackRecent(() => true);
    const reason = WORDS[this.#witnesses].blind;
    log.error(`${reason}: this node counts as blind, and targets that go down are held`, {
      held: this.#held.size,
      targets: targets(),
      then: `those still down in ${Math.round((untilMs - nowMs) / 1000)} s count as down all the same`,
    });
    this.#tellBeginning("blinded");
    if (takenBack.length > 0) pass(takenBack);
  }

  #regainSight(sight: Exclude<Sight, "blind">): void {
    const { clock, log, checkOf, onEvent } = this.#options;
    const held = this.#held.size;
    let recoveryMs = 0;
    for (const key of this.#held.keys()) {
      const check = checkOf(key);
      if (check) recoveryMs = Math.max(recoveryMs, check.intervalMs * check.rise + check.timeoutMs);
    }
    const { blindUntilMs } = this.#hold!;
    const nowMs = clock.monotonicMs();
    const untilMs = Math.min(nowMs + recoveryMs, blindUntilMs);
    this.#begin("recovery", untilMs, blindUntilMs);
    const words = WORDS[this.#witnesses];
    const reason = sight === "unaided" ? words.gone : words.again;
    log.warn(`${reason}: this node isn't blind any more`, {
      held,
      ...(held > 0 &&
        { then: `those still down in ${Math.round((untilMs - nowMs) / 1000)} s count as down` }),
    });
    onEvent({ kind: "sighted", held });
    this.#endIfEmpty();
  }

  /** Moves the downs of late that this hold is for to those that are held; gives what takes them back. */
  #takeBackRecent(wasPassed: (change: VerdictChange) => boolean): PassedChange[] {
    const late = this.#recent.take().map(({ change }) => change).filter((change) => this.#holdsNow(change));
    for (const change of late) this.#held.set(change.key, change);
    return late.filter(wasPassed).map(({ key, verdict, previous }) => ({
      key,
      verdict: previous,
      previous: verdict,
      isTakenBack: true,
    }));
  }

  #begin(cause: HoldCause, untilMs: number, blindUntilMs: number = untilMs): void {
    const { clock } = this.#options;
    this.#hold?.timer.abort();
    const nowMs = clock.monotonicMs();
    const timer = new AbortController();
    this.#hold = { cause, sinceMs: nowMs, untilMs, blindUntilMs, timer };
    clock.sleep(Math.max(0, untilMs - nowMs), timer.signal).then(() => {
      if (!timer.signal.aborted) this.#expire();
    });
  }

  #expire(): void {
    switch (this.#hold!.cause) {
      case "flips":
        return this.#end("failed_over");
      case "blindness":
        this.#isBlindnessSpent = true;
        return this.#endBlindness(WORDS[this.#witnesses].still);
      case "recovery":
        return this.#endBlindness("Not all targets came back with this node's sight");
    }
  }

  /** Ends a hold that has nothing left to wait for; blindness itself goes on. */
  #endIfEmpty(): void {
    if (this.#held.size > 0) return;
    if (this.#hold?.cause === "flips") this.#end("recovered");
    else if (this.#hold?.cause === "recovery") this.#endBlindness(null);
  }

  #end(outcome: Exclude<TripOutcome, "blind">): void {
    const failedOver = this.#endHold();
    const { log, onEvent } = this.#options;
    if (outcome === "recovered") log.warn("All targets whose downs were held came back");
    else log.error(FAILING_OVER[outcome], { down: failedOver.length });
    onEvent({ kind: "ended", outcome, failedOver: failedOver.length });
    this.#failOver(failedOver);
  }

  #endBlindness(reason: string | null): void {
    const failedOver = this.#endHold();
    const { log, onEvent } = this.#options;
    if (failedOver.length > 0) {
      log.error(`${reason}: downs that were held count from now on`, { down: failedOver.length });
      onEvent({ kind: "overdue", held: failedOver.length });
    }
    this.#failOver(failedOver);
  }

  #endHold(): VerdictChange[] {
    this.#hold?.timer.abort();
    this.#hold = null;
    const failedOver = [...this.#held.values()];
    this.#held.clear();
    this.#recent.take();
    return failedOver;
  }

  #failOver(changes: readonly VerdictChange[]): void {
    if (changes.length > 0) this.#options.pass(changes.map((change) => ({ ...change, isTakenBack: false })));
  }

  #tellBeginning(kind: "tripped" | "blinded"): void {
    const { clock, targets, onEvent } = this.#options;
    const leftMs = this.#hold!.untilMs - clock.monotonicMs();
    onEvent({
      kind,
      held: this.#held.size,
      targets: targets(),
      untilUnixMs: Math.round(clock.unixMs() + leftMs),
    });
  }
}

const FAILING_OVER = {
  failed_over: "Targets are still down after the hold: they count as down all the same",
  confirmed: "Most canaries answer, so the targets are down indeed: they count as down at once",
} as const;

const WORDS: Readonly<Record<Witnesses, Readonly<Record<"blind" | "still" | "again" | "gone", string>>>> = {
  canaries: {
    blind: "No canary answers",
    still: "Still no canary answers",
    again: "A canary answers again",
    gone: "There are no canaries any more",
  },
  peers: {
    blind: "Most peers see targets up that this node finds down",
    still: "Most peers still see targets up that this node finds down",
    again: "The peers see what this node sees again",
    gone: "The peers see what this node sees again",
  },
};

interface Hold {
  readonly cause: HoldCause;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** When the blindness that this is part of must end. */
  readonly blindUntilMs: number;
  readonly timer: AbortController;
}

interface RecentDown {
  readonly change: VerdictChange;
  readonly atMs: number;
  readonly intervalMs: number;
}

/** Whether a target that was known to be healthy is not any more. */
function isTurn({ previous }: VerdictChange): boolean {
  return previous.state === "healthy";
}

/** Targets that went down lately, each once; every operation costs the same however many there are. */
class RecentDowns {
  /** In the order of their time. */
  readonly #downs = new Map<string, RecentDown>();
  /** How many there are of each interval. */
  readonly #intervals = new Map<number, number>();
  #turnedCount = 0;

  /** How many were known to be healthy before. */
  get turnedCount(): number {
    return this.#turnedCount;
  }

  add(down: RecentDown): void {
    this.delete(down.change.key);
    this.#downs.set(down.change.key, down);
    this.#count(down, 1);
  }

  delete(key: string): void {
    const down = this.#downs.get(key);
    if (!down) return;
    this.#downs.delete(key);
    this.#count(down, -1);
  }

  /** Drops those outside the window: the longest interval of those inside, at least `windowMinMs`. */
  prune(nowMs: number, windowMinMs: number): void {
    for (let before = -1; before !== this.#downs.size;) {
      before = this.#downs.size;
      const windowMs = Math.max(windowMinMs, ...this.#intervals.keys());
      for (const { change, atMs } of this.#downs.values()) {
        if (nowMs - atMs <= windowMs) break;
        this.delete(change.key);
      }
    }
  }

  /** All of them; none is left. */
  take(): RecentDown[] {
    const all = [...this.#downs.values()];
    this.#downs.clear();
    this.#intervals.clear();
    this.#turnedCount = 0;
    return all;
  }

  #count({ change, intervalMs }: RecentDown, by: 1 | -1): void {
    const count = (this.#intervals.get(intervalMs) ?? 0) + by;
    if (count === 0) this.#intervals.delete(intervalMs);
    else this.#intervals.set(intervalMs, count);
    if (isTurn(change)) this.#turnedCount += by;
  }
}
