/**
 * One suite for all algorithms: what each does about order, families, the unhealthy, nobody and ties, through the whole
 * engine. docs/choosing.md has the same in words; the last test sees that it has a row for each.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { compileMapFile } from "../../src/geo/map_file_table.ts";
import { ALGORITHMS } from "../../src/model/model.ts";
import { EMPTY_GEO_DATA, type GeoData } from "../../src/geo/geo_data.ts";
import { flatRecord, type MmdbValue, writeMmdb } from "../geo/mmdb_writer.ts";
import { addresses, query, show } from "./packets.ts";
import { World } from "./world.ts";

const FRANKFURT = { latitude: 50.1, longitude: 8.7 };
const SINGAPORE = { latitude: 1.35, longitude: 103.8 };
const NEW_YORK = { latitude: 40.7, longitude: -74 };

/** Clients in 10.1/16 are in Frankfurt, in 10.2/16 in Singapore, in 10.3/16 in New York. */
const GEO_DATA: GeoData = {
  ...EMPTY_GEO_DATA,
  edition: 1,
  city: [
    shared(writeMmdb({
      networks: [
        ["10.1.0.0/16", flatRecord({ ...FRANKFURT, country: "DE", continent: "EU", asn: 65_001 })],
        ["10.2.0.0/16", flatRecord({ ...SINGAPORE, country: "SG", continent: "AS", asn: 65_002 })],
        ["10.3.0.0/16", flatRecord({ ...NEW_YORK, country: "US", continent: "NA", asn: 65_003 })],
        [
          "10.4.0.0/16",
          flatRecord({ latitude: 48.9, longitude: 2.4, country: "FR", continent: "EU", asn: 65_001 }),
        ],
      ],
    })),
  ],
  extents: [null],
  asn: [
    shared(writeMmdb({ networks: [["10.4.0.0/16", flatRecord({ asn: 65_001 })]], databaseType: "Test-ASN" })),
  ],
  map: compileMapFile("10.1.0.0/16 192.0.2.2,2001:db8::2\n10.2.0.0/16 192.0.2.3\n10.2.9.0/24 198.51.100.1\n"),
};

function shared(bytes: Uint8Array): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

type Fields = Partial<NonNullable<ConstructorParameters<typeof World>[0]["pools"]>[number]>;

/** A world with one pool, `web`, behind `www.example`. */
function poolOf(members: Fields["members"], fields: Fields = {}, service = {}): World {
  return new World({
    pools: [{ name: "web", maxAnswers: 0, ...fields, members: members ?? [] }],
    services: { "www.example": { pool: "web", ...service } },
    geoData: GEO_DATA,
  });
}

/** Last octets of what a client gets. */
function ask(world: World, { ecs, type = "A" }: { ecs?: string; type?: string } = {}): string[] {
  const answer = world.ask(query("www.example", type, ecs === undefined ? {} : { ecs }));
  return addresses(answer).map((address) => address.split(/[.:]/).at(-1)!);
}

/** What `turns` questions in a row get first. */
function firsts(world: World, turns: number, ecs?: string): string[] {
  return Array.from({ length: turns }, () => ask(world, ecs === undefined ? {} : { ecs })[0]!);
}

const SITES = [
  { ipAddress: "192.0.2.1", ...FRANKFURT },
  { ipAddress: "192.0.2.2", ...SINGAPORE },
  { ipAddress: "192.0.2.3", ...NEW_YORK },
];
const PLAIN = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];

/** What an algorithm must do; each is a test by the name in the docs' table. */
interface Conformance {
  readonly algorithm: (typeof ALGORITHMS)[number];
  readonly members: Fields["members"];
  readonly ecs?: string;
  /** Who is first in the first four answers, with everybody healthy. */
  readonly order: readonly string[];
  /** Likewise when 192.0.2.1 is down. */
  readonly unhealthy: readonly string[];
  /** Four answers' firsts of members that are equals: 1 weighs 2, 4 weighs 1. */
  readonly ties: { readonly members: Fields["members"]; readonly firsts: readonly string[] };
}

const EQUALS = (more: object = {}) => [
  { ipAddress: "192.0.2.1", weight: 2, ...more },
  { ipAddress: "192.0.2.4", weight: 1, ...more },
];

const TABLE: readonly Conformance[] = [
  {
    algorithm: "round-robin",
    members: PLAIN,
    order: ["1", "2", "3", "1"],
    unhealthy: ["2", "3", "2", "3"],
    ties: { members: EQUALS(), firsts: ["1", "4", "1", "4"] },
  },
  {
    algorithm: "weighted-round-robin",
    members: [{ ipAddress: "192.0.2.1", weight: 2 }, "192.0.2.2", "192.0.2.3"],
    order: ["1", "2", "3", "1"],
    unhealthy: ["2", "3", "2", "3"],
    ties: { members: EQUALS(), firsts: ["1", "4", "1", "1"] },
  },
  {
    algorithm: "failover",
    members: [
      { ipAddress: "192.0.2.1", priority: 1 },
      { ipAddress: "192.0.2.2", priority: 0 },
      { ipAddress: "192.0.2.3", priority: 2 },
    ],
    order: ["1", "1", "1", "1"],
    unhealthy: ["3", "3", "3", "3"],
    ties: { members: EQUALS({ priority: 1 }), firsts: ["1", "4", "1", "1"] },
  },
  {
    algorithm: "latency",
    members: PLAIN,
    order: ["1", "2", "3", "1"],
    unhealthy: ["2", "3", "2", "3"],
    ties: { members: EQUALS(), firsts: ["1", "4", "1", "1"] },
  },
  {
    algorithm: "geoip",
    members: SITES,
    ecs: "10.1.2.0/24",
    order: ["1", "1", "1", "1"],
    unhealthy: ["3", "3", "3", "3"],
    ties: { members: [...EQUALS(FRANKFURT), SITES[1]!], firsts: ["1", "4", "1", "1"] },
  },
  {
    algorithm: "map-file",
    members: PLAIN,
    ecs: "10.1.2.0/24",
    order: ["2", "2", "2", "2"],
    unhealthy: ["2", "2", "2", "2"],
    ties: { members: EQUALS(), firsts: ["1", "4", "1", "1"] },
  },
  {
    algorithm: "hash",
    members: PLAIN,
    ecs: "10.1.2.0/24",
    order: ["2", "2", "2", "2"],
    unhealthy: ["2", "2", "2", "2"],
    // Nobody is anybody's equal: each network has its own order.
    ties: { members: EQUALS(), firsts: ["1", "1", "1", "1"] },
  },
];

for (const { algorithm, members, ecs, order, unhealthy, ties } of TABLE) {
  Deno.test(`${algorithm} conforms`, async (t) => {
    await t.step("order", () => deepEqual(firsts(poolOf(members, { algorithm }), 4, ecs), order));
    await t.step("family: AAAA is chosen among the IPv6 members alone", () => {
      const world = poolOf([...members!, "2001:db8::1"], { algorithm });
      deepEqual(ask(world, { type: "AAAA", ...(ecs ? { ecs } : {}) }), ["1"]);
      equal(ask(world, ecs ? { ecs } : {}).length, algorithm === "failover" ? 1 : 3);
    });
    await t.step("unhealthy: who is down isn't in the answer", () => {
      const world = poolOf(members, { algorithm });
      world.health({ "192.0.2.1": false });
      deepEqual(firsts(world, 4, ecs), unhealthy);
      ok(!ask(world, ecs ? { ecs } : {}).includes("1"));
    });
    await t.step("empty: a pool without members is NODATA", () => {
      equal(show(poolOf([], { algorithm }).ask(query("www.example", "A"))).split("\n")[0], "NOERROR aa");
      deepEqual(ask(poolOf([], { algorithm })), []);
    });
    await t.step("all down: onAllDown decides", () => {
      const world = poolOf(members, { algorithm, onAllDown: "none" });
      world.health({ "192.0.2.1": false, "192.0.2.2": false, "192.0.2.3": false });
      deepEqual(ask(world, ecs ? { ecs } : {}), []);
    });
    await t.step(
      "ties",
      () => deepEqual(firsts(poolOf(ties.members, { algorithm }), 4, ecs), ties.firsts),
    );
    await t.step("maxAnswers cuts the answer", () => {
      equal(ask(poolOf(members, { algorithm, maxAnswers: 1 }), ecs ? { ecs } : {}).length, 1);
    });
    await t.step("the static fallback goes by it, too", () => {
      const endpoints = members!.map((member) => typeof member === "string" ? member : member.ipAddress!);
      const world = new World({
        zones: { "example": null },
        fallback: { endpoints, algorithm },
        geoData: GEO_DATA,
      });
      equal(addresses(world.ask(query("any.example", "A"))).length, 1);
    });
  });
}

Deno.test("latency: the fastest lead, and those about as fast take turns with them", () => {
  const world = poolOf(PLAIN, { algorithm: "latency" });
  world.roundTrips({ "192.0.2.1": 9_000, "192.0.2.2": 20_000, "192.0.2.3": 9_800 });
  deepEqual(firsts(world, 4), ["1", "3", "1", "3"]);
  deepEqual(ask(world).toSorted(), ["1", "2", "3"]);
  world.roundTrips({ "192.0.2.1": 40_000, "192.0.2.2": 20_000, "192.0.2.3": 45_000 });
  deepEqual(firsts(world, 3), ["2", "2", "2"]);
});

Deno.test("geoip: nearest first, then the others by distance; who is nowhere comes last", () => {
  const world = poolOf([{ ipAddress: "192.0.2.9" }, ...SITES], { algorithm: "geoip" });
  deepEqual(ask(world, { ecs: "10.1.0.0/24" }), ["1", "3", "2", "9"]);
  deepEqual(ask(world, { ecs: "10.2.0.0/24" }), ["2", "1", "3", "9"]);
  equal(ask(world, { ecs: "10.200.0.0/24" }).length, 4, "a client of whom nothing is known gets everybody");
});

Deno.test("hash: when a member leaves only its own networks move", () => {
  const world = poolOf(PLAIN, { algorithm: "hash", maxAnswers: 1 });
  const networks = Array.from({ length: 300 }, (_, i) => `172.16.${i % 256}.0/24`);
  const before = networks.map((ecs) => ask(world, { ecs })[0]!);
  world.health({ "192.0.2.2": false });
  const after = networks.map((ecs) => ask(world, { ecs })[0]!);
  for (const [i, former] of before.entries()) if (former !== "2") equal(after[i], former);
  for (const member of ["1", "2", "3"]) {
    const share = before.filter((former) => former === member).length / 300;
    ok(share > 0.2 && share < 0.47, `${member} has ${share}`);
  }
});

Deno.test("weights hold to within 0.1 % over a million answers", () => {
  const weights = { "1": 5, "2": 3, "3": 1, "4": 1 };
  const members = Object.entries(weights).map(([last, weight]) => ({ ipAddress: `192.0.2.${last}`, weight }));
  const world = poolOf(members, { algorithm: "weighted-round-robin", maxAnswers: 1 });
  const packet = query("www.example", "A");
  const out = new Uint8Array(512);
  const client = { stream: false, address: () => new Uint8Array(4) };
  const counts: Record<string, number> = {};
  for (let i = 0; i < 1_000_000; i++) {
    const size = world.engine.answer(packet, packet.length, client, out, 512);
    const last = out[size - 1]!;
    counts[last] = (counts[last] ?? 0) + 1;
  }
  for (const [last, weight] of Object.entries(weights)) {
    const share = counts[last]! / 1_000_000;
    ok(Math.abs(share - weight / 10) <= 0.001, `${last} has ${share}`);
  }
});

Deno.test("geo rules come before the algorithm: the longest prefix, then network, country, continent", () => {
  const world = poolOf(PLAIN, {
    maxAnswers: 1,
    geoRules: [
      { continent: "EU", member: 0 },
      { country: "FR", member: 1 },
      { asn: 65_001, member: 2 },
      { cidr: "10.4.7.0/24", member: 0 },
    ],
  });
  const first = (ecs: string) => firsts(world, 2, ecs);
  deepEqual(first("10.1.0.0/24"), ["1", "1"], "by continent");
  deepEqual(first("10.4.0.0/24"), ["3", "3"], "by network");
  deepEqual(first("10.4.7.0/24"), ["1", "1"], "by prefix");
  world.health({ "192.0.2.3": false });
  deepEqual(first("10.4.0.0/24"), ["2", "2"], "by country, since the network's member is down");
  world.health({ "192.0.2.2": false });
  deepEqual(first("10.4.0.0/24"), ["1", "1"], "by continent, since both are down");
});

Deno.test("a geofence never lets a client out, and leaves onAllDown to decide inside", () => {
  for (
    const [onAllDown, expected] of [["none", []], ["all", ["1"]], ["last-healthy", ["1"]]] as const
  ) {
    const world = poolOf(SITES, { algorithm: "geoip", geofence: true, onAllDown });
    deepEqual(ask(world, { ecs: "10.1.0.0/24" }), ["1"]);
    world.health({ "192.0.2.1": false });
    deepEqual(ask(world, { ecs: "10.1.0.0/24" }), expected, onAllDown);
    deepEqual(ask(world, { ecs: "10.2.0.0/24" }), ["2"]);
  }
});

Deno.test("no failure of those inside a geofence lets a client out", () => {
  const rules = { geoRules: [{ cidr: "10.9.0.0/16", member: 0 }], geofence: true } as const;
  const inside = { ecs: "10.9.1.0/24" };
  const [first, ...others] = SITES;
  const six = { ...first!, ipAddress: "2001:db8::1" };
  for (const algorithm of ALGORITHMS) {
    for (const onAllDown of ["none", "all", "last-healthy"] as const) {
      const fields = { ...rules, algorithm, onAllDown };
      const disabled = poolOf([{ ...first!, enabled: false }, ...others], fields);
      deepEqual(ask(disabled, inside), [], `${algorithm}, ${onAllDown}: disabled`);
      const other = poolOf([six, ...others], fields);
      deepEqual(ask(other, inside), [], `${algorithm}, ${onAllDown}: of the other family`);
      other.health({ "2001:db8::1": false });
      deepEqual(ask(other, inside), [], `${algorithm}, ${onAllDown}: of the other family, and down`);
      const name = poolOf([{ ...first!, ipAddress: null, target: "nobody.example" }, ...others], fields);
      deepEqual(ask(name, inside), [], `${algorithm}, ${onAllDown}: a name without addresses`);
      const down = poolOf(SITES, { ...fields, minHealthy: 2 });
      down.health({ "192.0.2.2": false, "192.0.2.3": false });
      deepEqual(
        ask(down, inside),
        ["1"],
        `${algorithm}, ${onAllDown}: the pool has too few, the fence has enough`,
      );
      down.health({ "192.0.2.1": false });
      deepEqual(
        ask(down, inside),
        onAllDown === "none" ? [] : ["1"],
        `${algorithm}, ${onAllDown}: the whole pool is down`,
      );
    }
  }
});

Deno.test("only a rule, the nearest site and the map file fence", () => {
  for (const algorithm of ["hash", "failover", "round-robin", "latency"] as const) {
    const unfenced = poolOf(SITES, { algorithm, geofence: true, onAllDown: "none" });
    unfenced.health({ "192.0.2.1": false });
    for (let i = 0; i < 40; i++) equal(ask(unfenced, { ecs: `10.9.${i}.0/24` }).length, 2, algorithm);
  }
  const tiers = SITES.map((site, i) => ({ ...site, priority: i + 1 }));
  const rule = { geoRules: [{ cidr: "10.8.0.0/16", member: 1 }], geofence: true };
  const failover = poolOf(tiers, { ...rule, algorithm: "failover", onAllDown: "none" });
  failover.health({ "192.0.2.1": false });
  deepEqual(ask(failover, { ecs: "10.9.1.0/24" }), ["2"], "another client's rule fences nobody else");
  const mapped = poolOf(["192.0.2.1", { ipAddress: "192.0.2.2", enabled: false }, "192.0.2.3"], {
    algorithm: "map-file",
    geofence: true,
    onAllDown: "all",
  });
  deepEqual(ask(mapped, { ecs: "10.1.0.0/24" }), [], "the line names a disabled member");
  deepEqual(ask(mapped, { ecs: "10.2.9.0/24" }).length, 2, "the line names no member");
  const nearest = poolOf([{ ...SITES[0]!, enabled: false }, ...SITES.slice(1)], {
    algorithm: "geoip",
    geofence: true,
  });
  deepEqual(ask(nearest, { ecs: "10.1.0.0/24" }), [], "the nearest site is disabled");
  deepEqual(ask(nearest, { ecs: "10.2.0.0/24" }), ["2"]);
});

Deno.test("a fence that is lost goes on to the fallback pool, and a draining member alone in it stays", () => {
  const spare = { name: "spare", members: ["198.51.100.9"] };
  const world = new World({
    pools: [
      {
        name: "web",
        members: SITES,
        algorithm: "geoip",
        geofence: true,
        onAllDown: "fallback",
        fallbackPoolId: "spare",
      },
      spare,
    ],
    services: { "www.example": "web" },
    geoData: GEO_DATA,
  });
  world.health({ "192.0.2.1": false });
  deepEqual(ask(world, { ecs: "10.1.0.0/24" }), ["9"]);
  deepEqual(ask(world, { ecs: "10.2.0.0/24" }), ["2"]);
  const drained = { share: 0.25, left: 0.25 };
  const draining = poolOf([{ ...SITES[0]!, ...drained }, ...SITES.slice(1)], {
    algorithm: "geoip",
    geofence: true,
    onAllDown: "none",
  });
  deepEqual(new Set(firsts(draining, 40, "10.1.0.0/24")), new Set(["1"]));
});

Deno.test("onAllDown: all answers as if all were up, whatever the algorithm", () => {
  const down = { "192.0.2.1": false, "192.0.2.2": false, "192.0.2.3": false, "192.0.2.4": false };
  for (const { algorithm, members, ecs, order, ties } of TABLE) {
    for (const [declared, expected] of [[members, order], [ties.members, ties.firsts]] as const) {
      const addresses = declared!.map((member) => typeof member === "string" ? member : member.ipAddress!);
      const world = poolOf(declared, { algorithm, onAllDown: "all" });
      world.health(Object.fromEntries(addresses.map((address) => [address, false])));
      deepEqual(firsts(world, 4, ecs), expected, algorithm);
      const asUp = poolOf(declared, { algorithm });
      deepEqual(
        ask(world, ecs ? { ecs } : {}),
        (firsts(asUp, 4, ecs), ask(asUp, ecs ? { ecs } : {})),
        algorithm,
      );
    }
  }
  const ruled = poolOf(SITES, { algorithm: "geoip", geoRules: [{ cidr: "10.1.0.0/16", member: 2 }] });
  ruled.health(down);
  deepEqual(ask(ruled, { ecs: "10.1.0.0/24" }), ["3", "1", "2"], "rule, then distance");
  const many = Array.from(
    { length: 12 },
    (_, i) => ({ ipAddress: `192.0.2.${i + 1}`, weight: i === 0 ? 3 : 1 }),
  );
  const weighted = poolOf(many, { algorithm: "weighted-round-robin", minHealthy: 2, maxAnswers: 1 });
  weighted.health(Object.fromEntries(many.slice(1).map(({ ipAddress }) => [ipAddress, false])));
  equal(firsts(weighted, 14).filter((last) => last === "1").length, 3, "some are up, but too few");
  const fallback = new World({
    zones: { "example": null },
    fallback: {
      endpoints: ["192.0.2.1", "192.0.2.2"],
      algorithm: "weighted-round-robin",
      weights: { "192.0.2.1": 3 },
    },
  });
  fallback.health({ "192.0.2.1": false, "192.0.2.2": false });
  const got = Array.from({ length: 40 }, () => addresses(fallback.ask(query("any.example", "A")))[0]);
  equal(got.filter((address) => address === "192.0.2.1").length, 30, "so does the static fallback");
});

Deno.test("last-healthy answers as many as maxAnswers says", () => {
  for (const [maxAnswers, expected] of [[0, 3], [1, 1], [2, 2]] as const) {
    const world = poolOf(PLAIN, { onAllDown: "last-healthy", maxAnswers });
    world.health({ "192.0.2.1": false, "192.0.2.2": false, "192.0.2.3": false });
    equal(ask(world).length, expected, `maxAnswers ${maxAnswers}`);
  }
});

Deno.test("latency: equals are those within 10 % or one millisecond of the fastest, no more", () => {
  for (
    const [others, expected] of [
      [[2_000, 2_001], ["1", "2", "1"]],
      [[2_500, 6_000], ["1", "1", "1"]],
      [[1_999, 1_100], ["1", "3", "2"]],
    ] as const
  ) {
    const world = poolOf(PLAIN, { algorithm: "latency" });
    world.roundTrips({ "192.0.2.1": 1_000, "192.0.2.2": others[0], "192.0.2.3": others[1] });
    deepEqual(firsts(world, 3), expected, `1,000 µs against ${others}`);
  }
  const slow = poolOf(PLAIN, { algorithm: "latency" });
  slow.roundTrips({ "192.0.2.1": 50_000, "192.0.2.2": 55_000, "192.0.2.3": 55_001 });
  deepEqual(firsts(slow, 3), ["1", "2", "1"]);
});

Deno.test("an address that stands twice in a pool is answered once, and another takes the slot", () => {
  const members = [
    { ipAddress: "192.0.2.1", port: 80 },
    { ipAddress: "192.0.2.1", port: 81 },
    { ipAddress: "192.0.2.2", port: 80 },
    { ipAddress: "192.0.2.3", port: 80 },
  ];
  for (const algorithm of ALGORITHMS) {
    const all = poolOf(members, { algorithm, healthCheck: null });
    deepEqual(ask(all, { ecs: "10.9.0.0/24" }).toSorted(), ["1", "2", "3"], algorithm);
    for (let i = 0; i < 8; i++) {
      const two = poolOf(members, { algorithm, maxAnswers: 2, healthCheck: null });
      const got = ask(two, { ecs: `10.9.${i}.0/24` });
      equal(new Set(got).size, 2, `${algorithm}: ${got}`);
    }
  }
  const turns = firsts(poolOf(members, { maxAnswers: 1, healthCheck: null }), 400);
  equal(turns.filter((last) => last === "1").length, 200, "the turns of both members are the address's");
});

Deno.test("equals behind the head take turns, each time the head has been through", () => {
  const rule = { geoRules: [{ cidr: "10.9.0.0/16", member: 0 }], maxAnswers: 2 };
  const world = poolOf(PLAIN, rule);
  const got = () => ask(world, { ecs: "10.9.1.0/24" }).join(" ");
  deepEqual([got(), got(), got()], ["1 2", "1 3", "1 2"]);
  const sites = [SITES[0]!, { ...SITES[1]!, ipAddress: "192.0.2.4" }, SITES[1]!, SITES[2]!];
  const near = poolOf(sites, { algorithm: "geoip" });
  const order = () => ask(near, { ecs: "10.1.0.0/24" }).join(" ");
  deepEqual([order(), order()], ["1 3 4 2", "1 3 2 4"], "order by distance stays");
});

Deno.test("behind a rule under failover comes the best tier that is up, and none below it", () => {
  const tiers = PLAIN.map((ipAddress, i) => ({ ipAddress, priority: i + 1 }));
  const world = poolOf(tiers, { algorithm: "failover", geoRules: [{ cidr: "10.9.0.0/16", member: 2 }] });
  deepEqual(ask(world, { ecs: "10.9.1.0/24" }), ["3", "1"]);
  world.health({ "192.0.2.1": false });
  deepEqual(ask(world, { ecs: "10.9.1.0/24" }), ["3", "2"]);
});

Deno.test("a chain of pools ends with the first that has a member up, never with dead ones", () => {
  const spare = ["198.51.100.8", "198.51.100.9"];
  for (const onAllDown of ["all", "none", "last-healthy"] as const) {
    const world = new World({
      pools: [
        {
          name: "web",
          members: PLAIN,
          minHealthy: 2,
          onAllDown: "fallback",
          fallbackPoolId: "spare",
          maxAnswers: 0,
        },
        { name: "spare", members: spare, minHealthy: 2, onAllDown, maxAnswers: 0 },
      ],
      services: { "www.example": "web" },
    });
    world.health({ "192.0.2.1": false, "192.0.2.2": false, "198.51.100.8": false });
    deepEqual(ask(world), ["3"], onAllDown);
    world.health({ "192.0.2.3": false });
    deepEqual(ask(world), ["9"], onAllDown);
    world.health({ "198.51.100.9": false });
    equal(ask(world).length, onAllDown === "none" ? 0 : 2, onAllDown);
  }
});

Deno.test("the scope is as wide as the decision, and 0 where nothing varies", () => {
  const scope = (world: World, ecs: string) => {
    const option = / 8:0001(..)(..)/.exec(show(world.ask(query("www.example", "A", { ecs }))))!;
    return { source: Number.parseInt(option[1]!, 16), scope: Number.parseInt(option[2]!, 16) };
  };
  const near = poolOf(SITES, { algorithm: "geoip", maxAnswers: 1 });
  deepEqual(scope(near, "10.2.3.0/24"), { source: 24, scope: 16 });
  deepEqual(scope(near, "10.2.0.0/15"), { source: 15, scope: 16 }, "may be longer than the source");
  deepEqual(scope(near, "0.0.0.0/0"), { source: 0, scope: 0 }, "asked not to look");
  deepEqual(scope(poolOf(PLAIN), "10.2.3.0/24"), { source: 24, scope: 0 });
  const mapped = poolOf(PLAIN, { algorithm: "map-file", maxAnswers: 1 });
  deepEqual(scope(mapped, "10.2.3.0/24"), { source: 24, scope: 21 }, "10.2.9.0/24 is another matter");
  const alone = poolOf([SITES[0]!], { algorithm: "geoip" });
  deepEqual(scope(alone, "10.2.3.0/24"), { source: 24, scope: 0 });
  const deaf = poolOf(SITES, { algorithm: "geoip", maxAnswers: 1 }, { ecs: false });
  deepEqual(scope(deaf, "10.2.3.0/24"), { source: 24, scope: 0 }, "the service doesn't look at it");
});

Deno.test("geoip: where those that are up stand at one place the scope is 0, however many places clients have", () => {
  const networks = Array.from({ length: 2_000 }, (_, i): [string, MmdbValue] => [
    `10.${i >> 8}.${i & 255}.0/24`,
    flatRecord({ latitude: i % 90, longitude: i % 180 }),
  ]);
  const geoData = { ...GEO_DATA, edition: 2, city: [shared(writeMmdb({ networks }))] };
  const scopes = (members: Fields["members"], fields: Fields, down: readonly string[]) => {
    const world = new World({
      pools: [{ name: "web", algorithm: "geoip", ...fields, members: members! }],
      services: { "www.example": "web" },
      geoData,
    });
    world.health(Object.fromEntries(down.map((address) => [address, false])));
    const scopeOf = (ecs: string) => {
      const text = show(world.ask(query("www.example", "A", { ecs })));
      return Number.parseInt(/ 8:0001..(..)/.exec(text)![1]!, 16);
    };
    return ["10.3.7.0/24", "10.1.200.0/24", "192.0.2.0/24"].map(scopeOf);
  };
  const [frankfurt, singapore] = SITES;
  const both = [frankfurt!, { ipAddress: "192.0.2.4", ...FRANKFURT }, singapore!];
  const isNone = (scopes: readonly number[]) => scopes.every((scope) => scope === 0);
  ok(isNone(scopes(both, {}, ["192.0.2.2"])));
  ok(isNone(scopes(PLAIN, {}, [])), "no place is known");
  ok(!isNone(scopes(both, {}, [])));
  for (const elsewhere of [{ latitude: -50.1 }, { longitude: -8.7 }]) {
    const members = [frankfurt!, { ...both[1]!, ...elsewhere }];
    ok(!isNone(scopes(members, { maxAnswers: 1 }, [])), JSON.stringify(elsewhere));
  }
  ok(!isNone(scopes([...both, "192.0.2.3"], {}, ["192.0.2.2"])), "one whose place is unknown comes last");
  ok(!isNone(scopes(both, { geofence: true }, ["192.0.2.2"])), "a fence is for those whose place is known");
});

Deno.test("a pool with fewer healthy members than minHealthy counts as down", () => {
  const spare = { name: "spare", members: ["198.51.100.9"], maxAnswers: 0 };
  const worldOf = (minHealthy: number | string) =>
    new World({
      pools: [
        {
          name: "web",
          maxAnswers: 0,
          minHealthy,
          onAllDown: "fallback",
          fallbackPoolId: "spare",
          members: PLAIN,
        },
        spare,
      ],
      services: { "www.example": "web" },
    });
  for (const minHealthy of [2, "50%"]) {
    const world = worldOf(minHealthy);
    world.health({ "192.0.2.1": false });
    deepEqual(ask(world).toSorted(), ["2", "3"], "two of three are enough");
    world.health({ "192.0.2.2": false });
    deepEqual(ask(world), ["9"]);
    world.health({ "198.51.100.9": false });
    deepEqual(ask(world), ["3"], "the first pool of the chain that has a member up");
    world.health({ "192.0.2.3": false });
    deepEqual(ask(world), ["9"], "with none up anywhere the last pool's own onAllDown counts");
  }
  const last = poolOf(PLAIN, { minHealthy: 2, onAllDown: "last-healthy" });
  last.health({ "192.0.2.1": false, "192.0.2.2": false });
  deepEqual(ask(last), ["3"], "few are better than those that are down");
});

Deno.test("the TTL ends with the next planned change, and not below the service's least", () => {
  const ttl = (world: World) => Number(/ (\d+) A /.exec(show(world.ask(query("www.example", "A"))))![1]);
  const world = poolOf(PLAIN, { changesAt: 1_000_100_000 }, { ttl: 60, minTtl: 5 });
  for (
    const [now, expected] of [
      [1_000_000, 60],
      [1_000_080, 20],
      [1_000_080.001, 19],
      [1_000_081, 19],
      [1_000_097, 5],
      [1_000_200, 5],
    ] as const
  ) {
    world.nowMs = now * 1000;
    equal(ttl(world), expected, `at ${now}`);
  }
  equal(ttl(poolOf(PLAIN, {}, { ttl: 60, minTtl: 5 })), 60);
});

Deno.test("a draining member has as much less as its share", () => {
  const drained = { share: 0.25, left: 0.25 };
  for (const algorithm of ["round-robin", "weighted-round-robin"] as const) {
    const world = poolOf([{ ipAddress: "192.0.2.1", ...drained }, "192.0.2.2"], { algorithm, maxAnswers: 1 });
    equal(firsts(world, 500).filter((last) => last === "1").length, 100, algorithm);
  }
});

Deno.test("a drain moves clients bit by bit to whom the algorithm would choose next", () => {
  const drained = { share: 0.25, left: 0.25 };
  const nearest = SITES.map((site, i) => i === 0 ? { ...site, ...drained } : site);
  const tiers = [{ ipAddress: "192.0.2.1", priority: 1, ...drained }, {
    ipAddress: "192.0.2.3",
    priority: 2,
  }];
  const mapped = [...PLAIN.slice(0, 1), { ipAddress: "192.0.2.2", ...drained }];
  for (
    const [algorithm, members, from, to] of [
      ["geoip", nearest, "1", "3"],
      ["failover", tiers, "1", "3"],
      ["map-file", mapped, "2", "1"],
    ] as const
  ) {
    const world = poolOf(members, { algorithm, maxAnswers: 1 });
    const seen = firsts(world, 1000, "10.1.0.0/24");
    const share = (last: string) => seen.filter((each) => each === last).length / 1000;
    ok(Math.abs(share(from) - 0.25) < 0.01, `${algorithm}: ${share(from)} stay`);
    ok(Math.abs(share(to) - 0.75) < 0.01, `${algorithm}: ${share(to)} have gone`);
  }
  for (const algorithm of ALGORITHMS) {
    const alone = poolOf([{ ...SITES[0]!, ...drained }], { algorithm });
    deepEqual(firsts(alone, 3, "10.1.0.0/24"), ["1", "1", "1"], `${algorithm}: there is nobody to go to`);
  }
});

Deno.test("who goes past a member that drains goes to one that is up, through changes of health", () => {
  const world = poolOf([{ ...SITES[0]!, share: 0.25, left: 0.25 }, ...SITES.slice(1)], {
    ...{ algorithm: "geoip", maxAnswers: 1 },
  });
  deepEqual(new Set(firsts(world, 40, "10.1.0.0/24")), new Set(["1", "3"]));
  world.health({ "192.0.2.3": false });
  deepEqual(new Set(firsts(world, 40, "10.1.0.0/24")), new Set(["1", "2"]));
  world.health({ "192.0.2.2": false });
  deepEqual(new Set(firsts(world, 40, "10.1.0.0/24")), new Set(["1"]));
  world.health({ "192.0.2.3": true });
  deepEqual(new Set(firsts(world, 40, "10.1.0.0/24")), new Set(["1", "3"]));
});

Deno.test("docs/choosing.md has a row for every algorithm", () => {
  const page = Deno.readTextFileSync(new URL("../../docs/choosing.md", import.meta.url));
  const rows = [...page.matchAll(/^\| `([\w-]+)` +\|(.+)\|$/gm)];
  for (const algorithm of ALGORITHMS) {
    const row = rows.find(([, name]) => name === algorithm);
    equal(row?.[2]?.split("|").length, 5, `${algorithm}: order, family, unhealthy, empty, ties`);
  }
});
