/** @module The model as text: canonical, and read back to the same. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import {
  addressOf,
  ALGORITHMS,
  type Fallback,
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  type Model,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../../src/model/model.ts";
import { exportModel, exportNdjson, streamed, streamedJson } from "../../src/model/model_export.ts";
import { OfflineModel } from "../../src/change/offline_model.ts";
import { modelOf } from "../change/read_model.ts";
import { runs } from "../property_runs.ts";

const EMPTY: Model = { generation: 0, pools: [], services: [], zones: [], fallback: null };

function readBack(yaml: string): Model {
  return modelOf({ "export.yaml": yaml });
}

function readLinesBack(lines: Iterable<string>): Model {
  return modelOf({ "export.ndjson": [...lines].join("") });
}

const hex = fc.stringMatching(/^[0-9a-f]{32}$/);
const label = fc.stringMatching(/^[a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9_])?$/);
/** Without NUL, at which a text ends when it is read from the database. */
const text = fc.string({ minLength: 1, maxLength: 20, unit: "binary" }).filter((it) => !it.includes("\0"));
const coordinates = fc.oneof(
  fc.constant({ latitude: null, longitude: null }),
  fc.record({
    latitude: fc.double({ min: -90, max: 90, noNaN: true }).map((value) => value + 0),
    longitude: fc.double({ min: -180, max: 180, noNaN: true }).map((value) => value + 0),
  }),
);
const plainCheck: fc.Arbitrary<HealthCheck> = fc.record({
  type: fc.constantFrom("tcp", "http", "https"),
  port: fc.option(fc.integer({ min: 1, max: 65535 })),
  intervalMs: fc.integer({ min: 250, max: 3_600_000 }),
  timeoutMs: fc.integer({ min: 10, max: 250 }),
  rise: fc.integer({ min: 1, max: 100 }),
  fall: fc.integer({ min: 1, max: 100 }),
  httpMethod: fc.constantFrom("GET", "HEAD", "POST", "OPTIONS"),
  httpPath: fc.constantFrom("/", "/healthz", "/a?b=c#d", "/{x}:*y"),
  httpHost: fc.option(fc.constantFrom("www.example.com", "[2001:db8::1]:443")),
  httpExpectedStatus: fc.constantFrom("200", "200,204", "200-399", "100-599"),
  httpContains: fc.option(text),
  insecureSkipVerify: fc.boolean(),
  require: fc.constant("all"),
  checks: fc.constant([]),
});
const check: fc.Arbitrary<HealthCheck> = fc.oneof(
  plainCheck,
  fc.record({
    type: fc.constant("calculated" as const),
    require: fc.constantFrom("all" as const, "any" as const, 1),
    checks: fc.array(plainCheck, { minLength: 1, maxLength: 8 }),
  }).map((fields) => ({ ...HEALTH_CHECK_DEFAULTS, ...fields })),
);
const fallback: fc.Arbitrary<Fallback> = fc.record({
  algorithm: fc.constantFrom(...ALGORITHMS),
  endpoints: fc.constantFrom(["192.0.2.80"], ["2001:db8::80", "192.0.2.80"]),
  weights: fc.constantFrom({}, { "192.0.2.80": 7 }),
  onAllDown: fc.constantFrom("all", "none", "last-healthy"),
  ttl: fc.constantFrom(null, 0, 60),
  healthCheck: fc.option(plainCheck.map((value) => ({ ...value, port: value.port ?? 443 }))),
});
const zoneText = fc.constantFrom(
  "@ SOA ns1 h 1 1h 10m 1w 1m\n@ NS ns1\n",
  "@ SOA ns1 h 1 1h 10m 1w 1m\r\n@ NS ns1\r\n",
  '$TTL 1h\n@\tSOA ns1 h ( 1 1h\n  10m 1w 1m ) ; why\n\n\n  NS ns1\nt TXT "a: b # c" "\'"',
  "  \n\n@ SOA ns1 h 1 1h 10m 1w 1m \n@ NS ns1\n\n\n",
  "\t\n@ SOA ns1 h 1 1h 10m 1w 1m\n@ NS ns1\n;--- \u00e9\u2028\n--- TXT x\n",
);

const NO_MATCH = { cidr: null, country: null, continent: null, asn: null };

/** Addresses and names are numbered, so that they are unique without a filter. */
const model: fc.Arbitrary<Model> = fc.record({
  pools: fc.array(
    fc.record({
      id: hex,
      algorithm: fc.constantFrom(...ALGORITHMS),
      maxAnswers: fc.integer({ min: 0, max: 100 }),
      onAllDown: fc.constantFrom("all", "none", "last-healthy"),
      minHealthy: fc.constantFrom(0, 3, "1%", "100%"),
      failback: fc.constantFrom("auto", "manual"),
      failbackDelayMs: fc.integer({ min: 0, max: 86_400_000 }),
      geofence: fc.boolean(),
      flatten: fc.boolean(),
      discover: fc.option(fc.constantFrom("http.web.prod.shop.gg", "a.b.c.d.00")),
      healthCheck: fc.option(check),
      members: fc.array(
        fc.record({
          id: hex,
          port: fc.oneof(fc.constant(443), fc.integer({ min: 1, max: 65535 })),
          weight: fc.integer({ min: 1, max: 65535 }),
          priority: fc.integer({ min: 0, max: 65535 }),
          enabled: fc.boolean(),
          place: coordinates,
          isNamed: fc.boolean(),
          region: fc.constantFrom("", "eu-1", "null", "07"),
        }),
        { maxLength: 4 },
      ),
      rules: fc.array(fc.tuple(fc.constantFrom("cidr", "country", "continent", "asn"), fc.nat(3)), {
        maxLength: 3,
      }),
    }),
    { maxLength: 4 },
  ),
  services: fc.array(
    fc.record({
      id: hex,
      label,
      pool: fc.option(fc.nat(3)),
      ttl: fc.integer({ min: 0, max: 86_400 }),
      minTtlShare: fc.constantFrom(0, 0.5, 1),
      ecs: fc.boolean(),
    }),
    { maxLength: 5 },
  ),
  zones: fc.array(zoneText, { maxLength: 2 }),
  fallback: fc.option(fallback),
}).map((drawn) => {
  const pools = drawn.pools.map(({ rules, members: drawnMembers, ...pool }, i) => {
    const members = drawnMembers.map(({ place, isNamed, ...member }, j) => ({
      ...member,
      ...place,
      id: `${i}${j}${member.id.slice(2)}`,
      ipAddress: isNamed ? null : j % 2 === 0 ? `192.0.2.${j}` : `2001:db8::${j}`,
      target: isNamed ? `${["null", "lb", "1e3", "0x1f"][j]}.example` : null,
    }));
    const matches = {
      cidr: { ...NO_MATCH, cidr: "198.51.100.0/24" },
      country: { ...NO_MATCH, country: "NO" },
      continent: { ...NO_MATCH, continent: "NA" },
      asn: { ...NO_MATCH, asn: 4_294_967_295 },
    };
    return {
      ...pool,
      id: `${i}${pool.id.slice(1)}`,
      name: `${9 - i}.${["true", "1e3", "null", "web"][i]}`,
      fallbackPoolId: null,
      members,
      geoRules: members.length === 0 ? [] : rules.map(([kind, at], j) => ({
        id: `${j}${pool.id.slice(1)}`,
        ...matches[kind],
        memberId: members[at % members.length]!.id,
      })),
    };
  });
  return {
    generation: 7,
    pools: pools.map((pool, i) =>
      i > 0 && pool.onAllDown === "none"
        ? { ...pool, onAllDown: "fallback" as const, fallbackPoolId: pools[i - 1]!.id }
        : pool
    ),
    services: drawn.services.map(({ label, pool, minTtlShare, ...service }, i) => ({
      ...service,
      minTtl: Math.floor(service.ttl * minTtlShare),
      domain: `${label}.${i}.example`,
      poolId: pool === null ? null : pools[pool]?.id ?? null,
    })),
    zones: drawn.zones.map((text, i) => ({ domain: `zone${i}.test`, text })),
    fallback: drawn.fallback,
  };
});

/** The object with its keys in order, at any depth. */
function byKey(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return Object.fromEntries(entries.map(([key, inner]) => [key, byKey(inner)]));
}

/** The model without what files don't have: ids by the names they stand for. */
function essence({ pools, services, zones, fallback }: Model): unknown {
  const names = new Map(pools.map(({ id, name }) => [id, name]));
  const sorted = <Item>(items: readonly Item[]) => items.map((item) => JSON.stringify(item)).sort();
  return {
    pools: sorted(pools.map(({ id: _, fallbackPoolId, members, geoRules, ...pool }) => ({
      pool: byKey(pool),
      fallback: names.get(fallbackPoolId ?? ""),
      members: sorted(members.map(({ id: _, ...member }) => byKey(member))),
      rules: sorted(geoRules.map(({ id: _, memberId, ...match }) => [
        byKey(match),
        addressOf(members.find(({ id }) => id === memberId)!),
      ])),
    }))),
    services: sorted(
      services.map(({ id: _, poolId, ...service }) => [byKey(service), names.get(poolId ?? "")]),
    ),
    zones: sorted(zones.map(({ domain, text }) => [domain, text])),
    fallback: fallback &&
      [
        fallback.algorithm,
        fallback.endpoints,
        fallback.weights,
        fallback.onAllDown,
        byKey(fallback.healthCheck),
      ],
  };
}

Deno.test("every model survives export and reading, and the second export has the same bytes", async () => {
  await fc.assert(
    fc.asyncProperty(model, async (given) => {
      const yaml = exportModel(given);
      const read = readBack(yaml);
      deepEqual(essence(read), essence(given));
      equal(exportModel(read), yaml);
      equal([...streamedJson(streamed(given))].join(""), JSON.stringify(parse(yaml) ?? {}));
      const lines = [...exportNdjson(given)];
      const readLines = await readLinesBack(lines);
      deepEqual(essence(readLines), essence(given));
      deepEqual([...exportNdjson(readLines)], lines);
    }),
    { numRuns: runs(25) },
  );
});

Deno.test("the order of the model's objects doesn't show in its text", () => {
  fc.assert(
    fc.property(model, (given) => {
      const reversed: Model = {
        ...given,
        pools: given.pools.toReversed().map((pool) => ({
          ...pool,
          members: pool.members.toReversed(),
          geoRules: pool.geoRules.toReversed(),
        })),
        services: given.services.toReversed(),
        zones: given.zones.toReversed(),
      };
      equal(exportModel(reversed), exportModel(given));
    }),
    { numRuns: runs(20) },
  );
});

Deno.test("the example directory is exported as its golden file", async () => {
  using example = await OfflineModel.read(new URL("../fixtures/config/model", import.meta.url).pathname);
  const golden = new URL("../golden/model_export.yaml", import.meta.url);
  equal(exportModel(example.model()), await Deno.readTextFile(golden));
});

Deno.test("an empty model isn't an empty text, and reads back as an empty model", async () => {
  const yaml = exportModel(EMPTY);
  ok(yaml.startsWith("#"));
  deepEqual(readBack(yaml), EMPTY);
  deepEqual(await readLinesBack(exportNdjson(EMPTY)), EMPTY);
});

Deno.test("a check with every default is still a check", () => {
  const pool = { ...POOL_DEFAULTS, id: "0".repeat(32), name: "a" };
  const yaml = exportModel({
    ...EMPTY,
    pools: [{ ...pool, members: [], healthCheck: HEALTH_CHECK_DEFAULTS, geoRules: [] }],
  });
  deepEqual(readBack(yaml).pools[0]!.healthCheck, HEALTH_CHECK_DEFAULTS);
});

Deno.test("NDJSON comes in blocks of whole lines, so that a stream of it has few chunks", () => {
  const services = Array.from({ length: 5000 }, (_, i) => ({
    ...SERVICE_DEFAULTS,
    id: String(i).padStart(32, "0"),
    domain: `www.${i}.example`,
  }));
  const blocks = [...exportNdjson({ ...EMPTY, services })];
  ok(blocks.every((block) => block.endsWith("\n")));
  ok(blocks.length < 10, `${blocks.length}`);
  equal(blocks.join("").split("\n").length, 5001);
});
