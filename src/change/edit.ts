/**
 * The language of change: one `Edit` is one thing that an operator wants to be different. REST, the shell, the
 * terminal UI, Git and the cluster all speak it; `commit.ts` is its only reader.
 *
 * @module
 */
import type { ModelFormat } from "../model/model_tree.ts";
import type { OverrideFields } from "../model/override.ts";
import type { Fallback, GeoRule, HealthCheck, Member, Pool, Service } from "../model/model.ts";
import type { GitCommit } from "../store/git_applied.ts";
import type { ChangeCounts } from "../store/replacement.ts";
import type { Counts } from "../store/store.ts";
import type { FileProblem } from "../input/yaml_source.ts";
import type { GuardRefusal } from "./guard.ts";
import type { Plan } from "./plan_report.ts";

/** A pool's own fields; its members, check and rules are edited on their own. */
export type PoolFields = Omit<Pool, "id" | "members" | "healthCheck" | "geoRules">;
/** A member's fields without its id. */
export type MemberFields = Omit<Member, "id">;
/** A service's fields without its id. */
export type ServiceFields = Omit<Service, "id">;
/** A geo rule's fields without its id. */
export type GeoRuleFields = Omit<GeoRule, "id">;

/**
 * One change. Fields are complete and already of the right shape (checked at the border); what needs the rest
 * of the model (references, duplicates, cycles, zone cuts) is checked on commit. `ifRevision` is the revision the
 * author saw: when the row has another one by now, the whole commit is refused as `stale`.
 */
export type Edit =
  | { readonly kind: "createPool"; readonly id: string; readonly fields: PoolFields }
  | {
    readonly kind: "updatePool";
    readonly id: string;
    readonly fields: PoolFields;
    readonly ifRevision?: number;
  }
  | { readonly kind: "deletePool"; readonly id: string; readonly ifRevision?: number }
  | {
    readonly kind: "createMember";
    readonly id: string;
    readonly poolId: string;
    readonly fields: MemberFields;
  }
  | {
    readonly kind: "updateMember";
    readonly id: string;
    readonly fields: MemberFields;
    readonly ifRevision?: number;
  }
  | { readonly kind: "deleteMember"; readonly id: string; readonly ifRevision?: number }
  | { readonly kind: "createService"; readonly id: string; readonly fields: ServiceFields }
  | {
    readonly kind: "updateService";
    readonly id: string;
    readonly fields: ServiceFields;
    readonly ifRevision?: number;
  }
  | { readonly kind: "deleteService"; readonly id: string; readonly ifRevision?: number }
  | {
    readonly kind: "putHealthCheck";
    readonly poolId: string;
    readonly fields: HealthCheck;
    readonly ifRevision?: number;
  }
  | { readonly kind: "deleteHealthCheck"; readonly poolId: string; readonly ifRevision?: number }
  | {
    readonly kind: "createGeoRule";
    readonly id: string;
    readonly poolId: string;
    readonly fields: GeoRuleFields;
  }
  | {
    readonly kind: "updateGeoRule";
    readonly id: string;
    readonly fields: GeoRuleFields;
    readonly ifRevision?: number;
  }
  | { readonly kind: "deleteGeoRule"; readonly id: string; readonly ifRevision?: number }
  | { readonly kind: "putZone"; readonly domain: string; readonly text: string; readonly ifRevision?: number }
  | { readonly kind: "deleteZone"; readonly domain: string; readonly ifRevision?: number }
  | { readonly kind: "createOverride"; readonly id: string; readonly fields: OverrideFields }
  | { readonly kind: "deleteOverride"; readonly id: string; readonly ifRevision?: number }
  | { readonly kind: "putFallback"; readonly fallback: Fallback | null; readonly ifRevision?: number };

/** Who wanted a commit, by which way, and why; kept in the history. */
export interface Origin {
  /** `api`, `cli`, `tui`, `git`, `cluster`, `demo`, `expiry`, `rollback`. */
  readonly via: string;
  /** Name of the token, signer or user; empty when unknown. */
  readonly by: string;
  /** Why; may be empty. */
  readonly reason: string;
  /** Where it was asked for; only the audit keeps it. Absent = inside the node, or on its machine. */
  readonly request?: OriginRequest;
  /** The commit of Git that the model is made of; kept as the last one that was applied. */
  readonly git?: GitCommit;
}

/** The request behind a change. */
export interface OriginRequest {
  /** Address of the client; empty when unknown. */
  readonly from: string;
  /** Method and path, without secrets. */
  readonly line: string;
  /** Id of the token; `null` = it was none that has one. */
  readonly tokenId: string | null;
}

/** How a model that comes as bytes is to be applied. */
export interface ApplyOptions {
  /** The name that problems carry. */
  readonly file: string;
  /** JSON is read as YAML. */
  readonly format: ModelFormat;
  /** Who wants it. */
  readonly origin: Origin;
  /** Whether only to say what would come of it. */
  readonly dryRun: boolean;
  /** Whether it is kept though a guard would refuse it. */
  readonly force?: boolean;
  /** In a dry run, how far back recorded queries are answered once more, milliseconds; absent = not at all. */
  readonly replayMs?: number;
  /** The generation that the author saw; with another one the model is refused as `stale`. `null` = any will do. */
  readonly ifGeneration: number | null;
  /** When aborted before the commit, nothing is changed. */
  readonly signal: AbortSignal;
}

/** What became of a model that was to be applied. */
export type Applied =
  | {
    readonly kind: "applied";
    readonly commit: Commit;
    /** Whether anything is, or would be, different. */
    readonly changed: boolean;
    /** What is in the model. */
    readonly counts: Counts;
    /** How many objects of each kind it creates, changes and deletes. */
    readonly objects: ChangeCounts;
    /** What it would do; only of a dry run. */
    readonly plan: Plan | null;
  }
  | { readonly kind: "invalid"; readonly problems: readonly FileProblem[] }
  /** It would delete everything, which can't be meant: refused. */
  | { readonly kind: "empty" };

/** What is to be gone back to. */
export interface RollbackOptions {
  /** Whose model is to be the stored one again; `null` = that of before the last change of the model. */
  readonly to: number | null;
  /** The generation that the author saw; with another one it is refused as `stale`. Absent = any will do. */
  readonly ifGeneration?: number;
  /** Who wants it; the reason gets the generation before it. */
  readonly origin: Omit<Origin, "via">;
  /** Whether only to say what would come of it. */
  readonly dryRun: boolean;
  /** Whether it is kept though a guard would refuse it. */
  readonly force?: boolean;
  /** When aborted before the commit, nothing is changed. */
  readonly signal: AbortSignal;
}

/** What was gone back to. */
export interface RolledBack {
  /** What was changed, or would be. */
  readonly commit: Commit;
  /** Whether anything is, or would be, different. */
  readonly changed: boolean;
  /** The generation whose model it is. */
  readonly to: number;
  /** How many objects of each kind came back, are as they were, or are gone again. */
  readonly objects: ChangeCounts;
  /** What it would do; only of a dry run. */
  readonly plan: Plan | null;
}

/** What one commit changed: enough for a follower to reload only what was touched. */
export interface Commit {
  /** Of the model after the commit; one that changes nothing keeps the generation. */
  readonly generation: number;
  /** Too much was touched to be listed: all lists are empty, and followers reload everything. */
  readonly everything: boolean;
  /** Ids of the pools that were created, changed or deleted, or of which a member, check, rule or override was. */
  readonly poolIds: readonly string[];
  /** Ids of the services that were created, changed or deleted, or whose pool was deleted. */
  readonly serviceIds: readonly string[];
  /** Domains of the zones that were put or deleted. */
  readonly zoneDomains: readonly string[];
  /** Whether the override of the settings' fallback was changed. */
  readonly fallback: boolean;
}

/** Why a commit was refused; nothing of it was written. */
export type RefusalKind =
  | "invalid"
  | "duplicate"
  | "missing-reference"
  | "not-found"
  | "gone"
  | "stale"
  /** By a guard: it is kept when it is forced. */
  | "guarded"
  /** No change is taken now; later one may be. */
  | "unavailable";

/** One wrong field. */
export interface Problem {
  /**
   * JSON pointer into what the author sent, such as `/ipAddress`; empty = the whole. In a commit of several edits it
   * begins with the edit's place, `/2/ipAddress`.
   */
  readonly pointer: string;
  /** What is wrong, with the value, and the fix. */
  readonly message: string;
}

/** Whether a change is to be kept though a guard would refuse it. */
export interface Terms {
  /** Then the author says why (`Origin.reason`). */
  readonly force?: boolean;
}

/** A change that can't be made. REST turns the kind into 400, 409, 422, 404, 410 or 412. */
export class ChangeRefused extends Error {
  /** The class, in logs. */
  override readonly name = "ChangeRefused";
  /** With several problems, `kind` is that of the first. */
  constructor(
    readonly kind: RefusalKind,
    readonly problems: readonly Problem[],
    /** Of a change that guards refused. */
    readonly guards: readonly GuardRefusal[] = [],
  ) {
    super(problems.map((problem) => problem.message).join("; "));
  }
}
