/**
 * What the screen and the thread of the database say to each other: plain data, so that all of it can be sent.
 *
 * A question has a number, and its answer the same one. What is told unasked (`changed`, `fault`, `whole`) has none.
 *
 * @module
 */
import type { Problem, RefusalKind } from "../change/edit.ts";
import type { GuardRefusal } from "../change/guard.ts";
import type { HealthCheck } from "../model/model.ts";
import type { Listing, ListingRequest } from "../store/listing.ts";
import type { GeoRuleRow } from "../store/geo_rules.ts";
import type { MemberRow } from "../store/members.ts";
import type { PoolRow } from "../store/pools.ts";
import type { ListedPool, ListedService } from "../store/listing.ts";
import type { HistoryEntry } from "../store/history.ts";
import type { ServiceRow } from "../store/services.ts";

/** What the thread is told first. */
export interface Opening {
  /** The database. */
  readonly path: string;
  /** Stands beside what is changed. */
  readonly author: string;
  /** The settings that guards go by, as far as they are given: a file, and the environment. */
  readonly settings: { readonly config: string | undefined; readonly env: Readonly<Record<string, string>> };
}

/** To the thread. */
export type ToStore =
  | { readonly kind: "open"; readonly opening: Opening }
  | { readonly kind: "ask"; readonly number: number; readonly question: Question };

/** From the thread. */
export type FromStore =
  | { readonly kind: "opened"; readonly isNew: boolean; readonly generation: number }
  /** Something differs from what was told; the generation is that of now. */
  | { readonly kind: "changed"; readonly generation: number; readonly isReplaced: boolean }
  /** A change waits for another process to let the database go. */
  | { readonly kind: "waiting" }
  /** The file can't be used. `isFinal` = it will not do at all, since it is none of ours. */
  | { readonly kind: "fault"; readonly message: string; readonly isFinal: boolean }
  | { readonly kind: "answer"; readonly number: number; readonly answer: Answer };

/** What is asked. */
export type Question =
  | { readonly kind: "pools"; readonly request: ListingRequest }
  | { readonly kind: "services"; readonly request: ListingRequest }
  | { readonly kind: "choices"; readonly request: ListingRequest }
  | { readonly kind: "history"; readonly request: ListingRequest }
  | { readonly kind: "pool"; readonly id: string }
  | { readonly kind: "service"; readonly id: string }
  /** What one commit did. */
  | { readonly kind: "generation"; readonly generation: number }
  /** What a change would do, or the change itself. */
  | { readonly kind: "change"; readonly intent: Intent; readonly terms: ChangeTerms };

/** How a change is asked for. */
export interface ChangeTerms {
  /** Whether only to say what it would do. */
  readonly isPreview: boolean;
  /** Whether it is kept though a guard would refuse it. */
  readonly force: boolean;
  /** For the history. */
  readonly reason: string;
}

/** Fields as they were typed and chosen, by their names in the model. */
export type Values = Readonly<Record<string, unknown>>;

/** A change as a person means it. `revision` is that of the object which was shown; `null` = there was none. */
export type Intent =
  | {
    readonly kind: "pool";
    readonly id: string | null;
    readonly revision: number | null;
    readonly values: Values;
  }
  | {
    readonly kind: "member" | "geoRule";
    readonly id: string | null;
    readonly poolId: string;
    readonly revision: number | null;
    readonly values: Values;
  }
  | {
    readonly kind: "healthCheck";
    readonly poolId: string;
    readonly revision: number | null;
    readonly values: Values;
  }
  | {
    readonly kind: "service";
    readonly id: string | null;
    readonly revision: number | null;
    readonly values: Values;
  }
  | { readonly kind: "delete"; readonly what: DeletedKind; readonly id: string; readonly revision: number }
  | { readonly kind: "drain"; readonly target: string; readonly values: Values }
  | { readonly kind: "undo"; readonly generation: number };

/** What can be deleted; a check goes by the id of its pool. */
export type DeletedKind = "pool" | "member" | "healthCheck" | "geoRule" | "service";

/** What the thread found. */
export type Answer =
  | { readonly kind: "pools"; readonly filter: string; readonly listing: Listing<PoolItem> }
  | { readonly kind: "services"; readonly filter: string; readonly listing: Listing<ServiceItem> }
  | { readonly kind: "choices"; readonly filter: string; readonly listing: Listing<ListedPool> }
  | { readonly kind: "history"; readonly filter: string; readonly listing: Listing<HistoryItem> }
  /** `null` = there is none any more. */
  | { readonly kind: "pool"; readonly id: string; readonly pool: PoolDetail | null }
  | { readonly kind: "service"; readonly id: string; readonly service: ServiceDetail | null }
  | { readonly kind: "generation"; readonly generation: number; readonly lines: readonly string[] }
  | { readonly kind: "done"; readonly generation: number; readonly changed: boolean }
  | { readonly kind: "preview"; readonly preview: Preview }
  | {
    readonly kind: "refused";
    readonly refusal: RefusalKind;
    readonly problems: readonly Problem[];
    readonly guards: readonly GuardRefusal[];
    /** Of a stale one: who changed it meanwhile, in words. */
    readonly since: string | null;
  }
  /** It didn't work: what, and what to do. */
  | { readonly kind: "failed"; readonly message: string };

/** What is believed of a member: of how many checks how many pass; `null` = it isn't probed, or not yet. */
export type MemberHealth = {
  /** As people see it. */
  readonly state: "healthy" | "unhealthy" | "unknown" | "unchecked";
  /** Why the last probe failed. */
  readonly error: string | null;
  /** Milliseconds of the last successful probe. */
  readonly latencyMs: number | null;
};

/** A pool in the list, and how many of its enabled members are healthy. */
export interface PoolItem extends ListedPool {
  /** Members that may be answered; `null` = the pool has no check. */
  readonly up: number | null;
  /** Enabled members. */
  readonly enabled: number;
}

/** A service in the list, and how often it is asked for. */
export interface ServiceItem extends ListedService {
  /** Queries a second as the node counts them; `null` = it doesn't, or hasn't yet. */
  readonly rate: number | null;
}

/** A commit in the list. */
export interface HistoryItem extends HistoryEntry {
  /** How many objects it touched, in words. */
  readonly what: string;
}

/** A member and what is believed of it. */
export interface MemberItem extends MemberRow {
  /** By the last verdicts in the database. */
  readonly health: MemberHealth;
  /** What an override does to it now, in words; empty = nothing. */
  readonly override: string;
}

/** A geo rule and the name of its member. */
export interface RuleItem extends GeoRuleRow {
  /** Address or host name, and port. */
  readonly member: string;
}

/** A pool with all that belongs to it. */
export interface PoolDetail {
  /** Its own fields. */
  readonly pool: PoolRow;
  /** Name of the fallback pool. */
  readonly fallbackPool: string | null;
  /** In their order. */
  readonly members: readonly MemberItem[];
  /** `null` = it has none. */
  readonly check: (HealthCheck & { readonly revision: number }) | null;
  /** In their order. */
  readonly rules: readonly RuleItem[];
  /** Some of the services that answer from it, and how many there are. */
  readonly services: { readonly count: number; readonly some: readonly string[] };
}

/** A service and the name of its pool. */
export interface ServiceDetail {
  /** All fields. */
  readonly service: ServiceRow;
  /** `null` = the static fallback. */
  readonly pool: string | null;
}

/** What a change would do, for a dialogue. */
export interface Preview {
  /** Whether anything would differ. */
  readonly changed: boolean;
  /** What goes, what comes and what clients get after, a line each. */
  readonly lines: readonly string[];
  /** What guards would say. */
  readonly guards: readonly GuardRefusal[];
}
