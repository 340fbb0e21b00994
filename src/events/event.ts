/**
 * What happens inside a node, as its followers are told: plain data that can be sent as JSON as it is.
 *
 * An event says what happened and where to look, not all that is known: a commit of a million services is as small
 * as one of a pool, so that a bounded number of events takes bounded memory.
 *
 * @module
 */

/** One thing that happened. Where it is sent, `id` and `at` are the event's own: no kind has fields of these names. */
export type NodeEvent =
  | NodeStateEvent
  | HealthEvent
  | PolicyEvent
  | PoolEvent
  | GuardNotice
  | CommitEvent
  | RefusalEvent
  | ConflictEvent
  | OverrideEvent
  | SettingsEvent
  | GitopsEvent
  | WorkerEvent
  | TokenEvent
  | AttemptEvent
  | FailureEvent;

/** What tells events apart. */
export type EventKind = NodeEvent["kind"];

/**
 * Every kind, and what it is about: the filters of the API and the shell, the choice of webhooks and the table of the
 * docs are made from this list. A new kind is one more type above and one more line here.
 */
export const EVENT_KINDS: Readonly<Record<EventKind, string>> = {
  node: "The node starts, answers, begins to stop, has stopped",
  health: "A probed target is believed to be in another state",
  pool: "A pool has too few members left to answer by its own rule, or has enough again",
  guard: "The flip guard holds back targets that went down, or ends",
  policy: "The health policy makes another state of a target than this node's probes find, or no longer",
  commit: "The model was changed",
  refusal: "A change was refused by a guard of changes",
  conflict:
    "A change doesn't fit what others in the cluster changed, and is undone, or set otherwise in a field",
  override: "An override begins, expires or is removed",
  settings: "Other settings were taken over, or refused",
  gitops:
    "A commit of Git was applied or refused, its repository fails or recovers, or objects drifted from it",
  worker: "A DNS worker is replaced",
  token: "A token of the API was created or revoked",
  attempt: "Requests were refused: for lack of a token or a scope, or changes for any reason",
  failure: "Something failed inside the node",
};

/** Names by which a filter may call kinds: their own, and `change` for a commit. */
export const KIND_NAMES = ["change", ...keysOf(EVENT_KINDS)] as const;

/** One of `KIND_NAMES`. */
export type KindName = (typeof KIND_NAMES)[number];

/** The kinds of these names; `null` = all of them, where none is named. */
export function kindsOf(names: readonly KindName[]): ReadonlySet<EventKind> | null {
  return names.length === 0 ? null : new Set(names.map((name) => name === "change" ? "commit" : name));
}

function keysOf<Key extends string>(of: Readonly<Record<Key, unknown>>): Key[] {
  return Object.keys(of) as Key[]; // what is in a constant is what its type says
}

/** The node starts, answers, begins to stop, or has nothing left to stop. */
export interface NodeStateEvent {
  /** Tells events apart. */
  readonly kind: "node";
  /** Which of them. */
  readonly state: "starting" | "answering" | "stopping" | "stopped";
  /** Of a start: whether the run before it ended without keeping its last events, as one does that is killed. */
  readonly lost: boolean;
}

/** What is believed of a target is another state now, and answers follow it. */
export interface HealthEvent {
  /** Tells events apart. */
  readonly kind: "health";
  /** The target's key (`desired/check_target.ts`). */
  readonly target: string;
  /** How it is probed. */
  readonly check: string;
  /** Canonical. */
  readonly address: string;
  /** Where the probe connects. */
  readonly port: number;
  /** What is believed now. */
  readonly state: "healthy" | "unhealthy" | "unknown";
  /** What was believed before. */
  readonly previous: "healthy" | "unhealthy" | "unknown";
  /** Why the last probe failed; `null` when it succeeded. */
  readonly error: string | null;
}

/** Where nodes share what they find: what counts of a target isn't what this node's own probes find, or is again. */
export interface PolicyEvent {
  /** Tells events apart. */
  readonly kind: "policy";
  /** Which of them. */
  readonly change: "begun" | "ended";
  /** The target's key (`desired/check_target.ts`). */
  readonly target: string;
  /** How it is probed. */
  readonly check: string;
  /** Canonical. */
  readonly address: string;
  /** Where the probe connects. */
  readonly port: number;
  /** What counts, before the flip guard. */
  readonly state: "healthy" | "unhealthy" | "unknown";
  /** What this node's own probes find; `null` = nothing any more. */
  readonly own: "healthy" | "unhealthy" | null;
  /** `state.healthPolicy` */
  readonly policy: string;
  /** Why they differ; `null` = they don't any more. */
  readonly reason: string | null;
}

/** A pool has too few members left to answer by its own rule, or has enough again. */
export interface PoolEvent {
  /** Tells events apart. */
  readonly kind: "pool";
  /** Its id. */
  readonly poolId: string;
  /** Its name. */
  readonly name: string;
  /** Whether it lacks members. */
  readonly isDown: boolean;
  /** The family that lacks members while the other has enough; `null` = both, or none. */
  readonly family: 4 | 6 | null;
}

/** The flip guard begins to hold, or ends. */
export interface GuardNotice {
  /** Tells events apart. */
  readonly kind: "guard";
  /**
   * `tripped`: very many targets failed at once; `blinded`: no canary answers; `sighted`: one answers again; `overdue`: a
   * blindness took too long; `ended`: a trip is over.
   */
  readonly change: "tripped" | "blinded" | "sighted" | "overdue" | "ended";
  /** Targets whose downs are held, or count from now on (`overdue`, `ended`). */
  readonly targets: number;
  /** When what is held counts at the latest, RFC 3339; `null` = nothing begins. */
  readonly until: string | null;
  /** What became of a trip; `null` = no trip ended. */
  readonly outcome: "failed_over" | "recovered" | "confirmed" | "blind" | null;
}

/** The model is another one. */
export interface CommitEvent {
  /** Tells events apart. */
  readonly kind: "commit";
  /** Of the model now; the history has an entry of that number, unless something was written by hand. */
  readonly generation: number;
  /** The way it came; `null` when another process wrote it. */
  readonly via: string | null;
  /** Who wanted it; empty when the author isn't known. */
  readonly by: string;
  /** Why; may be empty. */
  readonly reason: string;
  /** How many objects were touched; `null` = too many to be listed, or it isn't known which. */
  readonly touched: {
    readonly pools: number;
    readonly services: number;
    readonly zones: number;
    readonly fallback: boolean;
  } | null;
}

/** A change was refused by guards of changes; nothing of it was written. */
export interface RefusalEvent {
  /** Tells events apart. */
  readonly kind: "refusal";
  /** The way it came. */
  readonly via: string;
  /** Who wanted it; empty when the author isn't known. */
  readonly by: string;
  /** Why; may be empty. */
  readonly reason: string;
  /** What refused it. */
  readonly guards: readonly { readonly guard: string; readonly message: string }[];
}

/**
 * A change was undone on the node where it was made, or left out by all, since it doesn't fit what comes before it in the log; or a
 * field that it set is set otherwise by a change of this node that was made before it was known here, and came after it.
 */
export interface ConflictEvent {
  /** Tells events apart. */
  readonly kind: "conflict";
  /** Id of its entry. */
  readonly entry: string;
  /** The node where it was made. */
  readonly node: string;
  /** The way it came there. */
  readonly via: string;
  /** Who wanted it; empty when the author isn't known. */
  readonly by: string;
  /** Why they wanted it; may be empty. */
  readonly reason: string;
  /** Why it doesn't fit. */
  readonly why: string;
}

/** An override begins to have its effect, or ends. */
export interface OverrideEvent {
  /** Tells events apart. */
  readonly kind: "override";
  /** Which of them; `removed` = taken away before its time. */
  readonly change: "begun" | "expired" | "removed";
  /** Of the override. */
  readonly overrideId: string;
  /** What it covers, for people. */
  readonly target: string;
  /** What it makes of it. */
  readonly state: "up" | "down" | "drain";
  /** Whose it is; may be empty. */
  readonly owner: string;
  /** Why it was made; may be empty. */
  readonly reason: string;
  /** Its end, RFC 3339. */
  readonly expiresAt: string;
}

/** Other settings were taken over, or refused. */
export interface SettingsEvent {
  /** Tells events apart. */
  readonly kind: "settings";
  /** What became of them. */
  readonly outcome: "reloaded" | "refused";
  /** Keys that differ and need a start to have an effect. */
  readonly needingRestart: readonly string[];
}

/** What became of a commit of Git, or of the way to it. */
export interface GitopsEvent {
  /** Tells events apart. */
  readonly kind: "gitops";
  /**
   * `applied`: the model is that of the commit; `restored`: it is so again; `refused`: something is wrong with the commit;
   * `failed`: it can't be had; `recovered`: nothing is wrong any more; `drifted`: objects were changed by another way.
   */
  readonly change: "applied" | "restored" | "refused" | "failed" | "recovered" | "drifted";
  /** Id of the commit; `null` = it isn't known. */
  readonly commit: string | null;
  /** Who signed it; empty = that isn't known, or wasn't asked for. */
  readonly signer: string;
  /** What is wrong, or what came of it; may be empty. */
  readonly message: string;
}

/** A DNS worker ended by itself or had to be ended, and another one takes its place. */
export interface WorkerEvent {
  /** Tells events apart. */
  readonly kind: "worker";
  /** Why it is replaced. */
  readonly reason: "died" | "hung";
}

/** A token of the API came, or counts no more because it was revoked; one that has expired isn't told of. */
export interface TokenEvent {
  /** Tells events apart. */
  readonly kind: "token";
  /** Which of them. */
  readonly change: "created" | "revoked";
  /** Of the token; says nothing of its secret. */
  readonly tokenId: string;
  /** Its name. */
  readonly name: string;
  /** What it allows. */
  readonly scope: string;
}

/**
 * Requests of one source that were refused since the last such event: the first ones at once, then once a minute. Who
 * asked for what is in the audit, which fewer may read.
 */
export interface AttemptEvent {
  /** Tells events apart. */
  readonly kind: "attempt";
  /** Address of the client; empty = of several others, as there are too many to be told of one by one. */
  readonly from: string;
  /** How many. */
  readonly count: number;
  /** How many of each status of HTTP: 401 for a wrong token or none, 429 for too many wrong ones, 403 for a lack of scope. */
  readonly statuses: Readonly<Record<string, number>>;
  /** When the first of them came, RFC 3339. */
  readonly since: string;
}

/** Something failed inside the node, which goes on; its log says more. */
export interface FailureEvent {
  /** Tells events apart. */
  readonly kind: "failure";
  /** `internal`: an error that no part of the program took; `publishing`: the last change can't reach the answers. */
  readonly what: "internal" | "publishing";
  /** The error, cut where it is long. */
  readonly message: string;
}
