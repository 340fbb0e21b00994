/**
 * What a node makes of its peers' reports: it stands between the verdicts of its own probes and the flip guard, so that
 * a policy that takes very many targets down trips the guard as probes would.
 *
 * ```text
 * HealthChecker ──▶ GlobalView ──▶ FlipGuard
 *      │               ▲
 *      ▼             Peers
 *  LocalReports
 * ```
 *
 * Until peers join, verdicts pass as they are, and nothing is kept. From then on every target's state is what the policy
 * (`policy.ts`) makes of it, worked out again whenever this node's probes or a peer find something else, and for all
 * targets when nodes come and go. That is done a slice at a time; all that comes of it passes on at one stroke, so that
 * the guard sees how many there are.
 *
 * Three rules keep a cluster from hurting itself:
 *
 * - What goes out to peers is what this node's own probes have found in this run, never what a policy made of it.
 * - A node that just came, or a target that did, is given time to find something before its silence counts against a
 *   target: as long as a check needs, and some more for what is under way.
 * - Time is this node's own monotonic clock; what others say of time is never looked at.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { type CheckTarget, wireTargetOf } from "../desired/check_target.ts";
import { Listeners } from "../listeners.ts";
import type { HealthCheck } from "../model/model.ts";
import { inSlices } from "../slices.ts";
import type { Logger } from "../telemetry/log.ts";
import type { HealthChecker, VerdictChange } from "./health_checker.ts";
import type { ActiveNode, LocalReport, LocalReports, PeerReport, Peers, ReportKey } from "./peers.ts";
import { type Evidence, type Found, type PolicyTerms, rule, type Ruling, rulingWords } from "./policy.ts";
import { type Contradiction, contradictionOf, SelfDoubt, type SelfSight } from "./self_doubt.ts";
import type { HealthState, Verdict } from "./verdict.ts";

/** The nodes that share what they find. */
export interface Joining {
  /** This node's own id. */
  readonly node: string;
  /** What is known of the others. */
  readonly peers: Peers;
  /** The policy of the start. */
  readonly terms: PolicyTerms;
}

/** A node's health together with its peers', until it is disposed of: then their reports count no more. */
export interface Joined extends LocalReports, Disposable {
  /** Goes by another policy from now on. */
  use(terms: PolicyTerms): void;
}

/** A target whose state by the policy isn't what this node's probes find, or is again. */
export interface PolicyTurn {
  /** Of the target. */
  readonly key: string;
  /** The policy of this moment. */
  readonly policy: PolicyTerms["policy"];
  /** Whether it differs. */
  readonly differs: boolean;
  /** What this node's probes find; `null` = nothing any more. */
  readonly own: Found | null;
  /** What counts. */
  readonly state: HealthState;
  /** Why, for people; `null` = it doesn't differ. */
  readonly why: string | null;
}

/** What is made of a target, and of what. */
export interface TargetView {
  /** The policy of this moment. */
  readonly policy: PolicyTerms["policy"];
  /** What counts before the flip guard. */
  readonly state: HealthState;
  /** What decided. */
  readonly by: Ruling["by"];
  /** What this node's own probes find in this run; `null` = nothing yet. */
  readonly own: Found | null;
  /** Whether own probes are set aside because this node counts as blind. */
  readonly isBlind: boolean;
  /** What other active nodes report, by their ids. */
  readonly reports: { readonly node: string; readonly region: string; readonly state: Found }[];
  /** Why it isn't simply what own probes find; `null` = it is. */
  readonly why: string | null;
}

/** How the view of the moment comes about. */
export interface ViewStatus extends PolicyTerms {
  /** This node's own id. */
  readonly node: string;
  /** What the node thinks of its own sight, compared with its peers'. */
  readonly sight: SelfSight;
  /** The active nodes, this one included, by their ids. */
  readonly nodes: readonly ActiveNode[];
  /** Targets whose state isn't what this node's own probes find. */
  readonly differing: number;
}

/** What a view needs. */
export interface GlobalViewOptions {
  /** Times slices and patience, and stamps changes. */
  readonly clock: Clock;
  /** Hears of doubts. */
  readonly log: Logger;
  /** Finds what this node's probes know. */
  readonly checker: Pick<HealthChecker, "verdict" | "found" | "targets" | "size">;
  /** Targets that must be contradicted at least before this node doubts itself. */
  readonly atLeast: () => number;
  /** Whether this node counts as blind by its canaries. */
  readonly isSightless: () => boolean;
  /** Told what counts now, never an empty list. */
  readonly pass: (changes: readonly VerdictChange[]) => void;
  /** Told when this node begins or ceases to count as blind by what its peers say. */
  readonly onBlind: (isBlind: boolean) => void;
}

/** As many changes of reports at once are taken in one go; of more, or of nodes, in slices. */
const AT_ONCE_MAX = 200;

/** For what is under way: the first sweep of a node that joins, and a slow network. */
const UNDER_WAY_MS = 5_000;

/** Ends of patience within so much time are one. */
const PATIENCE_STEP_MS = 500;

/** Joins what this node's probes find and what its peers report. */
export class GlobalView implements Disposable {
  readonly #options: GlobalViewOptions;
  readonly #doubt: SelfDoubt;
  readonly #turned = new Listeners<readonly PolicyTurn[]>();
  readonly #reported = new Listeners<readonly LocalReport[]>();
  readonly #entries = new Map<string, Entry>();
  /** By the names that nodes share, what several targets that differ in timing alone have in common. */
  readonly #shared = new Map<string, Shared>();
  /** Entries that are to be judged in slices. */
  readonly #queue = new Set<Entry>();
  /** What slices changed and didn't pass on yet, with what counted before. */
  readonly #swept = new Map<Entry, Counted>();
  readonly #patience: Patience;
  readonly #ending = new AbortController();
  #joining: Joining | null = null;
  #members: ReadonlyMap<string, Member> = new Map();
  #subscription: Disposable | null = null;
  #isWholeWanted = false;
  #isSweeping = false;
  #differing = 0;

  /** Has no peers. */
  constructor(options: GlobalViewOptions) {
    this.#options = options;
    const { clock } = options;
    this.#doubt = new SelfDoubt({
      clock,
      atLeast: options.atLeast,
      onChange: (sight, before) => this.#takeDoubt(sight, before),
    });
    this.#patience = new Patience(clock, (patienceMs) => this.#endPatience(patienceMs));
  }

  /**
   * Goes by what peers report, too.
   *
   * @throws {Error} when there are peers already
   */
  join(joining: Joining): Joined {
    if (this.#joining !== null) throw new Error("This node has joined its peers already");
    this.#joining = joining;
    this.#readMembers();
    this.#subscription = joining.peers.subscribe((changed) => this.#hear(changed));
    this.#sweepAll();
    return {
      use: (terms) => {
        if (this.#joining === null) return;
        this.#joining = { ...this.#joining, terms };
        this.#sweepAll();
      },
      reports: () => this.#localReports(),
      onReports: (listener) => this.#reported.add(listener),
      [Symbol.dispose]: () => this.#leave(),
    };
  }

  /** Tells of targets whose state by the policy begins or ceases to differ from what this node's probes find. */
  onTurn(hear: (turns: readonly PolicyTurn[]) => void): Disposable {
    return this.#turned.add(hear);
  }

  /** What counts of a target, before the flip guard. */
  verdict(key: string): Verdict {
    const verdict = this.#options.checker.verdict(key);
    const entry = this.#entries.get(key);
    return entry ? this.#withState(entry, verdict) : verdict;
  }

  /** The states of all targets. */
  *states(): Generator<HealthState> {
    const { checker } = this.#options;
    // All are known here, unless the first sweep hasn't come to them: to look each up takes a hundred times as long.
    if (this.#entries.size === checker.size) {
      for (const { state } of this.#entries.values()) yield state;
      return;
    }
    for (const { key } of checker.targets()) {
      yield (this.#entries.get(key) ?? checker.verdict(key)).state;
    }
  }

  /** What is made of a target, and of what; `null` = there are no peers, or it isn't probed. */
  view(key: string): TargetView | null {
    const entry = this.#entries.get(key);
    if (!entry || this.#joining === null) return null;
    const { terms: { policy } } = this.#joining;
    const reports = this.#reportsOf(entry);
    const evidence = this.#evidenceOf(entry, reports);
    return {
      policy,
      state: entry.state,
      by: entry.by,
      own: evidence.own,
      isBlind: evidence.isBlind && reports.length > 0,
      reports: reports.map(({ node, state }) => ({
        node,
        region: this.#members.get(node)?.region ?? "",
        state,
      }))
        .sort((a, b) => a.node < b.node ? -1 : 1),
      why: this.#wordsOf(entry),
    };
  }

  /** `null` = there are no peers. */
  status(): ViewStatus | null {
    if (this.#joining === null) return null;
    const { node, terms, peers } = this.#joining;
    return {
      ...terms,
      node,
      sight: this.#doubt.sight,
      nodes: peers.active().toSorted((a, b) => a.node < b.node ? -1 : 1),
      differing: this.#differing,
    };
  }

  /** Whether this node counts as blind by what its peers say. */
  get isBlind(): boolean {
    return this.#doubt.sight === "blind";
  }

  /** Takes what this node's probes have found. */
  judge(changes: readonly VerdictChange[]): void {
    if (this.#entries.size === 0) return this.#options.pass(changes);
    const outcome = new Outcome();
    const entries: Entry[] = [];
    for (const change of changes) {
      const entry = this.#entries.get(change.key);
      if (entry) entries.push(entry);
      else outcome.changes.push(change); // The first sweep hasn't come to it.
    }
    this.#judge(entries, outcome, new Map(changes.map((change) => [change.key, change])));
  }

  /** Takes that this node's probes have found what was believed in the last run. */
  confirm(key: string): void {
    const entry = this.#entries.get(key);
    if (entry) this.#judge([entry], new Outcome());
  }

  /** Follows what is probed: what is added has its state at once, and of what is gone nothing is kept. */
  follow(added: Iterable<CheckTarget>, gone: Iterable<string>): void {
    const outcome = new Outcome();
    for (const key of gone) this.#forget(key, outcome);
    if (this.#joining !== null) {
      for (const target of added) {
        if (!this.#entries.has(target.key)) this.#settle(this.#enter(target), outcome);
      }
    }
    this.#tell(outcome);
  }

  /** Looks at all targets again, as this node counts as blind now by its canaries, or no longer. */
  look(): void {
    if (this.#joining !== null) this.#sweepAll();
  }

  /** Stops. */
  [Symbol.dispose](): void {
    this.#ending.abort();
    this.#leave();
  }

  #leave(): void {
    this.#subscription?.[Symbol.dispose]();
    this.#subscription = null;
    this.#joining = null;
    this.#members = new Map();
    this.#isWholeWanted = false;
    this.#queue.clear();
    this.#patience[Symbol.dispose]();
    for (const entry of this.#entries.values()) {
      this.#doubt.count(entry.contradiction, "unreported", entry.spanMs);
      entry.contradiction = "unreported";
    }
    this.#doubt.look();
  }

  #hear(changed: readonly ReportKey[] | "membership"): void {
    if (changed === "membership") {
      this.#readMembers();
      return this.#sweepAll();
    }
    const entries = changed.flatMap((key) => this.#shared.get(sharedKeyOf(key))?.entries ?? []);
    if (entries.length <= AT_ONCE_MAX) return this.#judge(entries, new Outcome());
    for (const entry of entries) this.#queue.add(entry);
    this.#sweep();
  }

  /** A node that is new, or has started again, is new from now on. */
  #readMembers(): void {
    const { clock } = this.#options;
    const { node: self, peers } = this.#joining!;
    const nowMs = clock.monotonicMs();
    const before = this.#members;
    const members = new Map<string, Member>();
    for (const { node, boot, region } of peers.active()) {
      if (node === self) continue;
      const known = before.get(node);
      const isSame = known?.boot === boot;
      members.set(node, { boot, region, sinceMs: isSame ? known.sinceMs : nowMs });
      if (!isSame) this.#patience.beginAll();
    }
    this.#members = members;
  }

  #sweepAll(): void {
    this.#isWholeWanted = true;
    this.#sweep();
  }

  #sweep(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    this.#sweepInSlices()
      .catch((error) => {
        if (!this.#ending.signal.aborted) {
          this.#options.log.error("Cannot judge what peers report", { error });
        }
      })
      .finally(() => {
        this.#isSweeping = false;
        if (!this.#ending.signal.aborted && (this.#isWholeWanted || this.#queue.size > 0)) this.#sweep();
      });
  }

  async #sweepInSlices(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    const outcome = new Outcome();
    const changes = await inSlices(this.#work(outcome), { clock, signal, isUrgent: true });
    // The guard takes them at one stroke: that is a slice of its own, and so is whatever follows.
    await clock.sleep(0, signal);
    signal.throwIfAborted();
    for (const [entry, change] of changes) {
      // What was judged once more meanwhile, or is gone, isn't there any more.
      if (this.#swept.has(entry)) outcome.changes.push(change);
    }
    this.#swept.clear();
    const turns = outcome.turns.splice(0);
    this.#tell(outcome);
    await clock.sleep(0, signal);
    await inSlices(this.#tellTurns(turns), { clock, signal });
  }

  /** Judges what is wanted; gives what counts by it and isn't passed on yet. */
  *#work(outcome: Outcome): Generator<void, ReadonlyMap<Entry, VerdictChange>> {
    yield; // Whoever asked for it goes on first.
    if (this.#isWholeWanted) {
      this.#isWholeWanted = false;
      this.#queue.clear();
      for (const target of this.#options.checker.targets()) {
        if (this.#joining === null) break;
        this.#sweepOne(this.#entries.get(target.key) ?? this.#enter(target), outcome);
        yield;
      }
    } else {
      for (const entry of this.#queue) {
        this.#queue.delete(entry);
        this.#sweepOne(entry, outcome);
        yield;
      }
    }
    const changes = new Map<Entry, VerdictChange>();
    for (const [entry, before] of this.#swept) {
      changes.set(entry, this.#changeOf(entry, before));
      yield;
    }
    return changes;
  }

  *#tellTurns(turns: readonly Turned[]): Generator<void> {
    for (let from = 0; from < turns.length; from += AT_ONCE_MAX) {
      const some = turns.slice(from, from + AT_ONCE_MAX);
      const lasting = some.filter(({ entry: { key }, differs }) =>
        this.#entries.get(key)?.differs === differs
      );
      if (lasting.length > 0) this.#turned.tell(lasting.map((turned) => this.#turnOf(turned)));
      yield;
    }
  }

  /** What changes is passed on together with all others. */
  #sweepOne(entry: Entry, outcome: Outcome): void {
    const before = this.#swept.get(entry) ?? countedOf(entry);
    this.#settle(entry, outcome);
    if (before.state === entry.state) this.#swept.delete(entry);
    else this.#swept.set(entry, before);
  }

  /** Judges these at once, and passes on what changes. */
  #judge(entries: Iterable<Entry>, outcome: Outcome, own?: ReadonlyMap<string, VerdictChange>): void {
    for (const entry of entries) {
      const before = this.#swept.get(entry) ?? countedOf(entry);
      this.#swept.delete(entry);
      this.#settle(entry, outcome);
      if (before.state === entry.state) continue;
      outcome.changes.push(this.#changeOf(entry, before, own?.get(entry.key)));
    }
    this.#tell(outcome);
  }

  /** @param own what this node's probes have found just now */
  #changeOf(entry: Entry, before: Counted, own?: VerdictChange): VerdictChange {
    const { key } = entry;
    const verdict = this.verdict(key);
    const change = { key, verdict, previous: { ...verdict, ...before } };
    if (entry.by !== "own") return { ...change, isOfPeers: true };
    return own ? { ...change, agreedAt: own.agreedAt ?? null } : change;
  }

  #tell({ changes, turns, reports }: Outcome): void {
    if (reports.size > 0) this.#reported.tell([...reports.values()]);
    if (changes.length > 0) this.#options.pass(changes);
    if (turns.length > 0) this.#turned.tell(turns.map((turned) => this.#turnOf(turned)));
    if (this.#joining !== null) this.#doubt.look();
  }

  /** Has the policy decide on a target, and notes all that follows but the change of what counts. */
  #settle(entry: Entry, outcome: Outcome): void {
    const { clock } = this.#options;
    const evidence = this.#evidenceOf(entry, this.#reportsOf(entry));
    const { state, by } = rule(this.#terms, evidence);
    if (state !== entry.state) {
      entry.state = state;
      entry.since = state === "unknown" ? null : clock.unixMs();
    }
    entry.by = by;
    const contradiction = this.#terms.policy === "local-only" ? "unreported" : contradictionOf(evidence);
    this.#doubt.count(entry.contradiction, contradiction, entry.spanMs);
    entry.contradiction = contradiction;
    this.#noteTurn(entry, evidence.own, outcome);
    this.#noteReport(entry.shared, outcome);
  }

  #noteTurn(entry: Entry, own: Found | null, { turns }: Outcome): void {
    const differs = own !== null && own !== entry.state;
    if (differs === entry.differs) return;
    entry.differs = differs;
    this.#differing += differs ? 1 : -1;
    turns.push({ entry, differs, own, state: entry.state });
  }

  /** As it is told. Words are made then: of ten thousand that turn at once they would take longer than to judge them. */
  #turnOf({ entry, differs, own, state }: Turned): PolicyTurn {
    const why = differs ? this.#wordsOf(entry) : null;
    return { key: entry.key, policy: this.#terms.policy, differs, own, state, why };
  }

  /** What is told of targets that differ in timing alone: healthy where one of them is. */
  #noteReport(shared: Shared, { reports }: Outcome): void {
    let state: Found | null = null;
    let since: number | null = null;
    for (const { key } of shared.entries) {
      const found = this.#options.checker.found(key);
      if (found === null || state === "healthy") continue;
      state = found.state as Found; // what is found isn't unknown
      since = found.since;
    }
    if (state === shared.state) return;
    Object.assign(shared, { state, since });
    const { address, target } = shared;
    reports.set(sharedKeyOf(shared), { address, target, state, since });
  }

  *#localReports(): Generator<LocalReport> {
    for (const { address, target, state, since } of this.#shared.values()) {
      if (state !== null) yield { address, target, state, since };
    }
  }

  get #terms(): PolicyTerms {
    return this.#joining?.terms ?? ALONE;
  }

  #reportsOf({ shared: { address, target } }: Entry): readonly PeerReport[] {
    if (this.#joining === null) return [];
    const { node: self, peers } = this.#joining;
    const reports = peers.reports(address, target);
    return reports.some(({ node }) => node === self) ? reports.filter(({ node }) => node !== self) : reports;
  }

  #evidenceOf(entry: Entry, reports: readonly PeerReport[]): Evidence {
    const { checker, clock, isSightless } = this.#options;
    const nowMs = clock.monotonicMs();
    const found = checker.found(entry.key);
    let healthy = 0;
    for (const { state } of reports) if (state === "healthy") healthy++;
    let silent = 0;
    // No other policy looks at it, and of ten thousand targets it takes long.
    if (this.#terms.policy === "global-quorum") {
      for (const [node, { sinceMs }] of this.#members) {
        const isDue = nowMs - Math.max(sinceMs, entry.sinceMs) >= entry.patienceMs;
        if (isDue && !reports.some((report) => report.node === node)) silent++;
      }
    }
    return {
      own: found && found.state as Found, // what is found isn't unknown
      kept: entry.kept,
      healthy,
      unhealthy: reports.length - healthy,
      silent,
      isOwnDue: nowMs - entry.sinceMs >= entry.patienceMs,
      isBlind: this.isBlind || isSightless(),
    };
  }

  #wordsOf(entry: Entry): string | null {
    const reports = this.#reportsOf(entry);
    const finders = reports.filter(({ state }) => state === entry.state).map(({ node }) => node).sort();
    return rulingWords(this.#terms, this.#evidenceOf(entry, reports), { ruling: entry, finders });
  }

  #withState(entry: Entry, verdict: Verdict): Verdict {
    const { state, since } = entry;
    const lastError = verdict.lastError ?? (state === "unhealthy" ? this.#wordsOf(entry) : null);
    return { ...verdict, state, since, lastError };
  }

  /** A target as it counted before there were peers. */
  #enter(target: CheckTarget): Entry {
    const { clock, checker } = this.#options;
    const { key, ipAddress: address, check } = target;
    const wireTarget = wireTargetOf(target);
    const sharedKey = sharedKeyOf({ address, target: wireTarget });
    let shared = this.#shared.get(sharedKey);
    if (!shared) {
      shared = { address, target: wireTarget, entries: [], state: null, since: null };
      this.#shared.set(sharedKey, shared);
    }
    const { state, since } = checker.verdict(key);
    const entry: Entry = {
      key,
      shared,
      ...{ state, since, kept: state, by: "kept", contradiction: "unreported", differs: false },
      spanMs: check.intervalMs * check.fall + check.timeoutMs,
      patienceMs: patienceOf(check),
      sinceMs: clock.monotonicMs(),
    };
    shared.entries.push(entry);
    this.#entries.set(key, entry);
    this.#patience.add(entry.patienceMs);
    return entry;
  }

  #forget(key: string, outcome: Outcome): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    const { shared } = entry;
    this.#entries.delete(key);
    this.#queue.delete(entry);
    this.#swept.delete(entry);
    this.#patience.remove(entry.patienceMs);
    this.#doubt.count(entry.contradiction, "unreported", entry.spanMs);
    if (entry.differs) this.#differing--;
    shared.entries.splice(shared.entries.indexOf(entry), 1);
    this.#noteReport(shared, outcome);
    if (shared.entries.length === 0) this.#shared.delete(sharedKeyOf(shared));
  }

  /** Silence counts from now on for those of this patience; nothing else asks for it. */
  #endPatience(patienceMs: number): void {
    if (this.#terms.policy !== "global-quorum") return;
    for (const entry of this.#entries.values()) {
      if (entry.patienceMs === patienceMs) this.#queue.add(entry);
    }
    this.#sweep();
  }

  #takeDoubt(sight: SelfSight, before: SelfSight): void {
    const { log, onBlind } = this.#options;
    if (sight === "contradicted" && before === "sees") {
      log.warn(
        "This node finds most targets down that a peer finds healthy; with so few nodes either may be blind",
        { policy: this.#terms.policy },
      );
    }
    if (sight !== "blind" && before !== "blind") return;
    this.look();
    onBlind(sight === "blind");
  }
}

/** The policy of a node without peers. */
const ALONE: PolicyTerms = { policy: "local-only", quorumMinPercent: 100 };

/** What a judgement brings about. */
class Outcome {
  readonly changes: VerdictChange[] = [];
  readonly turns: Turned[] = [];
  /** The last one of each name. */
  readonly reports = new Map<string, LocalReport>();
}

/** A turn that isn't told yet. */
interface Turned extends Pick<PolicyTurn, "differs" | "own" | "state"> {
  readonly entry: Entry;
}

/** A peer, this run of it. */
interface Member extends Pick<ActiveNode, "boot" | "region"> {
  /** Monotonic milliseconds since when it is known. */
  readonly sinceMs: number;
}

/** What all nodes know under one name. */
interface Shared extends ReportKey {
  readonly entries: Entry[];
  /** As reported to peers. */
  readonly state: Found | null;
  readonly since: number | null;
}

/** What counted before a change. */
type Counted = Pick<Verdict, "state" | "since">;

function countedOf({ state, since }: Entry): Counted {
  return { state, since };
}

interface Entry {
  readonly key: string;
  readonly shared: Shared;
  /** What counts. */
  state: HealthState;
  /** Unix milliseconds, `null` while unknown. */
  since: number | null;
  by: Ruling["by"];
  /** What was believed before there were peers. */
  readonly kept: HealthState;
  contradiction: Contradiction;
  /** Whether it counts as something else than this node's probes find. */
  differs: boolean;
  /** Within which its check finds it down. */
  readonly spanMs: number;
  /** Within which whoever begins to check it finds something. */
  readonly patienceMs: number;
  /** Monotonic milliseconds since when it is known here. */
  readonly sinceMs: number;
}

function patienceOf({ intervalMs, timeoutMs, rise }: HealthCheck): number {
  return intervalMs * rise + timeoutMs + UNDER_WAY_MS;
}

function sharedKeyOf({ address, target }: ReportKey): string {
  return `${address} ${target}`;
}

/** Tells when the patience with what is new ends. */
class Patience implements Disposable {
  readonly #clock: Clock;
  readonly #onEnd: (patienceMs: number) => void;
  /** How many targets have each. */
  readonly #counts = new Map<number, number>();
  /** Ends that are waited for. */
  readonly #ends = new Set<string>();
  #ending = new AbortController();

  constructor(clock: Clock, onEnd: (patienceMs: number) => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  /** A target is new. */
  add(patienceMs: number): void {
    this.#counts.set(patienceMs, (this.#counts.get(patienceMs) ?? 0) + 1);
    this.#begin(patienceMs);
  }

  remove(patienceMs: number): void {
    const count = this.#counts.get(patienceMs)! - 1;
    if (count === 0) this.#counts.delete(patienceMs);
    else this.#counts.set(patienceMs, count);
  }

  /** A node is new. */
  beginAll(): void {
    for (const patienceMs of this.#counts.keys()) this.#begin(patienceMs);
  }

  [Symbol.dispose](): void {
    this.#ending.abort();
    this.#ending = new AbortController();
    this.#ends.clear();
  }

  #begin(patienceMs: number): void {
    const { signal } = this.#ending;
    const nowMs = this.#clock.monotonicMs();
    const step = Math.ceil((nowMs + patienceMs) / PATIENCE_STEP_MS);
    const end = `${patienceMs} ${step}`;
    if (this.#ends.has(end)) return;
    this.#ends.add(end);
    this.#clock.sleep(step * PATIENCE_STEP_MS - nowMs, signal).then(() => {
      if (signal.aborted) return;
      this.#ends.delete(end);
      this.#onEnd(patienceMs);
    });
  }
}
