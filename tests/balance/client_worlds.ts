/**
 * Random states of what decides for a client, with an oracle that knows no trie: it matches prefixes one by one, measures distances by
 * haversine, and looks for a counterexample at every place where anything that decides can change.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import { type Base, type ClientFacts, ClientMap, STEPS_MAX } from "../../src/balance/client_map.ts";
import { Extents, workOutExtents } from "../../src/geo/extents.ts";
import { type Fence, STATE } from "../../src/balance/fence.ts";
import { haversineKm } from "../../src/geo/location.ts";
import { Rendezvous } from "../../src/balance/hash.ts";
import { Lasting } from "../../src/balance/lasting.ts";
import { compileMapFile, MapFile } from "../../src/geo/map_file_table.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import { NamedMembers } from "../../src/balance/named_members.ts";
import { type Candidate, rankGroups } from "../../src/balance/ranking.ts";
import { type ClientRule, encodeRules, layRules } from "../../src/balance/rule_table.ts";
import { Trie } from "../../src/balance/trie.ts";
import { formatIp, parseIp, parsePrefix, type Prefix, prefixContains } from "../../src/ip.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";

/** A seeded generator (mulberry32), so that a failure can be had again. */
export function randomOf(seed: number) {
  let state = seed;
  const unit = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
  const below = (n: number) => Math.floor(unit() * n);
  const pick = <T>(list: readonly T[]) => list[below(list.length)]!;
  const prefix = (family: 4 | 6, least: number, most: number) => {
    const bytes = new Uint8Array(family === 4 ? 4 : 16).map(() => below(256));
    const bits = least + below(most - least + 1);
    for (let bit = bits; bit < bytes.length * 8; bit++) bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
    return `${formatIp(bytes)}/${bits}`;
  };
  return { below, pick, prefix, unit };
}

const COUNTRIES = ["DE", "FR", "US", "BR", "JP"];
const CONTINENTS: Record<string, string> = { DE: "EU", FR: "EU", US: "NA", BR: "SA", JP: "AS" };
const PLACES = [[50.1, 8.7], [40.7, -74], [1.35, 103.8], [-23.5, -46.6], [35.7, 139.7]] as const;

/** One random state: what is known of clients, who the candidates are, what the rules say. */
export function worldOf(seed: number, withExtents: boolean) {
  const random = randomOf(seed);
  const family = random.pick([4, 4, 6] as const);
  // Often all that happens is in one part of the world, so that bounds are narrow, and which site is nearest turns on any of their sides.
  const centre = random.below(2) === 0
    ? { latitude: random.below(120) - 60, longitude: random.below(300) - 150 }
    : null;
  const near = (within: number) => random.unit() * 2 * within - within;
  const placeOf = ({ latitude, longitude }: NonNullable<typeof centre>, within: number) => ({
    latitude: Math.fround(latitude + near(within)),
    longitude: Math.fround(longitude + near(within)),
  });
  const networks = Array.from({ length: 1 + random.below(120) }, () => {
    const country = random.pick([...COUNTRIES, undefined]);
    const isPlaced = random.below(10) > 0;
    return {
      prefix: random.prefix(family, 1, family === 4 ? 28 : 48),
      country,
      continent: country && CONTINENTS[country],
      asn: 1 + random.below(3),
      ...!isPlaced
        ? {}
        : centre
        ? placeOf(centre, 25)
        : { latitude: Math.fround(random.below(170) - 85), longitude: Math.fround(random.below(360) - 180) },
    };
  }).filter((network, i, all) => all.findIndex(({ prefix }) => prefix === network.prefix) === i);
  const bytes = writeMmdb({
    ipVersion: family,
    networks: networks.map(({ prefix, ...facts }) => [prefix, flatRecord(facts)]),
  });
  const mmdb = new Mmdb(bytes);
  const lines = new Map(
    Array.from({ length: random.below(30) }, () => [
      random.prefix(family, 0, family === 4 ? 26 : 40),
      [`192.0.2.${1 + random.below(8)}`, `192.0.2.${101 + random.below(8)}`].slice(0, 1 + random.below(2)),
    ]),
  );
  const map = new MapFile(compileMapFile([...lines].map(([p, to]) => `${p} ${to.join(",")}`).join("\n")));
  const facts: ClientFacts = {
    city: () => ({ mmdb, extents: withExtents ? new Extents(workOutExtents(mmdb)) : null }),
    asn: () => mmdb,
    map,
  };
  const kind = random.pick(["nearest", "nearest", "mapped", "hashed", "alike"] as const);
  const geofence = random.below(4) === 0;
  const candidates = Array.from({ length: 1 + random.below(6) }, (_, i): Candidate => {
    const known = random.pick([...PLACES, null]);
    const place = known && (centre ? placeOf(centre, 28) : { latitude: known[0], longitude: known[1] });
    return {
      index: i * 2,
      isUp: !geofence || random.below(4) > 0,
      weight: 1 + random.below(3),
      priority: 0,
      rttUs: 0,
      left: 1,
      place,
      address: parseIp(`192.0.2.${1 + i}`)!,
    };
  });
  // Often rules send everybody to the same few, whom others may get as well.
  const sentTo = random.below(2) === 0 ? candidates.length : 1;
  const rules = Array.from({ length: random.below(5) }, (): ClientRule => {
    const { index: member } = candidates[random.below(sentTo)]!;
    const letters = (text: string) => text.charCodeAt(0) << 8 | text.charCodeAt(1);
    const country = random.pick(COUNTRIES);
    const { bytes, length: bits } = parsePrefix(random.prefix(family, 0, 20));
    return {
      member,
      match: random.pick([
        { kind: "cidr", prefix: [...bytes], bits },
        { kind: "asn", number: 1 + random.below(3) },
        { kind: "country", code: letters(country) },
        { kind: "continent", code: letters(CONTINENTS[country]!) },
      ]),
    };
  });
  const base: Base = kind === "alike"
    ? { kind, ranking: { order: [...candidates.keys()], lead: candidates.length } }
    : { kind };
  const max = random.below(3);
  // With a geofence some candidates are of the other family, and some of none.
  const sides = candidates.map(() => random.pick(["listed", "listed", "other", "out"] as const));
  const need = 1 + random.below(2);
  const fence: Fence | null = geofence
    ? {
      listed: sides.map((side) => side === "listed"),
      others: sides.map((side) => side === "other"),
      needed: () => need,
      rankAlike: (positions) => rankGroups([positions]),
    }
    : null;
  const lasting = new Lasting(candidates, layRules(encodeRules(rules)), new NamedMembers(map, candidates));
  return {
    random,
    family,
    networks,
    lines,
    candidates,
    rules,
    lasting,
    base,
    fence,
    need,
    max,
    facts,
  } as const;
}

export type TestWorld = ReturnType<typeof worldOf>;

/** Who is answered for an address, by the rules as documented and nothing else. */
export function oracle(world: TestWorld, address: Uint8Array): string {
  const { candidates, fence, max } = world;
  const positionOf = ({ member }: ClientRule) => candidates.findIndex(({ index }) => index === member);
  const rules = world.rules.filter((rule) => positionOf(rule) >= 0);
  const network = longest(world.networks, ({ prefix }) => prefix, address);
  const matches = rules.filter(({ match }) => matchesClient(match, address, network));
  const rank = { cidr: 0, asn: 1, country: 2, continent: 3 };
  const bits = ({ match }: ClientRule) => match.kind === "cidr" ? match.bits : 0;
  matches.sort((a, b) => rank[a.match.kind] - rank[b.match.kind] || bits(b) - bits(a));
  const best = matches[0];
  const sameRule = (rule: ClientRule) => rule.match.kind === best!.match.kind && bits(rule) === bits(best!);
  const named = [...new Set(matches.filter(sameRule).map(positionOf))];
  const plain = baseOrder(world, address, network);
  if (fence) {
    const inside = best ? named : plain.fences ? plain.groups[0]! : null;
    const all = inside ?? [...candidates.keys()];
    const judged = ([fence.listed, fence.others] as const).map((side) => {
      const members = all.filter((position) => side[position]);
      const up = members.filter((position) => candidates[position]!.isUp);
      const needed = inside ? Math.max(1, Math.min(world.need, members.length)) : world.need;
      return { up, isEnough: up.length >= needed };
    });
    const [own, other] = judged as [typeof judged[0], typeof judged[0]];
    const state = own.isEnough ? STATE.up : other.isEnough ? STATE.elsewhere : STATE.down;
    if (state === STATE.elsewhere) return `${state}: `;
    const groups = inside ? [own.up] : plain.groups.map((group) => group.filter((at) => own.up.includes(at)));
    return `${state}: ${tell(groups)}`;
  }
  if (!best) return `${STATE.up}: ${tell(plain.groups)}`;
  const rest = plain.groups.map((group) => group.filter((position) => !named.includes(position)));
  return `${STATE.up}: ${tell([named, ...rest])}`;

  /** Whole groups, as far as answers show them. */
  function tell(groups: readonly (readonly number[])[]): string {
    const told: string[] = [];
    let shown = 0;
    for (const group of groups.filter((group) => group.length > 0)) {
      if (max !== 0 && shown >= max) break;
      shown += group.length;
      told.push(`${group.map((position) => candidates[position]!.index).sort((a, b) => a - b)}`);
    }
    return told.join(" | ");
  }
}

type Network = TestWorld["networks"][number];

function matchesClient(
  match: ClientRule["match"],
  address: Uint8Array,
  network: Network | undefined,
): boolean {
  const letters = (code: number) => String.fromCharCode(code >> 8, code & 0xff);
  switch (match.kind) {
    case "cidr":
      return prefixContains(
        { bytes: Uint8Array.from(match.prefix), length: match.bits, family: address.length === 4 ? 4 : 6 },
        address,
      );
    case "asn":
      return network?.asn === match.number;
    case "country":
      return network?.country === letters(match.code);
    case "continent":
      return network?.continent === letters(match.code);
  }
}

function baseOrder(
  { base, candidates, lines }: TestWorld,
  address: Uint8Array,
  network: Network | undefined,
): { groups: number[][]; fences: boolean } {
  const all = [...candidates.keys()];
  switch (base.kind) {
    case "alike":
      return { groups: [all], fences: false };
    case "hashed": {
      const { order } = new Rendezvous(candidates, candidates.at(-1)!.index + 1).rank(candidates, address, 0);
      return { groups: order.map((position) => [position]), fences: false };
    }
    case "mapped": {
      const line = longest([...lines], ([prefix]) => prefix, address);
      const named = all.filter((position) => line?.[1].includes(formatIp(candidates[position]!.address)));
      if (named.length === 0) return { groups: [all], fences: false };
      return { groups: [named, all.filter((p) => !named.includes(p))], fences: true };
    }
    case "nearest": {
      const placed = all.filter((position) => candidates[position]!.place);
      if (network?.latitude === undefined || placed.length === 0) return { groups: [all], fences: false };
      const from = { latitude: network.latitude, longitude: network.longitude! };
      const km = (position: number) => haversineKm(from, candidates[position]!.place!);
      const ways = [...new Set(placed.map((position) => Math.round(km(position) * 1e6)))].sort((a, b) =>
        a - b
      );
      const sites = ways.map((way) => placed.filter((position) => Math.round(km(position) * 1e6) === way));
      return { groups: [...sites, all.filter((p) => !placed.includes(p))], fences: true };
    }
  }
}

function longest<T>(list: readonly T[], prefixOf: (item: T) => string, address: Uint8Array): T | undefined {
  return list.filter((item) => prefixContains(parsed(prefixOf(item)), address))
    .sort((a, b) => parsed(prefixOf(b)).length - parsed(prefixOf(a)).length)[0];
}

const known = new Map<string, Prefix>();

function parsed(text: string): Prefix {
  const prefix = known.get(text) ?? parsePrefix(text);
  known.set(text, prefix);
  return prefix;
}

/** First and last address of everything by which a decision can change, and for hashing many networks. */
export function turningPoints({ networks, lines, rules, base }: TestWorld, inside: string): Uint8Array[] {
  const prefixes = [
    ...networks.map(({ prefix }) => prefix),
    ...lines.keys(),
    ...rules.flatMap(({ match }) =>
      match.kind === "cidr" ? [`${formatIp(Uint8Array.from(match.prefix))}/${match.bits}`] : []
    ),
    inside,
  ].map(parsePrefix);
  const points = prefixes.flatMap((prefix) => {
    const last = lastOf(prefix);
    return [prefix.bytes, last, step(last, 1), step(prefix.bytes, -1)];
  });
  // By hashing, every network of a part that is otherwise alike may differ.
  if (base.kind === "hashed") {
    const random = randomOf(parsed(inside).length);
    for (const { bytes, length } of prefixes.filter(({ bytes }) => prefixContains(parsed(inside), bytes))) {
      for (let i = 0; i < 40; i++) {
        points.push(bytes.map((byte, at) => byte | random.below(256) & maskBehind(length, at)));
      }
    }
  }
  return points.filter((point) => prefixContains(parsed(inside), point));
}

export function maskBehind(bits: number, at: number): number {
  const own = bits - at * 8;
  return own <= 0 ? 0xff : own >= 8 ? 0 : 0xff >> own;
}

function lastOf({ bytes, length }: { readonly bytes: Uint8Array; readonly length: number }): Uint8Array {
  return bytes.map((byte, at) => byte | maskBehind(length, at));
}

function step(address: Uint8Array, by: 1 | -1): Uint8Array {
  const next = address.slice();
  for (let i = next.length - 1; i >= 0; i--) {
    next[i] = next[i]! + by;
    if (next[i] !== (by === 1 ? 0 : 255)) break;
  }
  return next;
}

export function decisionOf(map: ClientMap, address: Uint8Array): string {
  const { state, lead, order, ends } = map.find(address);
  const behind = ends ? [...ends] : [...order.keys()].slice(lead).map((at) => at + 1);
  const groups = [...order.length > 0 ? [lead] : [], ...behind].map((end, i, all) =>
    `${[...order.slice(i === 0 ? 0 : all[i - 1], end)].sort((a, b) => a - b)}`
  );
  return `${state}: ${groups.join(" | ")}`;
}

/** Clients looked at in each state. */
export const CLIENTS = 3;

/**
 * Checks one world on a few clients.
 *
 * @returns how many of them could be shown to have the widest scope: the others come after a client for which all steps
 * were spent
 */
export function checkWorld(seed: number): number {
  const world = worldOf(seed, true);
  const { family, random } = world;
  const map = new ClientMap(world, world.facts, new Trie());
  let shown = 0;
  let isSpent = false;
  for (let i = 0; i < CLIENTS; i++) {
    const near = random.below(2) === 0
      ? `${random.pick(world.networks).prefix}`
      : random.prefix(family, 0, 0);
    const { bytes, length } = parsePrefix(near);
    const client = bytes.map((byte, at) => byte | random.below(256) & maskBehind(length, at));
    const at = `seed ${seed}, client ${formatIp(client)}`;
    const before = map.steps;
    const decision = decisionOf(map, client);
    const scope = map.depth;
    isSpent ||= map.steps - before >= STEPS_MAX;
    equal(decision, oracle(world, client), at);
    const within = `${formatIp(client.map((byte, k) => byte & ~maskBehind(scope, k)))}/${scope}`;
    for (const other of turningPoints(world, within)) {
      equal(oracle(world, other), decision, `${at}, scope ${scope}: ${formatIp(other)}`);
    }
    if (isSpent) continue;
    shown++;
    if (scope === 0) continue;
    const wider = `${formatIp(client.map((byte, k) => byte & ~maskBehind(scope - 1, k)))}/${scope - 1}`;
    const differs = turningPoints(world, wider).some((other) => oracle(world, other) !== decision);
    // A hash is taken to differ wherever it can: only what rules say has to be as wide as it is.
    ok(differs || world.base.kind === "hashed", `${at}: scope ${scope} could be ${scope - 1}`);
  }
  return shown;
}
