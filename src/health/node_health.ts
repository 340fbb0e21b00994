/**
 * All that a node knows of the health of its members, joined: the checker's verdicts pass the flip guard, which the
 * canaries advise, and become eligibility. Where nodes share what they find, a policy decides in between.
 *
 * ```text
 * HealthChecker ──▶ GlobalView ──▶ FlipGuard ──▶ Eligibility ──▶ onEligibility (the live board)
 *                       ▲             ▲
 *                     Peers        Canaries
 * ```
 *
 * @module
 */
import { checkTargetOf } from "../desired/check_target.ts";
import type { AddressesOf } from "../desired/flattened.ts";
import type { HealthCheck } from "../model/model.ts";
import {
  eligibilityKeyOf,
  type EligibilityMember,
  type EligibilityPool,
  neededOf,
  plainChecks,
} from "../desired/eligibility.ts";
import { Listeners } from "../listeners.ts";
import { inSlices } from "../slices.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { Canaries, type CanaryTerms, type Sight } from "./canaries.ts";
import {
  FlipGuard,
  type FlipGuardTerms,
  type GuardEvent,
  type HoldCause,
  type PassedChange,
  type Witnesses,
} from "./flip_guard.ts";
import { registerGuardMetrics, registerHealthMetrics } from "./metrics.ts";
import {
  GlobalView,
  type Joined,
  type Joining,
  type PolicyTurn,
  type TargetView,
  type ViewStatus,
} from "./global_view.ts";
import { HealthChecker, type HealthCheckerOptions } from "./health_checker.ts";
import { Eligibility, type FailBackResult, type Out } from "./eligibility.ts";
import { type HealthState, UNKNOWN_VERDICT, type Verdict } from "./verdict.ts";

/** How the node guards itself against wrong verdicts. */
export interface GuardTerms {
  /** When very many go down at once. */
  readonly flipGuard: Pick<FlipGuardTerms, "share" | "atLeast" | "holdMs">;
  /** Who tells whether the node sees. */
  readonly canaries: CanaryTerms & {
    /** The longest hold while none answers, milliseconds. */
    readonly holdMs: number;
  };
}

/** Where what is believed outlives the process. */
export interface HealthMemory {
  /** Of the last run. */
  verdicts(): Iterable<readonly [target: string, verdict: Verdict]>;
  /** Of the last run: who was out under a failback policy. */
  outs(): Iterable<readonly [standing: string, out: Out]>;
  /** Keeps verdicts that count. */
  keepVerdicts(verdicts: readonly (readonly [target: string, verdict: Verdict])[]): void;
  /** Drops verdicts on targets that nothing declares any more. */
  forgetVerdicts(targets: readonly string[]): void;
  /** Keeps who is out; `null` = in again. */
  keepOuts(outs: readonly (readonly [standing: string, out: Out | null])[]): void;
}

/** More changes than these follow one after the other in slices: what is done with one takes some 10 µs. */
const AT_ONCE_MAX = 200;

/** What a node's health is made of. */
export interface NodeHealthOptions extends Pick<HealthCheckerOptions, "clock" | "rng" | "probe" | "log"> {
  /** Counts. */
  readonly registry: Registry;
  /** Those of the start. */
  readonly guard: GuardTerms;
  /** What is known of members by name. */
  readonly addressesOf: AddressesOf;
  /** Where the last run left off, and this one will. */
  readonly memory: HealthMemory;
}

/** What is known of a member's health. */
export interface MemberHealth extends Verdict {
  /** Whether it may be answered, as far as health goes. */
  readonly eligible: boolean;
  /** Why it is out, or in although it is down; `null` = it is in because it isn't down. */
  readonly why: string | null;
  /** Who finds what, of each of its checks; absent where nodes don't share what they find. */
  readonly views?: readonly MemberView[];
}

/** What is made of one check of a member. */
export interface MemberView extends TargetView {
  /** For people: `https 443`. */
  readonly check: string;
}

/** The health of a node's members. */
export class NodeHealth implements AsyncDisposable {
  /** Who may be answered. */
  readonly eligibility: Eligibility;
  /** Probes the targets. */
  readonly checker: HealthChecker;
  readonly #options: NodeHealthOptions;
  readonly #guard: FlipGuard;
  readonly #canaries: Canaries;
  readonly #view: GlobalView;
  readonly #eligibilityHeard = new Listeners<readonly string[]>();
  readonly #verdictsHeard = new Listeners<readonly PassedChange[]>();
  readonly #guardHeard = new Listeners<GuardEvent>();
  /** What counts already, and is on its way to those that follow it, in order. */
  #late: PassedChange[] = [];
  readonly #ending = new AbortController();
  #terms: GuardTerms;

  /** Begins with what the last run believed; probes when there is something to probe. */
  constructor(options: NodeHealthOptions) {
    const { clock, rng, probe, log, registry, memory } = options;
    this.#options = options;
    this.#terms = options.guard;
    const observer = registerHealthMetrics(registry, () => this.checker.endpoints());
    const countTrip = registerGuardMetrics(registry, () => ({
      holding: this.#guard.holding,
      held: this.#guard.heldCount,
      isBlind: this.#sight === "blind",
    }));
    this.checker = new HealthChecker({
      clock,
      rng,
      probe,
      log,
      observer,
      onVerdicts: (changes) => this.#view.judge(changes),
      onConfirmed: (key) => this.#view.confirm(key),
    });
    this.checker.restore(memory.verdicts());
    this.#view = new GlobalView({
      clock,
      log,
      checker: this.checker,
      atLeast: () => this.#terms.flipGuard.atLeast,
      isSightless: () => this.#canaries.sight === "blind",
      pass: (changes) => this.#guard.judge(changes),
      onBlind: () => this.#guard.see(this.#sight),
    });
    let isSightless = false;
    this.#canaries = new Canaries({
      clock,
      rng,
      probe,
      log,
      onSight: (sight) => {
        if (isSightless !== (sight === "blind")) this.#view.look();
        isSightless = sight === "blind";
        this.#guard.see(this.#sight);
      },
    });
    this.#guard = new FlipGuard({
      clock,
      log,
      terms: () => this.#guardTerms(),
      targets: () => this.checker.size,
      checkOf: (key) => this.checker.checkOf(key),
      sight: () => this.#sight,
      witnesses: () => this.#canaries.sight === "blind" ? "canaries" : "peers",
      look: () => this.#canaries.look(),
      pass: (changes) => this.#pass(changes),
      onEvent: (event) => {
        if (event.kind === "ended") countTrip(event.outcome);
        this.#guardHeard.tell(event);
      },
    });
    this.eligibility = new Eligibility({
      clock,
      health: {
        follow: (added, gone) => {
          this.checker.follow(added, gone);
          this.#view.follow(added, gone);
        },
        verdict: (key) => this.#view.verdict(key),
      },
      restored: memory.outs(),
      keeper: { save: (outs) => memory.keepOuts(outs) },
      onTargetsGone: (keys) => {
        this.#guard.forget(keys);
        if (this.#late.length > 0) {
          const gone = new Set(keys);
          this.#late = this.#late.filter(({ key }) => !gone.has(key));
        }
        memory.forgetVerdicts(keys);
      },
      onChange: (keys) => this.#eligibilityHeard.tell(keys),
    });
    this.#canaries.use(options.guard.canaries);
  }

  /** Tells of every key whose eligibility may be another one, until it is disposed of. */
  onEligibility(hear: (keys: readonly string[]) => void): Disposable {
    return this.#eligibilityHeard.add(hear);
  }

  /** Tells of verdicts that count, after `onEligibility`, until it is disposed of. */
  onVerdicts(hear: (changes: readonly PassedChange[]) => void): Disposable {
    return this.#verdictsHeard.add(hear);
  }

  /** Tells of trips of the flip guard and of blindness, until it is disposed of. */
  onGuardEvent(hear: (event: GuardEvent) => void): Disposable {
    return this.#guardHeard.add(hear);
  }

  /** Tells of targets whose state by the policy begins or ceases to differ from what own probes find, until it is disposed of. */
  onPolicyTurn(hear: (turns: readonly PolicyTurn[]) => void): Disposable {
    return this.#view.onTurn(hear);
  }

  /**
   * Goes by what other nodes find, too, and tells what this one finds.
   *
   * @throws {Error} when this node has joined already
   */
  join(joining: Joining): Joined {
    return this.#view.join(joining);
  }

  /** What the nodes that share what they find are; `null` = none do. */
  peers(): ViewStatus | null {
    return this.#view.status();
  }

  /** The states of all targets, before the flip guard. */
  states(): Iterable<HealthState> {
    return this.#view.states();
  }

  /** Takes other terms from now on; a hold that has begun ends as it was said. */
  use(guard: GuardTerms): void {
    this.#terms = guard;
    this.#canaries.use(guard.canaries);
  }

  /** What is known of a member; one by name is as well as the best of its addresses. */
  memberHealth(pool: EligibilityPool, member: EligibilityMember): MemberHealth {
    if (member.ipAddress === null) {
      const known = this.#addressed(member).map((address) => this.memberHealth(pool, address));
      return bestOf(known, `no address of ${member.target} is known`);
    }
    const key = eligibilityKeyOf(pool, member);
    if (key === null) return { ...UNKNOWN_VERDICT, eligible: true, why: null };
    const evidence = this.#evidenceOf(pool, member);
    const eligible = this.eligibility.isEligible(key);
    const views = evidence.checks.flatMap(({ name, view }) => view ? { check: name, ...view } : []);
    return {
      ...evidence.verdict,
      eligible,
      why: this.#whyOf(key, evidence),
      ...(views.length > 0 && { views }),
    };
  }

  /** Whether a member may be answered, as far as health goes, without what is known beside; one by name if any of its addresses may. */
  isEligible(pool: EligibilityPool, member: EligibilityMember): boolean {
    if (member.ipAddress === null) {
      return this.#addressed(member).some((address) => this.isEligible(pool, address));
    }
    const key = eligibilityKeyOf(pool, member);
    return key === null || this.eligibility.isEligible(key);
  }

  /** Lets a member come back that waits for it; a dry run only says what would come of it. */
  failBack(
    pool: EligibilityPool,
    member: EligibilityMember,
    { dryRun }: { readonly dryRun: boolean },
  ): FailBackResult {
    if (member.ipAddress !== null) return this.#failBackOne(pool, member, { dryRun });
    const addressed = this.#addressed(member);
    const asName = { ...member, addresses: addressed.map(({ ipAddress }) => ipAddress) };
    const results = [asName, ...addressed].map((one) => this.#failBackOne(pool, one, { dryRun }));
    return (["done", "down"] as const).find((result) => results.includes(result)) ?? "was in";
  }

  #failBackOne(
    pool: EligibilityPool,
    member: EligibilityMember,
    { dryRun }: { readonly dryRun: boolean },
  ): FailBackResult {
    const key = eligibilityKeyOf(pool, member);
    if (key === null) return "was in";
    return dryRun ? this.eligibility.tryFailBack(key) : this.eligibility.failBack(key);
  }

  /** Stops; resolves when no probe is under way any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#view[Symbol.dispose]();
    this.#guard[Symbol.dispose]();
    this.#ending.abort();
    if (this.#late.length > 0) this.#passOn(this.#late.splice(0));
    this.eligibility[Symbol.dispose]();
    await Promise.all([this.#canaries[Symbol.asyncDispose](), this.checker[Symbol.asyncDispose]()]);
  }

  /** What a member by name is probed as. */
  #addressed(member: EligibilityMember): (EligibilityMember & { readonly ipAddress: string })[] {
    return this.#options.addressesOf(member.target!).map((ipAddress) => ({ ...member, ipAddress }));
  }

  /** By the canaries and the peers. */
  get #sight(): Sight {
    return this.#view.isBlind ? "blind" : this.#canaries.sight;
  }

  #guardTerms(): FlipGuardTerms {
    const { flipGuard, canaries } = this.#terms;
    return { ...flipGuard, blindHoldMs: canaries.holdMs, canarySpanMs: this.#canaries.spanMs };
  }

  #pass(changes: readonly PassedChange[]): void {
    const isPassing = this.#late.length > 0;
    if (!isPassing && changes.length <= AT_ONCE_MAX) return this.#passOn(changes);
    this.#late = this.#late.concat(changes);
    if (isPassing) return;
    const { clock, log } = this.#options;
    const { signal } = this.#ending;
    clock.sleep(0, signal).then(() => inSlices(this.#passLate(), { clock, signal })).catch((error) => {
      if (!signal.aborted) log.error("Cannot act on new verdicts", { error });
    });
  }

  *#passLate(): Generator<void> {
    while (this.#late.length > 0) {
      this.#passOn(this.#late.splice(0, AT_ONCE_MAX));
      yield;
    }
  }

  #passOn(changes: readonly PassedChange[]): void {
    this.#eligibilityHeard.tell(this.eligibility.judge(changes));
    this.#verdictsHeard.tell(changes);
    this.#options.memory.keepVerdicts(changes.map(({ key, verdict }) => [key, verdict]));
  }

  #evidenceOf({ healthCheck }: EligibilityPool, member: EligibilityMember): Evidence {
    const checks = plainChecks(healthCheck!).map((check): Checked => {
      const target = checkTargetOf({ ...member, ipAddress: member.ipAddress! }, check);
      return {
        name: `${check.type} ${target.port}`,
        verdict: this.#view.verdict(target.key),
        view: this.#view.view(target.key),
        countsAsDown: this.eligibility.isDown(target.key),
        isHeld: this.#guard.holds(target.key),
      };
    });
    return { checks, verdict: verdictOf(healthCheck!, checks), needed: neededOf(healthCheck!) };
  }

  #whyOf(key: string, { checks, needed }: Evidence): string | null {
    if (this.eligibility.isEligible(key)) {
      if (checks.some(({ isHeld }) => isHeld)) {
        return HELD[this.#guard.witnesses][this.#guard.holding ?? "flips"];
      }
      const helped = checks.find(({ view }) => view?.own === "unhealthy" && view.state === "healthy");
      return helped
        ? `${helped.view!.why}, but not this one: ${helped.verdict.lastError ?? "its check fails"}`
        : null;
    }
    const waiting = this.eligibility.waiting(key);
    if (waiting === "for an operator") return "failback: waits for an operator";
    if (waiting !== null) return `failback: ${Math.ceil(waiting.leftMs / 1000)} s to go`;
    const down = checks.filter(({ countsAsDown }) => countsAsDown);
    const view = checks[0]!.view;
    if (checks.length === 1 && view && view.by !== "own") return `down: ${view.why}`;
    if (checks.length === 1) return `down by its check: ${down[0]?.verdict.lastError ?? "it failed"}`;
    return `${checks.length - down.length} of ${checks.length} checks pass, ${needed} needed: ${
      errorsOf(down)
    }`;
  }
}

const HELD: Readonly<Record<Witnesses, Readonly<Record<HoldCause, string>>>> = {
  canaries: {
    flips: "held by the flip guard",
    blindness: "held: no canary answers",
    recovery: "held: canaries answer again, and its check gets time to pass",
  },
  peers: {
    flips: "held by the flip guard",
    blindness: "held: most peers see targets up that this node finds down",
    recovery: "held: this node sees what its peers see again, and its check gets time to pass",
  },
};

/** What is known of one of a member's checks. */
interface Checked {
  /** For people. */
  readonly name: string;
  readonly verdict: Verdict;
  /** `null` = nodes don't share what they find. */
  readonly view: TargetView | null;
  readonly countsAsDown: boolean;
  readonly isHeld: boolean;
}

interface Evidence {
  readonly checks: readonly Checked[];
  readonly verdict: Verdict;
  readonly needed: number;
}

const STATES_BEST_FIRST: readonly Verdict["state"][] = ["healthy", "unknown", "unhealthy"];

/** What the addresses of a name say of it. */
function bestOf(known: readonly MemberHealth[], whyNone: string): MemberHealth {
  const within = known.filter(({ eligible }) => eligible);
  const best =
    (within.length > 0 ? within : known).toSorted((a, b) =>
      STATES_BEST_FIRST.indexOf(a.state) - STATES_BEST_FIRST.indexOf(b.state)
    )[0];
  if (!best) return { ...UNKNOWN_VERDICT, eligible: false, why: whyNone };
  if (within.length === known.length) return best;
  return { ...best, why: `${within.length} of ${known.length} addresses are up` };
}

/** What several checks together say of a member. */
function verdictOf(check: HealthCheck, checks: readonly Checked[]): Verdict {
  if (check.type !== "calculated") return checks[0]!.verdict;
  const verdicts = checks.map(({ verdict }) => verdict);
  const failing = checks.filter(({ verdict }) => verdict.state === "unhealthy");
  const known = verdicts.filter(({ state }) => state !== "unknown");
  return {
    state: checks.length - failing.length < neededOf(check)
      ? "unhealthy"
      : known.length === 0
      ? "unknown"
      : "healthy",
    since: latest(verdicts.map(({ since }) => since)),
    lastError: failing.length === 0 ? null : errorsOf(failing),
    latencyMs: latest(verdicts.map(({ latencyMs }) => latencyMs)),
    checkedAt: latest(verdicts.map(({ checkedAt }) => checkedAt)),
  };
}

function errorsOf(failing: readonly Checked[]): string {
  return failing.map(({ name, verdict }) => `${name}: ${verdict.lastError ?? "it failed"}`).join(", ");
}

/** The largest of those that are known. */
function latest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}
