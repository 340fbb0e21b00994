/**
 * Random states of a node: pools of every algorithm with members, rules, fences and fallbacks, overrides of every kind,
 * zones, geo data, health, round trips and turns. The same seed gives the same state.
 *
 * @module
 */
import { workOutExtents } from "../../src/geo/extents.ts";
import { compileMapFile } from "../../src/geo/map_file_table.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import {
  ALGORITHMS,
  type Fallback,
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  type Member,
  MEMBER_DEFAULTS,
  ON_ALL_DOWN,
  type Pool,
  POOL_DEFAULTS,
  type Service,
  SERVICE_DEFAULTS,
} from "../../src/model/model.ts";
import { type Override, OVERRIDE_STATES } from "../../src/model/override.ts";
import type { Engine } from "../../src/dns/engine.ts";
import type { Explainer } from "../../src/explain/explainer.ts";
import { type Asked, UDP_SIZE_DEFAULT } from "../../src/explain/explanation.ts";
import { formatIp, parseIp, parsePrefix } from "../../src/ip.ts";
import type { GeoData } from "../../src/geo/geo_data.ts";
import { LiveBoard } from "../../src/snapshot/live.ts";
import type { Slots } from "../../src/snapshot/slots.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { parseZoneFile } from "../../src/wire/zone_file.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { NOW_MS, worldOf } from "./world.ts";

/** A state that can be asked and explained. */
export interface RandomState {
  /** The production engine, in a lane of its own. */
  readonly engine: Engine;
  readonly explainer: Explainer;
  readonly board: LiveBoard;
  readonly pools: readonly Pool[];
  /** A random question. */
  question(): Asked;
}

const COUNTRIES = ["DE", "FR", "US", "BR", "JP"] as const;
const CONTINENTS = { DE: "EU", FR: "EU", US: "NA", BR: "SA", JP: "AS" } as const;
const PLACES = [[50.1, 8.7], [40.7, -74], [1.35, 103.8], [-23.5, -46.6]] as const;
const REGIONS = ["", "fra", "nyc"] as const;
/** What names stand for, one with an address that members have, too. */
const NAMED = [[], ["203.0.113.1"], ["203.0.113.2", "203.0.113.3", "2001:db8:a::1"], [
  "192.0.2.1",
  "203.0.113.4",
]];
const ZONE = `
@ NS ns1
ns1 A 192.0.2.250
static A 192.0.2.251
static TXT "hello"
alias CNAME one
far CNAME www.example.org.
loop CNAME loop
*.wild TXT "wild"
child NS ns.child
ns.child A 192.0.2.252
`;
const NAMES = [
  "one.example.com",
  "two.example.com",
  "none.example.com",
  "a.star.example.com",
  "a.wild.example.com",
  "static.example.com",
  "alias.example.com",
  "far.example.com",
  "loop.example.com",
  "x.child.example.com",
  "nowhere.example.com",
  "example.com",
  "www.example.net",
  "www.example.org",
] as const;
const TYPES = [
  TYPE.A,
  TYPE.A,
  TYPE.A,
  TYPE.A,
  TYPE.A,
  TYPE.AAAA,
  TYPE.AAAA,
  TYPE.TXT,
  TYPE.NS,
  TYPE.CNAME,
  TYPE.ANY,
  TYPE.DS,
] as const;
const RECORDS = parseZoneFile(ZONE, { origin: "example.com", defaultTtl: 300 }).records;

/** Makes states one after the other; their memory is used again, so only the last one holds. */
export class RandomStates {
  readonly #board = LiveBoard.create({ healthSlots: 1, ticketSlots: 1 });
  readonly #geoDatas = new Map<number, GeoData>();
  #epoch = 0;

  /** The state of a seed. */
  of(seed: number): RandomState {
    const random = new Random(seed);
    const geoData = this.#geoDataOf(random.below(GEO_DATA_OF));
    const pools = poolsOf(random);
    const overrides = overridesOf(random, pools);
    const services = servicesOf(random, pools);
    const fallback = random.isOneIn(3) ? fallbackOf(random) : null;
    const ecs = {
      enabled: !random.isOneIn(8),
      trusted: random.isOneIn(6) ? [parsePrefix("192.0.2.0/25")] : [],
    };
    const { engine, explainer, slots } = worldOf({
      pools,
      services,
      overrides,
      fallback,
      zones: [{ domain: "example.com", records: RECORDS }],
      geoData,
      engine: { ecs },
      addressesOf: (target) => NAMED[target.charCodeAt(2) % NAMED.length]!,
      board: this.#board,
      epoch: ++this.#epoch,
    });
    this.#shake(random, slots);
    return { engine, explainer, board: this.#board, pools, question: () => questionOf(random) };
  }

  #shake(random: Random, slots: Slots): void {
    const share = random.pick([0, 1, 2, 4]);
    const all = [...slots.each()].map(([, slot]) => slot);
    this.#board.setHealth(all.map((slot) => ({ slot, up: true })), 1_000);
    this.#board.downAt.fill(0, 0, slots.size);
    for (const slot of all) {
      if (share > 0 && random.below(4) < share) {
        this.#board.setHealth([{ slot, up: false }], 1_000 + random.below(5_000));
      }
    }
    this.#board.setRoundTrips(
      all.map((slot) => ({ slot, rttUs: random.isOneIn(4) ? 0 : random.below(50_000) })),
    );
    for (let i = 0; i < 64; i++) {
      this.#board.tickets[i] = random.isOneIn(9) ? 0xffffffff : random.below(1_000_000);
    }
  }

  #geoDataOf(index: number): GeoData {
    const known = this.#geoDatas.get(index);
    if (known) return known;
    const made = geoDataOf(new Random(index), index + 1);
    this.#geoDatas.set(index, made);
    return made;
  }
}

/** Different geo data: to write one costs more than all the rest. */
const GEO_DATA_OF = 40;

/** A seeded generator (mulberry32). */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1);
  }

  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return Math.floor(((t ^ t >>> 14) >>> 0) / 2 ** 32 * n);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  isOneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  times<T>(count: number, make: (i: number) => T): T[] {
    return Array.from({ length: count }, (_, i) => make(i));
  }

  prefix(family: 4 | 6, least: number, most: number): string {
    const bytes = new Uint8Array(family === 4 ? 4 : 16).map(() => this.below(256));
    const bits = least + this.below(most - least + 1);
    for (let bit = bits; bit < bytes.length * 8; bit++) bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
    return `${formatIp(bytes)}/${bits}`;
  }
}

function geoDataOf(random: Random, edition: number): GeoData {
  const city = ([4, 6] as const).map((family) => shared(databaseOf(random, family)));
  const lines = new Set(random.times(random.below(40), () => random.prefix(random.pick([4, 4, 6]), 0, 26)));
  const map = [...lines].map((prefix) =>
    `${prefix} 192.0.2.${1 + random.below(8)},2001:db8::${1 + random.below(8)}`
  );
  return {
    edition,
    city: random.isOneIn(6) ? [] : city,
    extents: city.map((file) => random.isOneIn(3) ? null : workOutExtents(new Mmdb(new Uint8Array(file)))),
    asn: random.isOneIn(3) ? [] : city,
    map: random.isOneIn(6) ? null : compileMapFile(map.join("\n")),
  };
}

function databaseOf(random: Random, family: 4 | 6): Uint8Array {
  const networks = new Map(random.times(1 + random.below(80), () => {
    const country = random.pick([...COUNTRIES, undefined]);
    const isPlaced = !random.isOneIn(8);
    return [
      random.prefix(family, 1, family === 4 ? 26 : 48),
      flatRecord({
        country,
        continent: country && CONTINENTS[country],
        asn: random.isOneIn(3) ? undefined : 64_500 + random.below(4),
        latitude: isPlaced ? random.below(170) - 85 : undefined,
        longitude: isPlaced ? random.below(360) - 180 : undefined,
      }),
    ];
  }));
  return writeMmdb({ ipVersion: family, networks: [...networks] });
}

function shared(bytes: Uint8Array): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

function poolsOf(random: Random): Pool[] {
  const count = 1 + random.below(4);
  return random.times(
    count,
    (i) => poolOf(random, i, i + 1 < count ? i + 1 + random.below(count - i - 1) : null),
  )
    .reverse();
}

const idOf = (kind: number, i: number) => (kind * 1_000_000 + i).toString(16).padStart(32, "0");

function poolOf(random: Random, i: number, fallsBackTo: number | null): Pool {
  const members = random.times(random.below(9), (m): Member => {
    const place = random.pick([...PLACES, null]);
    return {
      ...MEMBER_DEFAULTS,
      id: idOf(2, i * 100 + m),
      ...random.isOneIn(8)
        ? { ipAddress: null, target: `lb${m}.example.net` }
        : { ipAddress: random.isOneIn(3) ? `2001:db8::${1 + m}` : `192.0.2.${1 + m}` },
      port: 80 + random.below(2),
      weight: random.pick([1, 1, 1, 2, 5]),
      priority: random.below(4),
      enabled: !random.isOneIn(6),
      latitude: place && place[0],
      longitude: place && place[1],
      region: random.pick(REGIONS),
    };
  });
  return {
    ...POOL_DEFAULTS,
    id: idOf(1, i),
    name: `pool-${i}`,
    algorithm: random.pick(ALGORITHMS),
    maxAnswers: random.below(4),
    onAllDown: fallsBackTo !== null && random.isOneIn(2) ? "fallback" : random.pick(ON_ALL_DOWN.slice(0, 3)),
    fallbackPoolId: fallsBackTo === null ? null : idOf(1, fallsBackTo),
    minHealthy: random.pick([0, 0, 0, 1, 2, 3, "50%", "100%"]),
    geofence: random.isOneIn(5),
    members,
    healthCheck: random.isOneIn(8) ? null : checkOf(i),
    geoRules: members.length === 0 ? [] : random.times(random.pick([0, 0, 1, 4]), (r) => {
      const none = { cidr: null, country: null, continent: null, asn: null };
      const country = random.pick(COUNTRIES);
      const match = random.pick([
        { cidr: random.prefix(random.pick([4, 6]), 0, 24) },
        { country },
        { continent: CONTINENTS[country] },
        { asn: 64_500 + random.below(4) },
      ]);
      return { id: idOf(3, i * 100 + r), ...none, ...match, memberId: random.pick(members).id };
    }),
  };
}

/** Pools are checked each in its own way, so that one may be down where another isn't. */
function checkOf(i: number): HealthCheck {
  return { ...HEALTH_CHECK_DEFAULTS, port: 8000 + i };
}

function overridesOf(random: Random, pools: readonly Pool[]): Override[] {
  const members = pools.flatMap((pool) => pool.members);
  return random.times(random.pick([0, 0, 1, 3]), (i) => {
    const state = random.pick(OVERRIDE_STATES);
    const startsAt = NOW_MS + (random.below(5) - 3) * 10_000;
    const target = random.pick([
      `pool:${random.pick(pools).id}`,
      `region:${random.pick(["fra", "nyc"])}`,
      ...members.length === 0 ? [] : random.times(4, () => `member:${random.pick(members).id}`),
    ]);
    return {
      id: idOf(4, i),
      target,
      state,
      reason: "a random one",
      owner: "nobody",
      startsAt,
      expiresAt: startsAt + 1_000 + random.below(100) * 1_000,
      drainMs: state === "drain" ? random.below(60) * 1_000 : 0,
      createdAt: startsAt,
    };
  });
}

function servicesOf(random: Random, pools: readonly Pool[]): Service[] {
  const domains = [
    "one.example.com",
    "two.example.com",
    "*.star.example.com",
    "none.example.com",
    "www.example.net",
  ];
  return domains.map((domain, i) => {
    const ttl = random.pick([0, 5, 30, 3600]);
    return {
      ...SERVICE_DEFAULTS,
      id: idOf(5, i),
      domain,
      ttl,
      minTtl: random.isOneIn(3) ? Math.min(ttl, 7) : 0,
      ecs: !random.isOneIn(5),
      poolId: domain.startsWith("none") ? null : random.pick(pools).id,
    };
  });
}

function fallbackOf(random: Random): Fallback {
  const endpoints = ["198.51.100.1", "198.51.100.2", "2001:db8:f::1"].slice(0, 1 + random.below(3));
  return {
    algorithm: random.pick(ALGORITHMS),
    endpoints,
    weights: { "198.51.100.2": 1 + random.below(4) },
    onAllDown: random.pick(ON_ALL_DOWN.slice(0, 3)) as Fallback["onAllDown"],
    ttl: random.isOneIn(2) ? null : 7,
    healthCheck: random.isOneIn(3) ? null : checkOf(99),
  };
}

function questionOf(random: Random): Asked {
  const family = random.pick([4, 4, 6] as const);
  const client = parseIp(
    random.prefix(family, family === 4 ? 32 : 128, family === 4 ? 32 : 128).split("/")[0]!,
  )!;
  const ecsFamily = random.pick([4, 4, 6] as const);
  return {
    name: random.pick(NAMES),
    type: random.pick(TYPES),
    client: random.isOneIn(4) ? parseIp("192.0.2.53")! : client,
    ecs: random.isOneIn(2) ? null : parsePrefix(random.prefix(ecsFamily, 0, ecsFamily === 4 ? 32 : 64)),
    udpSize: random.pick([UDP_SIZE_DEFAULT, UDP_SIZE_DEFAULT, 512, 4096]),
  };
}
