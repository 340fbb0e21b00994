/**
 * The static fallback as files spell it: a `loadbalancer` block that names endpoints and a `health` block that
 * says how they are probed. Settings file and model share both.
 *
 * @module
 */
import { z } from "zod";
import { formatDuration } from "../input/duration.ts";
import {
  choice,
  duration,
  flag,
  httpContains,
  httpExpectedStatus,
  httpHost,
  httpPath,
  oneOrMore,
  together,
} from "../input/fields.ts";
import {
  type Algorithm,
  type Fallback,
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  PLAIN_CHECK_TYPES,
} from "./model.ts";
import { CHECK_KEYS_ELSEWHERE, CHECK_TYPES_ELSEWHERE } from "./not_here.ts";
import {
  checkEndpoints,
  ENDPOINTS_MAX,
  endpointsSchema,
  fallbackSchema,
  plainCheckSchema,
  weightsSchema,
} from "./model_schema.ts";
import { type SchemaOf, section, strictObject } from "../input/strict_object.ts";

/** The `loadbalancer` block. */
export type LoadbalancerBlock = Omit<Fallback, "healthCheck">;

/** The `health` block; durations in milliseconds. */
export interface HealthBlock {
  /** As a pool's check, but for calculated ones. */
  readonly type: (typeof PLAIN_CHECK_TYPES)[number];
  /** `null` = 80 for http, 443 for https; tcp needs one. */
  readonly port: number | null;
  /** Milliseconds between probes. */
  readonly checkInterval: number;
  /** Milliseconds a probe may take. */
  readonly timeout: number;
  /** Successes in a row that turn an endpoint healthy. */
  readonly rise: number;
  /** Failures in a row that turn an endpoint unhealthy. */
  readonly fall: number;
  /** What http and https probes ask and expect. */
  readonly http: HealthHttpBlock;
}

/** The `health.http` block. */
export interface HealthHttpBlock {
  /** Method of the request. */
  readonly method: HealthCheck["httpMethod"];
  /** Path and query. */
  readonly path: string;
  /** Host header and TLS server name; `null` = the endpoint's address. */
  readonly host: string | null;
  /** A set of codes as in a pool's check. */
  readonly expectedStatus: string;
  /** Text that the body must contain; `null` and empty = any body. */
  readonly contains: string | null;
  /** `true` turns type `http` into `https`. */
  readonly tls: boolean;
  /** Accept any certificate. */
  readonly insecureSkipVerify: boolean;
}

/** Other spellings of algorithms that files of earlier systems have. */
const ALGORITHM_ALIASES: ReadonlyMap<unknown, Algorithm> = new Map([
  ["wrr", "weighted-round-robin"],
  ["weighted_rr", "weighted-round-robin"],
  ["rr", "round-robin"],
]);

/** The `loadbalancer` block. */
export const loadbalancerSchema: SchemaOf<LoadbalancerBlock> = strictObject({
  algorithm: z.preprocess((value) => ALGORITHM_ALIASES.get(value) ?? value, fallbackSchema.shape.algorithm)
    .prefault("round-robin").meta({
      description: "How the fallback chooses among its healthy endpoints",
      example: "weighted-round-robin",
    }),
  endpoints: oneOrMore("endpoints", endpointsSchema.element).prefault([]).meta({
    description:
      `Addresses that are answered for names that nothing else answers, at most ${ENDPOINTS_MAX}; ` +
      "none = no fallback",
    example: ["192.0.2.80", "2001:db8::80"],
  }),
  weights: weightsSchema,
  onAllDown: fallbackSchema.shape.onAllDown,
  ttl: fallbackSchema.shape.ttl,
}).check(together(["endpoints", "weights"], checkEndpoints));

const check = plainCheckSchema.shape;

/** The fields of the `health` block. */
export const healthShape: SchemaOf<HealthBlock>["shape"] = {
  type: choice("type", PLAIN_CHECK_TYPES, { elsewhere: CHECK_TYPES_ELSEWHERE }).default("tcp").meta({
    description: "tcp connects; http and https send a request and check the response",
    examples: ["https"],
  }),
  port: check.port.meta({
    description: "Port of every endpoint that is probed; tcp needs one, http has 80, https 443",
    examples: [443],
  }),
  checkInterval: duration("checkInterval", { minMs: 250, maxMs: 3_600_000 })
    .prefault(formatDuration(HEALTH_CHECK_DEFAULTS.intervalMs)).meta({
      description: "Time between probes",
      example: "5s",
    }),
  timeout: duration("timeout", { minMs: 10, maxMs: 60_000 })
    // As with a pool's check: checkTimeout puts the default for it.
    .default(0).meta({
      byDefault: formatDuration(HEALTH_CHECK_DEFAULTS.timeoutMs),
      description: "Time a probe may take; at most the interval, and by default no more than that",
      example: "500ms",
    }),
  rise: check.rise,
  fall: check.fall,
  http: section(httpSchema(), "What http and https probes ask and expect"),
};

/** Keys of the `health` block in their other spellings. */
export const HEALTH_ALIASES: readonly string[] = ["interval", "checkinterval"];

/** The `health` block. */
export const healthSchema: SchemaOf<HealthBlock> = strictObject(
  healthShape,
  HEALTH_ALIASES,
  CHECK_KEYS_ELSEWHERE,
).check(
  together(["checkInterval", "timeout"], checkTimeout),
);

/** Refuses a time-out that is longer than the interval, and fills in the one that isn't given. */
export function checkTimeout(
  payload: z.core.ParsePayload<{ readonly checkInterval: number; timeout: number }>,
): void {
  const { checkInterval, timeout } = payload.value;
  if (timeout === 0) payload.value.timeout = Math.min(HEALTH_CHECK_DEFAULTS.timeoutMs, checkInterval);
  if (timeout <= checkInterval) return;
  payload.issues.push({
    code: "custom",
    input: payload.value,
    path: ["timeout"],
    message: `timeout must be at most checkInterval (${formatDuration(checkInterval)}), is ${
      formatDuration(timeout)
    }`,
  });
}

/**
 * Joins both blocks.
 *
 * @param health `null` = the block has no key, so the endpoints aren't probed
 * @returns `null` without endpoints; a problem when a check lacks its port
 */
export function fallbackOf(
  loadbalancer: LoadbalancerBlock,
  health: HealthBlock | null,
): { readonly fallback: Fallback | null } | { readonly problem: string } {
  if (loadbalancer.endpoints.length === 0) return { fallback: null };
  if (health === null) return { fallback: { ...loadbalancer, healthCheck: null } };
  const type = health.type === "http" && health.http.tls ? "https" : health.type;
  const port = health.port ?? DEFAULT_PORTS[type];
  if (port === null) {
    return {
      problem:
        "health.port is required for tcp checks, since an endpoint has no port of its own (add port: 443)",
    };
  }
  return {
    fallback: {
      ...loadbalancer,
      healthCheck: {
        ...HEALTH_CHECK_DEFAULTS,
        type,
        port,
        intervalMs: health.checkInterval,
        timeoutMs: health.timeout,
        rise: health.rise,
        fall: health.fall,
        httpMethod: health.http.method,
        httpPath: health.http.path,
        httpHost: health.http.host,
        httpExpectedStatus: health.http.expectedStatus,
        httpContains: health.http.contains || null,
        insecureSkipVerify: health.http.insecureSkipVerify,
      },
    },
  };
}

function httpSchema(): SchemaOf<HealthHttpBlock> {
  return strictObject({
    method: choice("method", ["GET", "HEAD", "POST", "OPTIONS"]).default(HEALTH_CHECK_DEFAULTS.httpMethod)
      .meta({
        description: "Method of the request",
        examples: ["GET"],
      }),
    path: httpPath("path").default(HEALTH_CHECK_DEFAULTS.httpPath).meta({
      description: "Path and query of the request",
      examples: ["/healthz"],
    }),
    host: httpHost("host").nullable().default(null).meta({
      description: "Host header and TLS server name; by default the endpoint's address",
      examples: ["www.example.com"],
    }),
    expectedStatus: z.preprocess(statusText, httpExpectedStatus("expectedStatus"))
      .prefault(HEALTH_CHECK_DEFAULTS.httpExpectedStatus).meta({
        description: "Status codes that count as success: codes and ranges, separated by commas; 0 = any",
        example: "200,204",
      }),
    contains: httpContains("contains", { minLength: 0 }).nullable().default(null).meta({
      description:
        "Text that the first 1 MiB of the body must contain; by default, and if empty, any body will do",
      examples: ["ready"],
    }),
    tls: flag("tls").default(false).meta({
      description: "true makes type http the same as https",
      examples: [false],
    }),
    insecureSkipVerify: check.insecureSkipVerify,
  }, ["expectedstatus"]);
}

/** The blocks that {@linkcode fallbackOf} would join to this fallback, without what is default. */
export function fallbackBlocks(
  fallback: Fallback,
): {
  readonly loadbalancer: Readonly<Record<string, unknown>>;
  readonly health: Readonly<Record<string, unknown>>;
} {
  const { healthCheck, ...loadbalancer } = fallback;
  return { loadbalancer: { ...loadbalancer }, health: healthCheck === null ? {} : healthBlock(healthCheck) };
}

function healthBlock(check: HealthCheck): Readonly<Record<string, unknown>> {
  return {
    type: check.type,
    port: check.port,
    checkInterval: formatDuration(check.intervalMs),
    timeout: formatDuration(check.timeoutMs),
    rise: check.rise,
    fall: check.fall,
    http: {
      method: check.httpMethod,
      path: check.httpPath,
      host: check.httpHost,
      expectedStatus: check.httpExpectedStatus,
      contains: check.httpContains,
      insecureSkipVerify: check.insecureSkipVerify,
    },
  };
}

const DEFAULT_PORTS = { tcp: null, http: 80, https: 443 } as const;

/** Earlier systems write a number, and 0 for any status. */
function statusText(value: unknown): unknown {
  if (value === 0) return "100-599";
  return typeof value === "number" ? String(value) : value;
}
