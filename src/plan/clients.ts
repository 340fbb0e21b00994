/**
 * Classes of clients, for which answers are compared where they depend on the client: a bounded set of clients, each of
 * which stands for some, under labels that people know.
 *
 * Of a client the first of these is its label: the longest prefix of a geo rule at hand that holds it, the line of the map
 * file (where a pool at hand goes by it), the autonomous system (where a rule at hand names it), its country, its
 * continent, `others`.
 *
 * **Exact** are prefixes of rules, and lines of a map file of no more than `MAPPED_MAX` ranges: each has a client of its own,
 * and weighs as many addresses as it has. **Estimated** is what a database says: its largest networks are taken one by
 * one, and of what is in the rest some clients are drawn, always the same ones. So the weight of a country is close, a
 * small one or a small autonomous system may be missing, and clients of a label that differ in other ways (by city, by
 * network under `hash`) are as many as there is room for. An IPv6 prefix of 32 bits counts as 4,096 addresses of IPv4.
 *
 * @module
 */
import type { Desired } from "../desired/desired.ts";
import type { OpenGeoData } from "../dns/clients.ts";
import type { GeoData } from "../geo/geo_data.ts";
import type { MapFile } from "../geo/map_file_table.ts";
import type { Mmdb } from "../geo/mmdb.ts";
import { type Family, familyOf, formatPrefix, maskBits, parsePrefix, type Prefix } from "../ip.ts";
import { openedOf } from "./opened_geo_data.ts";

/** Clients of a label that one of them stands for. */
export interface ClientClass {
  /** For people: `everyone`, a country, a prefix, `others`. Several may have the same. */
  readonly label: string;
  /** How many clients that is, above 0; only ratios count. */
  readonly weight: number;
  /** Of the one: 4 or 16 bytes. */
  readonly address: Uint8Array;
}

/** All clients as one; its address is nowhere (RFC 5737). */
export const EVERYONE: readonly ClientClass[] = [
  { label: "everyone", weight: 1, address: new Uint8Array([192, 0, 2, 0]) },
];

/** Classes at most; asking for all of them takes some 10 ms a pool, state and family. */
export const CLIENTS_MAX = 4_096;
/** Prefixes of geo rules that have classes of their own, … */
const PREFIXES_MAX = 1_024;
/** … and ranges of the map file; of more, each stands for its neighbours. */
const MAPPED_MAX = 1_024;
/** Nodes of a database's tree, side by side, down to which all networks are taken. */
const FRONTIER_MAX = 4_096;
/** Networks are split down to prefixes of so many bits. */
const SPLIT = { 4: 8, 6: 12 } as const;
/** Clients that are drawn from below each of these nodes. */
const DRAWN = 2;
/** Addresses of IPv4 that a /32 of IPv6 counts for: a provider's first network is a /32 of one, and a /20 of the other. */
const IPV4_PER_SLASH_32 = 4_096;
/** First bytes of addresses that no client has from elsewhere: this network, private, loopback. */
const NOT_CLIENTS = [0, 10, 127];
/** From here on there is multicast. Of IPv6 it is 6to4, 2002::/16, that is left out: it leads back to IPv4. */
const MULTICAST = 224;
const OTHERS = "others";

/**
 * The classes for which the answers of some states are to be compared; `EVERYONE` where no pool looks at the client.
 *
 * @param max classes at most, 4 or more
 */
export function clientsOf(
  states: readonly Desired[],
  geoData: GeoData,
  max: number = CLIENTS_MAX,
): readonly ClientClass[] {
  const { isClient, isMap, prefixes, asns, named } = lookedAt(states);
  if (!isClient) return EVERYONE;
  const opened = openedOf(geoData);
  const map = isMap ? opened.map : null;
  const labels = new Labels();
  for (const sample of prefixes.samples()) labels.add(sample, { isExact: true });
  for (const sample of map ? linesOf(map) : []) {
    const prefix = prefixes.find(sample.address);
    if (prefix) labels.add({ ...sample, label: prefix });
    else labels.add(sample, { isExact: true });
  }
  for (const sample of samplesOf(geoData)) {
    const { address } = sample;
    // A client of its line stands for it.
    if (map && map.rule(map.find(address)) !== 0) continue;
    const prefix = prefixes.find(address);
    const asn = prefix || asns.size === 0 ? 0 : asnOf(opened, sample);
    const label = prefix ?? (asns.has(asn) ? nameOfAsn(asn) : sample.label);
    labels.add(label === sample.label ? sample : { ...sample, label });
  }
  return labels.classes(max, named);
}

/** What the pools of some states look at. */
function lookedAt(states: readonly Desired[]) {
  const prefixes = new Prefixes();
  const asns = new Set<number>();
  /** Labels that stand in rules: they come before others. */
  const named = new Set<string>();
  const algorithms = new Set<string>();
  for (const { pools, fallback } of states.map((it) => ({ pools: it.pools(), fallback: it.fallback }))) {
    if (fallback) algorithms.add(fallback.algorithm);
    for (const { algorithm, geoRules } of pools) {
      algorithms.add(algorithm);
      for (const { cidr, asn, country } of geoRules) {
        if (cidr !== null) prefixes.add(parsePrefix(cidr));
        if (asn !== null) asns.add(asn);
        named.add(cidr ?? (asn === null ? country ?? "" : nameOfAsn(asn)));
      }
    }
  }
  return {
    prefixes,
    asns,
    named,
    isMap: algorithms.has("map-file"),
    isClient: named.size > 0 || BY_CLIENT.some((algorithm) => algorithms.has(algorithm)),
  };
}

const BY_CLIENT: readonly string[] = ["geoip", "map-file", "hash"];

function nameOfAsn(asn: number): string {
  return `AS${asn}`;
}

const asns = new WeakMap<ClientClass, number>();

/** The autonomous system of a sample; it is looked up once. */
function asnOf(opened: OpenGeoData, sample: ClientClass): number {
  const known = asns.get(sample);
  if (known !== undefined) return known;
  const database = opened.asn(familyOf(sample.address));
  const asn = database ? database.asn(database.place(database.find(sample.address))) : 0;
  asns.set(sample, asn);
  return asn;
}

/** Samples by label. */
class Labels {
  readonly #labels = new Map<string, { readonly samples: ClientClass[]; exact: number }>();

  /** @param isExact whether its weight is that of all that have its label, others with the same notwithstanding */
  add(sample: ClientClass, { isExact } = { isExact: false }): void {
    const known = this.#labels.get(sample.label) ?? { samples: [], exact: 0 };
    this.#labels.set(sample.label, known);
    known.samples.push(sample);
    if (isExact) known.exact += sample.weight;
  }

  /** At least one class for each label, and more the more it weighs; the lightest labels are left out if need be. */
  classes(max: number, named: ReadonlySet<string>): ClientClass[] {
    const weighed = [...this.#labels].map(([label, { samples, exact }]) => {
      const sum = samples.reduce((sum, { weight }) => sum + weight, 0);
      return { label, samples, weight: exact || sum, scale: exact ? exact / sum : 1 };
    });
    const rank = (label: string) => named.has(label) ? 0 : 1;
    weighed.sort((a, b) =>
      rank(a.label) - rank(b.label) || b.weight - a.weight || (a.label < b.label ? -1 : 1)
    );
    const kept = weighed.slice(0, Math.floor(max / 2));
    const total = kept.reduce((sum, { weight }) => sum + weight, 0);
    const room = max - kept.length;
    return kept.flatMap(({ label, samples, weight, scale }) =>
      thinned(samples, 1 + Math.floor(room * weight / total))
        .map((it) => ({ label, weight: it.weight * scale, address: it.address }))
    );
  }
}

/** Prefixes, of which the longest one that holds an address is found. */
class Prefixes {
  readonly #byKey = new Map<number | string, { readonly prefix: Prefix; readonly label: string }>();
  /** Longest first. */
  readonly #lengths: Readonly<Record<Family, number[]>> = { 4: [], 6: [] };

  /** Further ones than `PREFIXES_MAX` are left out. */
  add(prefix: Prefix): void {
    if (this.#byKey.size === PREFIXES_MAX) return;
    const { family, length, bytes } = prefix;
    this.#byKey.set(keyOf(bytes, length), { prefix, label: formatPrefix(prefix) });
    const lengths = this.#lengths[family];
    if (!lengths.includes(length)) lengths.push(length);
    lengths.sort((a, b) => b - a);
  }

  /** The label of the longest one, if any. */
  find(address: Uint8Array, shorterThan = Infinity): string | undefined {
    for (const length of this.#lengths[familyOf(address)]) {
      if (length >= shorterThan) continue;
      const found = this.#byKey.get(keyOf(address, length));
      if (found) return found.label;
    }
    return undefined;
  }

  /** A client of each, which no longer one holds; none of those that longer ones fill. */
  *samples(): Generator<ClientClass> {
    const inner = Map.groupBy(
      [...this.#byKey.values()].map(({ prefix }) => prefix),
      ({ bytes, length }) => this.find(bytes, length),
    );
    for (const { prefix, label } of this.#byKey.values()) {
      const nested = inner.get(label) ?? [];
      const weight = nested.reduce((weight, it) => weight - sizeOf(it), sizeOf(prefix));
      const address = candidatesOf(prefix, nested).find((it) => this.find(it) === label);
      if (address && weight > 0) yield { address, weight, label };
    }
  }
}

/** Of the prefix of that length that holds an address; a number where it can be one. */
function keyOf(address: Uint8Array, length: number): number | string {
  if (address.length === 16) return `${maskBits(address, length).toHex()}/${length}`;
  const word = address[0]! * 2 ** 24 + (address[1]! << 16 | address[2]! << 8 | address[3]!);
  const size = 2 ** (32 - length);
  return Math.floor(word / size) * size * 64 + length;
}

/** Where an address may be that no inner prefix holds: at the ends, and right behind each of these. */
function candidatesOf(prefix: Prefix, inner: readonly Prefix[]): Uint8Array[] {
  return [prefix.bytes, lastOf(prefix), ...inner.map((it) => next(lastOf(it)))];
}

function lastOf({ bytes, length }: Prefix): Uint8Array {
  const first = maskBits(new Uint8Array(bytes.length).fill(0xff), length);
  return bytes.map((byte, i) => byte | ~first[i]!);
}

function next(address: Uint8Array): Uint8Array {
  const bytes = address.slice();
  for (let i = bytes.length - 1; i >= 0 && ++bytes[i]! % 256 === 0; i--);
  return bytes;
}

/** Addresses of IPv4 that a prefix counts for. */
function sizeOf({ family, length }: Pick<Prefix, "family" | "length">): number {
  return 2 ** (32 - length) * (family === 4 ? 1 : IPV4_PER_SLASH_32);
}

const lines = new WeakMap<MapFile, readonly ClientClass[]>();

/** A client of each range of the map file that has a rule; of more than `MAPPED_MAX` some stand for their neighbours. */
function linesOf(map: MapFile): readonly ClientClass[] {
  const known = lines.get(map);
  if (known) return known;
  const made: ClientClass[] = [];
  const stride = Math.ceil(map.ranges / MAPPED_MAX);
  for (let from = 0; from < map.ranges; from += stride) {
    let weight = 0;
    let last = -1;
    for (let range = from; range < Math.min(from + stride, map.ranges); range++) {
      if (map.rule(range) === 0) continue;
      weight += lengthOf(map, range);
      last = range;
    }
    if (last < 0) continue;
    const address = map.firstOf(last);
    made.push({ address, weight, label: formatPrefix(map.origin(address)!.prefix) });
  }
  lines.set(map, made);
  return made;
}

function lengthOf(map: MapFile, range: number): number {
  const first = map.firstOf(range);
  const behind = range + 1 < map.ranges ? map.firstOf(range + 1) : first;
  const isLast = range + 1 === map.ranges || behind.length !== first.length;
  return (isLast ? endOf(familyOf(first)) : positionOf(behind)) - positionOf(first);
}

/** Where an address stands in its family, in what counts for one address of IPv4. */
function positionOf(address: Uint8Array): number {
  let position = 0;
  for (let i = 0; i < address.length; i++) position += address[i]! * 2 ** (24 - 8 * i);
  return address.length === 4 ? position : position * IPV4_PER_SLASH_32;
}

function endOf(family: Family): number {
  return 2 ** 32 * (family === 4 ? 1 : IPV4_PER_SLASH_32);
}

const samples = new WeakMap<GeoData, readonly ClientClass[]>();

/** Clients by what the database of places says; made once, by address. */
function samplesOf(geoData: GeoData): readonly ClientClass[] {
  const known = samples.get(geoData);
  if (known) return known;
  const opened = openedOf(geoData);
  const [four, six] = [opened.city(4)?.mmdb, opened.city(6)?.mmdb];
  const all = [...(four ? sampled(four, 4) : evenly()), ...(six ? sampled(six, 6) : [])];
  all.sort((a, b) => a.address.length - b.address.length || compare(a.address, b.address));
  const labels = new Labels();
  for (const sample of all) labels.add(sample);
  const made = labels.classes(CLIENTS_MAX, new Set());
  samples.set(geoData, made);
  return made;
}

/** Where nothing is known of IPv4. */
function* evenly(): Generator<ClientClass> {
  for (let first = 0; first < 256; first++) {
    const address = drawn(new Uint8Array([first, 0, 0, 0]), 8, 0);
    if (isOfClients(address)) yield { address, weight: 2 ** 24, label: OTHERS };
  }
}

/** A node of a tree, and the address that leads to it. */
interface Stop {
  readonly node: number;
  readonly address: Uint8Array;
  readonly depth: number;
}

/**
 * All networks down to the frontier, and some of those behind it. Of each it is a drawn client, so that a narrow prefix
 * at its beginning doesn't stand for all of it.
 */
function* sampled(mmdb: Mmdb, family: Family): Generator<ClientClass> {
  let level = [rootOf(mmdb, family)];
  const networks: { readonly address: Uint8Array; readonly weight: number }[] = [];
  const bits = family === 4 ? 32 : 128;
  while (level.length > 0 && level.length <= FRONTIER_MAX) {
    const below: Stop[] = [];
    for (const stop of level) {
      const { node, address, depth } = stop;
      if (depth < SPLIT[family] || (node < mmdb.nodeCount && depth < bits)) {
        below.push(step(mmdb, stop, 0), step(mmdb, stop, 1));
      } else networks.push({ address: drawn(address, depth, 0), weight: sizeOf({ family, length: depth }) });
    }
    level = below;
  }
  for (const { address, depth } of level) {
    const weight = sizeOf({ family, length: depth }) / DRAWN;
    for (let seed = 0; seed < DRAWN; seed++) networks.push({ address: drawn(address, depth, seed), weight });
  }
  for (const { address, weight } of networks) {
    const place = mmdb.place(mmdb.find(address));
    const [country, continent] = [mmdb.country(place), mmdb.continent(place)];
    const label = country ? lettersOf(country) : continent ? `continent ${lettersOf(continent)}` : OTHERS;
    // Most of IPv6 is nowhere, and has no clients.
    if (family === 6 && label === OTHERS) continue;
    if (isOfClients(address)) yield { address, weight, label };
  }
}

/** Of IPv6, that of global unicast addresses, 2000::/3. */
function rootOf(mmdb: Mmdb, family: Family): Stop {
  const root = { node: mmdb.root(family), address: new Uint8Array(family === 4 ? 4 : 16), depth: 0 };
  return family === 4 ? root : [0, 0, 1].reduce((stop: Stop, bit) => step(mmdb, stop, bit), root);
}

/** One bit further; a leaf goes on for all that begin like it. */
function step(mmdb: Mmdb, { node, address, depth }: Stop, bit: number): Stop {
  const longer = address.slice();
  longer[depth >> 3]! |= bit << (7 - (depth & 7));
  return {
    node: node < mmdb.nodeCount ? mmdb.child(node, bit) : node,
    address: longer,
    depth: depth + 1,
  };
}

/** The prefix with bits behind it that look drawn, and are the same each time. */
function drawn(prefix: Uint8Array, length: number, seed: number): Uint8Array {
  const address = prefix.slice();
  let state = Math.imul(prefix.reduce((sum, byte) => Math.imul(sum, 31) + byte | 0, seed + 1), 0x9e3779b1);
  for (let bit = length; bit < address.length * 8; bit++) {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x6d2b79f5 | 0;
    address[bit >> 3]! |= (state >>> 16 & 1) << (7 - (bit & 7));
  }
  return address;
}

function isOfClients(address: Uint8Array): boolean {
  const [first, second] = address;
  if (address.length === 4) return first! < MULTICAST && !NOT_CLIENTS.includes(first!);
  return !(first === 0x20 && second === 0x02);
}

/** So many of them at most, at equal distances by weight. */
function thinned(
  samples: readonly ClientClass[],
  count: number,
): readonly { readonly weight: number; readonly address: Uint8Array }[] {
  if (samples.length <= count) return samples;
  const total = samples.reduce((sum, { weight }) => sum + weight, 0);
  const share = total / count;
  const taken: { weight: number; readonly address: Uint8Array }[] = [];
  let passed = 0;
  let due = 0;
  for (const { weight, address } of samples) {
    passed += weight;
    const until = Math.min(count, Math.round(passed / share));
    if (until > due) taken.push({ weight: (until - due) * share, address });
    due = Math.max(due, until);
  }
  return taken;
}

function lettersOf(code: number): string {
  return String.fromCharCode(code >> 8, code & 0xff);
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}
