/**
 * Answers by client through the whole engine: how much work one new client can cause, and that an answer holds for the
 * widest prefix for which it is the same.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { workOutExtents } from "../../src/geo/extents.ts";
import { compileMapFile } from "../../src/geo/map_file_table.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import { EMPTY_GEO_DATA, type GeoData } from "../../src/geo/geo_data.ts";
import type { Trace } from "../../src/dns/trace.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { addresses, query } from "./packets.ts";
import { type Declared, World } from "./world.ts";

const HASHED: Declared["pools"] = [{
  name: "hashed",
  algorithm: "hash",
  members: [{ ipAddress: "192.0.2.1", weight: 65_535 }, { ipAddress: "192.0.2.2", weight: 1 }],
}];

const FRANKFURT = { latitude: 50.1, longitude: 8.7, country: "DE", continent: "EU" };
const SAO_PAULO = { latitude: -23.5, longitude: -46.6, country: "BR", continent: "SA" };

/** Thousands of networks by turns here and there, so that looking at each of them can't be what a query does. */
const MOTLEY: GeoData = (() => {
  const networks = Array.from({ length: 30_000 }, (_, i): [string, ReturnType<typeof flatRecord>] => [
    `${1 + (i >> 10)}.${i >> 2 & 255}.${(i & 3) * 64}.0/18`,
    flatRecord(i % 2 === 0 ? FRANKFURT : SAO_PAULO),
  ]);
  const bytes = writeMmdb({ networks: [["0.0.0.0/0", flatRecord(FRANKFURT)], ...networks] });
  const city = new SharedArrayBuffer(bytes.length);
  new Uint8Array(city).set(bytes);
  const extents = workOutExtents(new Mmdb(new Uint8Array(city)));
  return { ...EMPTY_GEO_DATA, edition: 1, city: [city], extents: [extents] };
})();

/** A world whose pools are asked for as `www.example`, the first of them. */
function worldOf(pools: NonNullable<Declared["pools"]>, geoData = EMPTY_GEO_DATA): World {
  return new World({ pools, services: { "www.example": pools[0]!.name }, geoData });
}

/** Who is answered, and for how many bits of the subnet. */
function ask(world: World, ecs: string, type: "A" | "AAAA" = "A") {
  const answer = world.ask(query("www.example", type, { ecs }))!;
  return { members: addresses(answer), scope: scopeOf(answer) };
}

/** The option of RFC 7871 is the last thing in an answer: its scope stands before the address. */
function scopeOf(answer: Uint8Array): number {
  for (let at = answer.length - 8; at > 12; at--) {
    const isOption = answer[at] === 0 && answer[at + 1] === 8 && answer[at + 4] === 0;
    if (isOption && at + 4 + (answer[at + 2]! << 8 | answer[at + 3]!) === answer.length) {
      return answer[at + 7]!;
    }
  }
  throw new Error("the answer has no client subnet");
}

/** How often a function of `Math` is called meanwhile. */
function callsOf(name: "log", act: () => void): number {
  const own = Math[name];
  let calls = 0;
  Math[name] = (x) => {
    calls++;
    return own(x);
  };
  try {
    act();
  } finally {
    Math[name] = own;
  }
  return calls;
}

Deno.test("a new client of a hashed pool costs one hash for each member, however unequal weights are", () => {
  const world = worldOf(HASHED!);
  for (let i = 0; i < 100; i++) {
    const v6 = callsOf("log", () => ask(world, `2001:db8:${i.toString(16)}:${i}00::/56`));
    const v4 = callsOf("log", () => ask(world, `10.${i}.${i}.0/24`));
    ok(v6 <= 2 && v4 <= 2, `client ${i} takes ${v6} and ${v4} logarithms`);
  }
});

Deno.test("a hash looks at 24 bits of an IPv4 client and at 56 of an IPv6 one, and says so", () => {
  const pool = { ...HASHED![0]!, members: Array.from({ length: 8 }, (_, i) => `192.0.2.${i}`) };
  const world = worldOf([pool]);
  const answers = (clients: string[]) => new Set(clients.map((ecs) => ask(world, ecs).members.join()));
  const numbers = Array.from({ length: 64 }, (_, i) => i);
  ok(answers(numbers.map((i) => `2001:db8:0:${i.toString(16)}00::/56`)).size > 4, "/56 of one /48");
  equal(answers(numbers.map((i) => `2001:db8:0:${i.toString(16)}::/64`)).size, 1, "/64 of one /56");
  ok(answers(numbers.map((i) => `10.0.${i}.0/24`)).size > 4, "/24 of one /16");
  equal(answers(numbers.map((i) => `10.0.0.${i}/32`)).size, 1, "addresses of one /24");
  deepEqual([ask(world, "2001:db8::/56").scope, ask(world, "10.0.0.0/24").scope], [56, 24]);
});

Deno.test("a hash sends the IPv6 clients that it always has", () => {
  const pool = { ...HASHED![0]!, members: Array.from({ length: 8 }, (_, i) => `192.0.2.${i}`) };
  const world = worldOf([pool]);
  const firsts = Array.from(
    { length: 12 },
    (_, i) => ask(world, `2001:db8:0:${i.toString(16)}00::/56`).members[0],
  );
  deepEqual(firsts.map((address) => address!.slice(-1)).join(""), "112546150513");
});

const TWO = ["192.0.2.1", "192.0.2.2"];

Deno.test("rules that name those whom everybody else gets as well leave the scope at 0", () => {
  const world = worldOf([{
    name: "web",
    maxAnswers: 0,
    members: TWO,
    geoRules: [{ country: "BR", member: 1 }, { country: "BR", member: 0 }],
  }], MOTLEY);
  deepEqual(ask(world, "1.2.64.0/24"), { members: TWO, scope: 0 });
  deepEqual(ask(world, "1.2.0.0/24"), { members: [...TWO].reverse(), scope: 0 });
});

Deno.test("a rule for the only tier that is up leaves the scope at 0", () => {
  const world = worldOf([{
    name: "web",
    algorithm: "failover",
    members: [
      { ipAddress: "192.0.2.1", priority: 1 },
      { ipAddress: "192.0.2.2", priority: 2 },
      { ipAddress: "192.0.2.3", priority: 0 },
    ],
    geoRules: [{ country: "BR", member: 1 }, { continent: "EU", member: 0 }],
  }], MOTLEY);
  ok(ask(world, "1.2.64.0/24").scope > 0);
  world.health({ "192.0.2.1": false });
  deepEqual(ask(world, "1.2.64.0/24"), { members: ["192.0.2.2"], scope: 0 });
});

const THREE: NonNullable<Declared["pools"]> = [{
  name: "web",
  algorithm: "geoip",
  maxAnswers: 1,
  members: [
    { ipAddress: "192.0.2.1", latitude: 50, longitude: 8 },
    { ipAddress: "192.0.2.2", latitude: -23, longitude: -46 },
    { ipAddress: "192.0.2.3", latitude: 48, longitude: 2 },
  ],
}];

/** A subnet of the motley networks. */
const subnetOf = (i: number) => `${1 + i * 7 % 29}.${i * 13 % 256}.${(i & 3) * 64}.0/24`;

Deno.test("decisions that are made ahead are those that would be made, once a map is asked", () => {
  const [world, plain] = [worldOf(THREE, MOTLEY), worldOf(THREE, MOTLEY)];
  ask(world, subnetOf(0));
  equal(world.engine.makeAhead(() => true), false);
  for (let i = 1; i < 64; i++) ask(world, subnetOf(i));
  equal(world.engine.makeAhead(() => true), true);
  while (world.engine.makeAhead(() => true));
  for (let i = 64; i < 300; i++) deepEqual(ask(world, subnetOf(i)), ask(plain, subnetOf(i)), subnetOf(i));
});

Deno.test("when a site falls its clients go to the next one, and the others keep answer and scope", () => {
  const world = worldOf(THREE, MOTLEY);
  const before = Array.from({ length: 200 }, (_, i) => ask(world, subnetOf(i)));
  world.health({ "192.0.2.1": false });
  for (const [i, { members, scope }] of before.entries()) {
    const isFallen = members[0] === "192.0.2.1";
    deepEqual(ask(world, subnetOf(i)), { members: isFallen ? ["192.0.2.3"] : members, scope }, subnetOf(i));
  }
  deepEqual(new Set(before.map(({ members }) => members[0])), new Set(["192.0.2.1", "192.0.2.2"]));
  world.health({ "192.0.2.1": true });
  for (const [i, answer] of before.entries()) deepEqual(ask(world, subnetOf(i)), answer, subnetOf(i));
});

Deno.test("a rule whose members are down leaves its clients to the rules behind it, and scopes as wide", () => {
  const rules = [{ cidr: "1.0.0.0/8", member: 0 }, { cidr: "0.0.0.0/0", member: 1 }];
  const world = worldOf([{ name: "web", members: [...TWO, "192.0.2.3"], geoRules: rules }], MOTLEY);
  deepEqual(ask(world, "1.2.64.0/24"), { members: ["192.0.2.1"], scope: 8 });
  world.health({ "192.0.2.1": false });
  deepEqual(ask(world, "1.2.64.0/24"), { members: ["192.0.2.2"], scope: 0 });
});

Deno.test("a geofence all of whose members are down hands everybody on alike, with scope 0", () => {
  for (const onAllDown of ["fallback", "none"] as const) {
    const world = worldOf([
      {
        name: "web",
        algorithm: "geoip",
        geofence: true,
        onAllDown,
        fallbackPoolId: onAllDown === "fallback" ? "rest" : null,
        members: [
          { ipAddress: "192.0.2.1", latitude: 50.1, longitude: 8.7 },
          { ipAddress: "192.0.2.2", latitude: -23.5, longitude: -46.6 },
          { ipAddress: "192.0.2.3", latitude: 35.7, longitude: 139.7 },
        ],
      },
      { name: "rest", members: ["192.0.2.9"] },
    ], MOTLEY);
    ok(ask(world, "1.2.64.0/24").scope > 0);
    world.health({ "192.0.2.1": false, "192.0.2.2": false });
    deepEqual(ask(world, "1.2.64.0/24"), { members: onAllDown === "none" ? [] : ["192.0.2.9"], scope: 0 });
  }
});

Deno.test("of a pool of any size each member's health counts", () => {
  for (const count of [3, 30, 31, 47]) {
    const members = Array.from(
      { length: count },
      (_, i) => ({ ipAddress: `192.0.2.${i + 1}`, weight: i + 1 }),
    );
    const world = worldOf([{
      name: "web",
      maxAnswers: 0,
      members,
      geoRules: [{ continent: "EU", member: 0 }],
    }], MOTLEY);
    const everyone = members.map(({ ipAddress }) => ipAddress);
    for (const gone of [0, count >> 1, count - 1].map((i) => everyone[i]!)) {
      world.health({ [gone]: false });
      deepEqual(new Set(ask(world, subnetOf(1)).members), new Set(everyone.filter((each) => each !== gone)));
      world.health({ [gone]: true });
      deepEqual(new Set(ask(world, subnetOf(1)).members), new Set(everyone));
    }
  }
});

/** Thousands of lines: ours is named in half of 10.0.0.0/8, each time beside others. */
function crowdedMapFile(): GeoData {
  const line = (i: number) =>
    `10.${i >> 5}.${(i & 31) * 8}.0/21 198.51.100.${1 + i % 100}${i < 4_096 ? ",192.0.2.1" : ""}\n`;
  const map = compileMapFile(Array.from({ length: 8_192 }, (_, i) => line(i)).join(""));
  return { ...EMPTY_GEO_DATA, edition: 2, map };
}

const MAPPED: NonNullable<Declared["pools"]> = [{
  name: "web",
  algorithm: "map-file",
  maxAnswers: 1,
  members: ["192.0.2.1", "192.0.2.2"],
}];

Deno.test("what a large map file says of members is found out ahead: until then scopes are narrower, and answers right", () => {
  const world = worldOf(MAPPED, crowdedMapFile());
  const before = ask(world, "10.1.2.0/24");
  deepEqual(before.members, ["192.0.2.1"]);
  ok(before.scope > 9 && before.scope <= 21, `${before.scope}`);
  equal(world.engine.makeAhead(() => true), true, "time is up before all is known");
  deepEqual(ask(world, "10.1.2.0/24"), before);
  while (world.engine.makeAhead(() => true));
  deepEqual(ask(world, "10.1.2.0/24"), { members: ["192.0.2.1"], scope: 9 });
  deepEqual(ask(world, "10.127.255.0/24"), { members: ["192.0.2.1"], scope: 9 });
  // A pool that looks at the same members knows at once.
  world.health({ "192.0.2.2": false });
  deepEqual(ask(world, "10.127.255.0/24"), { members: ["192.0.2.1"], scope: 0 });
});

Deno.test("an account of an answer waits for what a large map file says", () => {
  const ignore = () => {};
  const trace: Trace = {
    ...{ name: ignore, pool: ignore, client: ignore, leading: ignore, allDown: ignore, chosen: ignore },
    scope: ignore,
  };
  const declared = { pools: MAPPED, services: { "www.example": "web" }, geoData: crowdedMapFile() };
  const world = new World(declared, {}, trace);
  equal(ask(world, "10.1.2.0/24").scope, 9);
});
