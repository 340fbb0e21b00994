/** @module Tests of what all states of health share: rules and sites, of whose members some are down. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { ClientMap } from "../../src/balance/client_map.ts";
import { Lasting } from "../../src/balance/lasting.ts";
import type { Candidate } from "../../src/balance/ranking.ts";
import { type ClientRule, encodeRules, layRules } from "../../src/balance/rule_table.ts";
import { Trie } from "../../src/balance/trie.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import { parseIp, parsePrefix } from "../../src/ip.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";

const NO_RULES = new Uint32Array(0);
const ON_EQUATOR = "198.51.100.0/24";
const mmdb = new Mmdb(writeMmdb({
  ipVersion: 4,
  networks: [[
    ON_EQUATOR,
    flatRecord({ country: "DE", continent: "EU", asn: 7, latitude: 0, longitude: 20 }),
  ]],
}));

function member(index: number, place: Candidate["place"]): Candidate {
  return {
    ...{ index, place, isUp: true, weight: 1, priority: 0, rttUs: 0, left: 1 },
    address: Uint8Array.of(192, 0, 2, index),
  };
}

/** Who is answered to a client on the equator while only some of the members are up, in order: indices. */
function answered(
  { members, rules = [], up }: {
    readonly members: readonly Candidate[];
    readonly rules?: readonly ClientRule[];
    readonly up: readonly number[];
  },
): number[] {
  const map = new ClientMap(
    {
      candidates: members.filter(({ index }) => up.includes(index)),
      lasting: new Lasting(members, layRules(encodeRules(rules))),
      ...{ base: { kind: "nearest" }, fence: null, max: 0 },
    },
    { city: () => ({ mmdb, extents: null }), asn: () => mmdb, map: null },
    new Trie(),
  );
  return [...map.find(parseIp("198.51.100.53")!).order];
}

Deno.test("a rule whose member is down counts as if it weren't there: the next one decides", () => {
  const members = [0, 1, 2, 3, 4, 5].map((index) => member(index, { latitude: index, longitude: 20 }));
  const cidr = (text: string, member: number): ClientRule => {
    const { bytes, length: bits } = parsePrefix(text);
    return { match: { kind: "cidr", prefix: [...bytes], bits }, member };
  };
  const letters = (text: string) => text.charCodeAt(0) << 8 | text.charCodeAt(1);
  const rules: ClientRule[] = [
    { match: { kind: "continent", code: letters("EU") }, member: 1 },
    { match: { kind: "country", code: letters("DE") }, member: 2 },
    { match: { kind: "asn", number: 7 }, member: 3 },
    cidr("198.51.0.0/16", 4),
    cidr("198.51.100.0/24", 5),
    // Longer, and nearby, so that the tree of prefixes goes on behind the client's.
    cidr("198.51.100.128/25", 1),
  ];
  deepEqual(answered({ members, rules, up: [0, 1, 2, 3, 4, 5] }), [5, 0, 1, 2, 3, 4]);
  deepEqual(answered({ members, rules, up: [0, 1, 2, 3, 4] }), [4, 0, 1, 2, 3]);
  deepEqual(answered({ members, rules, up: [0, 1, 2, 3] }), [3, 0, 1, 2]);
  deepEqual(answered({ members, rules, up: [0, 1, 2] }), [2, 0, 1]);
  deepEqual(answered({ members, rules, up: [0, 1] }), [1, 0]);
  deepEqual(answered({ members, rules, up: [0] }), [0]);
});

Deno.test("of sites as far away the one comes first whose first member that is up does", () => {
  const [north, south] = [{ latitude: 10, longitude: 20 }, { latitude: -10, longitude: 20 }];
  const members = [member(0, north), member(1, south), member(2, north), member(3, null)];
  deepEqual(answered({ members, up: [0, 1, 2, 3] }), [0, 2, 1, 3]);
  deepEqual(answered({ members, up: [1, 2, 3] }), [1, 2, 3]);
  deepEqual(answered({ members, up: [0, 1] }), [0, 1]);
});

Deno.test("members at one place are one site, in the order in which members stand, however many places there are", () => {
  const random = (i: number, below: number) => (Math.imul(i + 1, 0x9e3779b1) >>> 0) % below;
  // A grid, on which many places share a coordinate; most of them stand for several members, some members for none.
  const places = Array.from({ length: 3_000 }, (_, i) => ({
    latitude: random(i % 40, 170_000_000) / 1e6 - 85,
    longitude: random(1_000 + Math.floor(i / 40) % 60, 340_000_000) / 1e6 - 170,
  }));
  const members = places.map((place, index) => member(index, random(index, 10) === 0 ? null : place));
  const due = new Map<string, number[]>();
  for (const { index, place } of members) {
    if (place === null) continue;
    const key = `${place.latitude} ${place.longitude}`;
    due.set(key, [...due.get(key) ?? [], index]);
  }
  const { sites } = new Lasting(members, NO_RULES);
  const found = Array.from(
    { length: sites.count },
    (_, i) => [...sites.members.slice(sites.starts[i], sites.starts[i + 1])],
  );
  deepEqual(found, [...due.values()]);
  for (const [i, [first]] of found.entries()) {
    ok(Math.abs(sites.vectors[i * 3 + 2]! - Math.sin(places[first!]!.latitude * Math.PI / 180)) < 1e-12);
  }
  equal(new Lasting([], NO_RULES).sites.count, 0);
});
