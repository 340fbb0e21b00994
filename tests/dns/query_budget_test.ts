/**
 * What one query may have made: in long chains of pools with geofences decisions are made for a few of them, and in the others a
 * client is judged alone; where services are names of one another the rest is left to who asked.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { workOutExtents } from "../../src/geo/extents.ts";
import { EMPTY_GEO_DATA, type GeoData } from "../../src/geo/geo_data.ts";
import { compileMapFile } from "../../src/geo/map_file_table.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import { OpenGeoData } from "../../src/dns/clients.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { runs } from "../property_runs.ts";
import { addresses, query, show } from "./packets.ts";
import { type Declared, World } from "./world.ts";

type Pool = NonNullable<Declared["pools"]>[number];

const PLACES = [
  { latitude: 50.1, longitude: 8.7 },
  { latitude: -23.5, longitude: -46.6 },
  { latitude: 35.7, longitude: 139.7 },
];

/** Each of 16 networks is in one of three countries, and named by a line of the map file. */
const GEO: GeoData = (() => {
  const countries = ["DE", "BR", "JP"];
  const bytes = writeMmdb({
    networks: Array.from({ length: 16 }, (_, i): [string, ReturnType<typeof flatRecord>] => [
      `${16 * i}.0.0.0/4`,
      flatRecord({ ...PLACES[i % 3]!, country: countries[i % 3]! }),
    ]),
  });
  const city = new SharedArrayBuffer(bytes.length);
  new Uint8Array(city).set(bytes);
  const lines = Array.from({ length: 8 }, (_, i) => `${32 * i}.0.0.0/5 192.0.2.${1 + i % 5}\n`);
  return {
    ...{ ...EMPTY_GEO_DATA, edition: 1, city: [city], map: compileMapFile(lines.join("")) },
    extents: [workOutExtents(new Mmdb(new Uint8Array(city)))],
  };
})();

const ADDRESSES = [1, 2, 3, 4, 5, 6].flatMap((i) => [`192.0.2.${i}`, `2001:db8::${i}`]);

const member = (i: number) =>
  fc.record({
    ipAddress: fc.constant(ADDRESSES[i]!),
    ...{ weight: fc.integer({ min: 1, max: 3 }), priority: fc.integer({ min: 0, max: 2 }) },
    enabled: fc.integer({ min: 0, max: 5 }).map((drawn) => drawn > 0),
    place: fc.constantFrom(...PLACES, {}),
  }).map(({ place, ...fields }) => ({ ...fields, ...place }));

const rules = (members: number) =>
  fc.array(
    fc.record({
      match: fc.constantFrom(
        ...[{ country: "DE" }, { country: "JP" }, { cidr: "64.0.0.0/3" }, { cidr: "80.0.0.0/8" }],
      ),
      member: fc.nat({ max: members - 1 }),
    }).map(({ match, member }) => ({ ...match, member })),
    { maxLength: 4 },
  );

const pool: fc.Arbitrary<Omit<Pool, "name">> = fc.subarray(ADDRESSES.map((_, i) => i), { minLength: 3 })
  .chain((chosen) =>
    fc.record({
      members: fc.tuple(...chosen.map(member)),
      geoRules: rules(chosen.length),
      ...{ geofence: fc.integer({ min: 0, max: 5 }).map((drawn) => drawn > 0) },
      algorithm: fc.constantFrom(
        ...["geoip", "geoip", "map-file", "round-robin", "failover", "hash", "weighted-round-robin"] as const,
      ),
      minHealthy: fc.constantFrom(...[1, 2, 5, "50%", "100%"] as const),
      maxAnswers: fc.nat({ max: 2 }),
    })
  );

const chain: fc.Arbitrary<Pool[]> = fc.tuple(
  fc.array(pool, { minLength: 3, maxLength: 8 }),
  fc.constantFrom(...["all", "none", "last-healthy"] as const),
).map(([pools, last]) =>
  pools.map((fields, i): Pool => ({
    ...{ ...fields, name: `p${i}` },
    ...i + 1 < pools.length ? { onAllDown: "fallback", fallbackPoolId: `p${i + 1}` } : { onAllDown: last },
  }))
);

function ask(world: World, ecs: string, type: "A" | "AAAA") {
  const answer = world.ask(query("www.example", type, { ecs }))!;
  return { members: addresses(answer), scope: answer[answer.length - 4]! };
}

/** @param mayWait whether all decisions are made where they are asked for, as for an account of an answer */
function worldOf(pools: readonly Pool[], mayWait: boolean): World {
  const world = new World({ pools, services: { "www.example": "p0" }, geoData: GEO });
  world.engine.use(world.snapshot, world.board, new OpenGeoData(GEO, { mayWait }));
  return world;
}

Deno.test("in a chain of fences a client gets the same, judged alone or by decisions, and then with as wide a scope", () => {
  const stepOf = fc.record({
    down: fc.subarray(ADDRESSES),
    ...{ network: fc.nat({ max: 255 }), type: fc.constantFrom(...["A", "AAAA"] as const) },
  });
  let narrower = 0;
  fc.assert(
    fc.property(chain, fc.array(stepOf, { minLength: 1, maxLength: 12 }), (pools, steps) => {
      const [world, patient] = [worldOf(pools, false), worldOf(pools, true)];
      for (const step of steps) {
        const { down, network, type } = step;
        const health = Object.fromEntries(
          pools.flatMap(({ members }) => members as { ipAddress: string }[])
            .map(({ ipAddress }) => [ipAddress, !down.includes(ipAddress)]),
        );
        world.health(health);
        patient.health(health);
        const asked = steps.at(-1) === step ? pools.length : 1;
        for (let again = 0; again <= asked; again++) {
          const [quick, slow] = [world, patient].map((each) => ask(each, `${network}.1.2.0/24`, type));
          deepEqual(quick!.members, slow!.members);
          ok(quick!.scope >= slow!.scope);
          if (quick!.scope > slow!.scope) narrower++;
          if (again === pools.length) equal(quick!.scope, slow!.scope, "all decisions are made by now");
        }
      }
    }),
    { numRuns: runs(300) },
  );
  ok(narrower > 0, "clients were judged alone");
});

/** Chains of pools with too few up but for the last one, no two of which are alike. */
function chainOf(name: string, members: number, last: Omit<Pool, "name">): Pool[] {
  const few = (i: number): Pool => ({
    ...{ name: `${name}${i}`, algorithm: "geoip", geofence: true, minHealthy: "100%" },
    ...{ onAllDown: "fallback", fallbackPoolId: `${name}${i + 1}` },
    members: sited(members, i),
  });
  return [...Array.from({ length: 7 }, (_, i) => few(i)), { name: `${name}7`, ...last }];
}

/** By turns at three places. */
function sited(count: number, from: number) {
  return Array.from(
    { length: count },
    (_, i) => ({ ipAddress: `10.0.${i >> 8}.${i & 255}`, weight: 1 + from, ...PLACES[i % 3]! }),
  );
}

Deno.test("for one query decisions are made for so many members, however many pools of a chain are down", () => {
  for (const [members, most] of [[5, 4], [40, 3], [200, 1]] as const) {
    const geoData = new OpenGeoData(GEO);
    const pools = chainOf("p", members, { algorithm: "geoip", geofence: true, members: sited(members, 7) });
    const world = new World({ pools, services: { "www.example": "p0" }, geoData: GEO });
    world.engine.use(world.snapshot, world.board, geoData);
    world.health({ "10.0.0.0": false, "10.0.0.1": false, "10.0.0.2": false });
    const made = () => {
      const before = geoData.made;
      equal(ask(world, "17.1.2.0/24", "A").members.length, 1);
      return geoData.made - before;
    };
    made();
    for (const gone of [3, 4]) {
      world.health({ [`10.0.0.${gone}`]: false });
      for (let queries = 0, left = 8 * (64 + members); left > 0; queries++) {
        ok(queries < 8, "each has some made");
        const now = made();
        ok(now > 0 && now <= most * (64 + members), `${now} for ${members} members`);
        left -= now;
      }
      equal(made(), 0, "all are made");
    }
  }
});

Deno.test("a rule that names all members is a fence that too few can be enough in, also for a client that is judged alone", () => {
  const all = [0, 1].map((member) => ({ cidr: "48.0.0.0/4", member }));
  const [p0, p1, p2] = chainOf("p", 3, { members: [] });
  const world = new World({
    pools: [
      ...[p0!, p1!, p2!],
      {
        ...{ name: "p3", geofence: true, minHealthy: 5, onAllDown: "fallback", fallbackPoolId: "p4" },
        ...{ members: ["192.0.2.1", "192.0.2.2"], geoRules: all },
      },
      { name: "p4", members: ["192.0.2.9"] },
    ],
    services: { "www.example": "p0" },
    geoData: GEO,
  });
  // Of a state that was before all is known.
  for (const [one, two] of [[false, false], [true, false], [false, true]] as const) {
    world.health({ "10.0.0.0": false, "10.0.0.1": one, "10.0.0.2": two });
    ok(["192.0.2.1", "192.0.2.2"].includes(ask(world, "48.1.2.0/24", "A").members[0]!));
  }
  deepEqual(ask(world, "96.1.2.0/24", "A").members, ["192.0.2.9"]);
});

Deno.test("a pool too large to be judged ahead of its choice has its scope at once", () => {
  const pools: Pool[] = [{ name: "p0", algorithm: "geoip", geofence: true, members: sited(200, 0) }];
  const [world, patient] = [worldOf(pools, false), worldOf(pools, true)];
  for (const network of [17, 33, 49]) {
    for (const each of [world, patient]) each.health({});
    deepEqual(ask(world, `${network}.1.2.0/24`, "A"), ask(patient, `${network}.1.2.0/24`, "A"));
  }
});

const ZONE = { "example": "@ SOA ns h 1 1 1 1 60\n@ NS ns\nns A 192.0.2.53\n" };
const NINE = Array.from({ length: 9 }, (_, i) => i);
const names = (world: World) => show(world.ask(query("n0.example", "A"))).match(/CNAME/g)?.length ?? 0;

Deno.test("where services are names of one another, so many pools are looked at for a query", () => {
  const services = (chained: boolean): Declared => ({
    zones: ZONE,
    pools: NINE.flatMap((i) => {
      const last = i < 8
        ? { healthCheck: null, flatten: false, members: [{ target: `n${i + 1}.example` }] }
        : { members: sited(3, 0) };
      return chained ? chainOf(`n${i}-`, 3, last) : [{ ...last, name: `n${i}-0` }];
    }),
    services: Object.fromEntries(NINE.map((i) => [`n${i}.example`, `n${i}-0`])),
    geoData: GEO,
  });
  const plain = new World(services(false));
  plain.health({ "10.0.0.0": false });
  equal(names(plain), 8, "a pool each");
  const chained = new World(services(true));
  chained.health({ "10.0.0.0": false, "10.0.0.1": false, "10.0.0.2": false });
  for (let i = 0; i < 30; i++) {
    equal(names(chained), 2, "eight pools each, whether decisions are made or not");
  }
});

Deno.test("where services are names of one another, a query that had much made is answered with what there is", () => {
  const world = new World({
    zones: ZONE,
    pools: NINE.map((i): Pool => ({
      ...{ name: `n${i}`, algorithm: "weighted-round-robin", healthCheck: null, flatten: false },
      members: i < 8
        ? [
          { target: `n${i + 1}.example`, weight: 65_535 },
          ...Array.from({ length: 250 }, (_, j) => ({ target: `x${j}.example.net`, weight: 1 })),
        ]
        : ["192.0.2.9"],
    })),
    services: Object.fromEntries(NINE.map((i) => [`n${i}.example`, `n${i}`])),
  });
  const followed = Array.from({ length: 5 }, () => names(world));
  deepEqual(followed, [2, 4, 6, 8, 8], "two more are made each time");
});
