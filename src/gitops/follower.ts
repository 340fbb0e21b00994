/**
 * Follows one branch of one repository: looks for a commit, judges it, and makes the model what it says, one look at a
 * time.
 *
 * Whatever goes wrong, the model stays what it is. What is wrong with a commit is told once, and looked at again at growing
 * intervals, since what refuses it (a guard, a signer's key) may change; the branch is looked at all the while, so that the
 * next commit isn't waited for.
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import type { Changes } from "../change/commit.ts";
import { ChangeRefused, type OriginRequest } from "../change/edit.ts";
import type { GitState } from "../change/git_state.ts";
import type { Clock, Rng } from "../clock.ts";
import { countOf } from "../input/count.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { shortId } from "./commit_text.ts";
import type { GitWork, SignatureTerms } from "./git_work.ts";
import { RepositoryError } from "./repository.ts";
import type { Applied, Halted, SyncResult, SyncStep, Unchanged } from "./sync_result.ts";
import type { Verdict } from "./verdict.ts";

/** What is followed, and by which rules. */
export interface FollowTerms extends SignatureTerms {
  /** Address of the repository, without credentials. */
  readonly repository: string;
  /** Branch that is followed. */
  readonly branch: string;
  /** Folder of the model; no slashes around it. */
  readonly pathPrefix: string;
  /** Time between looks, milliseconds. */
  readonly pollIntervalMs: number;
  /** Whether a commit has to be signed. */
  readonly requireSignature: boolean;
  /** What the first commit has to come after; `null` = the first is trusted. */
  readonly since: string | null;
  /** What becomes of what is changed by another way. */
  readonly onDrift: "report" | "restore";
}

/** What a follower is made with. */
export interface FollowerNeeds {
  /** Makes a model the stored one. */
  readonly changes: Pick<Changes, "apply">;
  /** Knows what is applied. */
  readonly state: Pick<GitState, "applied" | "drift">;
  /** Paces the looks. */
  readonly clock: Clock;
  /** Spreads them, so that many nodes don't look at once. */
  readonly rng: Rng;
  /** Makes what works on the repository; again where it has broken down. */
  readonly open: () => GitWork;
  /** Told of each step that was taken, and of each look that has ended. */
  readonly tell: (told: Told) => void;
}

/** What is told while it follows. */
export type Told =
  | { readonly kind: "step"; readonly step: "fetch" | "verify" | "apply"; readonly isFine: boolean }
  | { readonly kind: "result"; readonly result: SyncResult };

/** A look that an operator asked for. */
export interface SyncOrder {
  /** Whether guards and the rule of fast-forward are passed over; signatures never are. */
  readonly force: boolean;
  /** Name of who asked. */
  readonly by: string;
  /** Why. */
  readonly reason: string;
  /** The request. */
  readonly request?: OriginRequest;
}

/** Longest wait after failures, milliseconds: then the branch has been out of reach for long. */
const WAIT_MAX_MS = 600_000;
/** Longest wait until a commit that was refused is looked at again, milliseconds. */
const REFUSED_WAIT_MAX_MS = 3_600_000;
/** Between the begins of two looks of which only webhooks ask, milliseconds: one that was heard can be sent again by the thousand. */
const HOOK_PAUSE_MS = 500;
/** What a look takes at most, milliseconds: a thread that doesn't end is ended, and the next look begins with another. */
const LOOK_MAX_MS = 600_000;

/** A commit that was refused, and when it is looked at again, on the monotonic clock. */
interface Refused {
  readonly result: Halted;
  readonly waitMs: number;
  readonly untilMs: number;
}

/** Follows a branch until it is disposed of. */
export class Follower implements AsyncDisposable {
  readonly #terms: FollowTerms;
  readonly #needs: FollowerNeeds;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #work: GitWork | null = null;
  #wake: () => void = () => {};
  /** Who waits for a look that has yet to begin. */
  #orders: { readonly order: SyncOrder | null; readonly done: PromiseWithResolvers<SyncResult> }[] = [];
  #refused: Refused | null = null;
  #failures = 0;
  #head: string | null = null;
  #fetchedAt: number | null = null;

  /** Begins to follow at once. */
  constructor(terms: FollowTerms, needs: FollowerNeeds) {
    this.#terms = terms;
    this.#needs = needs;
    this.#running = this.#run();
  }

  /** The head that was seen last; `null` = none yet. */
  get head(): string | null {
    return this.#head;
  }

  /** When the branch was reached last, Unix milliseconds; `null` = not yet. */
  get fetchedAt(): number | null {
    return this.#fetchedAt;
  }

  /**
   * Looks at once, or as soon as the look under way has ended; `null` = on its own account, as a webhook asks.
   *
   * @throws the reason of the end when following ends before
   */
  sync(order: SyncOrder | null): Promise<SyncResult> {
    if (this.#ending.signal.aborted) return Promise.reject(this.#ending.signal.reason);
    const done = Promise.withResolvers<SyncResult>();
    this.#orders.push({ order, done });
    this.#wake();
    return done.promise;
  }

  /** Follows no more; a look under way is given up, unless it is being committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new Error("The repository isn't followed any more"));
    this.#wake();
    await this.#running;
    await this.#work?.[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const begunMs = clock.monotonicMs();
      const orders = this.#orders;
      this.#orders = [];
      const order = orders.find(({ order }) => order?.force)?.order ??
        orders.find(({ order }) => order)?.order;
      const result = await this.#look(order ?? null);
      if (signal.aborted) {
        for (const { done } of orders) done.reject(signal.reason);
        break;
      }
      this.#failures = result.kind === "failed" ? this.#failures + 1 : 0;
      this.#needs.tell({ kind: "result", result });
      for (const { done } of orders) done.resolve(result);
      await this.#rest(begunMs);
    }
    for (const { done } of this.#orders) done.reject(signal.reason);
  }

  /** Waits for the next look: at once for an operator, soon for a webhook, else at the next interval. */
  async #rest(begunMs: number): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    const dueMs = clock.monotonicMs() + this.#waitMs();
    while (!signal.aborted && !this.#orders.some(({ order }) => order !== null)) {
      const untilMs = this.#orders.length > 0 ? begunMs + HOOK_PAUSE_MS : dueMs;
      const leftMs = untilMs - clock.monotonicMs();
      if (leftMs <= 0) break;
      const waiting = new AbortController();
      this.#wake = () => waiting.abort();
      await clock.sleep(leftMs, anySignal([signal, waiting.signal]));
      this.#wake = () => {};
    }
  }

  /** An interval, doubled for each failure in a row, and a tenth of it more or less. */
  #waitMs(): number {
    const { pollIntervalMs } = this.#terms;
    const most = Math.max(pollIntervalMs, WAIT_MAX_MS);
    const wait = Math.min(pollIntervalMs * 2 ** Math.min(this.#failures, 20), most);
    return wait * (0.9 + 0.2 * (this.#needs.rng() / 2 ** 32));
  }

  async #look(order: SyncOrder | null): Promise<SyncResult> {
    const late = new AbortController();
    const over = new AbortController();
    const timing = this.#needs.clock.sleep(LOOK_MAX_MS, over.signal).then(() => {
      if (!over.signal.aborted) late.abort(new Error(`it took longer than ${LOOK_MAX_MS / 60_000} minutes`));
    });
    const signal = anySignal([this.#ending.signal, late.signal]);
    const work = this.#work ??= this.#needs.open();
    // What the thread is asked for then fails, and so the look ends; a commit that is under way ends by the signal.
    const giveUp = () => void work[Symbol.asyncDispose]();
    signal.addEventListener("abort", giveUp, { once: true });
    const look = new Look(this.#terms, { ...this.#needs, work, signal });
    try {
      const seen = await look.at({ order, refused: order === null ? this.#refusedNow() : null });
      // What was asked for failed because the thread was ended; why it was is what counts.
      const result = seen.kind === "failed" && late.signal.aborted ? look.failed(late.signal.reason) : seen;
      this.#note(result, look);
      return result;
    } catch (error) {
      // The thread may not end: the next look has another one.
      this.#work = null;
      void work[Symbol.asyncDispose]();
      return look.failed(late.signal.aborted ? late.signal.reason : error);
    } finally {
      if (!work.isAlive) this.#work = null;
      signal.removeEventListener("abort", giveUp);
      over.abort();
      await timing;
    }
  }

  #refusedNow(): Halted | null {
    const refused = this.#refused;
    return refused && this.#needs.clock.monotonicMs() < refused.untilMs ? refused.result : null;
  }

  #note(result: SyncResult, { head }: Look): void {
    if (head !== null) {
      this.#head = head;
      this.#fetchedAt = this.#needs.clock.unixMs();
    }
    if (result.kind !== "refused") {
      if (result.kind !== "failed") this.#refused = null;
      return;
    }
    const before = this.#refused;
    if (before?.result === result) return;
    const isSame = before?.result.commit === result.commit;
    const waitMs = Math.min(isSame ? before!.waitMs * 2 : this.#terms.pollIntervalMs, REFUSED_WAIT_MAX_MS);
    this.#refused = { result, waitMs, untilMs: this.#needs.clock.monotonicMs() + waitMs };
  }
}

/** What one look is made with. */
interface LookNeeds extends Pick<FollowerNeeds, "changes" | "state" | "tell"> {
  /** Works on the repository. */
  readonly work: GitWork;
  /** Ends the look. */
  readonly signal: AbortSignal;
}

/** One look at the branch. */
class Look {
  readonly #terms: FollowTerms;
  readonly #needs: LookNeeds;
  #step: SyncStep = "fetch";
  #head: string | null = null;

  constructor(terms: FollowTerms, needs: LookNeeds) {
    this.#terms = terms;
    this.#needs = needs;
  }

  /** What the branch names; `null` = it couldn't be reached. */
  get head(): string | null {
    return this.#head;
  }

  /** @param given.refused what came of this head before, where it isn't to be looked at again yet */
  async at(
    given: { readonly order: SyncOrder | null; readonly refused: Halted | null },
  ): Promise<SyncResult> {
    const applied = this.#needs.state.applied();
    const { repository, branch, pathPrefix } = this.#terms;
    const isSameBranch = applied?.repository === repository && applied.branch === branch;
    const known = isSameBranch ? applied.sha : null;
    let head: string;
    try {
      head = await this.#needs.work.fetch(known ?? this.#terms.since, this.#needs.signal);
    } catch (error) {
      this.#tell("fetch", false);
      return this.failed(error);
    }
    this.#tell("fetch", true);
    this.#head = head;
    const force = given.order?.force ?? false;
    if (head === known && applied!.pathPrefix === pathPrefix) return await this.#again(known, given.order);
    const result = given.refused?.commit === head
      ? given.refused
      : await this.#judge(head, { known, order: given.order, force });
    if (result.kind !== "applied" && known !== null && applied!.pathPrefix === pathPrefix) {
      await this.#again(known, null);
    }
    return result;
  }

  /** What came of an error that nothing below could judge. */
  failed(error: unknown): Halted {
    const reason = error instanceof Error ? error.message : String(error);
    const fix = error instanceof RepositoryError && error.reason === "missing"
      ? " (see gitops.repoURL and gitops.branch)"
      : "";
    const message = this.#step === "fetch" && this.#head === null
      ? `The repository can't be fetched: ${reason}${fix}`
      : `Commit ${shortId(this.#head ?? "")} can't be applied now: ${reason}`;
    return { kind: "failed", step: this.#step, commit: this.#head, message, problems: [], guards: [] };
  }

  /** The commit that is applied: what was changed since may have to be restored. */
  async #again(commit: string, order: SyncOrder | null): Promise<SyncResult> {
    const unchanged: Unchanged = { kind: "unchanged", commit };
    const isDrifted = this.#needs.state.drift().count > 0;
    const isWanted = this.#terms.onDrift === "restore" || (order?.force ?? false);
    if (!isDrifted || !isWanted) return unchanged;
    const { signer, fingerprint } = this.#needs.state.applied()!;
    const { subject } = await this.#needs.work.look(commit, null);
    return await this.#apply(commit, { subject, signer, fingerprint, order, isRestored: true });
  }

  async #judge(
    head: string,
    { known, order, force }: {
      readonly known: string | null;
      readonly order: SyncOrder | null;
      readonly force: boolean;
    },
  ): Promise<SyncResult> {
    const fault = force ? null : await this.#ancestryFault(head, known);
    if (fault !== null) return this.#refuse("ancestry", fault);
    this.#step = "verify";
    const { requireSignature, keyring, allowedSigners, signedTags } = this.#terms;
    const isVerified = requireSignature || allowedSigners.length > 0;
    const { subject, verdict } = await this.#lookAt(
      head,
      isVerified ? { keyring, allowedSigners, signedTags } : null,
    );
    const signature = signatureOf(verdict);
    if (isVerified) this.#tell("verify", signature.fault === null);
    if (requireSignature && signature.fault !== null) {
      return this.#refuse("verify", `Commit ${shortId(head)} ${signature.fault}`);
    }
    const { signer, fingerprint } = signature;
    return await this.#apply(head, { subject, signer, fingerprint, order, isRestored: false });
  }

  async #lookAt(head: string, terms: SignatureTerms | null) {
    try {
      return await this.#needs.work.look(head, terms);
    } catch (error) {
      if (terms !== null) this.#tell("verify", false);
      throw error;
    }
  }

  /** Why a head may not follow what is applied; `null` = it may. */
  async #ancestryFault(head: string, known: string | null): Promise<string | null> {
    const ancestor = known ?? this.#terms.since;
    if (ancestor === null || ancestor === head) return null;
    this.#step = "ancestry";
    const descends = await this.#needs.work.descends(head, ancestor);
    if (descends === "yes") return null;
    const [it, behind] = [`Commit ${shortId(head)}`, shortId(ancestor)];
    const role = known === null ? "gitops.since" : "which is applied";
    const isNot = descends === "no"
      ? `doesn't come after ${behind}, ${role}`
      : `can't be proved to come after ${behind}, ${role}`;
    const why = known === null ? "" : ": the branch was rewritten";
    const fix = known === null
      ? "set gitops.since to a commit of this branch"
      : `push a commit on top of ${behind}, or take this one all the same with a sync that is forced`;
    return `${it} ${isNot}${why} (${fix})`;
  }

  async #apply(
    commit: string,
    { subject, signer, fingerprint, order, isRestored }: {
      readonly subject: string;
      readonly signer: string;
      readonly fingerprint: string;
      readonly order: SyncOrder | null;
      readonly isRestored: boolean;
    },
  ): Promise<Applied | Halted> {
    this.#step = "read";
    const { repository, branch, pathPrefix } = this.#terms;
    const force = order?.force ?? false;
    try {
      const read = await this.#needs.work.read(commit, pathPrefix);
      if (read.kind === "invalid") {
        this.#tell("apply", false);
        const [first] = read.problems;
        const message = `The model of commit ${shortId(commit)} has ${
          countOf(read.problems.length, "problem")
        }: ${formatProblem(first!)}`;
        return { ...this.#refuse("read", message), problems: read.problems };
      }
      this.#step = "apply";
      const applied = await this.#needs.changes.apply(read.lines, {
        file: `commit ${shortId(commit)}`,
        format: "ndjson",
        origin: {
          via: "git",
          by: signer,
          reason: reasonOf({ commit, subject, order, isRestored }),
          ...order?.request && { request: order.request },
          git: { repository, branch, pathPrefix, sha: commit, signer, fingerprint },
        },
        dryRun: false,
        force,
        ifGeneration: null,
        signal: this.#needs.signal,
      });
      if (applied.kind !== "applied") {
        this.#tell("apply", false);
        const fault = applied.kind === "empty"
          ? "is empty: applying it would delete everything (delete the objects one by one if that is meant)"
          : `has ${countOf(applied.problems.length, "problem")}: ${formatProblem(applied.problems[0]!)}`;
        const refused = this.#refuse("apply", `The model of commit ${shortId(commit)} ${fault}`);
        return applied.kind === "empty" ? refused : { ...refused, problems: applied.problems };
      }
      this.#tell("apply", true);
      const { changed, commit: { generation } } = applied;
      return { kind: "applied", commit, signer, generation, changed, isRestored };
    } catch (error) {
      if (!this.#needs.signal.aborted) this.#tell("apply", false);
      if (error instanceof ChangeRefused) {
        const message = `Commit ${shortId(commit)} is refused: ${
          error.problems.map(({ message }) => message).join("; ")
        }`;
        return { ...this.#refuse("apply", message), guards: error.guards };
      }
      // What the repository holds is beyond a bound, or has a name that no file should have: the next commit may be fine.
      if (error instanceof RepositoryError && isOfCommit(error)) {
        const fix = error.reason === "missing" && pathPrefix !== "" ? " (see gitops.pathPrefix)" : "";
        return this.#refuse(this.#step, `Commit ${shortId(commit)} can't be read: ${error.message}${fix}`);
      }
      throw error;
    }
  }

  #refuse(step: SyncStep, message: string): Halted {
    return { kind: "refused", step, commit: this.#head, message, problems: [], guards: [] };
  }

  #tell(step: "fetch" | "verify" | "apply", isFine: boolean): void {
    this.#needs.tell({ kind: "step", step, isFine });
  }
}

/** Whether it is the commit that is at fault, and not the way to it. */
function isOfCommit({ reason }: RepositoryError): boolean {
  return reason === "bound" || reason === "name" || reason === "missing";
}

function signatureOf(
  verdict: Verdict | null,
): { readonly signer: string; readonly fingerprint: string; readonly fault: string | null } {
  const none = { signer: "", fingerprint: "" };
  switch (verdict?.state) {
    case undefined:
      return { ...none, fault: null };
    case "good":
      return { signer: verdict.signer, fingerprint: verdict.fingerprint, fault: null };
    case "unsigned":
      return {
        ...none,
        fault: "isn't signed (sign it with git commit -S, with a key of gitops.allowedSigners)",
      };
    case "refused":
      return { ...none, fault: `is refused for its signature: ${verdict.reason}` };
  }
}

/** What the history has as the reason: the commit, and who took it all the same. */
function reasonOf(
  { commit, subject, order, isRestored }: {
    readonly commit: string;
    readonly subject: string;
    readonly order: SyncOrder | null;
    readonly isRestored: boolean;
  },
): string {
  const what = `commit ${commit}${subject === "" ? "" : `: ${subject}`}`;
  const restored = isRestored ? " (restored)" : "";
  if (!order?.force) return `${what}${restored}`;
  return `${what}${restored} (forced${order.by === "" ? "" : ` by ${order.by}`}: ${order.reason})`;
}
