/** @module The fields of the model: what is accepted, in which form it is kept, and how it is refused. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { z } from "zod";
import type { GeoRuleFields, MemberFields, PoolFields, ServiceFields } from "../../src/change/edit.ts";
import { type Fallback, HEALTH_CHECK_DEFAULTS, type HealthCheck, type Zone } from "../../src/model/model.ts";
import {
  fallbackSchema,
  geoRuleFieldsSchema,
  healthCheckSchema,
  memberFieldsSchema,
  poolFieldsSchema,
  poolFileSchema,
  serviceFieldsSchema,
  serviceFileSchema,
  zoneFileSchema,
  zoneSchema,
} from "../../src/model/model_schema.ts";

const ID = "9f86d081884c7d659a2feaa0c55ad015";

/** `true` only when both types are the same, whatever is readonly. */
type Same<A, B> = [Mutable<A>] extends [Mutable<B>] ? [Mutable<B>] extends [Mutable<A>] ? true : never
  : never;
type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

Deno.test("the schemas yield exactly the types of the model and of edits", () => {
  const same: [
    Same<z.output<typeof poolFieldsSchema>, PoolFields>,
    Same<z.output<typeof memberFieldsSchema>, MemberFields>,
    Same<z.output<typeof serviceFieldsSchema>, ServiceFields>,
    Same<z.output<typeof geoRuleFieldsSchema>, GeoRuleFields>,
    Same<z.output<typeof healthCheckSchema>, HealthCheck>,
    Same<z.output<typeof zoneSchema>, Zone>,
  ] = [true, true, true, true, true, true];
  const fallback: Fallback = fallbackSchema.parse({ endpoints: ["192.0.2.1"] });
  ok(same.every(Boolean) && fallback);
});

Deno.test("what is left out has the default that the model documents", () => {
  deepEqual(poolFieldsSchema.parse({ name: "web" }), {
    name: "web",
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
  });
  deepEqual(memberFieldsSchema.parse({ ipAddress: "192.0.2.1", port: 80 }), {
    ipAddress: "192.0.2.1",
    target: null,
    port: 80,
    weight: 1,
    priority: 0,
    enabled: true,
    latitude: null,
    longitude: null,
    region: "",
  });
  deepEqual(serviceFieldsSchema.parse({ domain: "example.com" }), {
    domain: "example.com",
    poolId: null,
    ttl: 30,
    minTtl: 0,
    ecs: true,
  });
  deepEqual(healthCheckSchema.parse({}), HEALTH_CHECK_DEFAULTS);
});

const CANONICAL: readonly (readonly [schema: z.ZodType, given: object, key: string, kept: unknown])[] = [
  [memberFieldsSchema, { ipAddress: "2001:DB8:0:0::1", port: 1 }, "ipAddress", "2001:db8::1"],
  [memberFieldsSchema, { ipAddress: "::ffff:192.0.2.1", port: 1 }, "ipAddress", "192.0.2.1"],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: 65535 }, "port", 65535],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: 1, weight: 0 }, "weight", 1],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: 1, weight: -7 }, "weight", 1],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: 1, weight: 65535 }, "weight", 65535],
  [serviceFieldsSchema, { domain: "WWW.Example.COM." }, "domain", "www.example.com"],
  [serviceFieldsSchema, { domain: "*.Example.com" }, "domain", "*.example.com"],
  [serviceFieldsSchema, { domain: "_sip._tcp.example.com" }, "domain", "_sip._tcp.example.com"],
  [serviceFieldsSchema, { domain: "a.example", ttl: 0 }, "ttl", 0],
  [serviceFieldsSchema, { domain: "a.example", ttl: 86_400 }, "ttl", 86_400],
  [healthCheckSchema, { httpExpectedStatus: "200, 204" }, "httpExpectedStatus", "200,204"],
  [healthCheckSchema, { httpExpectedStatus: "200-200,500-599" }, "httpExpectedStatus", "200-200,500-599"],
  [healthCheckSchema, { intervalMs: 250, timeoutMs: 250 }, "timeoutMs", 250],
  [geoRuleFieldsSchema, { cidr: "2001:DB8::/32", memberId: ID }, "cidr", "2001:db8::/32"],
  [geoRuleFieldsSchema, { cidr: "192.0.2.1", memberId: ID }, "cidr", "192.0.2.1/32"],
  [geoRuleFieldsSchema, { country: "de", memberId: ID }, "country", "DE"],
  [geoRuleFieldsSchema, { continent: "eu", memberId: ID }, "continent", "EU"],
  [geoRuleFieldsSchema, { asn: 4_294_967_295, memberId: ID }, "asn", 4_294_967_295],
  [memberFieldsSchema, { target: "LB.Example.net.", port: 1 }, "target", "lb.example.net"],
  [memberFieldsSchema, { target: "_x.k8s-1.internal", port: 1 }, "target", "_x.k8s-1.internal"],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: 1, region: "eu_1-a" }, "region", "eu_1-a"],
  [poolFieldsSchema, { name: "a", minHealthy: "100%" }, "minHealthy", "100%"],
  [poolFieldsSchema, { name: "a", minHealthy: 3 }, "minHealthy", 3],
  [healthCheckSchema, { type: "calculated", require: 1, checks: [{}] }, "checks", [HEALTH_CHECK_DEFAULTS]],
  [serviceFieldsSchema, { domain: "a.example", ttl: 5, minTtl: 5 }, "minTtl", 5],
  [zoneSchema, { domain: "Example.COM.", text: "" }, "domain", "example.com"],
];

for (const [schema, given, key, kept] of CANONICAL) {
  Deno.test(`${JSON.stringify(given)} is kept with ${key} ${JSON.stringify(kept)}`, () => {
    const parsed = schema.parse(given);
    deepEqual(Object.entries(parsed as object).find(([name]) => name === key)?.[1], kept);
    deepEqual(schema.parse(parsed), parsed, "what is kept is read back as it is");
  });
}

const REFUSED: readonly (readonly [schema: z.ZodType, given: unknown, path: string, message: RegExp])[] = [
  [poolFieldsSchema, { name: "" }, "name", /^name must be 1–63 letters.*, is ""$/],
  [poolFieldsSchema, { name: "-web" }, "name", /beginning with a letter or digit, is "-web"$/],
  [poolFieldsSchema, { name: "x".repeat(64) }, "name", /^name must be 1–63 letters/],
  [poolFieldsSchema, { name: "a", maxAnswers: 101 }, "maxAnswers", /^maxAnswers must be 0–100, is 101$/],
  [poolFieldsSchema, { name: "a", maxAnswers: 1.5 }, "maxAnswers", /^maxAnswers must be 0–100, is 1.5$/],
  [poolFieldsSchema, { name: "a", onAllDown: "fallback" }, "fallbackPoolId", /^fallbackPoolId is required/],
  [
    poolFieldsSchema,
    { name: "a", algorythm: "hash" },
    "",
    /^Unknown key "algorythm" \(did you mean "algorithm"\?\)$/,
  ],
  [poolFieldsSchema, null, "", /^must be a mapping with keys such as name, algorithm, maxAnswers, is null$/],
  [memberFieldsSchema, { port: 1 }, "ipAddress", /^ipAddress is required \(or target, a host name\)$/],
  [
    memberFieldsSchema,
    { ipAddress: "192.0.2.1", target: "lb.example.net", port: 1 },
    "target",
    /^target lb.example.net is given beside ipAddress 192.0.2.1; keep one$/,
  ],
  [memberFieldsSchema, { ipAddress: "192.0.2.1%eth0", port: 1 }, "ipAddress", /is "192.0.2.1%eth0"$/],
  [memberFieldsSchema, { ipAddress: "1".repeat(5000), port: 1 }, "ipAddress", /is "1{56}…"$/],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: 0 }, "port", /^port must be 1–65535, is 0$/],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: 65536 }, "port", /^port must be 1–65535, is 65536$/],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: "80" }, "port", /^port must be 1–65535, is "80"$/],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: 1, weight: 1e9 }, "weight", /^weight must be 1–65535/],
  [memberFieldsSchema, { ipAddress: "192.0.2.1", port: 1, latitude: 1 }, "longitude", /give both or none/],
  [
    memberFieldsSchema,
    { ipAddress: "192.0.2.1", port: 1, latitude: NaN, longitude: 0 },
    "latitude",
    /is NaN$/,
  ],
  [serviceFieldsSchema, { domain: "a.*.example" }, "domain", /may only be the whole first label/],
  [
    serviceFieldsSchema,
    { domain: "a.example", poolId: "web" },
    "poolId",
    /^id must be 32 lower-case hex digits, is "web"$/,
  ],
  [
    serviceFieldsSchema,
    { domain: "a.example", ttl: 604_800 },
    "ttl",
    /^ttl must be 0–86400 seconds, is 604800$/,
  ],
  [healthCheckSchema, { intervalMs: 249 }, "intervalMs", /^intervalMs must be 250–3600000, is 249$/],
  [
    healthCheckSchema,
    { intervalMs: 1000, timeoutMs: 2000 },
    "timeoutMs",
    /^timeoutMs must be at most intervalMs \(1000\), is 2000$/,
  ],
  [healthCheckSchema, { httpExpectedStatus: "399-200" }, "httpExpectedStatus", /is "399-200"$/],
  [healthCheckSchema, { httpExpectedStatus: "99" }, "httpExpectedStatus", /is "99"$/],
  [healthCheckSchema, { httpPath: "/a b" }, "httpPath", /without spaces, is "\/a b"$/],
  [healthCheckSchema, { httpPath: "/a\r\nHost: evil" }, "httpPath", /is "\/a\\r\\nHost: evil"$/],
  [healthCheckSchema, { httpHost: "a\nb" }, "httpHost", /^httpHost must be a host name/],
  [geoRuleFieldsSchema, { memberId: ID }, "", /^a geo rule needs exactly one of .*, has 0$/],
  [geoRuleFieldsSchema, { country: "DE", continent: "EU", memberId: ID }, "", /, has 2$/],
  [geoRuleFieldsSchema, { cidr: "10.0.0.1/8", memberId: ID }, "cidr", /did you mean 10.0.0.0\/8\?$/],
  [
    zoneSchema,
    { domain: "*.example", text: "" },
    "domain",
    /^domain must not be a wildcard, is "\*.example"$/,
  ],
  [zoneFileSchema, { domain: "a.example" }, "", /^a zone needs its records/],
  [poolFileSchema, { name: "a", onAllDown: "fallback" }, "onAllDown", /^fallbackPool is required/],
  [
    serviceFileSchema,
    { domain: "a.example", poolId: ID },
    "",
    /^Unknown key "poolId" \(did you mean "pool"\?\)$/,
  ],
  [
    fallbackSchema,
    { endpoints: Array.from({ length: 257 }, (_, i) => `10.0.${i >> 8}.${i & 255}`) },
    "endpoints",
    /^endpoints must be at most 256, are 257 \(drop some, or let a service of its own answer them\)$/,
  ],
  [fallbackSchema, { endpoints: [] }, "endpoints", /^endpoints needs an address/],
  [
    fallbackSchema,
    { endpoints: ["192.0.2.1", "192.0.2.1"] },
    "endpoints.1",
    /^endpoint 192.0.2.1 is given twice$/,
  ],
  [
    fallbackSchema,
    { endpoints: ["192.0.2.1"], weights: { "192.0.2.2": 1 } },
    "weights.192.0.2.2",
    /no endpoint/,
  ],
  [fallbackSchema, { endpoints: ["192.0.2.1"], healthCheck: {} }, "healthCheck.port", /^port is required/],
  [
    fallbackSchema,
    { endpoints: ["192.0.2.1"], onAllDown: "fallback" },
    "onAllDown",
    /one of all, none, last-healthy/,
  ],
];

for (const [schema, given, path, message] of REFUSED) {
  Deno.test(`${JSON.stringify(given)?.slice(0, 90)} is refused at "${path}"`, () => {
    const issues = schema.safeParse(given).error?.issues ?? [];
    const found = issues.map((issue) => [issue.path.join("."), issue.message] as const);
    ok(found.some(([at, text]) => at === path && message.test(text)), JSON.stringify(found));
  });
}

Deno.test("every field is described and has an example where it isn't an object", () => {
  for (const schema of [poolFieldsSchema, memberFieldsSchema, healthCheckSchema, serviceFieldsSchema]) {
    const { properties } = z.toJSONSchema(schema, { io: "input" });
    for (const [name, property] of Object.entries(properties ?? {})) {
      const { description, examples } = property as z.core.JSONSchema.JSONSchema;
      ok(description, `${name} has no description`);
      ok(examples || name.endsWith("Id"), `${name} has no example`);
    }
  }
});

Deno.test("the JSON Schema of requests and of answers is the same but for defaults", () => {
  const input = z.toJSONSchema(memberFieldsSchema, { io: "input" });
  const output = z.toJSONSchema(memberFieldsSchema, { io: "output" });
  deepEqual(input.properties, output.properties);
  equal(input.additionalProperties, false);
});
