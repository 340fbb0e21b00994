/**
 * From verdicts on targets to who may be answered: one bit per eligibility key (`desired/eligibility.ts`), and what is probed
 * for which target.
 *
 * A plain target is its own eligibility: nothing is kept of it here but whether it counts as down, so that a million
 * members cost what they cost without eligibility. Derived eligibility are worked out again whenever one of their
 * targets changes. A member under a failback policy that went out comes back when it was well for the delay without a break, or
 * when an operator says so; that it is out outlives the process (`OutKeeper`).
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { type CheckTarget, checkTargetsOf } from "../desired/check_target.ts";
import type { Desired, SteeredPool } from "../desired/desired.ts";
import { derivedEligibility, type EligibilityRule } from "../desired/eligibility.ts";
import { poolOfFallback } from "../desired/fallback.ts";
import { steeredPool } from "../desired/steered_pool.ts";
import { type Due, DueQueue } from "./due_queue.ts";
import type { PassedChange } from "./flip_guard.ts";
import type { HealthChecker } from "./health_checker.ts";
import { Holdings } from "./holdings.ts";
import { ProbedTargets, type TargetChange } from "./targets.ts";

/** A member that is out although its checks may find it well. */
export interface Out {
  /** Unix milliseconds since when its checks find it well; `null` = they don't. */
  readonly wellSince: number | null;
}

/** Where it outlives the process who is out under a failback policy. */
export interface OutKeeper {
  /** Replaces what is kept of these keys; `null` = in again. */
  save(outs: readonly (readonly [key: string, out: Out | null])[]): void;
}

/** What eligibility need. */
export interface EligibilityOptions {
  /** Times failback. */
  readonly clock: Clock;
  /** Probes the targets. */
  readonly health: Pick<HealthChecker, "follow" | "verdict">;
  /** Told of targets that nothing declares any more. */
  readonly onTargetsGone: (keys: readonly string[]) => void;
  /** Who was out at the end of the last run. */
  readonly restored: Iterable<readonly [key: string, out: Out]>;
  /** Keeps who is out. */
  readonly keeper: OutKeeper;
  /** Told of derived eligibility that changed by the passing of time or by an operator. */
  readonly onChange: (keys: readonly string[]) => void;
}

/** What comes of an operator's word: it is in now · it was already · its checks find it down, so it can't. */
export type FailBackResult = "done" | "was in" | "down";

/** Who may be answered. */
export class Eligibility implements Disposable {
  readonly #options: EligibilityOptions;
  readonly #probed = new ProbedTargets();
  /** Targets that count as down. */
  readonly #down = new Set<string>();
  readonly #entries = new Map<string, Entry>();
  /** Derived eligibility by the targets that they depend on. */
  readonly #dependents = new Map<string, Set<Entry>>();
  /** Keys of derived eligibility by owner: a pool's id, or the fallback. */
  readonly #owned = new Holdings();
  readonly #waiting = new DueQueue<Entry>();
  /** Put, but not yet judged. */
  readonly #fresh = new Set<Entry>();
  readonly #unsaved = new Map<string, Out | null>();
  readonly #restored: Map<string, Out>;
  #timer: AbortController | null = null;

  /** Knows of no member yet. */
  constructor(options: EligibilityOptions) {
    this.#options = options;
    this.#restored = new Map(options.restored);
  }

  /** Whether who has this eligibility may be answered; a target's key is a plain one's. */
  isEligible(key: string): boolean {
    const entry = this.#entries.get(key);
    return entry ? isEligible(entry) : !this.#down.has(key);
  }

  /** Whether the target counts as down. */
  isDown(target: string): boolean {
    return this.#down.has(target);
  }

  /** Why a member under a failback policy is out although it is healthy; `null` = it isn't. */
  waiting(key: string): { readonly leftMs: number } | "for an operator" | null {
    const entry = this.#entries.get(key);
    if (!entry || entry.out === null || !entry.isWell) return null;
    if (entry.heapIndex < 0) return "for an operator";
    return { leftMs: Math.max(0, entry.dueMs - this.#options.clock.monotonicMs()) };
  }

  /** Takes over the whole of the desired state; what is given is to be handed to `follow`. */
  replace(desired: Pick<Desired, "checkedPools" | "fallback">): TargetChange {
    this.begin();
    const added: CheckTarget[] = [];
    for (const pool of desired.checkedPools()) added.push(...this.tell(pool));
    if (desired.fallback) added.push(...this.tell(steeredPool(poolOfFallback(desired.fallback))));
    return { added, gone: [...this.end()].flat() };
  }

  /**
   * Begins to take over the whole of the desired state pool by pool (`tell`) while single ones go on being put. What
   * stands now stands until `end`, beside what is new.
   */
  begin(): void {
    this.#probed.begin();
    this.#owned.begin();
  }

  /** Takes over one of all pools; gives targets that are to be handed to `follow`. */
  tell(pool: SteeredPool): readonly CheckTarget[] {
    if (!this.#owned.isTold(pool.id)) {
      const eligibility = derivedEligibility(pool);
      const isSame = this.#owned.tell(pool.id, eligibility.map(({ key }) => key));
      for (const rule of eligibility) this.#put(rule, isSame ? 0 : 1);
    }
    return this.#probed.tell(pool.id, checkTargetsOf(pool));
  }

  /** Forgets what wasn't told of; gives keys of targets that are to be handed to `follow`, a few at a time. */
  *end(): Generator<readonly string[]> {
    for (const keys of this.#owned.end()) for (const key of keys) this.#drop(key);
    yield* this.#probed.end();
  }

  /** Forgets what was told, likewise. */
  *giveUp(): Generator<readonly string[]> {
    for (const keys of this.#owned.giveUp()) for (const key of keys) this.#drop(key);
    yield* this.#probed.giveUp();
  }

  /** Takes over one pool, as it is to be answered; what is given is to be handed to `follow`. */
  put(pool: SteeredPool): TargetChange {
    const eligibility = derivedEligibility(pool);
    for (const rule of eligibility) this.#put(rule, 1);
    for (const key of this.#owned.put(pool.id, eligibility.map(({ key }) => key))) this.#drop(key);
    return this.#probed.put(pool.id, checkTargetsOf(pool));
  }

  /** Forgets a pool; what is given is to be handed to `follow`. */
  remove(poolId: string): TargetChange {
    for (const key of this.#owned.put(poolId, [])) this.#drop(key);
    return this.#probed.put(poolId, []);
  }

  /** Probes what is new and no longer what is gone; from then on `isIn` tells of what was put. */
  follow({ added, gone }: TargetChange): void {
    const { health, onTargetsGone } = this.#options;
    if (added.length + gone.length > 0) health.follow(added, gone);
    for (const key of gone) this.#down.delete(key);
    for (const { key } of added) if (health.verdict(key).state === "unhealthy") this.#down.add(key);
    for (const entry of this.#fresh) this.#begin(entry);
    this.#fresh.clear();
    for (const key of this.#restored.keys()) if (!this.#entries.has(key)) this.#unsaved.set(key, null);
    this.#restored.clear();
    if (gone.length > 0) onTargetsGone(gone);
    this.#settle();
  }

  /** Takes verdicts that count; gives every key whose eligibility may be another one. */
  judge(changes: readonly PassedChange[]): string[] {
    const keys: string[] = [];
    for (const { key, verdict, isTakenBack } of changes) {
      if (verdict.state === "unhealthy") this.#down.add(key);
      else this.#down.delete(key);
      keys.push(key);
      for (const entry of this.#dependents.get(key) ?? []) {
        this.#update(entry, isTakenBack);
        keys.push(entry.rule.key);
      }
    }
    this.#settle();
    return keys;
  }

  /** What would come of `failBack`. */
  tryFailBack(key: string): FailBackResult {
    const entry = this.#entries.get(key);
    if (this.isEligible(key)) return "was in";
    return !entry || !entry.isWell ? "down" : "done";
  }

  /** Lets a member that waits come back, as an operator wishes. */
  failBack(key: string): FailBackResult {
    const result = this.tryFailBack(key);
    if (result !== "done") return result;
    this.#setOut(this.#entries.get(key)!, null);
    this.#settle();
    this.#options.onChange([key]);
    return result;
  }

  /** Stops the timer. */
  [Symbol.dispose](): void {
    this.#timer?.abort();
    this.#timer = null;
  }

  /** @param owners how many pools declare it that didn't before */
  #put(rule: EligibilityRule, owners: number): void {
    const known = this.#entries.get(rule.key);
    if (known) this.#unlink(known);
    const entry = known ??
      { rule, owners: 0, isWell: true, out: null, outBefore: null, dueMs: 0, heapIndex: -1 };
    if (!known) {
      entry.out = this.#restored.get(rule.key) ?? null;
      this.#entries.set(rule.key, entry);
    }
    entry.owners += owners;
    entry.rule = rule;
    for (const { key } of rule.targets) {
      const dependents = this.#dependents.get(key);
      if (dependents) dependents.add(entry);
      else this.#dependents.set(key, new Set([entry]));
    }
    this.#fresh.add(entry);
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key)!;
    if (--entry.owners > 0) return;
    this.#unlink(entry);
    this.#entries.delete(key);
    this.#fresh.delete(entry);
    if (entry.out !== null) this.#setOut(entry, null);
  }

  #unlink(entry: Entry): void {
    for (const { key } of entry.rule.targets) {
      const dependents = this.#dependents.get(key);
      dependents?.delete(entry);
      if (dependents?.size === 0) this.#dependents.delete(key);
    }
  }

  /** Judges what is new or declared again. */
  #begin(entry: Entry): void {
    entry.isWell = this.#isWell(entry);
    if (entry.rule.failback === null) {
      if (entry.out !== null) this.#setOut(entry, null);
    } else if (!entry.isWell) this.#setOut(entry, { wellSince: null });
    else if (entry.out !== null) {
      this.#setOut(entry, { wellSince: entry.out.wellSince ?? this.#options.clock.unixMs() });
    }
  }

  #update(entry: Entry, isTakenBack: boolean): void {
    const isWell = this.#isWell(entry);
    if (isWell === entry.isWell) return;
    entry.isWell = isWell;
    if (entry.rule.failback === null) return;
    if (!isWell) {
      entry.outBefore = entry.out;
      this.#setOut(entry, { wellSince: null });
    } else {
      this.#setOut(entry, isTakenBack ? entry.outBefore : { wellSince: this.#options.clock.unixMs() });
    }
  }

  /** Whether the targets of some address are. */
  #isWell({ rule: { targets, perAddress, atLeast } }: Entry): boolean {
    let up = 0;
    for (const [i, { key }] of targets.entries()) {
      if (i % perAddress === 0) up = 0;
      if (!this.#down.has(key)) up++;
      if (up >= atLeast) return true;
    }
    return false;
  }

  #setOut(entry: Entry, out: Out | null): void {
    const { rule: { key, failback } } = entry;
    entry.out = out;
    this.#unsaved.set(key, out);
    this.#waiting.remove(entry);
    if (out === null || out.wellSince === null || failback?.by !== "auto") return;
    const { clock } = this.#options;
    // A wall clock that was set meanwhile neither brings a member back at once nor keeps it out for longer.
    const leftMs = Math.min(Math.max(out.wellSince + failback.delayMs - clock.unixMs(), 0), failback.delayMs);
    this.#waiting.put(entry, clock.monotonicMs() + leftMs);
  }

  /** Ends a step: keeps what changed, and wakes when the next one has waited long enough. */
  #settle(): void {
    const { clock, keeper } = this.#options;
    if (this.#unsaved.size > 0) keeper.save([...this.#unsaved]);
    this.#unsaved.clear();
    this.#timer?.abort();
    this.#timer = null;
    const next = this.#waiting.peek();
    if (!next) return;
    const timer = this.#timer = new AbortController();
    clock.sleep(Math.max(0, next.dueMs - clock.monotonicMs()), timer.signal).then(() => {
      if (!timer.signal.aborted) this.#comeBack();
    });
  }

  #comeBack(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const keys: string[] = [];
    for (let entry = this.#waiting.peek(); entry && entry.dueMs <= nowMs; entry = this.#waiting.peek()) {
      this.#setOut(entry, null);
      keys.push(entry.rule.key);
    }
    this.#settle();
    if (keys.length > 0) this.#options.onChange(keys);
  }
}

interface Entry extends Due {
  rule: EligibilityRule;
  /** How many pools declare it. */
  owners: number;
  /** Whether enough of its targets aren't down. */
  isWell: boolean;
  /** `null` = in, as far as failback goes. */
  out: Out | null;
  /** What `out` was before the last down, which may be taken back. */
  outBefore: Out | null;
}

function isEligible({ isWell, out }: Entry): boolean {
  return isWell && out === null;
}
