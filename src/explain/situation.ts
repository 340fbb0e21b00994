/**
 * All that an account is written from: what the engine said, and what is declared, believed and overridden.
 *
 * @module
 */
import type { Candidate } from "../balance/ranking.ts";
import type { Clock } from "../clock.ts";
import type { Fallback, Member, Pool, Service } from "../model/model.ts";
import type { EngineOptions } from "../dns/engine.ts";
import type { ViewStatus } from "../health/global_view.ts";
import type { MemberView } from "../health/node_health.ts";
import type { Settings } from "../settings/settings.ts";
import type { Verdict } from "../health/verdict.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import type { Message } from "../wire/message.ts";
import type { Failovers } from "./failovers.ts";
import type { Asked } from "./explanation.ts";
import type { Choice, DecidedFor, NamedStep, PoolLook } from "./recording.ts";

/** What explaining works with. */
export interface ExplainSources {
  /** What is answered from at this moment. */
  current(): { readonly snapshot: Snapshot; readonly board: LiveBoard };
  /** Of the model that is answered. */
  generation(): number;
  /** The service of a domain, wildcards included. */
  service(domain: string): Service | null;
  /** A pool with all its parts. */
  pool(id: string): Pool | null;
  /** The static fallback, and the TTL of its answers in seconds. */
  fallback(): { readonly fallback: Fallback; readonly ttl: number } | null;
  /** What is believed of a member. */
  health(pool: Pool, member: Member, isForcedUp: boolean): Evidence;
  /** The nodes that share what they find, and by what policy; `null` = none do. */
  peers(): Pick<ViewStatus, "policy" | "quorumMinPercent" | "sight" | "nodes"> | null;
  /** Tells of the overrides of now which one rules a member; asked for once an account. */
  rulings(): (poolId: string, member: Member) => RulingOverride | null;
  /** Some of the names that are answered here, for those that asked for another. */
  ours(): readonly string[];
  /** The known addresses of a member's name. */
  addressesOf(target: string): readonly string[];
  /** What past failovers took. */
  readonly failovers: Pick<Failovers, "of">;
  /** What a client may be refused by, whatever it asks for. */
  limits(): Limits;
  /** For how long the flip guard holds verdicts at most; `null` = it is off. */
  flipGuardHoldMs(): number | null;
  /** As the workers have them. */
  readonly engine: Omit<EngineOptions, "lane">;
  /** Stamps what is explained. */
  readonly clock: Pick<Clock, "unixMs">;
}

/** The settings of what stands before and behind the engine. */
export type Limits = Pick<Settings["dns"], "allow" | "deny" | "rateLimit" | "amplificationMax">;

/** What is believed of a member. */
export interface Evidence extends Verdict {
  /** Whether it may be answered, as far as health goes. */
  readonly eligible: boolean;
  /** Why it is out, or in although it is down; `null` = its state says it. */
  readonly why: string | null;
  /** Who finds what, of each of its checks; absent where nodes don't share what they find. */
  readonly views?: readonly MemberView[];
}

/** An override that has begun and isn't over. Times are Unix milliseconds. */
export interface RulingOverride {
  /** What it does. */
  readonly state: "up" | "down" | "drain";
  /** Why. */
  readonly reason: string;
  /** Who answers for it. */
  readonly owner: string;
  /** Name of the token or login that created it; empty when unknown. */
  readonly createdBy: string;
  /** When it ends. */
  readonly expiresAt: number;
  /** What is left of the member, 0–1. */
  readonly share: number;
}

/** Everything that is known of one dry run. */
export interface Situation {
  /** What was asked. */
  readonly asked: Asked;
  /** What is answered. */
  readonly message: Message;
  /** The question's name in wire form, lower-case. */
  readonly question: Uint8Array;
  /** The names on the way; `owner` is the name whose data answers. */
  readonly names: readonly (NamedStep & { readonly owner: string | null })[];
  /** The pools on the way. */
  readonly considered: readonly Considered[];
  /** Who was chosen. */
  readonly choice: Choice | null;
  /** From where. */
  readonly decider: Considered | null;
  /** The client. */
  readonly decidedFor: DecidedFor | null;
  /** Bits for which it holds. */
  readonly scopeBits: number;
  /** The service, or what stands in its place. */
  readonly service: (Pick<Service, "ttl" | "minTtl" | "ecs"> & { readonly domain: string | null }) | null;
  /** The override that rules a member. */
  readonly ruling: ReturnType<ExplainSources["rulings"]>;
  /** Unix milliseconds, as the engine has them. */
  readonly nowMs: number;
  /** Where the rest is looked up. */
  readonly sources: ExplainSources;
}

/** A member as the engine sees it. */
export interface Listed extends Candidate {
  /** The name as which it is answered; `null` = by its address. */
  readonly alias: string | null;
}

/** A pool that was looked at. */
export interface Considered {
  /** What the engine said of it. */
  readonly look: PoolLook;
  /** As it is declared. */
  readonly pool: Pool;
  /** The members that the engine sees, by their index. */
  readonly listed: readonly Listed[];
  /** When each of them went down last, in milliseconds that only grow; 0 = never. */
  readonly downAt: readonly number[];
  /** Milliseconds between two probes of a member. */
  readonly intervalMs: number;
  /** Milliseconds until the next planned change of its answers; `null` = there is none. */
  readonly leftMs: number | null;
}
