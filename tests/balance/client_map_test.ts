/**
 * Decisions by client against an oracle that knows no trie. `deno task prove scopes` looks at more states.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { type Base, ClientMap, type ClientMapOptions } from "../../src/balance/client_map.ts";
import { Lasting } from "../../src/balance/lasting.ts";
import type { Candidate } from "../../src/balance/ranking.ts";
import { type ClientRule, encodeRules, layRules } from "../../src/balance/rule_table.ts";
import { Trie } from "../../src/balance/trie.ts";
import { Extents, workOutExtents } from "../../src/geo/extents.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import { formatIp, parseIp, parsePrefix } from "../../src/ip.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { runs } from "../property_runs.ts";
import {
  checkWorld,
  CLIENTS,
  decisionOf,
  maskBehind,
  oracle,
  type TestWorld,
  turningPoints,
  worldOf,
} from "./client_worlds.ts";

const STATES = runs(80);

Deno.test("decisions are the oracle's, and hold for exactly the scope", () => {
  let shown = 0;
  for (let seed = 1; seed <= STATES; seed++) shown += checkWorld(seed);
  // Where much is alike that bounds can't tell of, there are more places to look at than a query may.
  ok(shown > 0.8 * STATES * CLIENTS, `${shown} of ${STATES * CLIENTS} scopes are shown to be the widest`);
});

/** The world when some candidates have fallen: those that are left keep their indices, and what lasts stays as it is. */
function fallen(world: TestWorld, isLeft: (candidate: Candidate) => boolean): TestWorld {
  const candidates = world.candidates.filter(isLeft);
  const base: Base = world.base.kind === "alike"
    ? { kind: "alike", ranking: { order: [...candidates.keys()], lead: candidates.length } }
    : world.base;
  return { ...world, candidates, base };
}

/**
 * Checks that what was decided before candidates fell is right for what is left of it, and holds for the scope.
 *
 * @returns how many decisions were taken over: made out without a step
 */
function checkFall(seed: number): number {
  const before = worldOf(seed, true);
  const { random } = before;
  if (before.fence || before.candidates.length < 3) return 0;
  const trie = new Trie();
  const all = new ClientMap(before, before.facts, trie);
  const clients = Array.from({ length: 12 }, () => {
    const { bytes, length } = parsePrefix(`${random.pick(before.networks).prefix}`);
    return bytes.map((byte, at) => byte | random.below(256) & maskBehind(length, at));
  });
  for (const client of clients.slice(0, 9)) all.find(client);
  let taken = 0;
  let formers = [all];
  let left = before.candidates;
  for (let fall = 0; fall < 2 && left.length > 1; fall++) {
    const gone = random.pick(left);
    left = left.filter((candidate) => candidate !== gone);
    const world = fallen(before, (candidate) => left.includes(candidate));
    const map = new ClientMap({ ...world, formers }, world.facts, trie);
    for (const client of clients) {
      const at = `seed ${seed}, fall ${fall}, client ${formatIp(client)}`;
      const steps = map.steps;
      const decision = decisionOf(map, client);
      if (map.steps === steps && left.length > 1) taken++;
      const scope = map.depth;
      equal(decision, oracle(world, client), at);
      const within = `${formatIp(client.map((byte, k) => byte & ~maskBehind(scope, k)))}/${scope}`;
      for (const other of turningPoints(world, within)) {
        equal(oracle(world, other), decision, `${at}, scope ${scope}: ${formatIp(other)}`);
      }
    }
    formers = [map, ...formers];
  }
  return taken;
}

Deno.test("when candidates fall, the decisions for clients that got none of them are taken over and right", () => {
  let taken = 0;
  for (let seed = 1; seed <= runs(25); seed++) taken += checkFall(seed);
  ok(taken > runs(50), `${taken} decisions were taken over`);
});

Deno.test("when candidates fall, clients that got none of them take no room in the new map", () => {
  for (let seed = 1, seen = 0; seen < runs(5); seed++) {
    const before = worldOf(seed, true);
    if (before.fence || before.max === 0 || before.candidates.length < 3) continue;
    seen++;
    const trie = new Trie();
    const all = new ClientMap(before, before.facts, trie);
    while (all.makeAhead(100));
    const clients = Array.from(
      { length: 20 },
      () => parsePrefix(before.random.prefix(before.family, 24, 24)).bytes,
    );
    const world = fallen(before, (candidate) => candidate !== before.candidates[0]);
    const map = new ClientMap({ ...world, formers: [all] }, world.facts, trie);
    const spared = clients.filter((client) => {
      const decision = all.find(client);
      return decision.order.length > 0 && !decision.order.includes(before.candidates[0]!.index);
    });
    map.find(clients[0]!);
    const words = trie.words.slice();
    for (const client of spared) map.find(client);
    ok(trie.words.every((word, at) => word === words[at]), `seed ${seed}`);
  }
});

Deno.test("a map that was made out ahead knows every client, with the same decisions and scopes", () => {
  let known = 0;
  for (let seed = 1; seed <= runs(10); seed++) {
    const world = worldOf(seed, true);
    const { family, random } = world;
    const map = new ClientMap(world, world.facts, new Trie());
    const plain = new ClientMap(world, world.facts, new Trie());
    while (map.makeAhead(100));
    const steps = map.steps;
    const bits = family === 4 ? 32 : 128;
    for (let i = 0; i < 5; i++) {
      const client = parsePrefix(random.prefix(family, bits, bits)).bytes;
      const at = `seed ${seed}, client ${formatIp(client)}`;
      equal(decisionOf(map, client), oracle(world, client), at);
      const scope = map.depth;
      const within = `${formatIp(client.map((byte, k) => byte & ~maskBehind(scope, k)))}/${scope}`;
      const decision = decisionOf(map, client);
      for (const other of turningPoints(world, within)) equal(oracle(world, other), decision, at);
      plain.find(client);
      if (world.base.kind === "nearest" || world.base.kind === "alike") equal(map.steps, steps, at);
      if (map.steps === steps && plain.steps > 0) known++;
    }
  }
  ok(known > runs(6), `${known} clients were known`);
});

Deno.test("making out ahead leaves half of the room for those that ask, however many maps there are", () => {
  const trie = new Trie(4096);
  for (let seed = 1; seed <= 60; seed++) {
    const world = worldOf(seed, true);
    const map = new ClientMap(world, world.facts, trie);
    while (map.makeAhead(1));
  }
  equal(trie.clearings, 0);
  ok(trie.isHalfFull);
});

Deno.test("neighbours on whichever side of the world are told apart where another site is nearer to one of them", () => {
  // Seen from both places, but for the one axis on which these differ, the first site is nearer than the second.
  const [west, east] = [[0.94, -0.34, 0], [0.94, 0.34, 0]] as const;
  const sites = [[0.87, -0.5, 0], [0.81, 0.47, 0.34]] as const;
  for (let turn = 0; turn < 6; turn++) {
    const placeOf = (vector: readonly number[]) => {
      const [x, y, z] = [0, 1, 2].map((axis) => vector[(axis + turn) % 3]! * (turn < 3 ? 1 : -1));
      return { latitude: Math.asin(z!) * 180 / Math.PI, longitude: Math.atan2(y!, x!) * 180 / Math.PI };
    };
    const mmdb = new Mmdb(writeMmdb({
      ipVersion: 4,
      // Bounds are worked out where there are many networks. In the second half both places come by turns.
      networks: Array.from({ length: 128 }, (_, i) => {
        const [x, y, z] = i < 64 || i % 2 === 0 ? west : east;
        return [`10.${i * 2}.0.0/15`, flatRecord(placeOf([x, y, z + i / 10_000]))];
      }),
    }));
    const candidates = sites.map((site, index): Candidate => ({
      ...{ index, isUp: true, weight: 1, priority: 0, rttUs: 0, left: 1 },
      ...{ place: placeOf(site), address: Uint8Array.of(192, 0, 2, index) },
    }));
    for (const max of [0, 1]) {
      const lasting = new Lasting(candidates, new Uint32Array(0));
      const options: ClientMapOptions = { candidates, lasting, base: { kind: "nearest" }, fence: null, max };
      const facts = {
        city: () => ({ mmdb, extents: new Extents(workOutExtents(mmdb)) }),
        asn: () => null,
        map: null,
      };
      for (const clients of [["10.1.2.3", "10.130.2.3"], ["10.130.2.3", "10.1.2.3"]]) {
        const map = new ClientMap(options, facts, new Trie());
        const found = clients.map((client) => [client, map.find(parseIp(client)!).order[0], map.depth]);
        deepEqual(found.sort(), [["10.1.2.3", 0, 9], ["10.130.2.3", 1, 15]], `turn ${turn}, ${max} shown`);
      }
    }
  }
});

Deno.test("without bounds worked out decisions are the same, and the scope is never too wide", () => {
  for (let seed = 1; seed <= runs(20); seed++) {
    const world = worldOf(seed, false);
    const map = new ClientMap(world, world.facts, new Trie());
    const bits = world.family === 4 ? 32 : 128;
    for (let i = 0; i < CLIENTS; i++) {
      const client = parsePrefix(world.random.prefix(world.family, bits, bits)).bytes;
      equal(decisionOf(map, client), oracle(world, client), `seed ${seed}, client ${formatIp(client)}`);
    }
  }
});

Deno.test("a trie that is too small is cleared and gives the same decisions", () => {
  const world = worldOf(7, true);
  const roomy = new ClientMap(world, world.facts, new Trie());
  const cramped = new ClientMap(world, world.facts, new Trie(4096));
  for (let i = 0; i < 20_000; i++) {
    const client = new Uint8Array(world.family === 4 ? 4 : 16).map(() => world.random.below(256));
    deepEqual(decisionOf(cramped, client), decisionOf(roomy, client));
    equal(cramped.depth, roomy.depth);
  }
});

Deno.test("however many rules there are, few rankings show whether they make a difference", () => {
  /** Rankings that a new map takes, and the scope of an answer by it; a rule each for members of a prefix. */
  const looked = (count: number, prefixes: readonly (readonly number[])[]) => {
    let rankings = 0;
    const member = (index: number): Candidate => ({
      ...{ index, isUp: true, weight: 1, priority: 0, left: 1, rttUs: 0, place: null },
      address: Uint8Array.of(192, 0, 2, index),
    });
    const candidates = Array.from({ length: count }, (_, index) => member(index));
    const down = Array.from({ length: 100 }, (_, i) => member(200 + i));
    const rules = prefixes.flatMap((members, i) =>
      members.map((member): ClientRule => ({
        match: { kind: "cidr", prefix: [10, i >> 8, i & 255, 0], bits: 24 },
        member,
      }))
    );
    const lasting = new Lasting([...candidates, ...down], layRules(encodeRules(rules)));
    const base = {
      kind: "alike",
      get ranking() {
        rankings++;
        return { order: candidates.map(({ index }) => index), lead: 1 };
      },
    } as const;
    const facts = { city: () => null, asn: () => null, map: null };
    const map = new ClientMap({ candidates, lasting, base, fence: null, max: 0 }, facts, new Trie());
    const made = rankings;
    map.find(Uint8Array.of(192, 0, 2, 1));
    return { rankings: made, depth: map.depth };
  };
  const toFirst = Array.from({ length: 1000 }, () => [0]);
  deepEqual(looked(5, toFirst), { rankings: 2, depth: 0 });
  deepEqual(looked(200, toFirst), { rankings: 2, depth: 0 });
  // Each names one more, who is down: a hundred sets of members, of which the same one is answered.
  const toMany = toFirst.map((_, i) => [0, 200 + i % 100]);
  deepEqual([looked(5, toMany).rankings, looked(200, toMany).rankings], [9, 4]);
});
