/**
 * The most that one query can cost the engine: for each kind of model and client the queries that it has most work with,
 * each of them new to it. What counts is the median of such queries, since other programs make some of them slower; a
 * case that is above the bar is an error. What the first query for a pool takes, once that was changed, is beside it and has no
 * bar: it makes what all others find made.
 *
 * Named by `bench/engine.ts --worst`.
 *
 * @module
 */
import { compileMapFile } from "../../src/geo/map_file_table.ts";
import { EMPTY_GEO_DATA, type GeoData } from "../../src/geo/geo_data.ts";
import { GEO_RULES_MAX, MEMBERS_MAX } from "../../src/model/model_schema.ts";
import { flatRecord, writeMmdb } from "../../tests/geo/mmdb_writer.ts";
import { query } from "../../tests/dns/packets.ts";
import { type Declared, World } from "../../tests/dns/world.ts";
import { OpenGeoData } from "../../src/dns/clients.ts";
import { geoDatabase } from "../dns/workloads.ts";
import { geoDataOf } from "../dns/geo_database.ts";

/** No query may take longer, microseconds. */
const BAR_US = 50;
/** Queries of a case that are timed, … */
const QUERIES = 1_000;
/** … so often, of which the quickest series counts: other programs make whole series slower, … */
const SERIES = 3;
/** … and those that go before, so that code is compiled: after 1,000 it takes twice as long as after 5,000. */
const QUERIES_BEFORE = 4_000;

/** Queries that have much work in common. */
interface Case {
  readonly name: string;
  readonly world: Declared;
  /** The packet of each query. */
  readonly packet: (i: number) => Uint8Array;
  /** Over TCP: then 64 KiB may be answered. */
  readonly isStream?: boolean;
  /** Whether all that a map file says is known when the first query is timed; decisions by map file aren't made ahead. */
  readonly isWalked?: boolean;
  /** What happens before each query, not timed. */
  readonly before?: (world: World, i: number) => void;
}

/** Prints the table. */
export function benchWorst(): Promise<void> {
  const above: string[] = [];
  // Code is compiled before anything is timed.
  for (const each of cases()) timesOf(each);
  console.log(`${"worst case".padEnd(72)} ${"µs".padStart(7)} ${"p90".padStart(7)}`);
  for (const each of cases()) {
    const times = Array.from({ length: SERIES }, () => timesOf(each))
      .sort((a, b) => a[a.length >> 1]! - b[b.length >> 1]!)[0]!;
    const median = times[times.length >> 1]!;
    const slow = times[Math.floor(times.length * 0.9)]!;
    const note = median <= BAR_US ? "" : "  above the bar";
    if (median > BAR_US) above.push(each.name);
    console.log(
      `${each.name.padEnd(72)} ${median.toFixed(1).padStart(7)} ${slow.toFixed(1).padStart(7)}${note}`,
    );
  }
  printFirst();
  return above.length === 0
    ? Promise.resolve()
    : Promise.reject(new Error(`Queries take more than ${BAR_US} µs: ${above.join(", ")}`));
}

/** Pools that are asked for the first time, before all is forgotten and they are so again. */
const POOLS = 48;
/** Of each pool, half of which go before. */
const FIRST_QUERIES = 20;

/** Prints what the first query for a pool takes. */
function printFirst(): void {
  console.log(`${"first query for a pool".padEnd(72)} ${"µs".padStart(7)} ${"p90".padStart(7)}`);
  for (const [name, pool, geoData] of firstCases()) {
    const world = new World({
      pools: Array.from({ length: POOLS }, (_, i) => ({ name: `p${i}`, ...pool(i) })),
      services: Object.fromEntries(Array.from({ length: POOLS }, (_, i) => [`n${i}.example`, `p${i}`])),
      geoData,
    });
    const first = (i: number): Case => ({
      name,
      world: {},
      packet: () => query(`n${i % POOLS}.example`, "A", { ecs: `${1 + i % 220}.${i % 256}.0.0/24` }),
    });
    const times: number[] = [];
    for (let i = 0; i < POOLS * FIRST_QUERIES; i++) {
      if (i % POOLS === 0) world.engine.use(world.snapshot, world.board, new OpenGeoData(geoData));
      const took = timeOf(world, first(i), i);
      if (i >= POOLS * FIRST_QUERIES / 2) times.push(took);
    }
    times.sort((a, b) => a - b);
    const [median, slow] = [times[times.length >> 1]!, times[Math.floor(times.length * 0.9)]!];
    console.log(`${name.padEnd(72)} ${median.toFixed(1).padStart(7)} ${slow.toFixed(1).padStart(7)}`);
  }
}

/** Microseconds of each query, ascending. */
function timesOf(each: Case): number[] {
  const world = new World(each.world);
  const times: number[] = [];
  for (let i = 0; i < QUERIES_BEFORE + QUERIES; i++) {
    if (each.isWalked && i === QUERIES_BEFORE >> 1) { while (world.engine.makeAhead(() => false)); }
    const took = timeOf(world, each, i);
    if (i >= QUERIES_BEFORE) times.push(took);
  }
  return times.sort((a, b) => a - b);
}

const out = new Uint8Array(65_535);
const address = new Uint8Array([192, 0, 2, 53]);

/** Microseconds of a query. */
function timeOf(world: World, { packet, isStream = false, before }: Case, i: number): number {
  const bytes = packet(i);
  before?.(world, i);
  const client = { stream: isStream, address: () => address };
  const start = performance.now();
  const size = world.engine.answer(bytes, bytes.length, client, out, out.length);
  const took = (performance.now() - start) * 1000;
  if (size === 0) throw new Error("a question got no answer");
  return took;
}

const NAME = "www.example";

function addressOf(i: number): string {
  return `10.${i >> 16}.${i >> 8 & 255}.${i & 255}`;
}

/** A new /24 each time, anywhere. */
function fromV4(i: number, name = NAME): Uint8Array {
  const n = Math.imul(i + 1, 0x9e3779b1) >>> 0;
  return query(name, "A", { ecs: `${1 + (n >>> 24) % 220}.${n >>> 16 & 255}.${n >>> 8 & 255}.0/24` });
}

/** A new /56 each time. */
function fromV6(i: number): Uint8Array {
  const n = Math.imul(i + 1, 0x9e3779b1) >>> 0;
  return query(NAME, "A", {
    ecs: `2001:${(n >>> 16).toString(16)}:${(n & 0xffff).toString(16)}:${(i & 255).toString(16)}00::/56`,
  });
}

const plain = () => query(NAME, "A");

type Pool = NonNullable<Declared["pools"]>[number];

function one(pool: Omit<Pool, "name">, geoData?: GeoData): Declared {
  return { pools: [{ name: "web", ...pool }], services: { [NAME]: "web" }, ...(geoData ? { geoData } : {}) };
}

function members<T extends object>(count: number, more: (i: number) => T) {
  return Array.from({ length: count }, (_, i) => ({ ipAddress: addressOf(i), ...more(i) }));
}

/** Turns a member down and up again by turns: all states are known. */
function flap(world: World, i: number): void {
  world.health({ [addressOf(3)]: i % 2 === 1 });
}

/** Turns one of so many members, so that no state comes twice: as a Gray code counts. */
function turnAnew(count: number, from = 0): (world: World, i: number) => void {
  const isUp = new Array<boolean>(count).fill(true);
  return (world, i) => {
    // The number of zeros at the end of what is counted: of 20 members a million states differ.
    const bit = Math.min(31 - Math.clz32((i + 1) & -(i + 1)), count - 1);
    const member = (bit * 7 + 3) % count;
    isUp[member] = !isUp[member];
    world.health({ [addressOf(from + member)]: isUp[member]! });
  };
}

/** So many rules, nested as deep as they can be and beside each other. */
function cidrs(isIpv6: boolean): { readonly cidr: string; readonly member: number }[] {
  return Array.from({ length: GEO_RULES_MAX }, (_, i) => ({
    cidr: isIpv6
      ? `2001:db8:${(i * 7).toString(16)}::${i.toString(16)}/128`
      : `${1 + i % 220}.${i * 7 % 256}.${i * 13 % 256}.${i % 256}/32`,
    member: i % 2,
  }));
}

const COUNTRIES = ["DE", "US", "SG", "BR", "AU", "FR", "GB", "JP"];
const CONTINENTS = ["EU", "NA", "AS", "SA", "OC", "AF", "AN"];

/** 100,000 networks, each of another autonomous system. */
function networksGeoData(): GeoData {
  const bytes = writeMmdb({
    networks: Array.from({ length: 100_000 }, (_, i): [string, ReturnType<typeof flatRecord>] => [
      `${1 + (i >> 9)}.${i >> 1 & 255}.${(i & 1) * 128}.0/18`,
      flatRecord({ asn: 1 + i % 60_000 }),
    ]),
    databaseType: "Test-ASN",
  });
  const asn = new SharedArrayBuffer(bytes.length);
  new Uint8Array(asn).set(bytes);
  return { ...EMPTY_GEO_DATA, edition: 2, asn: [asn] };
}

function mapGeoData(): GeoData {
  const lines = Array.from(
    { length: 100_000 },
    (_, i) =>
      `${1 + (i >> 9)}.${i >> 1 & 255}.${(i & 1) * 128}.0/24 ${
        addressOf(i % 3 === 0 ? i % 8 : 1000 + i % 50)
      }\n`,
  );
  return { ...EMPTY_GEO_DATA, edition: 3, map: compileMapFile(lines.join("")) };
}

function place(i: number): { readonly latitude: number; readonly longitude: number } {
  return { latitude: (i * 37) % 160 - 80, longitude: (i * 101) % 340 - 170 };
}

/** Pools no two of which are alike, and what is known of clients. */
function* firstCases(): Generator<[name: string, pool: (i: number) => Omit<Pool, "name">, geoData: GeoData]> {
  const geo = geoDataOf(geoDatabase().bytes);
  const mapped = mapGeoData();
  const sites = (count: number, from: number) => members(count, (i) => place(from + i));
  const others = (count: number, from: number) =>
    members(count, (i) => (i < 4 ? {} : { ipAddress: addressOf(from * count + i) }));
  yield ["geoip, 5 sites", (i) => ({ algorithm: "geoip", members: sites(5, i) }), geo];
  yield [`geoip, ${MEMBERS_MAX} sites`, (i) => ({ algorithm: "geoip", members: sites(MEMBERS_MAX, i) }), geo];
  yield [
    `hash, ${MEMBERS_MAX} members`,
    (i) => ({ algorithm: "hash", members: others(MEMBERS_MAX, i) }),
    geo,
  ];
  for (const isIpv6 of [false, true]) {
    const rules = (from: number) =>
      cidrs(isIpv6).map((rule, i) => ({ ...rule, member: (from + i) % MEMBERS_MAX }));
    yield [
      `${MEMBERS_MAX} members, ${GEO_RULES_MAX} rules for ${isIpv6 ? "IPv6" : "IPv4"} prefixes`,
      (i) => ({ members: members(MEMBERS_MAX, () => ({})), geoRules: rules(i) }),
      EMPTY_GEO_DATA,
    ];
  }
  for (const count of [8, MEMBERS_MAX]) {
    yield [
      `map-file of 100,000 lines, ${count} members`,
      (i) => ({ algorithm: "map-file", members: others(count, i) }),
      mapped,
    ];
  }
}

function* cases(): Generator<Case> {
  const geo = geoDataOf(geoDatabase().bytes);
  const most = MEMBERS_MAX;
  const pairOf = (
    weight: number,
  ) => [{ ipAddress: addressOf(0), weight }, { ipAddress: addressOf(1), weight: 1 }];
  const uneven = members(most, (i) => ({ weight: 1 + i * 61 % 65_535 }));
  yield {
    name: "hash, weights 65535 and 1, new /56",
    world: one({ algorithm: "hash", members: pairOf(65_535) }),
    packet: fromV6,
  };
  yield {
    name: "hash, weights 65535 and 1, new /24",
    world: one({ algorithm: "hash", members: pairOf(65_535) }),
    packet: fromV4,
  };
  yield {
    name: `hash, ${most} members, new /56`,
    world: one({ algorithm: "hash", members: uneven }),
    packet: fromV6,
  };
  yield {
    name: `hash, ${most} members, all answered over TCP, new /56`,
    world: one({ algorithm: "hash", maxAnswers: 0, members: uneven }),
    packet: fromV6,
    isStream: true,
  };
  yield {
    name: `hash, ${most} members, in a state of health that never was`,
    world: one({ algorithm: "hash", members: uneven }),
    packet: fromV6,
    before: turnAnew(most),
  };
  yield {
    name: `weighted-round-robin, ${most} members, in a state of health that never was`,
    world: one({ algorithm: "weighted-round-robin", members: uneven }),
    packet: plain,
    before: turnAnew(most),
  };
  yield {
    name: `weighted-round-robin, 20 members, in a state of health that never was`,
    world: one({ algorithm: "weighted-round-robin", members: uneven.slice(0, 20) }),
    packet: plain,
    before: turnAnew(20),
  };
  yield {
    name: `round-robin, ${most} members, all answered over TCP, in a state of health that never was`,
    world: one({ maxAnswers: 0, members: members(most, () => ({})) }),
    packet: plain,
    isStream: true,
    before: turnAnew(most),
  };
  yield {
    name: `failover, ${most} tiers, after a change of health`,
    world: one({ algorithm: "failover", members: members(most, (i) => ({ priority: 1 + i })) }),
    packet: plain,
    before: (world, i) => world.health({ [addressOf(0)]: i % 2 === 1 }),
  };
  yield {
    name: `failover, ${most} tiers, 1000 rules, in a state of health that never was`,
    world: one({
      algorithm: "failover",
      members: members(most, (i) => ({ priority: 1 + i })),
      geoRules: cidrs(false).map((rule, i) => ({ ...rule, member: i % most })),
    }),
    packet: fromV4,
    before: turnAnew(most),
  };
  for (const algorithm of ["failover", "round-robin"] as const) {
    yield {
      name:
        `${algorithm}, ${most} members, all answered over TCP, 64 rules to the first, in a state of health that never was`,
      world: one({
        ...{ algorithm, maxAnswers: 0, members: members(most, (i) => ({ priority: 1 + i })) },
        geoRules: cidrs(false).slice(0, 64).map((rule) => ({ ...rule, member: 0 })),
      }),
      packet: fromV4,
      isStream: true,
      before: turnAnew(most - 1, 1),
    };
  }
  yield {
    name: `latency, ${most} members, after a measurement`,
    world: one({ algorithm: "latency", members: members(most, () => ({})) }),
    packet: plain,
    before: (world, i) => world.roundTrips({ [addressOf(i % most)]: 1 + i * 997 }),
  };
  for (const maxAnswers of [1, 0]) {
    const pool = { algorithm: "geoip", maxAnswers, members: members(most, place) } as const;
    const what = `geoip, ${most} sites, ${maxAnswers === 1 ? "one answered" : "all answered over TCP"}`;
    yield {
      name: `${what}, new /24`,
      world: one(pool, geo),
      packet: fromV4,
      isStream: maxAnswers === 0,
    };
    yield {
      name: `${what}, after a change of health`,
      world: one(pool, geo),
      packet: fromV4,
      isStream: maxAnswers === 0,
      before: flap,
    };
    yield {
      name: `${what}, in a state of health that never was`,
      world: one(pool, geo),
      packet: fromV4,
      isStream: maxAnswers === 0,
      before: turnAnew(most),
    };
    const geoRules = cidrs(false);
    yield {
      name: `${what}, ${GEO_RULES_MAX} rules, in a state of health that never was`,
      world: one({ ...pool, geoRules }, geo),
      packet: fromV4,
      isStream: maxAnswers === 0,
      before: turnAnew(most),
    };
  }
  yield {
    name: `geoip with a geofence, ${most} sites, 1000 rules, in a state of health that never was`,
    world: one({
      ...{ algorithm: "geoip", geofence: true, members: members(most, place) },
      geoRules: cidrs(false).map((rule, i) => ({ ...rule, member: i % most })),
    }, geo),
    packet: fromV4,
    before: turnAnew(most),
  };
  yield {
    name: `hash, ${most} members, 1000 rules, all in a fence, in a state of health that never was`,
    world: one({
      ...{ algorithm: "hash", geofence: true, members: uneven },
      geoRules: members(GEO_RULES_MAX, (i) => ({ cidr: "0.0.0.0/0", member: i % most }))
        .map(({ cidr, member }) => ({ cidr, member })),
    }),
    packet: fromV4,
    before: turnAnew(most),
  };
  const five = members(5, (i) => place(i * 7));
  yield {
    name: "geoip, 5 sites, new /24",
    world: one({ algorithm: "geoip", members: five }, geo),
    packet: fromV4,
  };
  yield {
    name: "geoip, 5 sites, rules for 7 continents and 8 countries, new /24",
    world: one({
      algorithm: "geoip",
      members: five,
      geoRules: [
        ...COUNTRIES.map((country, i) => ({ country, member: i % 5 })),
        ...CONTINENTS.map((continent, i) => ({ continent, member: (i + 2) % 5 })),
      ],
    }, geo),
    packet: fromV4,
  };
  yield {
    name: "rules for every other country of a mixed world, new /24",
    world: one(
      { members: five, geoRules: [{ country: "DE", member: 0 }, { country: "BR", member: 1 }] },
      geo,
    ),
    packet: fromV4,
  };
  for (const isIpv6 of [false, true]) {
    const pool = { members: five, geoRules: cidrs(isIpv6) };
    yield {
      name: `${GEO_RULES_MAX} rules for ${isIpv6 ? "IPv6" : "IPv4"} prefixes, new client`,
      world: one(pool),
      packet: isIpv6 ? fromV6 : fromV4,
    };
    yield {
      name: `${GEO_RULES_MAX} rules for ${isIpv6 ? "IPv6" : "IPv4"} prefixes, after a change of health`,
      world: one(pool),
      packet: isIpv6 ? fromV6 : fromV4,
      before: flap,
    };
  }
  yield {
    name: `${GEO_RULES_MAX} rules for networks, 100,000 networks in the database, new /24`,
    world: one({
      members: five,
      geoRules: Array.from({ length: GEO_RULES_MAX }, (_, i) => ({ asn: 1 + i * 50, member: i % 5 })),
    }, networksGeoData()),
    packet: fromV4,
  };
  const mapped = mapGeoData();
  yield {
    name: "map-file of 100,000 lines, 8 members, new /24",
    world: one({ algorithm: "map-file", members: members(8, () => ({})) }, mapped),
    packet: fromV4,
    isWalked: true,
  };
  yield {
    name: "map-file of 100,000 lines, 8 members, after a change of health",
    world: one({ algorithm: "map-file", members: members(8, () => ({})) }, mapped),
    packet: fromV4,
    isWalked: true,
    before: flap,
  };
  for (const isWalked of [false, true]) {
    const until = isWalked ? "" : ", not walked over yet";
    yield {
      name: `map-file of 100,000 lines${until}, ${most} members, in a state of health that never was`,
      world: one({ algorithm: "map-file", members: members(most, () => ({})) }, mapped),
      packet: fromV4,
      isWalked,
      before: turnAnew(most),
    };
  }
  yield {
    name: `8 pools of ${most} members in a chain, the last one up, after a change of health`,
    world: {
      pools: Array.from({ length: 8 }, (_, i): Pool => ({
        name: `p${i}`,
        algorithm: "geoip",
        onAllDown: i < 7 ? "fallback" : "all",
        fallbackPoolId: i < 7 ? `p${i + 1}` : null,
        members: Array.from(
          { length: most },
          (_, j) => ({ ipAddress: addressOf(i * most + j), ...place(j) }),
        ),
      })),
      services: { [NAME]: "p0" },
      geoData: geo,
    },
    packet: fromV4,
    before: (world, i) => {
      if (i === 0) {
        world.health(Object.fromEntries(Array.from({ length: 7 * most }, (_, j) => [addressOf(j), false])));
      }
      world.health({ [addressOf(7 * most + 3)]: i % 2 === 1 });
    },
  };
  for (const algorithm of ["weighted-round-robin", "geoip"] as const) yield* chainCases(algorithm, geo);
  yield* staticCases();
}

/** Pools with too few up, one behind the other: by weight, or by place and each with a geofence. No two are alike. */
function* chainCases(algorithm: "weighted-round-robin" | "geoip", geo: GeoData): Generator<Case> {
  const most = MEMBERS_MAX;
  const geofence = algorithm === "geoip";
  const all = (from: number) =>
    members(most, (i) => (geofence ? place(from + i % 4) : { weight: 1 + (from + i) * 61 % 65_535 }));
  const few = { algorithm, geofence, minHealthy: "100%", onAllDown: "fallback" } as const;
  const chain = (name: string, from: number, last: Omit<Pool, "name">): Pool[] => [
    ...Array.from({ length: 7 }, (_, i): Pool => ({
      ...{ ...few, name: `${name}${i}`, fallbackPoolId: `${name}${i + 1}`, members: all(from + i) },
    })),
    { name: `${name}7`, ...last },
  ];
  const turn = turnAnew(most - 4);
  const before = (world: World, i: number) => {
    // Of each of the four places one is down for good, so that a fence has too few as well.
    if (i === 0) world.health(Object.fromEntries([252, 253, 254, 255].map((j) => [addressOf(j), false])));
    turn(world, i);
  };
  const name = `8 pools of ${most} members in a chain, ${geofence ? "each with a geofence" : "by weight"}`;
  const state = "all but the last with too few up, in a state of health that never was";
  yield {
    name: `${name}, ${state}`,
    world: {
      pools: chain("p", 0, { algorithm, members: all(7) }),
      services: { [NAME]: "p0" },
      geoData: geo,
    },
    packet: fromV4,
    before,
  };
  const services = Array.from({ length: 9 }, (_, i) => `n${i}`);
  yield {
    name: `9 services that are names of one another, each of ${name}, ${state}`,
    world: {
      zones: { "example": "$TTL 300\n@ SOA ns1 hostmaster 7 3600 600 604800 60\n@ NS ns1\n" },
      pools: services.flatMap((service, i) => {
        const name = { healthCheck: null, flatten: false, members: [{ target: `n${i + 1}.example` }] };
        return chain(service, i * 8, i < 8 ? name : { algorithm, members: all(71) });
      }),
      services: Object.fromEntries(services.map((service) => [`${service}.example`, `${service}0`])),
      geoData: geo,
    },
    packet: (i) => fromV4(i, "n0.example"),
    before,
  };
}

/** Names and records. */
function* staticCases(): Generator<Case> {
  const deep = Array.from({ length: 110 }, () => "a").join(".");
  const chain = Array.from({ length: 9 }, (_, i) => `${deep}.c${i}`);
  const texts = Array.from({ length: 240 }, (_, i) => `@ TXT "${`${i} `.padEnd(250, "x")}"`).join("\n");
  const servers = Array.from(
    { length: 300 },
    (_, i) => `sub NS ns${i}.sub\nns${i}.sub A 10.9.${i >> 8}.${i & 255}`,
  ).join("\n");
  const head = "$TTL 300\n@ SOA ns1 hostmaster 7 3600 600 604800 60\n@ NS ns1\n";
  const zone = (rest: string): Declared => ({ zones: { "example": head + rest } });
  yield {
    name: "a name of 112 labels that doesn't exist",
    world: zone(""),
    packet: (i) => query(`${deep}.x${i}.example`, "A"),
  };
  yield {
    name: "8 CNAMEs from one name of 112 labels to the next",
    world: zone(chain.slice(1).map((name, i) => `${chain[i]} CNAME ${name}`).join("\n")),
    packet: () => query(`${chain[0]}.example`, "A"),
    isStream: true,
  };
  yield {
    name: "60 KB of TXT over TCP",
    world: zone(texts),
    packet: () => query("example", "TXT"),
    isStream: true,
  };
  yield {
    name: "a referral to 300 servers with 300 addresses over TCP",
    world: zone(servers),
    packet: () => query("www.sub.example", "A"),
    isStream: true,
  };
}
