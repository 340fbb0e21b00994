/**
 * What the API needs from the rest of the node. `serve.ts` puts the real things in, tests put in stand-ins.
 *
 * @module
 */
import type { NodeModel } from "../cluster/node_model.ts";
import type { Changes } from "../change/commit.ts";
import type { Clock } from "../clock.ts";
import type { Fallback, GeoRule, Member } from "../model/model.ts";
import type { EligibilityPool } from "../desired/eligibility.ts";
import type { ViewStatus } from "../health/global_view.ts";
import type { MemberHealth } from "../health/node_health.ts";
import type { PoolState } from "../health/pool_state.ts";
import type { DownPool } from "../health/pool_watch.ts";
import type { FailBackResult } from "../health/eligibility.ts";
import type { Budget } from "../explain/budget.ts";
import type { Asked, Explanation } from "../explain/explanation.ts";
import type { PortFinder } from "../port.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Access, Credentials } from "./access.ts";

/** Everything that `createApi` works with. */
export interface ApiParts {
  /** Read only: writes go through `changes`. */
  readonly store: Store;
  /** The one way to write. */
  readonly changes: Changes;
  /** Who is let in. */
  readonly auth: Access;
  /** Knows what a request may do. */
  readonly credentials: Credentials;
  /** The running node. */
  readonly node: NodePort;
  /** Finds what capabilities offer. */
  readonly ports: PortFinder;
  /** Says why answers are what they are. */
  readonly explainer: ExplainPort;
  /** The Prometheus exposition; `null` = `/metrics` isn't served here. */
  readonly exposeMetrics: (() => Promise<string>) | null;
  /** Told of every answered request; `null` = they aren't counted. */
  readonly observe: ((request: ObservedRequest) => void) | null;
  /** Requests at debug, failures at error. */
  readonly log: Logger;
  /** Bounds waits and ages what is remembered. */
  readonly clock: Clock;
  /** Version of the program. */
  readonly version: string;
}

/** What the running node tells and does for the API. */
export interface NodePort {
  /** Resolves when every DNS worker answers from this generation or a later one. */
  settled(generation: number): Promise<void>;
  /** What is known of a member of a pool. */
  memberHealth(pool: EligibilityPool, member: Member): MemberHealth;
  /** How a pool is doing; `null` = there is no such pool, or it has no members. */
  poolState(poolId: string): PoolState | null;
  /** What a geo rule goes by and the node hasn't got, so that it never matches; `null` = nothing. */
  lackOfRule(rule: Pick<GeoRule, "country" | "continent" | "asn">): string | null;
  /** Lets a member come back that waits for it under a failback policy; a dry run only says what would come of it. */
  failBack(pool: EligibilityPool, member: Member, how: { readonly dryRun: boolean }): FailBackResult;
  /** The static fallback of the settings, which counts where the model has none. */
  settingsFallback(): Fallback | null;
  /** The state of this moment. */
  status(): NodeStatus;
  /** Why the node isn't ready to be relied on, in words; `null` = it is. */
  unready(): string | null;
}

/** What explains answers. */
export interface ExplainPort {
  /** Why the next answer to a question is what it is. */
  explain(asked: Asked): Explanation;
  /** How long faults of the service that answers a name are seen; `null` = no service does. */
  budget(name: string): Budget | null;
}

/** What a node says of itself; `/status` adds version and generation. */
export interface NodeStatus {
  /** Who it is. */
  readonly node: { readonly id: string; readonly region: string };
  /** What it belongs to. */
  readonly cluster: { readonly id: string };
  /** Since the start of the process. */
  readonly uptimeSeconds: number;
  /** What answers DNS. */
  readonly dns: {
    readonly listeners: readonly DnsListenerStatus[];
    /** Answers since the start. */
    readonly answers: number;
    readonly workers: number;
    /** How packets come in, and why it isn't by the Linux transport; `null` = it is, or isn't meant to be. */
    readonly udp: { readonly transport: "linux" | "portable"; readonly reason: string | null };
    /** Queries since the start that weren't answered as they were asked. */
    readonly limited: LimitedQueries;
  };
  /** The nodes that share what they find; `null` = none do. */
  readonly peers: ViewStatus | null;
  /** How what they share gets to and fro; `null` or absent = the node shares nothing. */
  readonly nats?: NatsState | null;
  /** Targets that are probed, by what is believed of them. */
  readonly health: { readonly healthy: number; readonly unhealthy: number; readonly unknown: number };
  /** Pools with too few members left: how many, and some of them by name. */
  readonly poolsDown: { readonly count: number; readonly pools: readonly DownPool[] };
  /** How many answers a second are allowed, and why. */
  readonly license: NodeLicense;
}

/** Queries that weren't answered as they were asked, by what limited them: lists, the rate, the ceiling, what can be done. */
export interface LimitedQueries {
  /** Of clients that `dns.deny` names. */
  readonly denied: number;
  /** Of clients that `dns.allow` doesn't name. */
  readonly refused: number;
  /** Beyond the rate. */
  readonly rate: number;
  /** Beyond the ceiling on answers. */
  readonly amplification: number;
  /** Beyond what can be answered. */
  readonly overload: number;
}

/** How a node is connected to NATS. */
export interface NatsState {
  /** As in the settings; `null` = it isn't connected. */
  readonly server: string | null;
  /** Why it isn't; `null` = it is, or has not tried yet. */
  readonly fault: string | null;
  /** Why nothing can be kept for nodes that come later; `null` = it can. */
  readonly storeFault: string | null;
  /** What else isn't as it should be. */
  readonly remarks: readonly string[];
  /** Whether another process has this node's id. */
  readonly isIdTaken: boolean;
  /** How far the models of nodes have come, by their ids; of those that say. */
  readonly models: ReadonlyMap<string, NodeModel>;
}

/** How the license stands; the token itself is never told. */
export interface NodeLicense {
  /** `off` = whatever is asked is answered; anything but that and `valid` = few answers a second are. */
  readonly state: "off" | "valid" | "missing" | "invalid" | "expired";
  /** Why it is none of these two; `null` = it is one. */
  readonly reason: string | null;
  /** Of a token that can be read, as `id` and `expiresMs` are. */
  readonly tier: string | null;
  /** What names it. */
  readonly id: string | null;
  /** Answers a second that are allowed; `null` = whatever is asked. */
  readonly limit: number | null;
  /** Answers in the busiest second of the last minute. */
  readonly used: number;
  /** When the token expires, Unix milliseconds. */
  readonly expiresMs: number | null;
  /** What there is to do. */
  readonly warnings: readonly string[];
}

/** A socket that answers DNS. */
export interface DnsListenerStatus {
  /** By which protocol. */
  readonly transport: "udp" | "tcp" | "tls" | "https";
  /** `127.0.0.1:5353` or `[::1]:5353`. */
  readonly address: string;
}

/** One request with its answer, as metrics count it. */
export interface ObservedRequest {
  /** `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS` or `other`. */
  readonly method: string;
  /** The route's pattern (`/api/v1/pools/{id}`), never the path itself; `unknown` outside every route. */
  readonly route: string;
  /** Of the answer. */
  readonly status: number;
  /** Until the answer was there; its body may still be under way. */
  readonly durationMs: number;
}
