/**
 * What operators declare: pools of members, services that answer from them, zones of static records, and the
 * static fallback. These are the types that flow through the whole program, with the field names of REST and
 * YAML. Inside the program every value is valid: it was checked once, at the border.
 *
 * Domains are stored lower-case and without a final dot, addresses in canonical form (`canonicalIp`).
 *
 * @module
 */

/** How a pool picks among its eligible members. */
export type Algorithm = (typeof ALGORITHMS)[number];

/** Every algorithm that a pool may name. */
export const ALGORITHMS = [
  "round-robin",
  "weighted-round-robin",
  "geoip",
  "map-file",
  "failover",
  "hash",
  "latency",
] as const;

/** What a pool answers when none of the enabled members of any family is healthy. */
export type OnAllDown = (typeof ON_ALL_DOWN)[number];

/** Every value of `onAllDown`: all enabled members · nothing · those that went down last · the fallback pool. */
export const ON_ALL_DOWN = ["all", "none", "last-healthy", "fallback"] as const;

/** How a member that was down is answered again. */
export type Failback = (typeof FAILBACK)[number];

/** Every value of `failback`: when it is healthy (and has been for `failbackDelayMs`) · when an operator says so. */
export const FAILBACK = ["auto", "manual"] as const;

/** A set of interchangeable members. */
export interface Pool {
  /** 32 lower-case hex digits. */
  readonly id: string;
  /** Unique; matches `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 63 characters. */
  readonly name: string;
  /** How it picks among its eligible members. */
  readonly algorithm: Algorithm;
  /** Addresses an answer carries at most; 0 = all that are eligible, rotated. */
  readonly maxAnswers: number;
  /** What it answers when no member is healthy. */
  readonly onAllDown: OnAllDown;
  /** The pool that answers when this one can't and `onAllDown` is `fallback`; never a cycle. */
  readonly fallbackPoolId: string | null;
  /**
   * Fewer healthy members of the family that is asked for, and the pool counts as down: 0 = one will do, an integer
   * = so many, `"50%"` = that share (1–100 %) of the enabled ones, rounded up.
   */
  readonly minHealthy: number | string;
  /** How a member that was down is answered again. */
  readonly failback: Failback;
  /** How long it has to be healthy before, milliseconds; 0–86400000 (a day). */
  readonly failbackDelayMs: number;
  /** Whether clients are only ever sent to what their geo rule or the nearest site names, healthy or not. */
  readonly geofence: boolean;
  /** Whether members by name are answered as the addresses they resolve to; else as CNAME, but at a zone's apex. */
  readonly flatten: boolean;
  /** Address of a service (`service.job.env.product.zone`) whose instances are members beside the others; `null` = none. */
  readonly discover: string | null;
  /** In the order in which they were added. */
  readonly members: readonly Member[];
  /** How the members are probed; `null` = they count as healthy. */
  readonly healthCheck: HealthCheck | null;
  /** In the order in which they were added. */
  readonly geoRules: readonly GeoRule[];
}

/** One address or host name that can be answered; what it is called is unique with `port` within a pool. */
export interface Member {
  /** 32 lower-case hex digits. */
  readonly id: string;
  /** IPv4 or IPv6 in canonical form; `null` = the member goes by `target`. */
  readonly ipAddress: string | null;
  /** Host name, lower-case, no final dot; `null` = the member goes by `ipAddress`. */
  readonly target: string | null;
  /** 1–65535; where a health check without a port of its own probes. */
  readonly port: number;
  /** 1–65535; shares among members that are equals, under every algorithm but `round-robin`. */
  readonly weight: number;
  /** 0 = unset, sorts last; 1 = first tier; only `failover` looks at it. */
  readonly priority: number;
  /** A disabled member is never answered. */
  readonly enabled: boolean;
  /** Degrees, −90–90, or `null`. */
  readonly latitude: number | null;
  /** Degrees, −180–180, or `null`. */
  readonly longitude: number | null;
  /** The site it stands in, `[A-Za-z0-9_-]+`; empty = none. Overrides of a region go by it. */
  readonly region: string;
}

/** What a member is called: its address, or its host name. */
export function addressOf({ ipAddress, target }: Pick<Member, "ipAddress" | "target">): string {
  return ipAddress ?? target ?? "";
}

/** How the members of a pool are probed. */
export interface HealthCheck {
  /** `tcp` connects, `http` and `https` judge an answer; `calculated` joins what its `checks` say and probes nothing. */
  readonly type: (typeof CHECK_TYPES)[number];
  /** `null` = the member's own port. */
  readonly port: number | null;
  /** Between the starts of two probes, milliseconds. */
  readonly intervalMs: number;
  /** Longest duration of a probe, milliseconds; at most the interval. */
  readonly timeoutMs: number;
  /** Successes in a row that turn an unhealthy member healthy. */
  readonly rise: number;
  /** Failures in a row that turn a healthy member unhealthy. */
  readonly fall: number;
  /** Method of the request. */
  readonly httpMethod: "GET" | "HEAD" | "POST" | "OPTIONS";
  /** Path and query of the request. */
  readonly httpPath: string;
  /** Host header and SNI; `null` = the member's name, or its address. */
  readonly httpHost: string | null;
  /** A set of codes and ranges: `"200"`, `"200,204"`, `"200-399"`. */
  readonly httpExpectedStatus: string;
  /** Text that the first 1 MiB of the body must contain; `null` = any body. */
  readonly httpContains: string | null;
  /** Whether any certificate will do. */
  readonly insecureSkipVerify: boolean;
  /** How many of `checks` must pass: `"all"`, `"any"`, or at least so many; `"all"` where there are none. */
  readonly require: "all" | "any" | number;
  /** 1–8 plain checks of a calculated one, which hold none themselves; otherwise empty. */
  readonly checks: readonly HealthCheck[];
}

/** Ways of probing. */
export const PLAIN_CHECK_TYPES = ["tcp", "http", "https"] as const;

/** Every kind of check. */
export const CHECK_TYPES = [...PLAIN_CHECK_TYPES, "calculated"] as const;

/** Sends clients of a prefix, country, continent or network to one member; exactly one of the four is set. */
export interface GeoRule {
  /** 32 lower-case hex digits. */
  readonly id: string;
  /** Canonical prefix. */
  readonly cidr: string | null;
  /** ISO 3166-1 alpha-2, upper-case. */
  readonly country: string | null;
  /** AF, AN, AS, EU, NA, OC or SA. */
  readonly continent: string | null;
  /** Number of an autonomous system, 1–4294967295. */
  readonly asn: number | null;
  /** A member of the same pool. */
  readonly memberId: string;
}

/** A domain that is answered from a pool. */
export interface Service {
  /** 32 lower-case hex digits. */
  readonly id: string;
  /** Unique; may begin with `*.`. */
  readonly domain: string;
  /** `null` = the static fallback answers. */
  readonly poolId: string | null;
  /** Seconds, 0–86400 (a week in seconds is refused: steering must be able to move). */
  readonly ttl: number;
  /** Seconds, at most `ttl`; a planned change never lowers the TTL of an answer below it. */
  readonly minTtl: number;
  /** Whether the client subnet of RFC 7871 may be used for this service. */
  readonly ecs: boolean;
}

/** A zone of static records. */
export interface Zone {
  /** Apex; lower-case, no final dot. */
  readonly domain: string;
  /** RFC 1035 §5 zone-file text; `$INCLUDE` is refused. */
  readonly text: string;
}

/** The static fallback: answers names that don't exist otherwise, inside the zones. */
export interface Fallback {
  /** How an answer picks among the endpoints. */
  readonly algorithm: Algorithm;
  /** Canonical addresses, each once. */
  readonly endpoints: readonly string[];
  /** Address → weight; an absent one weighs 1. */
  readonly weights: Readonly<Record<string, number>>;
  /** What is answered when no endpoint of any family is healthy. */
  readonly onAllDown: Exclude<OnAllDown, "fallback">;
  /** Seconds that resolvers may keep an answer, 0–86400; `null` = the settings' `dns.ttl`. */
  readonly ttl: number | null;
  /** How the endpoints are probed, on its own port; `null` = they count as healthy. */
  readonly healthCheck: HealthCheck | null;
}

/** The whole of what is declared in the database, in Git or in a file. */
export interface Model {
  /** Grows by one with every committed change; 0 = nothing was ever committed. */
  readonly generation: number;
  /** Each name once. */
  readonly pools: readonly Pool[];
  /** Each domain once. */
  readonly services: readonly Service[];
  /** Each domain once. */
  readonly zones: readonly Zone[];
  /** Overrides the settings' static fallback; `null` = the settings decide. */
  readonly fallback: Fallback | null;
}

/** A pool's values where the operator left them out. */
export const POOL_DEFAULTS: Omit<Pool, "id" | "name" | "members" | "healthCheck" | "geoRules"> = {
  algorithm: "round-robin",
  maxAnswers: 1,
  onAllDown: "all",
  fallbackPoolId: null,
  minHealthy: 0,
  failback: "auto",
  failbackDelayMs: 0,
  geofence: false,
  flatten: true,
  discover: null,
};

/** A member's values where the operator left them out. */
export const MEMBER_DEFAULTS: Omit<Member, "id" | "port"> = {
  ipAddress: null,
  target: null,
  weight: 1,
  priority: 0,
  enabled: true,
  latitude: null,
  longitude: null,
  region: "",
};

/** A service's values where the operator left them out. */
export const SERVICE_DEFAULTS: Omit<Service, "id" | "domain"> = {
  poolId: null,
  ttl: 30,
  minTtl: 0,
  ecs: true,
};

/** A health check's values where the operator left them out. */
export const HEALTH_CHECK_DEFAULTS: HealthCheck = {
  type: "tcp",
  port: null,
  intervalMs: 10_000,
  timeoutMs: 2_000,
  rise: 2,
  fall: 3,
  httpMethod: "GET",
  httpPath: "/",
  httpHost: null,
  httpExpectedStatus: "200-399",
  httpContains: null,
  insecureSkipVerify: false,
  require: "all",
  checks: [],
};
