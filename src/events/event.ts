/**
 * What happens inside a node, as its followers are told: plain data that can be sent as JSON as it is.
 *
 * An event says what happened and where to look, not all that is known: a commit of a million services is as small
 * as one of a pool, so that a bounded number of events takes bounded memory.
 *
 * @module
 */

/** One thing that happened. */
export type NodeEvent =
  | NodeStateEvent
  | HealthEvent
  | PoolEvent
  | GuardNotice
  | CommitEvent
  | OverrideEvent
  | SettingsEvent
  | WorkerEvent;

/** The node starts, answers, or begins to stop. */
export interface NodeStateEvent {
  /** Tells events apart. */
  readonly kind: "node";
  /** Which of them. */
  readonly state: "starting" | "answering" | "stopping";
}

/** What is believed of a target is another state now, and answers follow it. */
export interface HealthEvent {
  /** Tells events apart. */
  readonly kind: "health";
  /** The target's key (`desired/check_target.ts`). */
  readonly target: string;
  /** What is believed now. */
  readonly state: "healthy" | "unhealthy" | "unknown";
  /** What was believed before. */
  readonly previous: "healthy" | "unhealthy" | "unknown";
  /** Why the last probe failed; `null` when it succeeded. */
  readonly error: string | null;
}

/** A pool has too few members left to answer by its own rule, or has enough again. */
export interface PoolEvent {
  /** Tells events apart. */
  readonly kind: "pool";
  /** Its id. */
  readonly id: string;
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
  /** When what is held counts at the latest, Unix milliseconds; `null` = nothing begins. */
  readonly until: number | null;
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

/** An override begins to have its effect, or ends. */
export interface OverrideEvent {
  /** Tells events apart. */
  readonly kind: "override";
  /** Which of them; `removed` = taken away before its time. */
  readonly change: "begun" | "expired" | "removed";
  /** Of the override. */
  readonly id: string;
  /** What it covers, for people. */
  readonly target: string;
  /** What it makes of it. */
  readonly state: "up" | "down" | "drain";
  /** Whose it is; may be empty. */
  readonly owner: string;
  /** Why it was made; may be empty. */
  readonly reason: string;
  /** Its end, Unix milliseconds. */
  readonly expiresAt: number;
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

/** A DNS worker ended by itself or had to be ended, and another one takes its place. */
export interface WorkerEvent {
  /** Tells events apart. */
  readonly kind: "worker";
  /** Why it is replaced. */
  readonly reason: "died" | "hung";
}
