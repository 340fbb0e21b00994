/**
 * GitOps as a part of a node: follows the repository of the settings, and says in the log, the status, the metrics and the
 * events how that stands.
 *
 * @module
 */
import type { GitState } from "../change/git_state.ts";
import type { Changes } from "../change/commit.ts";
import type { NamedChange } from "../change/plan_report.ts";
import type { Clock, Rng } from "../clock.ts";
import type { NodeEvent } from "../events/event.ts";
import { Port, type Ports } from "../port.ts";
import type { Settings } from "../settings/settings.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { shortId } from "./commit_text.ts";
import { Follower, type SyncOrder, type Told } from "./follower.ts";
import type { GitWork } from "./git_work.ts";
import { GitThread } from "./git_thread.ts";
import { BOUNDS, type RepositoryOptions } from "./repository.ts";
import { withoutCredentials } from "./shown_url.ts";
import type { Halted, SyncResult } from "./sync_result.ts";

/** What of the settings counts. */
export type GitopsSettings = Pick<Settings, "gitops">;

/** What it is made with. */
export interface GitopsNeeds {
  /** Those of the start. */
  readonly settings: () => GitopsSettings;
  /** Makes a model the stored one. */
  readonly changes: Pick<Changes, "apply">;
  /** Knows what is applied. */
  readonly state: Pick<GitState, "applied" | "drift">;
  /** Where objects of the repository are kept; made if it isn't there. */
  readonly folder: string;
  /** Hears what changes, once. */
  readonly log: Logger;
  /** Gets the metrics. */
  readonly registry: Registry;
  /** Told what changes. */
  readonly events: { emit(event: NodeEvent): void };
  /** Paces it. */
  readonly clock: Clock;
  /** Spreads it. */
  readonly rng: Rng;
  /** Where it is offered. */
  readonly ports: Ports;
  /** Makes what works on a repository; tests put in another. */
  readonly open?: (options: RepositoryOptions) => GitWork;
}

/** How the model stands to the repository. */
export interface GitopsStatus {
  /**
   * `off`: there is no repository in the settings; `starting`: it hasn't been looked at yet; `synced`: its head is the
   * model; `drifted`: it was, and objects were changed by another way since; `refused`: its head isn't accepted; `failing`:
   * it can't be reached, or its head can't be applied now.
   */
  readonly state: "off" | "starting" | "synced" | "drifted" | "refused" | "failing";
  /** Address without credentials; `null` = off, as are the next two. */
  readonly repository: string | null;
  /** Branch that is followed. */
  readonly branch: string | null;
  /** Folder of the model; empty = all of it. */
  readonly pathPrefix: string | null;
  /** The commit that the model was made of last; `null` = none. */
  readonly applied: {
    readonly commit: string;
    readonly signer: string;
    readonly fingerprint: string;
    readonly generation: number;
    readonly at: number;
  } | null;
  /** The head that was seen last; `null` = none. */
  readonly head: string | null;
  /** When the branch was reached last, Unix milliseconds; `null` = not since the start. */
  readonly fetchedAt: number | null;
  /** What is wrong; `null` = nothing. */
  readonly problem: Halted & { readonly since: number } | null;
  /** What was changed by another way. */
  readonly drift: {
    readonly count: number;
    readonly isMore: boolean;
    readonly changes: readonly NamedChange[];
  };
}

/** What the part offers to the API. */
export interface GitopsPort {
  /** How it stands. */
  status(): GitopsStatus;
  /** Looks at once, and says what came of it; `null` = there is no repository. */
  sync(order: SyncOrder | null): Promise<SyncResult> | null;
  /** Secret of the webhook; `null` = there is none. */
  readonly webhookSecret: string | null;
}

/** Where it is offered, whether it is on or off. */
export const GITOPS: Port<GitopsPort> = new Port("GitOps");

/** GitOps as a node sees it. */
export interface GitopsPart extends AsyncDisposable {
  /** For people: which part isn't ready for a reload. */
  readonly name: string;
  /** Gives what follows the repository of other settings. */
  prepare(next: GitopsSettings): () => void;
}

/** Starts it, and offers it; also where it is off, since a reload may switch it on. */
export function startGitops(needs: GitopsNeeds): GitopsPart {
  const gitops = new Gitops(needs);
  const offered = needs.ports.offer(GITOPS, gitops);
  return {
    name: "GitOps",
    prepare: (next) => () => gitops.use(next),
    [Symbol.asyncDispose]: () => {
      offered[Symbol.dispose]();
      return gitops[Symbol.asyncDispose]();
    },
  };
}

/** Follows the repository of the settings of now. */
export class Gitops implements GitopsPort, AsyncDisposable {
  readonly #needs: Omit<GitopsNeeds, "ports" | "registry">;
  readonly #metrics: Metrics;
  #settings: GitopsSettings["gitops"] = null;
  #follower: Follower | null = null;
  /** The end of those that followed before: only one at a time may work in the folder. */
  #ended: Promise<void> = Promise.resolve();
  #hasLooked = false;
  #problem: GitopsStatus["problem"] = null;
  /** What was said last of the objects that drifted. */
  #driftSaid = "";
  #isDisposed = false;

  /** Follows what the settings of the start say. */
  constructor({ registry, ...needs }: Omit<GitopsNeeds, "ports">) {
    this.#needs = needs;
    this.#metrics = new Metrics(registry, needs.state, () => this.#settings !== null);
    this.use(needs.settings());
  }

  /** Follows what other settings say; the same ones change nothing. */
  use({ gitops }: GitopsSettings): void {
    if (JSON.stringify(gitops) === JSON.stringify(this.#settings)) return;
    this.#settings = gitops;
    const before = this.#follower;
    this.#follower = null;
    this.#hasLooked = false;
    this.#problem = null;
    this.#ended = this.#ended.then(async () => {
      await before?.[Symbol.asyncDispose]();
      if (!this.#isDisposed && this.#settings === gitops && gitops !== null) this.#follow(gitops);
    });
  }

  /** How it stands. */
  status(): GitopsStatus {
    const { state } = this.#needs;
    const settings = this.#settings;
    const applied = settings && state.applied();
    return {
      state: this.#state(),
      repository: settings && withoutCredentials(settings.repoURL),
      branch: settings?.branch ?? null,
      pathPrefix: settings && prefixOf(settings),
      applied: applied && {
        commit: applied.sha,
        signer: applied.signer,
        fingerprint: applied.fingerprint,
        generation: applied.generation,
        at: applied.at,
      },
      head: this.#follower?.head ?? null,
      fetchedAt: this.#follower?.fetchedAt ?? null,
      problem: this.#problem,
      drift: settings === null ? { count: 0, isMore: false, changes: [] } : state.drift(),
    };
  }

  /** Looks at once. */
  sync(order: SyncOrder | null): Promise<SyncResult> | null {
    if (this.#settings === null) return null;
    return this.#ended.then(() => {
      if (this.#follower === null) throw new Error("The repository isn't followed any more");
      return this.#follower.sync(order);
    });
  }

  /** Secret of the webhook. */
  get webhookSecret(): string | null {
    return this.#settings?.webhookSecret ?? null;
  }

  /** Follows no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    await this.#ended;
    await this.#follower?.[Symbol.asyncDispose]();
  }

  #follow(settings: NonNullable<GitopsSettings["gitops"]>): void {
    const { repoURL: url, branch, auth, caCerts } = settings;
    const { open = (options) => new GitThread(options), folder, ...needs } = this.#needs;
    const { requireSignature, allowedSigners, keyring, signedTags, since, onDrift } = settings;
    const terms = {
      repository: withoutCredentials(url),
      pathPrefix: prefixOf(settings),
      pollIntervalMs: settings.pollInterval,
      ...{ branch, requireSignature, allowedSigners, keyring, signedTags, since, onDrift },
    };
    this.#follower = new Follower(terms, {
      ...needs,
      open: () => open({ url, branch, auth, folder, bounds: BOUNDS, caCerts }),
      tell: (told) => this.#take(told),
    });
    needs.log.info("Follows a repository", { repository: terms.repository, branch });
    if (!requireSignature) {
      needs.log.warn("Commits are applied whoever made them: gitops.requireSignature is false");
    }
  }

  #state(): GitopsStatus["state"] {
    if (this.#settings === null) return "off";
    if (this.#problem !== null) return this.#problem.kind === "refused" ? "refused" : "failing";
    if (!this.#hasLooked) return "starting";
    return this.#needs.state.drift().count > 0 ? "drifted" : "synced";
  }

  #take(told: Told): void {
    if (told.kind === "step") return this.#metrics.count(told.step, told.isFine);
    const { result } = told;
    this.#hasLooked = true;
    if (result.kind === "refused" || result.kind === "failed") this.#takeProblem(result);
    else this.#takeSuccess(result);
    this.#takeDrift();
  }

  #takeProblem(result: Halted): void {
    const before = this.#problem;
    const isSame = before !== null && before.kind === result.kind && before.commit === result.commit &&
      before.message === result.message;
    this.#problem = { ...result, since: isSame ? before.since : this.#needs.clock.unixMs() };
    if (isSame) return;
    const { kind, step, commit, message } = result;
    this.#needs.log.warn(message, { step, ...commit !== null && { commit } });
    this.#needs.events.emit({ kind: "gitops", change: kind, commit, signer: "", message: cut(message) });
  }

  #takeSuccess(result: Exclude<SyncResult, Halted>): void {
    const { log, events } = this.#needs;
    const wasWrong = this.#problem !== null;
    this.#problem = null;
    const { commit } = result;
    if (result.kind === "applied") {
      const { signer, generation, changed, isRestored } = result;
      const what = isRestored ? "restored" : "applied";
      log.info(`Commit ${shortId(commit)} is ${what}`, { commit, signer, generation, changed });
      const message = changed ? `generation ${generation}` : "nothing differs";
      events.emit({ kind: "gitops", change: what, commit, signer, message });
    } else if (wasWrong) {
      log.info("The repository is followed again", { commit });
      events.emit({ kind: "gitops", change: "recovered", commit, signer: "", message: "" });
    }
  }

  #takeDrift(): void {
    const { state, log, events } = this.#needs;
    const { count, isMore, changes } = state.drift();
    const said = count === 0
      ? ""
      : `${count}${isMore ? " or more" : ""} changed by another way than Git: ${
        changes.slice(0, NAMED_MAX).map(({ kind, name, action }) => `${kind} ${name} ${action}`).join(", ")
      }`;
    if (said === this.#driftSaid) return;
    this.#driftSaid = said;
    if (said === "") return;
    const commit = state.applied()?.sha ?? null;
    log.warn("Objects differ from the commit that is applied", { objects: count, what: said });
    events.emit({ kind: "gitops", change: "drifted", commit, signer: "", message: cut(said) });
  }
}

/** Objects that a line of the log names. */
const NAMED_MAX = 5;
/** Characters of a message in an event; the status has all of it. */
const MESSAGE_MAX = 500;

function cut(text: string): string {
  return text.length <= MESSAGE_MAX ? text : `${text.slice(0, MESSAGE_MAX - 1)}…`;
}

function prefixOf({ pathPrefix }: { readonly pathPrefix: string }): string {
  return pathPrefix.replace(/\/$/, "");
}

/** What monitoring sees. */
class Metrics {
  readonly #steps: Readonly<Record<"fetch" | "verify" | "apply", ReturnType<typeof counterOf>>>;

  constructor(registry: Registry, state: GitopsNeeds["state"], isOn: () => boolean) {
    this.#steps = {
      fetch: counterOf(registry, "fetch", "Looks at the repository's branch."),
      verify: counterOf(registry, "verify", "Signatures of commits that were judged."),
      apply: counterOf(registry, "apply", "Commits that were to be made the model."),
    };
    registry.gauge("pleiades_gitops_last_apply_info", "1, for the commit that the model was made of last.", {
      labelNames: ["sha", "signer"],
      collect: () => {
        const applied = isOn() ? state.applied() : null;
        return applied ? [[[applied.sha, applied.signer], 1] as const] : [];
      },
    });
    registry.gauge(
      "pleiades_gitops_drift_objects",
      "Objects that differ from the commit that the model was made of last.",
      { collect: () => isOn() ? state.drift().count : 0 },
    );
  }

  count(step: "fetch" | "verify" | "apply", isFine: boolean): void {
    this.#steps[step].labels(isFine ? "ok" : "error").inc();
  }
}

function counterOf(registry: Registry, step: "fetch" | "verify" | "apply", help: string) {
  const counter = registry.counter(`pleiades_gitops_${step}_total`, help, ["result"]);
  // From the begin, so that an alert sees the first error as a change.
  counter.labels("ok");
  counter.labels("error");
  return counter;
}
