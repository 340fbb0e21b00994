/**
 * The shape of everything an operator writes about the model, field by field: the one definition behind YAML,
 * REST, OpenAPI and JSON Schema. What needs other objects (references, duplicates, cycles, zone cuts) is checked
 * by `change/`, which has them.
 *
 * Parsing yields complete, canonical values of the types of `model.ts` and `change/edit.ts`. To change single
 * fields (PATCH), merge the stored fields with the new ones and parse the whole: `partial()` would fill absent
 * fields with defaults.
 *
 * @module
 */
import { z } from "zod";
import {
  addressOrHostName,
  canonicalText,
  checkCoordinates,
  choice,
  cidr,
  coordinates,
  domain,
  flag,
  hostName,
  httpContains,
  httpExpectedStatus,
  httpHost,
  httpPath,
  integer,
  ipAddress,
  list,
  mustBe,
  refuse,
  regionName,
  serviceAddress,
  together,
} from "../input/fields.ts";
import {
  type Algorithm,
  ALGORITHMS,
  CHECK_TYPES,
  FAILBACK,
  type Fallback,
  type GeoRule,
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  type Member,
  MEMBER_DEFAULTS,
  ON_ALL_DOWN,
  PLAIN_CHECK_TYPES,
  type Pool,
  POOL_DEFAULTS,
  type Service,
  SERVICE_DEFAULTS,
  type Zone,
} from "./model.ts";
import { CHECK_KEYS_ELSEWHERE, CHECK_TYPES_ELSEWHERE } from "./not_here.ts";
import { isMapping } from "../input/spelling.ts";
import { type SchemaOf, strictObject } from "../input/strict_object.ts";

/** A pool as files have it: what belongs to it inline, other objects by name. */
export interface PoolFile extends Omit<Pool, "id" | "fallbackPoolId" | "members" | "geoRules"> {
  /** A pool's name; set when `onAllDown` is `fallback`. */
  readonly fallbackPool: string | null;
  /** Unique by address or host name, and port. */
  readonly members: readonly Omit<Member, "id">[];
  /** Their members are of this pool. */
  readonly geoRules: readonly GeoRuleFile[];
}

/** A geo rule as files have it. */
export interface GeoRuleFile extends Omit<GeoRule, "id" | "memberId"> {
  /** Address or host name of a member of the pool, canonical. */
  readonly member: string;
}

/** A service as files have it. */
export interface ServiceFile extends Omit<Service, "id" | "poolId"> {
  /** A pool's name; `null` = the static fallback answers. */
  readonly pool: string | null;
}

/** A zone as files have it: exactly one of `file` and `text` is set. */
export interface ZoneFile {
  /** Lower-case, no final dot. */
  readonly domain: string;
  /** Path relative to the file that names it. */
  readonly file: string | null;
  /** Zone-file text. */
  readonly text: string | null;
}

/** An object's id: 32 lower-case hex digits. */
export const idSchema: z.ZodString = z.string({ error: mustBe("id", "32 lower-case hex digits") })
  .regex(/^[0-9a-f]{32}$/, { error: mustBe("id", "32 lower-case hex digits") })
  .meta({
    description: "Identifies the object for its whole life",
    examples: ["9f86d081884c7d659a2feaa0c55ad015"],
  });

/** A pool's name; references in files go by it. */
const poolNameSchema: z.ZodString = z.string({ error: mustBe("name", poolNameRule()) })
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, { error: mustBe("name", poolNameRule()) })
  .meta({ description: "Unique name of the pool", examples: ["web"] });

/** What is said of a pool that lacks the fallback it needs. */
export const FALLBACK_REQUIRED =
  "fallbackPoolId is required (the id of a pool) because onAllDown is fallback";

/**
 * Members of a pool at most. The cost of a query that is the first of its kind grows with them, and with the geo rules:
 * with so many it takes less than 50 µs (`bench/engine/worst.ts`).
 */
export const MEMBERS_MAX: number = 256;
/** Geo rules of a pool at most. */
export const GEO_RULES_MAX: number = 1_000;
/** Endpoints of the static fallback at most; each is a member of its pool. */
export const ENDPOINTS_MAX: number = MEMBERS_MAX;

/** What is said of a pool with more members than it may have, … */
export const MEMBERS_TOO_MANY: string = `members must be at most ${MEMBERS_MAX} in a pool ` +
  `(delete some, or divide them among several pools)`;
/** … and of one with more geo rules. */
export const GEO_RULES_TOO_MANY: string = `geoRules must be at most ${GEO_RULES_MAX} in a pool ` +
  `(join prefixes, name countries or networks, or let a map file tell clients apart)`;

/** How a pool picks among its eligible members. */
const algorithmSchema: z.ZodType<Algorithm> = choice("algorithm", ALGORITHMS).meta({
  description: "How the pool chooses among its enabled, healthy members",
  examples: ["weighted-round-robin"],
});

/** A pool's own fields, as `PoolFields`. */
export const poolFieldsSchema: SchemaOf<Omit<Pool, "id" | "members" | "healthCheck" | "geoRules">> =
  strictObject({
    name: poolNameSchema,
    algorithm: algorithmSchema.default(POOL_DEFAULTS.algorithm),
    maxAnswers: integer("maxAnswers", 0, 100).default(POOL_DEFAULTS.maxAnswers).meta({
      description: "Addresses an answer carries at most; 0 = all eligible ones, rotated",
      examples: [1],
    }),
    onAllDown: choice("onAllDown", ON_ALL_DOWN).default(POOL_DEFAULTS.onAllDown).meta({
      description:
        "What is answered when no enabled member of a family is healthy: all enabled members, none, " +
        "those that went down last, or the members of the fallback pool",
      examples: ["all"],
    }),
    fallbackPoolId: idSchema.nullable().default(null).meta({
      description: "The pool that answers when this one can't and onAllDown is fallback; never a cycle",
      examples: [null],
    }),
    ...steeringFields(),
  }).check(together(["onAllDown", "fallbackPoolId"], (payload) => {
    if (payload.value.onAllDown !== "fallback" || payload.value.fallbackPoolId !== null) return;
    refuse(payload, FALLBACK_REQUIRED, ["fallbackPoolId"]);
  }));

/** A member's fields, as `MemberFields`. */
export const memberFieldsSchema: SchemaOf<Omit<Member, "id">> = strictObject({
  ipAddress: ipAddress("ipAddress").nullable().default(null).meta({
    description: "IPv4 or IPv6 address that is answered; unique with the port within its pool. " +
      "Either this or target",
    examples: ["192.0.2.10"],
  }),
  target: hostName("target").nullable().default(null).meta({
    description: "Host name whose addresses are answered, such as a cloud balancer's; unique with the port " +
      "within its pool. Either this or ipAddress",
    examples: ["lb.example.net"],
  }),
  port: integer("port", 1, 65535).meta({
    description: "Port of the service; a health check without a port of its own probes here",
    examples: [443],
  }),
  weight: z.int({ error: mustBe("weight", "1–65535 (0 or less counts as 1)") })
    .max(65535, { error: mustBe("weight", "1–65535 (0 or less counts as 1)") })
    .overwrite((weight) => Math.max(1, weight)).default(MEMBER_DEFAULTS.weight).meta({
      description: "Share among members of equal rank, under every algorithm but round-robin; " +
        "0 or less counts as 1",
      examples: [3],
    }),
  priority: integer("priority", 0, 65535).default(MEMBER_DEFAULTS.priority).meta({
    description: "Tier under failover: 1 is first; 0 = unset, comes last",
    examples: [1],
  }),
  enabled: flag("enabled").default(MEMBER_DEFAULTS.enabled).meta({
    description: "A disabled member is never answered",
    examples: [true],
  }),
  ...coordinates(),
  region: regionName("region").default(MEMBER_DEFAULTS.region).meta({
    description: "Site of the member; overrides of a region use it",
    examples: ["eu-central"],
  }),
}).check(
  together(["latitude", "longitude"], checkCoordinates),
  together(["ipAddress", "target"], (payload) => {
    const { ipAddress, target } = payload.value;
    if ((ipAddress === null) !== (target === null)) return;
    if (ipAddress === null) refuse(payload, "ipAddress is required (or target, a host name)", ["ipAddress"]);
    else refuse(payload, `target ${target} is given beside ipAddress ${ipAddress}; keep one`, ["target"]);
  }),
);

/** Checks that a calculated check has at most: each is a probe of every member. */
const CHECKS_MAX = 8;

/** What plain checks and calculated ones have in common; of a calculated one none of it is set. */
const probeFields = {
  port: integer("port", 1, 65535).nullable().default(null).meta({
    description: "Where to probe; null = the member's own port",
    examples: [443],
  }),
  intervalMs: integer("intervalMs", 250, 3_600_000).default(HEALTH_CHECK_DEFAULTS.intervalMs).meta({
    description: "Milliseconds between probes, 250 to 3600000 (1 h)",
    examples: [2000],
  }),
  // 0, which nothing may say itself, is what checkTimes puts the default for: at most the interval that is given.
  timeoutMs: integer("timeoutMs", 10, 60_000).default(0).meta({
    default: HEALTH_CHECK_DEFAULTS.timeoutMs,
    description:
      "Milliseconds a probe may take, 10 to 60000 and at most the interval; by default no more than that",
    examples: [500],
  }),
  rise: integer("rise", 1, 100).default(HEALTH_CHECK_DEFAULTS.rise).meta({
    description: "Successes in a row until an unhealthy member is healthy",
    examples: [2],
  }),
  fall: integer("fall", 1, 100).default(HEALTH_CHECK_DEFAULTS.fall).meta({
    description: "Failures in a row until a healthy member is unhealthy",
    examples: [3],
  }),
  httpMethod: choice("httpMethod", ["GET", "HEAD", "POST", "OPTIONS"]).default(
    HEALTH_CHECK_DEFAULTS.httpMethod,
  )
    .meta({ description: "Method of the request", examples: ["GET"] }),
  httpPath: httpPath("httpPath").default(HEALTH_CHECK_DEFAULTS.httpPath).meta({
    description: "Path and query of the request",
    examples: ["/healthz"],
  }),
  httpHost: httpHost("httpHost").nullable().default(null).meta({
    description: "Host header and TLS server name; null = the member's target or address",
    examples: ["www.example.com"],
  }),
  httpExpectedStatus: httpExpectedStatus("httpExpectedStatus").default(
    HEALTH_CHECK_DEFAULTS.httpExpectedStatus,
  )
    .meta({
      description: "Status codes that count as success: codes and ranges, separated by commas",
      examples: ["200", "200,204", "200-399"],
    }),
  httpContains: httpContains("httpContains").nullable().default(null).meta({
    description: "Text that the first 1 MiB of the body must contain; null = any body",
    examples: ["ready"],
  }),
  insecureSkipVerify: flag("insecureSkipVerify").default(false).meta({
    description: "Accept any certificate (https)",
    examples: [false],
  }),
};

const PROBE_FIELDS = [
  "port",
  "intervalMs",
  "timeoutMs",
  "rise",
  "fall",
  "httpMethod",
  "httpPath",
  "httpHost",
  "httpExpectedStatus",
  "httpContains",
  "insecureSkipVerify",
] as const satisfies readonly (keyof HealthCheck)[];

/** A check that isn't calculated, as `HealthCheck`. */
export const plainCheckSchema: SchemaOf<HealthCheck> = strictObject(
  {
    type: choice("type", PLAIN_CHECK_TYPES, {
      remark: "only a pool's own check may be calculated",
      elsewhere: CHECK_TYPES_ELSEWHERE,
    }).default("tcp").meta({
      description: "tcp connects; http and https send a request and check the response",
      examples: ["https"],
    }),
    ...probeFields,
    require: choice("require", ["all"]).default("all").meta({
      description: "all: only a calculated check has another",
      examples: ["all"],
    }),
    checks: list("checks", z.never().meta({ type: "object" })).max(0, {
      error: "checks must be empty: a plain check holds none",
    })
      .default([]).meta({ description: "Empty: only a calculated check has some", examples: [[]] }),
  },
  [],
  CHECK_KEYS_ELSEWHERE,
).check(together(["intervalMs", "timeoutMs"], checkTimes));

/** A health check's fields, as `HealthCheck`. */
export const healthCheckSchema: SchemaOf<HealthCheck> = strictObject(
  {
    type: choice("type", CHECK_TYPES, { elsewhere: CHECK_TYPES_ELSEWHERE }).default(
      HEALTH_CHECK_DEFAULTS.type,
    ).meta({
      description:
        "tcp connects; http and https send a request and check the response; calculated combines what " +
        "its checks say",
      examples: ["https"],
    }),
    ...probeFields,
    require: z.union([choice("require", ["all", "any"]), integer("require", 1, CHECKS_MAX)], {
      error: mustBe("require", `all, any or a number from 1 to ${CHECKS_MAX}`),
    }).default("all").meta({
      description: "How many of the checks of a calculated check must pass: all, any, or at least this many",
      examples: ["any", 2],
    }),
    checks: list("checks", plainCheckSchema).max(CHECKS_MAX, {
      error: `checks must have at most ${CHECKS_MAX} checks`,
    }).default([]).meta({
      description: `The checks of a calculated check, 1 to ${CHECKS_MAX} plain ones`,
      examples: [[]],
    }),
  },
  [],
  CHECK_KEYS_ELSEWHERE,
).check(
  together(["intervalMs", "timeoutMs"], checkTimes),
  together(["type", "require", "checks", ...PROBE_FIELDS], (payload) => {
    if (payload.value.type === "calculated") checkCalculated(payload);
    else checkPlain(payload);
  }),
);

const MATCHES = ["cidr", "country", "continent", "asn"] as const;

const geoRuleMatch = {
  cidr: cidr("cidr").nullable().default(null).meta({
    description: "Clients of this prefix",
    examples: ["198.51.100.0/24"],
  }),
  country: canonicalText("country", {
    rule: "an ISO 3166-1 code of two letters such as DE",
    lengthMax: 2,
    canonical: (text) => /^[A-Za-z]{2}$/.test(text) ? text.toUpperCase() : null,
  }).nullable().default(null).meta({ description: "Clients of this country (ISO 3166-1)", examples: ["DE"] }),
  continent: canonicalText("continent", {
    rule: "one of AF, AN, AS, EU, NA, OC, SA",
    lengthMax: 2,
    canonical: (text) => /^(AF|AN|AS|EU|NA|OC|SA)$/i.test(text) ? text.toUpperCase() : null,
  }).nullable().default(null).meta({ description: "Clients of this continent", examples: ["EU"] }),
  asn: integer("asn", 1, 4_294_967_295).nullable().default(null).meta({
    description: "Clients of this autonomous system",
    examples: [64500],
  }),
};

/** A geo rule's fields, as `GeoRuleFields`. */
export const geoRuleFieldsSchema: SchemaOf<Omit<GeoRule, "id">> = strictObject({
  ...geoRuleMatch,
  memberId: idSchema.meta({ description: "The member of the same pool that these clients are sent to" }),
}).check(together(MATCHES, checkOneMatch));

/** A service's fields, as `ServiceFields`. */
export const serviceFieldsSchema: SchemaOf<Omit<Service, "id">> = strictObject({
  domain: domain("domain", { wildcard: true }).meta({
    description: "The name that is answered; any case, with or without final dot; may begin with *.",
    examples: ["www.example.com"],
  }),
  poolId: idSchema.nullable().default(null).meta({
    description: "The pool that answers; null = the static fallback answers",
  }),
  ...serviceRest(),
}).check(together(["ttl", "minTtl"], checkTtls));

/** A zone, as `Zone`. */
export const zoneSchema: SchemaOf<Zone> = strictObject({
  domain: domain("domain", { wildcard: false }).meta({
    description: "Apex of the zone",
    examples: ["example.com"],
  }),
  text: z.string({ error: mustBe("text", "zone-file text (RFC 1035)") }).meta({
    description: "Zone file (RFC 1035 §5) without $INCLUDE",
    examples: ["@ 300 IN TXT hello\n"],
  }),
});

/** Address → weight of the static fallback's endpoints. */
export const weightsSchema: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodInt>> = z.record(
  ipAddress("address"),
  integer("weight", 1, 65535),
  {
    error: (issue) =>
      (issue.code === "invalid_key" ? issue.issues[0]?.message : undefined) ??
        mustBe("weights", "a mapping of address to weight")(issue),
  },
).default({}).meta({
  description: "Address → weight; an absent one weighs 1",
  examples: [{ "192.0.2.80": 3 }],
});

/** The addresses of the static fallback. */
export const endpointsSchema: z.ZodArray<z.ZodString> = list("endpoints", ipAddress("endpoint")).meta({
  description: `Addresses that are answered; at most ${ENDPOINTS_MAX}`,
  examples: [["192.0.2.80", "2001:db8::80"]],
});

/** The static fallback, as `Fallback`. */
export const fallbackSchema: SchemaOf<Fallback> = strictObject({
  algorithm: algorithmSchema.default("round-robin"),
  endpoints: endpointsSchema.min(1, {
    error: "endpoints needs an address (without any, delete the fallback)",
  }),
  weights: weightsSchema,
  onAllDown: choice("onAllDown", ["all", "none", "last-healthy"]).default("all").meta({
    description: "What is answered when no endpoint of a family is healthy",
    examples: ["all"],
  }),
  ttl: integer("ttl", 0, 86_400, "seconds").nullable().default(null).meta({
    description: "Seconds that resolvers may keep an answer; null = dns.ttl of the settings",
    examples: [30],
  }),
  healthCheck: plainCheckSchema.nullable().default(null).meta({
    description: "How the endpoints are probed, on a port that it must name; null = they count as healthy",
  }),
}).check(
  together(["endpoints", "weights"], checkEndpoints),
  together(["healthCheck"], (payload) => {
    if (payload.value.healthCheck === null || payload.value.healthCheck.port !== null) return;
    refuse(payload, "port is required: an endpoint has none of its own", ["healthCheck", "port"]);
  }),
);

/** Refuses too many endpoints, one given twice and a weight of an address that is no endpoint. */
export function checkEndpoints(
  payload: z.core.ParsePayload<{ endpoints: string[]; weights: Record<string, number> }>,
): void {
  if (payload.value.endpoints.length > ENDPOINTS_MAX) {
    const message = `endpoints must be at most ${ENDPOINTS_MAX}, are ${payload.value.endpoints.length} ` +
      `(drop some, or let a service of its own answer them)`;
    return refuse(payload, message, ["endpoints"]);
  }
  const seen = new Set<string>();
  for (const [i, endpoint] of payload.value.endpoints.entries()) {
    if (seen.has(endpoint)) refuse(payload, `endpoint ${endpoint} is given twice`, ["endpoints", i]);
    seen.add(endpoint);
  }
  for (const address of Object.keys(payload.value.weights)) {
    if (seen.has(address)) continue;
    refuse(payload, `weight of ${address}: no endpoint has this address`, ["weights", address]);
  }
}

/** A pool as files may write it, as the schema reads it: `members: { discover: ADDRESS }` says where members come from. */
export function spelledPool(value: unknown): unknown {
  if (!isMapping(value) || !isMapping(value["members"])) return value;
  const { members: _, ...pool } = value;
  const keys = Object.keys(value["members"]);
  if (keys.length !== 1 || keys[0] !== "discover" || "discover" in pool) return value;
  return { ...pool, discover: value["members"]["discover"] };
}

/** A pool as files have it: members, check and rules inline; other objects by name or address. */
export const poolFileSchema: SchemaOf<PoolFile> = strictObject({
  name: poolFieldsSchema.shape.name,
  algorithm: poolFieldsSchema.shape.algorithm,
  maxAnswers: poolFieldsSchema.shape.maxAnswers,
  onAllDown: poolFieldsSchema.shape.onAllDown,
  fallbackPool: poolNameSchema.nullable().default(null).meta({
    description: "Name of the pool that answers when this one can't and onAllDown is fallback",
    examples: ["web-backup"],
  }),
  ...steeringFields(),
  members: list("members", memberFieldsSchema).max(MEMBERS_MAX, { error: MEMBERS_TOO_MANY }).default([]).meta(
    {
      description: `The addresses and host names of the pool; at most ${MEMBERS_MAX}`,
    },
  ),
  healthCheck: healthCheckSchema.nullable().default(null).meta({
    description: "How the members are probed; without it they count as healthy",
  }),
  geoRules: list(
    "geoRules",
    strictObject({
      ...geoRuleMatch,
      member: addressOrHostName("member").meta({
        description: "Address or host name of a member of this pool",
        examples: ["192.0.2.10"],
      }),
    }).check(together(MATCHES, checkOneMatch)),
  ).max(GEO_RULES_MAX, { error: GEO_RULES_TOO_MANY }).default([]).meta({
    description: `Clients that are sent to one member; at most ${GEO_RULES_MAX}`,
  }),
}).check(together(["onAllDown", "fallbackPool"], (payload) => {
  if (payload.value.onAllDown !== "fallback" || payload.value.fallbackPool !== null) return;
  refuse(payload, "fallbackPool is required (the name of a pool) because onAllDown is fallback", [
    "onAllDown",
  ]);
}));

/** A service as files have it: its pool by name. */
export const serviceFileSchema: SchemaOf<ServiceFile> = strictObject({
  domain: serviceFieldsSchema.shape.domain,
  pool: poolNameSchema.nullable().default(null).meta({
    description: "Name of the pool that answers; null = the static fallback answers",
    examples: ["web"],
  }),
  ...serviceRest(),
}).check(together(["ttl", "minTtl"], checkTtls));

/** A zone as files have it: its text inline or in a file beside. */
export const zoneFileSchema: SchemaOf<ZoneFile> = strictObject({
  domain: zoneSchema.shape.domain,
  file: z.string({ error: mustBe("file", "a path") }).min(1, { error: mustBe("file", "a path") }).nullable()
    .default(null)
    .meta({
      description: "Zone file, relative to this file",
      examples: ["example.com.zone"],
    }),
  text: zoneSchema.shape.text.nullable().default(null),
}).check(together(["file", "text"], (payload) => {
  const { file, text } = payload.value;
  if ((file === null) !== (text === null)) return;
  refuse(
    payload,
    file === null
      ? "a zone needs its records (give file: or text:)"
      : "a zone has file: and text: (give one of them)",
  );
}));

function poolNameRule(): string {
  return "1–63 letters, digits, dots, underscores and hyphens, beginning with a letter or digit";
}

function serviceRest() {
  return {
    ttl: integer("ttl", 0, 86_400, "seconds").default(SERVICE_DEFAULTS.ttl).meta({
      description: "Seconds that resolvers may keep an answer",
      examples: [30],
    }),
    minTtl: integer("minTtl", 0, 86_400, "seconds").default(SERVICE_DEFAULTS.minTtl).meta({
      description: "Seconds; a planned change never lowers the TTL further. At most ttl",
      examples: [5],
    }),
    ecs: flag("ecs").default(SERVICE_DEFAULTS.ecs).meta({
      description: "Whether the client subnet that resolvers send (RFC 7871) may be used",
      examples: [true],
    }),
  };
}

function checkTtls(payload: z.core.ParsePayload<{ ttl: number; minTtl: number }>): void {
  const { ttl, minTtl } = payload.value;
  if (minTtl > Math.max(ttl, 0)) {
    refuse(payload, `minTtl must be at most ttl (${ttl}), is ${minTtl}`, ["minTtl"]);
  }
}

/** Fields of a pool that say how far its members may be answered. */
function steeringFields() {
  const share = mustBe("minHealthy", `0–65535 members or a share from "1%" to "100%"`);
  return {
    minHealthy: z.union([
      z.int({ error: share }).min(0, { error: share }).max(65_535, { error: share }),
      z.string({ error: share }).regex(/^(?:[1-9]\d?|100)%$/, { error: share }),
    ], { error: share }).default(POOL_DEFAULTS.minHealthy).meta({
      description:
        "With fewer healthy members of a family the pool counts as down: a number, or a share of " +
        "the enabled ones; 0 = one is enough",
      examples: [2, "50%"],
    }),
    failback: choice("failback", FAILBACK).default(POOL_DEFAULTS.failback).meta({
      description: "How a member comes back after it was down: by itself, or when an operator says so",
      examples: ["auto"],
    }),
    failbackDelayMs: integer("failbackDelayMs", 0, 86_400_000).default(POOL_DEFAULTS.failbackDelayMs).meta({
      description:
        "Milliseconds that a member must be healthy before it is answered again, up to 86400000 (1 d)",
      examples: [60_000],
    }),
    geofence: flag("geofence").default(POOL_DEFAULTS.geofence).meta({
      description: "Whether clients only ever get the members of their geo rule or nearest site",
      examples: [false],
    }),
    flatten: flag("flatten").default(POOL_DEFAULTS.flatten).meta({
      description:
        "Whether members by name are answered as their addresses; else as CNAME, but at a zone's apex",
      examples: [true],
    }),
    discover: serviceAddress("discover").nullable().default(POOL_DEFAULTS.discover).meta({
      description:
        "Address of a service whose instances, as discovery finds them, are members beside the others; " +
        "in files also members: { discover: ADDRESS }",
      examples: ["http.web.prod.shop.gg"],
    }),
  };
}

function checkTimes(payload: z.core.ParsePayload<{ intervalMs: number; timeoutMs: number }>): void {
  const { intervalMs, timeoutMs } = payload.value;
  if (timeoutMs === 0) payload.value.timeoutMs = Math.min(HEALTH_CHECK_DEFAULTS.timeoutMs, intervalMs);
  if (timeoutMs <= intervalMs) return;
  refuse(payload, `timeoutMs must be at most intervalMs (${intervalMs}), is ${timeoutMs}`, ["timeoutMs"]);
}

type CheckPayload = z.core.ParsePayload<{ -readonly [Key in keyof HealthCheck]: HealthCheck[Key] }>;

function checkCalculated(payload: CheckPayload): void {
  const { require, checks } = payload.value;
  if (checks.length === 0) {
    return refuse(payload, `checks needs 1–${CHECKS_MAX} plain checks because type is calculated`, [
      "checks",
    ]);
  }
  if (typeof require === "number" && require > checks.length && require <= CHECKS_MAX) {
    const message = `require must be at most ${checks.length} (the number of checks), is ${require}`;
    refuse(payload, message, ["require"]);
  }
  for (const name of PROBE_FIELDS) {
    if (payload.value[name] === HEALTH_CHECK_DEFAULTS[name]) continue;
    const message = `${name} means nothing to a calculated check, which probes nothing itself ` +
      `(give it to those of its checks)`;
    refuse(payload, message, [name]);
  }
}

function checkPlain(payload: CheckPayload): void {
  const { type, require, checks } = payload.value;
  if (require !== "all") {
    const message =
      `require is for calculated checks, and type is ${type} (make type calculated, or drop it)`;
    refuse(payload, message, ["require"]);
  }
  if (checks.length > 0) {
    const message =
      `checks are for calculated checks, and type is ${type} (make type calculated, or drop them)`;
    refuse(payload, message, ["checks"]);
  }
}

function checkOneMatch(
  payload: z.core.ParsePayload<
    { cidr: string | null; country: string | null; continent: string | null; asn: number | null }
  >,
): void {
  const { cidr, country, continent, asn } = payload.value;
  const given = [cidr, country, continent, asn].filter((value) => value !== null).length;
  if (given === 1) return;
  refuse(payload, `a geo rule needs exactly one of cidr, country, continent and asn, has ${given}`);
}
