/**
 * Random models for the proof of steering: plain data that the oracle reads, and from which the product is declared.
 *
 * @module
 */
import { formatIp } from "../../../src/ip.ts";

/** What the docs name. */
export const ALGORITHM_NAMES = [
  "round-robin",
  "weighted-round-robin",
  "failover",
  "latency",
  "geoip",
  "map-file",
  "hash",
] as const;

/** A member, and how it is. */
export interface ModelMember {
  readonly ip: string;
  readonly port: number;
  readonly weight: number;
  readonly priority: number;
  readonly enabled: boolean;
  readonly place: readonly [latitude: number, longitude: number] | null;
  readonly isHealthy: boolean;
  /** When it went down, milliseconds; only of those that aren't healthy. */
  readonly downAtMs: number;
  /** 0 = not measured. */
  readonly rttUs: number;
  /** Milliseconds from now. */
  readonly override: {
    readonly state: "up" | "down";
    readonly beginsInMs: number;
    readonly endsInMs: number;
  } | null;
}

/** A geo rule; exactly one of the keys is there. */
export interface ModelRule {
  readonly cidr?: string;
  readonly asn?: number;
  readonly country?: string;
  readonly continent?: string;
  /** Index of the member. */
  readonly member: number;
}

/** A pool. */
export interface ModelPool {
  readonly algorithm: (typeof ALGORITHM_NAMES)[number];
  readonly maxAnswers: number;
  readonly minHealthy: number | string;
  readonly onAllDown: "all" | "none" | "last-healthy" | "fallback";
  /** Index of the pool. */
  readonly fallback: number | null;
  readonly geofence: boolean;
  readonly isChecked: boolean;
  readonly intervalMs: number;
  readonly members: readonly ModelMember[];
  readonly rules: readonly ModelRule[];
}

/** What a database says of a prefix. */
export interface Network {
  readonly prefix: string;
  readonly country: string | undefined;
  readonly continent: string | undefined;
  readonly asn: number | undefined;
  readonly latitude: number | undefined;
  readonly longitude: number | undefined;
}

/** What is known of clients. */
export interface Knowledge {
  readonly networks: readonly Network[];
  readonly lines: readonly { readonly prefix: string; readonly to: readonly string[] }[];
}

/** A whole model; the service asks the first pool. */
export interface Model {
  readonly pools: readonly ModelPool[];
  readonly ttl: number;
  readonly minTtl: number;
  readonly ecs: boolean;
}

/** Who asks for what. */
export interface Question {
  readonly type: "A" | "AAAA";
  readonly client: string;
  readonly ecs: string | null;
}

const COUNTRIES = { DE: "EU", FR: "EU", US: "NA", BR: "SA", JP: "AS" } as const;
const COUNTRY_NAMES = Object.keys(COUNTRIES) as (keyof typeof COUNTRIES)[];
const PLACES = [[50.1, 8.7], [40.7, -74], [1.35, 103.8], [-23.5, -46.6]] as const;

/** A seeded generator (mulberry32): the same seed gives the same model. */
export class Random {
  #state: number;

  /** @param seed any number */
  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1) | 0;
  }

  /** 0 to n − 1. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return Math.floor(((t ^ t >>> 14) >>> 0) / 2 ** 32 * n);
  }

  /** One of them. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** True once in n. */
  isOneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** So many. */
  times<T>(count: number, make: (i: number) => T): T[] {
    return Array.from({ length: count }, (_, i) => make(i));
  }

  /** A prefix of a length between two. */
  prefix(family: 4 | 6, least: number, most: number): string {
    const bytes = new Uint8Array(family === 4 ? 4 : 16).map(() => this.below(256));
    // Few first bytes, so that prefixes of different origin meet.
    bytes[0] = this.below(4) * 64;
    const bits = least + this.below(most - least + 1);
    for (let bit = bits; bit < bytes.length * 8; bit++) bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
    return `${formatIp(bytes)}/${bits}`;
  }
}

/** What is known of clients, of a seed. */
export function knowledgeOf(seed: number): Knowledge {
  const random = new Random(seed + 1_000_000);
  const networks = new Map(random.times(5 + random.below(60), () => {
    const family = random.pick([4, 4, 6] as const);
    const country = random.isOneIn(6) ? undefined : random.pick(COUNTRY_NAMES);
    const isPlaced = !random.isOneIn(6);
    const network: Network = {
      prefix: random.prefix(family, 1, family === 4 ? 26 : 48),
      country,
      continent: country && COUNTRIES[country],
      asn: random.isOneIn(3) ? undefined : 64_500 + random.below(3),
      latitude: isPlaced ? random.below(170) - 85 : undefined,
      longitude: isPlaced ? random.below(360) - 180 : undefined,
    };
    return [network.prefix, network];
  }));
  const lines = new Map(random.times(random.below(16), () => {
    const to = new Set(random.times(1 + random.below(3), () => addressOf(random, random.below(3))));
    return [random.prefix(random.pick([4, 4, 6]), 0, 24), [...to]];
  }));
  return {
    networks: [...networks.values()],
    lines: [...lines].map(([prefix, to]) => ({ prefix, to })),
  };
}

/** Addresses of different pools differ, those of one pool often don't. */
function addressOf(random: Random, pool: number): string {
  const last = 1 + random.below(7);
  return random.isOneIn(3) ? `2001:db8:${pool + 1}::${last}` : `192.0.${pool + 2}.${last}`;
}

/** The model of a seed. */
export function modelOf(seed: number): Model {
  const random = new Random(seed);
  const count = random.pick([1, 1, 2, 3]);
  const ttl = random.pick([0, 5, 30, 3600]);
  return {
    pools: random.times(count, (i) => poolOf(random, i, i + 1 < count ? i + 1 : null)),
    ttl,
    minTtl: random.isOneIn(3) ? Math.min(ttl, 7) : 0,
    ecs: !random.isOneIn(8),
  };
}

function poolOf(random: Random, index: number, next: number | null): ModelPool {
  const sick = random.pick([0, 0, 1, 2, 3, 4]);
  const intervalMs = random.pick([250, 2_000]);
  const isChecked = !random.isOneIn(8);
  const members = new Map(random.times(random.pick([0, 1, 2, 3, 4, 6, 12]), () => {
    const isHealthy = !isChecked || random.below(4) >= sick;
    const member: ModelMember = {
      ip: addressOf(random, index),
      port: 80 + random.below(2),
      weight: random.pick([1, 1, 1, 2, 5]),
      priority: random.below(4),
      enabled: !random.isOneIn(6),
      place: random.pick([...PLACES, null]),
      isHealthy,
      downAtMs: isHealthy ? 0 : 10_000 + random.pick([0, 1, intervalMs, intervalMs + 1, 3 * intervalMs]),
      rttUs: random.isOneIn(4) ? 0 : random.pick([1_000, 1_900, 2_001, 20_000, 21_900, 22_100]),
      override: random.isOneIn(6)
        ? {
          state: random.pick(["up", "down"]),
          beginsInMs: random.pick([-60_000, -1, 1_500, 40_000]),
          endsInMs: random.pick([60_000, 50_001, 7_999]) + 40_000,
        }
        : null,
    };
    return [`${member.ip} ${member.port}`, member];
  }));
  const all = [...members.values()];
  const rules = all.length === 0 ? [] : random.times(random.pick([0, 0, 1, 3, 5]), (): ModelRule => {
    const country = random.pick(COUNTRY_NAMES);
    const match = random.pick([
      { cidr: random.prefix(random.pick([4, 4, 6]), 0, 20) },
      { country },
      { continent: COUNTRIES[country] },
      { asn: 64_500 + random.below(3) },
    ]);
    return { ...match, member: random.below(all.length) };
  });
  return {
    algorithm: random.pick(ALGORITHM_NAMES),
    maxAnswers: random.below(5),
    minHealthy: random.pick([0, 0, 0, 1, 2, 3, "50%", "100%"]),
    onAllDown: next !== null && !random.isOneIn(3)
      ? "fallback"
      : random.pick(["all", "none", "last-healthy"]),
    fallback: next,
    geofence: random.isOneIn(2),
    isChecked,
    intervalMs,
    members: all,
    rules,
  };
}

/** A random question. */
export function questionOf(random: Random, knowledge: Knowledge): Question {
  const family = random.pick([4, 4, 6] as const);
  const bits = family === 4 ? 32 : 128;
  const near = knowledge.networks.length > 0 && random.isOneIn(2)
    ? random.pick(knowledge.networks).prefix
    : random.prefix(family, 8, 24);
  const isV4 = !near.includes(":");
  return {
    type: random.pick(["A", "A", "AAAA"]),
    client: random.prefix(family, bits, bits).split("/")[0]!,
    ecs: random.pick([
      null,
      near,
      random.prefix(family, 0, family === 4 ? 32 : 56),
      `${near.split("/")[0]}/${isV4 ? 32 : 128}`,
    ]),
  };
}
