/**
 * Random pairs of models for the proof of plans: a model as it is, and another one that is mostly the same.
 *
 * @module
 */
import {
  ALGORITHMS,
  type GeoRule,
  HEALTH_CHECK_DEFAULTS,
  type Member,
  MEMBER_DEFAULTS,
  type Model,
  ON_ALL_DOWN,
  type Pool,
  POOL_DEFAULTS,
  type Service,
  SERVICE_DEFAULTS,
  type Zone,
} from "../../../src/model/model.ts";
import { id, zoneText } from "../../change/samples.ts";
import type { Random } from "../steering/model.ts";

/** Domains of services. */
const DOMAINS = [
  "www.example.com",
  "other.example.com",
  "example.com",
  "deep.sub.example.com",
  "*.wild.example.com",
  "host.wild.example.com",
  "apex.example",
  "www.example.net",
  "a.b.example.net",
  "b.example.net",
];

/** Names that are asked for: those of services and records, and what lies below wildcards and between. */
export const ASKED: readonly string[] = [
  ...DOMAINS.filter((domain) => !domain.startsWith("*")),
  "any.wild.example.com",
  "sub.example.com",
  "static.example.com",
  "alias.example.com",
  "any.alias.example.com",
  "elsewhere.example.org",
];

/** Texts of zones; names of services are among the owners, too. */
const RECORDS = [
  "static 300 A 203.0.113.7",
  "static 300 A 203.0.113.8",
  "static 300 AAAA 2001:db8:9::7",
  "www 300 AAAA 2001:db8:9::1",
  "alias 300 CNAME www",
  "alias 300 CNAME other",
  "alias 300 CNAME static",
  "*.alias 300 CNAME www",
  "* 300 A 203.0.113.9",
];

/** Host names of members; the last one has no address. */
const TARGETS = ["lb.example.org", "lb6.example.org", "none.example.org"];

/** What is known of host names. */
export const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  "lb.example.org": ["198.51.100.1", "198.51.100.2", "2001:db8:ffff::1"],
  "lb6.example.org": ["2001:db8:ffff::2"],
};

const REGIONS = ["", "eu", "us"];
/** Pools of a model at most; the last names are those that few others fall back to. */
const POOLS = 6;

/** A model, and another one made of it by some changes or afresh. */
export function modelPair(random: Random): readonly [Model, Model] {
  const first = modelOf(random);
  return [first, random.isOneIn(4) ? modelOf(random) : changed(first, random)];
}

function modelOf(random: Random): Model {
  const pools = random.times(1 + random.below(POOLS), (i) => poolOf(i, random));
  return {
    generation: 0,
    pools: pools.map((pool) => chained(pool, pools, random)),
    services: DOMAINS.filter(() => !random.isOneIn(4)).map((domain, i) =>
      serviceOf(domain, i, pools, random)
    ),
    zones: [
      ...(random.isOneIn(4) ? [] : [zoneOf("example.com", random)]),
      ...(random.isOneIn(3) ? [zoneOf("example.net", random)] : []),
    ],
    fallback: random.isOneIn(4)
      ? {
        algorithm: "round-robin",
        endpoints: ["198.51.100.77", "2001:db8::77"],
        weights: {},
        onAllDown: "all",
        ttl: null,
        healthCheck: null,
      }
      : null,
  };
}

function poolOf(number: number, random: Random): Pool {
  const base = random.below(3);
  const members = random.times(random.below(5), (i) => memberOf(number * 16 + i, { base, i }, random));
  const isPlain = random.isOneIn(2);
  const geoRules = isPlain || members.length === 0
    ? []
    : random.times(random.below(3), (i) => ruleOf(number * 16 + i, members, random));
  return {
    ...POOL_DEFAULTS,
    id: id(1 + number),
    name: `pool-${number}`,
    algorithm: isPlain
      ? random.pick(["round-robin", "weighted-round-robin", "failover"])
      : random.pick(ALGORITHMS),
    maxAnswers: random.below(3),
    onAllDown: random.pick(["all", "none", "last-healthy"]),
    minHealthy: random.pick([0, 0, 0, 1, 2, "50%"]),
    failback: random.pick(["auto", "auto", "manual"]),
    geofence: !isPlain && random.isOneIn(2),
    flatten: isPlain || !random.isOneIn(2),
    members,
    healthCheck: random.isOneIn(3) ? null : HEALTH_CHECK_DEFAULTS,
    geoRules,
  };
}

/** Falls back to a later one, so that there is no circle. */
function chained(pool: Pool, pools: readonly Pool[], random: Random): Pool {
  const later = pools.slice(pools.indexOf(pool) + 1);
  if (later.length === 0 || !random.isOneIn(3)) return pool;
  return {
    ...pool,
    onAllDown: random.pick(["fallback", ...ON_ALL_DOWN]),
    fallbackPoolId: random.pick(later).id,
  };
}

function memberOf(
  number: number,
  { base, i }: { readonly base: number; readonly i: number },
  random: Random,
): Member {
  const target = random.isOneIn(8) ? random.pick(TARGETS) : null;
  const isPlaced = random.isOneIn(2);
  const ipAddress = random.isOneIn(4) ? `2001:db8:${base + 1}::${i + 1}` : `192.0.${base}.${i + 1}`;
  return {
    ...MEMBER_DEFAULTS,
    id: id(0x100 + number),
    ipAddress: target === null ? ipAddress : null,
    target,
    port: target === null ? 80 : 8000 + i,
    weight: 1 + random.below(3),
    priority: random.below(3),
    enabled: !random.isOneIn(6),
    latitude: isPlaced ? random.pick([50.1, 40.7]) : null,
    longitude: isPlaced ? random.pick([8.7, -74]) : null,
    region: random.pick(REGIONS),
  };
}

function ruleOf(number: number, members: readonly Member[], random: Random): GeoRule {
  const match = random.pick([
    { cidr: "64.0.0.0/4" },
    { cidr: "128.0.0.0/2" },
    { country: "DE" },
    { continent: "NA" },
    { asn: 64_501 },
  ]);
  const none = { cidr: null, country: null, continent: null, asn: null };
  return { id: id(0x1000 + number), ...none, ...match, memberId: random.pick(members).id };
}

function serviceOf(domain: string, number: number, pools: readonly Pool[], random: Random): Service {
  return {
    ...SERVICE_DEFAULTS,
    id: id(0x2000 + number),
    domain,
    poolId: random.isOneIn(8) ? null : random.pick(pools).id,
    ttl: random.pick([30, 60]),
    ecs: !random.isOneIn(4),
  };
}

function zoneOf(domain: string, random: Random): Zone {
  const records = RECORDS.filter(() => random.isOneIn(2));
  // Of each owner only the first CNAME.
  const kept = records.filter((record, i) =>
    !record.includes("CNAME") || !records.slice(0, i).some((it) => it.split(" ")[0] === record.split(" ")[0])
  );
  return { domain, text: zoneText(...kept) };
}

/** One to four changes, of the kinds that people make. */
function changed(model: Model, random: Random): Model {
  let next = model;
  for (let left = 1 + random.below(4); left > 0; left--) next = once(next, random);
  return next;
}

function once(model: Model, random: Random): Model {
  const { pools, services } = model;
  const pool = random.pick(pools);
  const withPool = (fields: Partial<Pool>): Model => ({
    ...model,
    pools: pools.map((it) => it === pool ? { ...it, ...fields } : it),
  });
  const service = services.length === 0 ? null : random.pick(services);
  const withService = (fields: Partial<Service>): Model => ({
    ...model,
    services: services.map((it) => it === service ? { ...it, ...fields } : it),
  });
  const member = pool.members.length === 0 ? null : random.pick(pool.members);
  const withMember = (fields: Partial<Member>) =>
    withPool({ members: pool.members.map((it) => it === member ? { ...it, ...fields } : it) });
  const fresh = modelOf(random);
  const kinds: readonly (() => Model)[] = [
    () => withMember({ enabled: !member?.enabled }),
    () => withMember({ weight: 1 + random.below(3) }),
    () => withPool({ members: pool.members.filter((it) => it !== member), geoRules: [] }),
    () => withPool({ maxAnswers: random.below(3), minHealthy: random.pick([0, 2]) }),
    () => withPool({ geofence: !pool.geofence }),
    () => withPool({ flatten: !pool.flatten }),
    () => withPool({ algorithm: random.pick(ALGORITHMS) }),
    () => withPool({ healthCheck: pool.healthCheck ? null : HEALTH_CHECK_DEFAULTS }),
    () => withPool({ fallbackPoolId: null, onAllDown: "none" }),
    () => withService({ poolId: random.isOneIn(4) ? null : random.pick(pools).id }),
    () => withService({ ttl: 90 }),
    () => ({ ...model, services: services.filter((it) => it !== service) }),
    () => ({ ...model, zones: fresh.zones }),
    () => ({ ...model, fallback: fresh.fallback }),
  ];
  return random.pick(kinds)();
}
