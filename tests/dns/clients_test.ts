/** @module Tests of how long what decides for clients is kept. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { type Among, Clients, OpenGeoData } from "../../src/dns/clients.ts";
import type { Trace } from "../../src/dns/trace.ts";
import {
  type ClientRule,
  encodeRules,
  hashOfWords,
  isLaidOut,
  RULE,
  TABLE,
} from "../../src/balance/rule_table.ts";
import { formatIp } from "../../src/ip.ts";
import { rulesOf, SnapshotView } from "../../src/snapshot/view.ts";
import { addresses, query } from "./packets.ts";
import { World } from "./world.ts";
import { compileMapFile } from "../../src/geo/map_file_table.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";

const MIB = 1 << 20;
const NO_RULES = new Uint32Array(0);
const ignore = () => {};

/** Looks at lists one after the other, each of which takes as much; gives how often all was forgotten. */
function forgotten(geoData: OpenGeoData, lists: readonly number[], bytes: number): number {
  const before = geoData.epoch;
  for (const list of lists) {
    const grounds = geoData.groundsOf(Uint32Array.of(0, list), NO_RULES);
    if (grounds.made === null) geoData.take(bytes, grounds);
    grounds.made ??= { lasting: null!, up: [], down: [], listed: [], others: [] };
    ok(geoData.epoch >= before);
  }
  return geoData.epoch - before;
}

Deno.test("lists that need more than is kept are made again some times, and then stay", () => {
  const geoData = new OpenGeoData(EMPTY_GEO_DATA);
  const lists = Array.from({ length: 300 }, (_, i) => i);
  ok(forgotten(geoData, lists, MIB) > 0);
  for (let round = 0; round < 6; round++) forgotten(geoData, lists, MIB);
  equal(forgotten(geoData, lists, MIB), 0);
});

Deno.test("lists that are over are forgotten, however many come after them", () => {
  const geoData = new OpenGeoData(EMPTY_GEO_DATA);
  const each = (round: number) => Array.from({ length: 1000 }, (_, i) => round * 1000 + i);
  const first = forgotten(geoData, each(0), MIB);
  ok(first > 10);
  equal(forgotten(geoData, each(1), MIB), first, "no more is kept");
});

Deno.test("what a map file says of members counts as well, and takes less once it is known", () => {
  const text = Array.from(
    { length: 60_000 },
    (_, i) => `10.${i >> 8}.${i & 255}.0/24 10.9.${i >> 8}.${i & 255}\n`,
  );
  const map = compileMapFile(text.join(""));
  const forgotten = (looked: (geoData: OpenGeoData) => void) => {
    const geoData = new OpenGeoData({ ...EMPTY_GEO_DATA, map });
    for (let i = 0; i < 400; i++) {
      const address = Uint8Array.of(10, 9, i >> 8, i & 255);
      geoData.named([{ index: 0, place: null, address }], { isAgain: false });
      looked(geoData);
    }
    return geoData.epoch;
  };
  ok(forgotten((geoData) => ok(geoData.epoch >= 0)) > 0, "a word for each of 60,000 lines");
  equal(
    forgotten((geoData) => {
      while (geoData.makeAhead(() => false));
      equal(geoData.epoch, 0);
    }),
    0,
    "three changes",
  );
});

Deno.test("what is found out of a map file counts when it is", () => {
  const text = Array.from(
    { length: 60_000 },
    (_, i) => `10.${i >> 8}.${i & 255}.0/24 192.0.2.${1 + i % 2}\n`,
  );
  const geoData = new OpenGeoData({ ...EMPTY_GEO_DATA, map: compileMapFile(text.join("")) });
  const member = (index: number, ...address: number[]) => ({
    index,
    place: null,
    address: Uint8Array.from(address),
  });
  for (let i = 0; i < 150; i++) {
    geoData.named([member(0, 192, 0, 2, 1), member(1, 198, 51, 100, i)], { isAgain: false });
    while (geoData.makeAhead(() => true));
    ok(geoData.epoch < 2);
  }
  equal(geoData.epoch, 1, "two words for each of 60,000 changes");
});

Deno.test("as if all were up is the same whoever is: it is decided once, and not for each state of health", () => {
  const lists: number[] = [];
  const trace: Trace = {
    ...{ name: ignore, client: ignore, leading: ignore, allDown: ignore, chosen: ignore, scope: ignore },
    pool: (_, list) => void lists.push(list),
  };
  const outside = "2001:db8::1";
  const members = ["192.0.2.1", "192.0.2.2", "192.0.2.3", outside];
  const world = new World(
    {
      pools: [{
        name: "web",
        algorithm: "hash",
        geofence: true,
        members,
        geoRules: [{ cidr: "0.0.0.0/0", member: 0 }],
      }],
      services: { "www.example": "web" },
    },
    {},
    trace,
  );
  world.ask(query("www.example", "A"));
  const clients = new Clients(new SnapshotView(world.snapshot), world.board, new OpenGeoData(EMPTY_GEO_DATA));
  const maps = (among: Among) =>
    new Set(members.map((address, i) => {
      world.health({ [address]: i > 1, [outside]: i < 3 });
      return clients.of(lists[0]!, among, { max: 1, need: 0 }).map;
    })).size;
  deepEqual([maps("up"), maps("all"), maps("all without draining"), maps("inside")], [3, 2, 2, 1]);
});

Deno.test("hundreds of rules lie in the tables laid out, and once for all lists that have the same", () => {
  const lists: number[] = [];
  const trace: Trace = {
    ...{ name: ignore, client: ignore, leading: ignore, allDown: ignore, chosen: ignore, scope: ignore },
    pool: (_, list) => void lists.push(list),
  };
  const rulesFrom = (first: number, count: number) =>
    Array.from(
      { length: count },
      (_, i) => ({ cidr: `10.${first + i >> 8}.${first + i & 255}.0/24`, member: i % 2 }),
    );
  const ofPools = {
    many: rulesFrom(0, 300),
    same: rulesFrom(0, 300),
    others: rulesFrom(1, 300),
    few: rulesFrom(0, 3),
  };
  const world = new World(
    {
      pools: Object.entries(ofPools).map(([name, geoRules]) => ({
        ...{ name, geoRules, members: [`192.0.2.${name.length}`, "198.51.100.1"], maxAnswers: 1 },
      })),
      services: Object.fromEntries(Object.keys(ofPools).map((name) => [`${name}.example`, name])),
    },
    {},
    trace,
  );
  const clients = new Clients(new SnapshotView(world.snapshot), world.board, new OpenGeoData(EMPTY_GEO_DATA));
  const answers = Object.keys(ofPools).map((name) =>
    addresses(world.ask(query(`${name}.example`, "A", { ecs: "10.0.1.0/24" })))
  );
  deepEqual(answers, [["198.51.100.1"], ["198.51.100.1"], ["192.0.2.6"], ["198.51.100.1"]]);
  const [many, same, others, few] = lists.map((list) =>
    rulesOf(new SnapshotView(world.snapshot).records, list)
  );
  equal(many!.byteOffset, same!.byteOffset);
  ok(many!.byteOffset !== others!.byteOffset);
  deepEqual([many, others, few].map((table) => isLaidOut(table!)), [true, true, false]);
  const grounds = lists.map((list) => clients.groundsOf(list, "up", { max: 1, need: 0 }));
  deepEqual(grounds.map((each) => each === grounds[0]), [true, true, false, false], "addresses don't count");
});

Deno.test("rules with the hash of others are not taken for them", () => {
  const rulesOfNumbers = (numbers: readonly number[]) =>
    numbers.map((number, i) => ({
      cidr: `${formatIp(Uint8Array.of(number >>> 24, number >> 16, number >> 8, number))}/32`,
      member: i % 2,
    }));
  const numbers = Array.from({ length: 300 }, (_, i) => 0x0a000000 + i);
  // Up to the second prefix the hash goes by the first one; then what differs is taken back.
  const secondPrefix = TABLE.head + RULE.size + RULE.prefix;
  const hashUpTo = (first: number) => {
    const table = encodeRules([first, 0].map((number, member): ClientRule => ({
      match: {
        kind: "cidr",
        prefix: [number >>> 24, number >>> 16 & 255, number >>> 8 & 255, number & 255],
        bits: 32,
      },
      member,
    })));
    return hashOfWords(table, undefined, TABLE.head, secondPrefix);
  };
  const first = 0x0b000000;
  const others = [first, (numbers[1]! ^ hashUpTo(numbers[0]!) ^ hashUpTo(first)) >>> 0, ...numbers.slice(2)];
  const world = new World({
    pools: [numbers, others].map((each, i) => ({
      ...{
        name: `p${i}`,
        members: ["192.0.2.1", "192.0.2.2"],
        maxAnswers: 1,
        geoRules: rulesOfNumbers(each),
      },
    })),
    services: { "0.example": "p0", "1.example": "p1" },
  });
  for (const [i, each] of [numbers, others].entries()) {
    for (const [place, number] of each.slice(0, 2).entries()) {
      const ecs = `${formatIp(Uint8Array.of(number >>> 24, number >> 16, number >> 8, number))}/32`;
      const answered = new Set(
        Array.from({ length: 4 }, () => addresses(world.ask(query(`${i}.example`, "A", { ecs })))[0]),
      );
      deepEqual([...answered], [`192.0.2.${1 + place}`], `pool ${i}, ${ecs}`);
    }
  }
});

Deno.test("of a chain of pools that have too few up only the one that answers is ranked", () => {
  const members = Array.from({ length: 20 }, (_, i) => ({ ipAddress: `192.0.2.${i}`, weight: 1 + i }));
  const world = new World({
    pools: Array.from({ length: 8 }, (_, i) => ({
      ...{ name: `p${i}`, algorithm: "weighted-round-robin" as const, members },
      ...i < 7
        ? { minHealthy: "100%" as const, onAllDown: "fallback" as const, fallbackPoolId: `p${i + 1}` }
        : {},
    })),
    services: { "www.example": "p0" },
  });
  const { plain } = Clients.prototype;
  let ranked = 0;
  Clients.prototype.plain = function (list) {
    ranked++;
    return plain.call(this, list);
  };
  try {
    for (const state of [1, 2, 3]) {
      world.health({ [`192.0.2.${state}`]: false });
      equal(addresses(world.ask(query("www.example", "A"))!).length, 1);
      world.ask(query("www.example", "A"));
      equal(ranked, state, "once for each state of health");
    }
  } finally {
    Clients.prototype.plain = plain;
  }
});

Deno.test("a walk over a map file that fails is given up, and not begun at each slice", () => {
  const lines = Array.from({ length: 1_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24 192.0.2.${i & 255}\n`);
  const geoData = new OpenGeoData({ ...EMPTY_GEO_DATA, map: compileMapFile(lines.join("")) });
  const members = [{ index: 0, place: null, address: Uint8Array.of(192, 0, 2, 1) }];
  const named = geoData.named(members, { isAgain: false })!;
  named.walk = () => {
    throw new Error("on purpose");
  };
  throws(() => geoData.makeAhead(() => true), /on purpose/);
  equal(geoData.makeAhead(() => true), false);
});
