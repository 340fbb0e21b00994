/** @module What the database declares over what the settings declare. */
import { deepEqual, equal } from "node:assert/strict";
import { desiredOf as desiredWith, type DesiredSource } from "../../src/desired/desired.ts";
import { steeredPool } from "../../src/desired/steered_pool.ts";
import { type Fallback, MEMBER_DEFAULTS, type Pool, POOL_DEFAULTS } from "../../src/model/model.ts";
import { loadSettings, type Settings } from "../../src/settings/settings.ts";

/** A database with nothing in it. */
const EMPTY_SOURCE: DesiredSource = {
  generation: 0,
  *prepare() {
    yield;
    return 0;
  },
  pools: () => [],
  checkedPools: () => [],
  services: () => [],
  zones: [],
  fallback: null,
};

const ZONE = "@ SOA ns1 h 1 1h 10m 1w 1m\n@ NS ns1\n";
const FALLBACK: Fallback = {
  algorithm: "hash",
  endpoints: ["192.0.2.1"],
  weights: {},
  onAllDown: "none",
  ttl: null,
  healthCheck: null,
};

const DEFAULTS = loadSettings({ file: null, env: {} }).settings!;

/** Without members by name. */
function desiredOf(settings: Settings, source: DesiredSource) {
  return desiredWith(settings, source, () => []);
}

function settings(dns: Partial<Settings["dns"]>, fallback: Fallback | null = null): Settings {
  return { ...DEFAULTS, dns: { ...DEFAULTS.dns, ...dns }, fallback };
}

Deno.test("a zone of the database replaces the settings' zone of the same name, file or not", () => {
  const ours = settings({
    domain: ["made-up.example", "both.example"],
    zones: [
      { domain: "both.example", file: "b", text: `${ZONE}a A 192.0.2.1\n` },
      { domain: "file.example", file: "f", text: ZONE },
    ],
  });
  const source: DesiredSource = {
    ...EMPTY_SOURCE,
    generation: 7,
    zones: [{ domain: "file.example", text: `${ZONE}a A 192.0.2.1\nb A 192.0.2.1\n` }, {
      domain: "a.example",
      text: ZONE,
    }],
  };
  const desired = desiredOf(ours, source);
  deepEqual(desired.zones.map(({ domain, records }) => [domain, records?.length ?? null]), [
    ["a.example", 2],
    ["both.example", 3],
    ["file.example", 4],
    ["made-up.example", null],
  ]);
  equal(desired.generation, 7);
});

Deno.test("the fallback of the database replaces the settings'", () => {
  const ours = settings({}, FALLBACK);
  const theirs = { ...FALLBACK, endpoints: ["192.0.2.2"] };
  equal(desiredOf(ours, EMPTY_SOURCE).fallback, FALLBACK);
  equal(desiredOf(ours, { ...EMPTY_SOURCE, fallback: theirs }).fallback, theirs);
});

Deno.test("records without a TTL have that of the settings", () => {
  const zones = [{ domain: "a.example", file: "a", text: ZONE }];
  const ttlOf = (ttl: number) => desiredOf(settings({ ttl, zones }), EMPTY_SOURCE).zones[0]!.records![0]!.ttl;
  deepEqual([ttlOf(30), ttlOf(60), ttlOf(30)], [30, 60, 30]);
});

Deno.test("a zone's text is read once, when its records are asked for", () => {
  let reads = 0;
  const zone = {
    domain: "a.example",
    get text() {
      reads++;
      return ZONE;
    },
  };
  const [desired] = desiredOf(DEFAULTS, { ...EMPTY_SOURCE, zones: [zone] }).zones;
  equal(reads, 0);
  equal(desired!.records, desired!.records);
  equal(reads, 1);
});

Deno.test("a zone that the database has no more is the settings' again, if they have one", () => {
  const ours = settings({
    domain: ["made-up.example"],
    zones: [{ domain: "file.example", file: "f", text: ZONE }],
  });
  const desired = desiredOf(ours, EMPTY_SOURCE);
  deepEqual(
    ["made-up.example", "file.example", "other.example"].map((domain) =>
      desired.zoneOf(domain, null)?.domain ?? null
    ),
    ["made-up.example", "file.example", null],
  );
  equal(
    desired.zoneOf("file.example", { domain: "file.example", text: `${ZONE}a A 192.0.2.1\n` })!.records!
      .length,
    3,
  );
});

Deno.test("pools and services are handed through, not copied", () => {
  let asked = 0;
  const source = { ...EMPTY_SOURCE, pools: () => (asked++, []) };
  const desired = desiredOf(DEFAULTS, source);
  equal(asked, 0);
  desired.pools();
  equal(asked, 1);
});

/** A pool of three members of which the second goes by name, with a rule for each. */
const POOL: Pool = {
  ...POOL_DEFAULTS,
  id: "pool",
  name: "web",
  healthCheck: null,
  members: [
    { ...MEMBER_DEFAULTS, id: "a", ipAddress: "192.0.2.1", port: 443 },
    { ...MEMBER_DEFAULTS, id: "b", target: "lb.example.net", port: 443 },
    { ...MEMBER_DEFAULTS, id: "c", ipAddress: "192.0.2.3", port: 443 },
  ],
  geoRules: ["c", "b", "a"].map((memberId, i) => ({
    id: `rule ${i}`,
    cidr: null,
    country: null,
    continent: null,
    asn: 64_500 + i,
    memberId,
  })),
};

Deno.test("geo rules lead to their members by their places", () => {
  const { members, geoRules, changesAt } = steeredPool(POOL);
  deepEqual(geoRules.map(({ asn, member }) => [asn, members[member]!.id]), [
    [64_500, "c"],
    [64_501, "b"],
    [64_502, "a"],
  ]);
  deepEqual([changesAt, members.map(({ share }) => share)], [0, [1, 1, 1]]);
});

Deno.test("members by name are handed on as the addresses of their names", () => {
  const source = {
    ...EMPTY_SOURCE,
    pools: () => [steeredPool(POOL)],
    checkedPools: () => [steeredPool(POOL)],
  };
  const desired = desiredWith(settings({}), source, () => ["192.0.2.7", "192.0.2.8"]);
  for (const pools of [desired.pools(), desired.checkedPools()]) {
    deepEqual([...pools].map((pool) => pool.members.map(({ id, ipAddress }) => `${id} ${ipAddress}`)), [
      ["a 192.0.2.1", "b 192.0.2.7", "b 192.0.2.8", "c 192.0.2.3"],
    ]);
  }
});
