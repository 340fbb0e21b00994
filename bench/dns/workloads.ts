/**
 * What the DNS benches ask and answer: one zone of names with two addresses each, told to every server in its own
 * language. Names and addresses follow from a number, so that nothing is kept, and every answer can be checked.
 *
 * @module
 */
import { seededRng } from "../../src/clock.ts";
import type { Desired, SteeredPool, SteeredService } from "../../src/desired/desired.ts";
import { steeredPool } from "../../src/desired/steered_pool.ts";
import { MEMBER_DEFAULTS, POOL_DEFAULTS, SERVICE_DEFAULTS } from "../../src/model/model.ts";
import { GeoDatabase, SITES } from "./geo_database.ts";
import type { Declared } from "../../tests/dns/world.ts";
import { parseZoneFile } from "../../src/wire/zone_file.ts";

/** One zone and what is asked of it. */
export interface Workload {
  /** How it is called on the command line. */
  readonly id: string;
  /** In words. */
  readonly title: string;
  /** Names with two addresses each. */
  readonly names: number;
  /** One question in so many is for a name that doesn't exist; 0 = none is. */
  readonly missingOneIn: number;
  /** Whether answers depend on where clients are: then each question has a client subnet, and each name five sites. */
  readonly byPlace?: boolean;
}

/** What is asked. */
export interface Question {
  /** QNAME; the type is A. */
  readonly name: string;
  /** The /24 of the client (RFC 7871), or `null`. */
  readonly subnet: string | null;
}

/** All of them. */
export const WORKLOADS: readonly Workload[] = [
  { id: "a", title: "one name", names: 1, missingOneIn: 0 },
  { id: "b", title: "10,000 names, 10 % NXDOMAIN", names: 10_000, missingOneIn: 10 },
  {
    id: "c",
    title: "10,000 geo names, each query with its own client subnet",
    names: 10_000,
    missingOneIn: 0,
    byPlace: true,
  },
  { id: "d", title: "1,000,000 names", names: 1_000_000, missingOneIn: 0 },
];

let database: GeoDatabase | undefined;

/** Where clients are, in workloads by place; made at the first call. */
export function geoDatabase(): GeoDatabase {
  return database ??= new GeoDatabase();
}

/** Questions of a workload by place: more than the names, for each has a subnet of its own. */
const GEO_QUESTIONS = 500_000;

/** The zone of every workload. */
export const ZONE = "bench.example";
const TTL = 30;
const HEAD = `$TTL ${TTL}
@ SOA ns1 hostmaster 1 3600 600 604800 ${TTL}
@ NS ns1
ns1 A 192.0.2.53
`;

/**
 * The names to ask for, each name once before any comes again, in an order that is random but the same every time, so
 * that no cache profits from neighbourhood. Names that don't exist are strewn in.
 */
export function questions(workload: Workload): Question[] {
  const { names, missingOneIn, byPlace } = workload;
  const random = seededRng(1);
  if (byPlace) {
    const geo = geoDatabase();
    return Array.from(
      { length: GEO_QUESTIONS },
      () => ({ name: nameOf(random() % names), subnet: geo.subnet(random) }),
    );
  }
  const order = Uint32Array.from({ length: names }, (_, i) => i);
  for (let i = names - 1; i > 0; i--) {
    const j = random() % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const asked: Question[] = [];
  for (const [i, number] of order.entries()) {
    asked.push({ name: nameOf(number), subnet: null });
    if (missingOneIn > 0 && i % (missingOneIn - 1) === 0) {
      asked.push({ name: `missing-${number}.${ZONE}`, subnet: null });
    }
  }
  return asked;
}

/** A question as a line for dnsperf and `flood.c`. */
export function questionLine({ name, subnet }: Question): string {
  return `${name} A${subnet === null ? "" : ` ${subnet}`}\n`;
}

/** The addresses that a question must be answered with, sorted; none = the name doesn't exist. */
export function addressesOf({ byPlace }: Workload, { name, subnet }: Question): string[] {
  const number = /^n(\d+)\./.exec(name)?.[1];
  if (number === undefined) return [];
  if (byPlace) return [siteAddresses(Number(number))[geoDatabase().siteOf(subnet!)]!];
  return addresses(Number(number)).sort();
}

/** The address of each of `SITES` for a name of a workload by place. */
export function siteAddresses(number: number): string[] {
  return SITES.map((_, site) => textOf(SITES.length * number + site));
}

/** The zone for a server that reads zone files (RFC 1035 §5), in pieces. */
export function* zoneFile({ names }: Workload): Generator<string> {
  yield HEAD;
  yield* inPieces(names, (i) => addresses(i).map((address) => `n${i} A ${address}\n`).join(""));
}

/** The part of the zone that isn't steered: its SOA and NS. */
export function zoneHead(): string {
  return HEAD;
}

/** The same for ours: a service and a pool of two members per name, as lines for `config apply`, in pieces. */
export function modelLines({ names, byPlace }: Workload): Generator<string> {
  return inPieces(names, (i) => {
    const members = addresses(i).map((ipAddress) => ({ ipAddress, port: 443 }));
    const pool = byPlace
      ? { name: `p${i}`, algorithm: "geoip", maxAnswers: 1, members: siteMembers(i) }
      : { name: `p${i}`, maxAnswers: 0, members };
    const service = { domain: nameOf(i), pool: pool.name, ttl: TTL };
    return `${JSON.stringify({ pool })}\n${JSON.stringify({ service })}\n`;
  });
}

/** Texts by number, many in one piece: a stream takes as long for a short piece as for a long one. */
function* inPieces(count: number, textOf: (i: number) => string): Generator<string> {
  for (let from = 0; from < count; from += PIECE) {
    yield Array.from({ length: Math.min(PIECE, count - from) }, (_, i) => textOf(from + i)).join("");
  }
}

const PIECE = 1000;

/** The same in the words of the engine's tests; for workloads that memory holds. */
export function declared({ names }: Workload): Declared {
  const numbers = Array.from({ length: names }, (_, i) => i);
  return {
    pools: numbers.map((i) => ({ name: `p${i}`, maxAnswers: 0, members: addresses(i) })),
    services: Object.fromEntries(numbers.map((i) => [nameOf(i), `p${i}`])),
    zones: { [ZONE]: HEAD },
  };
}

/** The same for our compiler, one by one. */
export function desired({ names, byPlace }: Workload): Desired {
  const numbers = function* <T>(make: (i: number) => T): Generator<T> {
    for (let i = 0; i < names; i++) yield make(i);
  };
  const { records, problems } = parseZoneFile(HEAD, { origin: ZONE, defaultTtl: TTL });
  if (problems.length > 0) throw new SyntaxError(problems[0]!.message);
  return {
    generation: 1,
    pools: () => numbers(byPlace ? geoPoolOf : poolOf),
    checkedPools: () => [],
    services: () => numbers(serviceOf),
    zones: [{ domain: ZONE, records }],
    fallback: null,
    defaultTtl: TTL,
    nameservers: [],
  };
}

function poolOf(i: number): SteeredPool {
  return steeredPool({
    ...POOL_DEFAULTS,
    id: `p${i}`,
    name: `p${i}`,
    maxAnswers: 0,
    healthCheck: null,
    geoRules: [],
    members: addresses(i).map((ipAddress, j) => ({
      ...MEMBER_DEFAULTS,
      id: `m${i}-${j}`,
      ipAddress,
      port: 443,
    })),
  });
}

function geoPoolOf(i: number): SteeredPool {
  const pool = poolOf(i);
  const [member] = pool.members;
  return {
    ...pool,
    algorithm: "geoip",
    maxAnswers: 1,
    members: siteMembers(i).map((fields) => ({ ...member!, ...fields })),
  };
}

function siteMembers(number: number) {
  return siteAddresses(number).map((ipAddress, site) => {
    const { name, latitude, longitude } = SITES[site]!;
    return { ipAddress, port: 443, region: name, latitude, longitude };
  });
}

function serviceOf(i: number): SteeredService {
  return { ...SERVICE_DEFAULTS, domain: nameOf(i), poolId: `p${i}`, ttl: TTL };
}

function nameOf(number: number): string {
  return `n${number}.${ZONE}`;
}

/** Two of 10.0.0.0/8, different for every name. */
function addresses(number: number): string[] {
  return [2 * number, 2 * number + 1].map(textOf);
}

function textOf(host: number): string {
  return `10.${host >> 16}.${host >> 8 & 255}.${host & 255}`;
}
