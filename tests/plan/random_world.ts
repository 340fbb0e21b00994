/**
 * Random states with everything that answers depend on, as they are declared to the real engine and to a forecast.
 *
 * @module
 */
import fc from "fast-check";
import { decodeMessage, encodeQuery } from "../../src/wire/message.ts";
import { ALGORITHMS } from "../../src/model/model.ts";
import { formatIp, parseIp } from "../../src/ip.ts";
import type { AddressType, FrozenHealth, World as Frozen } from "../../src/plan/forecast.ts";
import { ownLocation } from "../../src/snapshot/lists.ts";
import { EMPTY_GEO_DATA, type GeoData } from "../../src/geo/geo_data.ts";
import { type Declared, World } from "../dns/world.ts";
import { knowledgeOf, Random } from "../prove/steering/model.ts";
import { geoDataOf } from "../prove/steering/product.ts";
import { TYPE } from "../../src/wire/record_type.ts";

/** Names of members; the last three are ours, and the last one of them has no address. */
const TARGETS = ["t1.example.net", "t2.example.net", "static.example.com", "gone.example.com"];

/** Names that are asked for. */
export const NAMES: readonly string[] = [
  "www.example.com",
  "other.example.com",
  "any.wild.example.com",
  "static.example.com",
  "alias.example.com",
  "out.example.com",
  "below.moved.example.com",
  "host.sub.example.com",
  "gone.example.com",
  "poolless.example.com",
  "apex.example",
  "elsewhere.example.net",
];

const ZONE = `
static IN A 203.0.113.7
static IN A 203.0.113.8
alias IN CNAME www
out IN CNAME far.example.net.
moved IN DNAME wild.example.com.
sub IN NS ns.sub
ns.sub IN A 203.0.113.9
`;

/** What isn't there isn't declared. */
export interface State {
  readonly declared: Declared;
  /** By number of the health slot: whether it is out, since when, and its round trip. */
  readonly health: readonly {
    readonly isOut: boolean;
    readonly sinceMs: number;
    readonly rttUs: number;
  }[];
}

const members = (pool: number) => {
  const last = fc.integer({ min: 1, max: 5 });
  const identity = fc.oneof(
    { weight: 4, arbitrary: last.map((it) => ({ ipAddress: `192.0.${pool + 2}.${it}` })) },
    { weight: 2, arbitrary: last.map((it) => ({ ipAddress: `2001:db8:${pool + 1}::${it}` })) },
    { weight: 1, arbitrary: fc.constantFrom(...TARGETS).map((target) => ({ ipAddress: null, target })) },
  );
  return fc.uniqueArray(
    fc.record({
      identity,
      port: fc.constantFrom(80, 80, 81),
      weight: fc.constantFrom(1, 1, 2),
      priority: fc.integer({ min: 0, max: 2 }),
      enabled: fc.constantFrom(true, true, true, false),
      place: fc.constantFrom(
        { latitude: 50.1, longitude: 8.7 },
        { latitude: 40.7, longitude: -74 },
        { latitude: null, longitude: null },
      ),
      left: fc.constantFrom(1, 1, 1, 1, 1, 0.5, 0.25, 61 / 64),
    }).map(({ identity, place, left, ...member }) => ({
      ...identity,
      ...place,
      ...member,
      ...(left === 1 ? {} : { share: left, left }),
    })),
    {
      maxLength: 4,
      selector: ({ ipAddress, port, ...rest }) => `${ipAddress ?? JSON.stringify(rest)} ${port}`,
    },
  );
};

const match = fc.oneof(
  fc.constantFrom("DE", "US", "JP").map((country) => ({ country })),
  fc.constantFrom("EU", "NA", "SA").map((continent) => ({ continent })),
  fc.integer({ min: 64_500, max: 64_502 }).map((asn) => ({ asn })),
  fc.constantFrom("64.0.0.0/4", "128.0.0.0/2", "192.1.0.0/16", "8000::/2").map((cidr) => ({ cidr })),
);

const pool = (index: number, next: string | null) =>
  fc.record({
    algorithm: fc.constantFrom(...ALGORITHMS),
    maxAnswers: fc.integer({ min: 0, max: 3 }),
    minHealthy: fc.constantFrom<number | string>(0, 0, 0, 1, 2, "50%"),
    onAllDown: next === null
      ? fc.constantFrom("all" as const, "none" as const, "last-healthy" as const)
      : fc.constantFrom("fallback" as const, "fallback" as const, "last-healthy" as const),
    geofence: fc.boolean(),
    flatten: fc.constantFrom(true, true, false),
    members: members(index),
    rules: fc.array(fc.tuple(match, fc.nat()), { maxLength: 3 }),
  }).map(({ rules, ...fields }) => ({
    ...fields,
    name: `p${index}`,
    fallbackPoolId: next,
    geoRules: fields.members.length === 0
      ? []
      : rules.map(([match, member]) => ({ ...match, member: member % fields.members.length })),
  }));

const addresses = (pool: number) =>
  fc.subarray([
    `192.0.${pool + 2}.1`,
    "198.51.100.1",
    "198.51.100.2",
    `2001:db8:${pool + 1}::1`,
    "2001:db8::7",
  ]);

/** A whole state. */
export const anyState: fc.Arbitrary<State> = fc.record({
  pools: fc.tuple(pool(0, "p1"), pool(1, "p2"), pool(2, null)),
  t1: addresses(0),
  t2: addresses(1),
  fallback: fc.constantFrom(null, ["198.51.100.77", "2001:db8::77"]),
  health: fc.array(
    fc.record({
      isOut: fc.boolean(),
      sinceMs: fc.integer({ min: 0, max: 8 }).map((it) => it * 1_000),
      rttUs: fc.constantFrom(0, 1_000, 20_000),
    }),
    { minLength: 40, maxLength: 40 },
  ),
  isWell: fc.boolean(),
}).map(({ pools, t1, t2, fallback, health, isWell }): State => ({
  declared: {
    pools,
    names: { "t1.example.net": t1, "t2.example.net": t2, "static.example.com": ["203.0.113.7"] },
    services: {
      "www.example.com": "p0",
      "other.example.com": "p1",
      "*.wild.example.com": "p2",
      "apex.example": "p0",
      "poolless.example.com": null,
    },
    zones: { "example.com": ZONE },
    ...(fallback && { fallback: { endpoints: fallback } }),
  },
  health: isWell ? health.map((it) => ({ ...it, isOut: false })) : health,
}));

/** The geo data of a seed, and clients in them and elsewhere. */
export function geographyOf(
  seed: number,
): { readonly geoData: GeoData; readonly clients: readonly string[] } {
  const knowledge = knowledgeOf(seed);
  const random = new Random(seed);
  return {
    geoData: seed === 0 ? EMPTY_GEO_DATA : geoDataOf(knowledge, seed),
    clients: [
      ...random.times(2, () => random.pick(knowledge.networks).prefix.split("/")[0]!),
      random.prefix(4, 32, 32).split("/")[0]!,
      random.prefix(6, 128, 128).split("/")[0]!,
      "192.1.7.7",
    ],
  };
}

/** The real engine over a state, and what a forecast of the same is to know of the world. */
export function realOf({ declared, health }: State, geoData: GeoData): { real: World; frozen: Frozen } {
  const real = new World({ ...declared, geoData });
  const out = new Map<string, number>();
  const roundTripsUs = new Map<string, number>();
  for (const [key, slot] of real.healthSlots.each()) {
    const { isOut, sinceMs, rttUs } = health[slot % health.length]!;
    if (isOut) {
      out.set(key, sinceMs);
      real.board.setHealth([{ slot, up: false }], sinceMs);
    }
    roundTripsUs.set(key, rttUs);
  }
  real.board.setRoundTrips(
    [...real.tables!.measured].map(({ slot, key }) => ({ slot, rttUs: roundTripsUs.get(key)! })),
  );
  const known: FrozenHealth = { out, roundTripsUs };
  return { real, frozen: { health: known, geoData, locationOf: ownLocation } };
}

/** What real answers hold, counted over so many turns. */
export function countedOf(
  real: World,
  { name, type, client, turns }: {
    readonly name: string;
    readonly type: AddressType;
    readonly client: string;
    readonly turns: number;
  },
): { readonly shares: ReadonlyMap<string, number>; readonly all: ReadonlySet<string> } {
  const packet = encodeQuery({ id: 0, name, type });
  const counts = new Map<string, number>();
  const all = new Set<string>();
  const read = new Map<string, readonly string[]>();
  for (let turn = 0; turn < turns; turn++) {
    const answer = real.ask(packet, { client, stream: true, sizeMax: 4_096 })!;
    const key = answer.toBase64();
    const held = read.get(key) ?? heldBy(answer, type);
    read.set(key, held);
    if (held.length === 0) continue;
    counts.set(held[0]!, (counts.get(held[0]!) ?? 0) + 1);
    for (const it of held) all.add(it);
  }
  return { shares: new Map([...counts].map(([it, count]) => [it, count / turns])), all };
}

function heldBy(answer: Uint8Array, type: AddressType): readonly string[] {
  const { answers } = decodeMessage(answer);
  const targets = answers.filter((it) => it.type === TYPE.CNAME).map(({ data }) => data.replace(/\.$/, ""));
  const found = answers.filter((it) => it.type === type).map(({ data }) => formatIp(parseIp(data)!));
  const member = targets.find((target) => TARGETS.includes(target));
  const last = targets.at(-1);
  if (found.length === 0 && (last === undefined || last.endsWith(".example.com"))) return [];
  return member ? [member] : found.length > 0 ? found : [last!];
}
