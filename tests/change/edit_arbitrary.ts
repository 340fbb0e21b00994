/**
 * Random edits over a small world: few ids, names and domains, so that edits meet, collide and refer to each other.
 *
 * @module
 */
import fc from "fast-check";
import type { HealthCheck, Zone } from "../../src/model/model.ts";
import type { Edit } from "../../src/change/edit.ts";
import {
  createMember,
  createPool,
  createService,
  geoRuleFields,
  healthCheck,
  id,
  memberFields,
  poolFields,
  serviceFields,
  zoneText,
} from "./samples.ts";

const poolId = fc.integer({ min: 1, max: 3 }).map(id);
const memberId = fc.integer({ min: 11, max: 16 }).map(id);
const ruleId = fc.integer({ min: 21, max: 23 }).map(id);
const serviceId = fc.integer({ min: 31, max: 34 }).map(id);

const poolFieldsArbitrary = fc.record({
  name: fc.constantFrom("a", "b", "c", "d"),
  maxAnswers: fc.integer({ min: 0, max: 2 }),
  onAllDown: fc.constantFrom("all", "none", "fallback"),
  fallbackPoolId: fc.option(poolId, { nil: null, freq: 1 }),
  minHealthy: fc.constantFrom(0, 2, "50%"),
  failback: fc.constantFrom("auto", "manual"),
  failbackDelayMs: fc.constantFrom(0, 60_000),
  geofence: fc.boolean(),
  flatten: fc.boolean(),
  discover: fc.constantFrom(null, null, "http.web.prod.shop.gg"),
}).map(poolFields);

const memberFieldsArbitrary = fc.record({
  address: fc.constantFrom(
    { ipAddress: "192.0.2.1" },
    { ipAddress: "192.0.2.2" },
    { ipAddress: "2001:db8::1" },
    { target: "lb.example.net" },
    { target: "other.example.net" },
  ),
  port: fc.constantFrom(80, 443),
  weight: fc.integer({ min: 1, max: 3 }),
  enabled: fc.boolean(),
  latitude: fc.constantFrom(null, 50.1),
  region: fc.constantFrom("", "eu"),
}).map(({ address, ...fields }) => memberFields({ ...fields, ...address }));

const serviceFieldsArbitrary = fc.record({
  domain: fc.constantFrom(
    "example.com",
    "www.example.com",
    "sub.example.com",
    "www.sub.example.com",
    "a.b.sub.example.com",
    "*.sub.example.com",
    "xsub.example.com",
  ),
  poolId: fc.option(poolId, { nil: null, freq: 1 }),
  ttl: fc.integer({ min: 1, max: 3 }),
  minTtl: fc.integer({ min: 0, max: 1 }),
  ecs: fc.boolean(),
}).map(serviceFields);

const ruleFieldsArbitrary = fc.record({
  memberId,
  match: fc.constantFrom({ cidr: "198.51.100.0/24" }, { cidr: "203.0.113.0/24" }, { asn: 4_294_967_295 }),
}).map(({ memberId, match }) => geoRuleFields({ memberId, ...match }));

const checkArbitrary = fc.oneof(
  fc.record({ rise: fc.integer({ min: 1, max: 2 }), insecureSkipVerify: fc.boolean() }),
  fc.record({
    type: constant("calculated"),
    require: fc.constantFrom<HealthCheck["require"]>("all", "any", 1),
    checks: fc.constantFrom<readonly HealthCheck[]>([healthCheck()], [
      healthCheck({ port: 80 }),
      healthCheck({ type: "http" }),
    ]),
  }),
).map((fields) => healthCheck(fields));

/** Zone texts, with the cuts that each has below its zone; `null` = broken. */
const ZONES: readonly { readonly text: string; readonly cuts: readonly string[] | null }[] = [
  { text: zoneText(), cuts: [] },
  { text: zoneText("sub 300 NS ns.example.net."), cuts: ["sub"] },
  { text: zoneText("b.sub 300 NS ns.example.net."), cuts: ["b.sub"] },
  { text: zoneText("b 300 NS ns.example.net.", "b 300 NS ns2.example.net."), cuts: ["b"] },
  { text: "no zone at all", cuts: null },
];

/** What is known of a zone that {@link editArbitrary} made. */
export function cutsOfZone({ domain, text }: Zone): readonly string[] | null {
  const zone = ZONES.find((it) => it.text === text);
  return zone?.cuts?.map((cut) => `${cut}.${domain}`) ?? null;
}

const zoneDomain = fc.constantFrom("example.com", "sub.example.com", "b.sub.example.com");

/** One edit of any kind. */
export const editArbitrary: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: constant("createPool"), id: poolId, fields: poolFieldsArbitrary }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: constant("updatePool"), id: poolId, fields: poolFieldsArbitrary }),
  },
  { weight: 1, arbitrary: fc.record({ kind: constant("deletePool"), id: poolId }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: constant("createMember"),
      id: memberId,
      poolId,
      fields: memberFieldsArbitrary,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: constant("updateMember"), id: memberId, fields: memberFieldsArbitrary }),
  },
  { weight: 1, arbitrary: fc.record({ kind: constant("deleteMember"), id: memberId }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: constant("createService"), id: serviceId, fields: serviceFieldsArbitrary }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: constant("updateService"), id: serviceId, fields: serviceFieldsArbitrary }),
  },
  { weight: 1, arbitrary: fc.record({ kind: constant("deleteService"), id: serviceId }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: constant("putHealthCheck"),
      poolId,
      fields: checkArbitrary,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: constant("deleteHealthCheck"), poolId }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: constant("createGeoRule"),
      id: ruleId,
      poolId,
      fields: ruleFieldsArbitrary,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: constant("updateGeoRule"), id: ruleId, fields: ruleFieldsArbitrary }),
  },
  { weight: 1, arbitrary: fc.record({ kind: constant("deleteGeoRule"), id: ruleId }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: constant("putZone"),
      domain: zoneDomain,
      text: fc.constantFrom(...ZONES.map((zone) => zone.text)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: constant("deleteZone"), domain: zoneDomain }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: constant("putFallback"),
      fallback: fc.constantFrom(null, {
        algorithm: "round-robin" as const,
        endpoints: ["192.0.2.99"],
        weights: { "192.0.2.99": 2 },
        onAllDown: "all" as const,
        ttl: null,
        healthCheck: null,
      }),
    }),
  },
);

/** A world in which most edits find what they are about. */
const POPULATED: readonly Edit[][] = [
  [createPool(1, { name: "a" }), createPool(2, { name: "b", fallbackPoolId: id(1) })],
  [createMember(11, 1, { ipAddress: "192.0.2.1" }), createMember(12, 1, { ipAddress: "192.0.2.2" })],
  [createMember(13, 2, { ipAddress: "192.0.2.1" })],
  [{ kind: "createGeoRule", id: id(21), poolId: id(1), fields: geoRuleFields({ memberId: id(11) }) }],
  [{ kind: "putHealthCheck", poolId: id(1), fields: healthCheck({ rise: 1 }) }],
  [createService(31, { domain: "www.example.com", poolId: id(1) })],
  [createService(32, { domain: "www.sub.example.com", poolId: id(2) })],
];

const oneCommit = fc.oneof(
  { weight: 3, arbitrary: editArbitrary.map((edit) => [edit]) },
  { weight: 1, arbitrary: fc.array(editArbitrary, { minLength: 2, maxLength: 3 }) },
);

/** Some commits of one to three edits each, in an empty world or in a populated one. */
export const commitsArbitrary: fc.Arbitrary<Edit[][]> = fc.tuple(
  fc.constantFrom([], POPULATED),
  // Without "max" most would be too short for members, rules and cuts to meet.
  fc.array(oneCommit, { minLength: 5, maxLength: 30, size: "max" }),
).map(([given, commits]) => [...given, ...commits]);

function constant<const Value extends string>(value: Value): fc.Arbitrary<Value> {
  return fc.constant(value);
}
