/** @module Tests of what differs between two forecasts. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { EVERYONE } from "../../src/plan/clients.ts";
import { DIFFERENCES_MAX } from "../../src/change/guard.ts";
import { runs } from "../property_runs.ts";
import { differ, type Differences } from "../../src/plan/differences.ts";
import { Forecast, type World } from "../../src/plan/forecast.ts";
import { subjectsOf } from "./subjects.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { ownLocation } from "../../src/snapshot/lists.ts";
import { type Declared, desiredOf } from "../dns/world.ts";
import { parseIp } from "../../src/ip.ts";
import { anyState, geographyOf, realOf } from "./random_world.ts";

const WORLD: World = {
  health: { out: new Map(), roundTripsUs: new Map() },
  geoData: EMPTY_GEO_DATA,
  locationOf: ownLocation,
};

function differenceOf(before: Declared, after: Declared, clients = EVERYONE): Differences {
  const [was, willBe] = [desiredOf(before), desiredOf(after)];
  return differ(new Forecast(was, WORLD), new Forecast(willBe, WORLD), {
    subjects: subjectsOf(was, willBe),
    clients,
  });
}

const ZONES = { "example.com": null };

function webOf(
  members: Declared["pools"] extends infer _ ? readonly string[] : never,
  fields = {},
): Declared {
  return {
    pools: [{ ...fields, name: "web", members }],
    services: { "www.example.com": "web" },
    zones: ZONES,
  };
}

Deno.test("a state differs from itself in nothing", () => {
  fc.assert(
    fc.property(anyState, fc.integer({ min: 0, max: 50 }), (state, seed) => {
      const { geoData, clients } = geographyOf(seed);
      const { frozen } = realOf(state, geoData);
      const desired = desiredOf(state.declared);
      const classes = clients.map((client) => ({ label: client, weight: 1, address: parseIp(client)! }));
      const found = differ(new Forecast(desired, frozen), new Forecast(desired, frozen), {
        subjects: subjectsOf(desired, desired),
        clients: classes,
      });
      deepEqual(found, {
        names: 0,
        differences: [],
        count: 0,
        movedWeight: 0,
        emptied: [],
        emptiedNames: 0,
      });
    }),
    { numRuns: runs(50) },
  );
});

Deno.test("a member in a rotation of three takes a third of the answers from the others", () => {
  const found = differenceOf(
    webOf(["192.0.2.1", "192.0.2.2"]),
    webOf(["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
  );
  equal(found.differences.length, 1);
  const [{ moved, before, ...rest }] = found.differences as [Differences["differences"][number]];
  deepEqual(before, [{ address: "192.0.2.1", share: 0.5 }, { address: "192.0.2.2", share: 0.5 }]);
  ok(Math.abs(moved - 1 / 3) < 1e-9);
  deepEqual(rest.after.map(({ address }) => address), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
  deepEqual([rest.name, rest.type, rest.clients, rest.share], ["www.example.com", "A", "everyone", 1]);
  ok(Math.abs(found.movedWeight - 1 / 3) < 1e-9);
});

Deno.test("a name that moves in either family counts once; one that is deleted doesn't", () => {
  const before = webOf(["192.0.2.1", "2001:db8::1"]);
  equal(differenceOf(before, webOf(["192.0.2.2", "2001:db8::2"])).movedWeight, 1);
  equal(differenceOf(before, webOf(["192.0.2.2", "2001:db8::1"])).movedWeight, 0.5);
  equal(differenceOf(before, { ...before, services: {} }).movedWeight, 0);
});

Deno.test("answers that some gain are those that others lose, and count once", () => {
  const of = (weight: number): Declared => ({
    pools: [{
      name: "web",
      algorithm: "weighted-round-robin",
      members: [{ ipAddress: "192.0.2.1", weight }, "192.0.2.2"],
    }],
    services: { "www.example.com": "web" },
    zones: ZONES,
  });
  equal(differenceOf(of(1), of(3)).movedWeight, 0.25);
});

Deno.test("a change of a TTL moves nothing", () => {
  const before = webOf(["192.0.2.1"]);
  const after = { ...before, services: { "www.example.com": { pool: "web", ttl: 5 } } };
  deepEqual(differenceOf(before, after).differences, []);
});

Deno.test("what only comes behind others is a difference that moves nothing", () => {
  const of = (maxAnswers: number) => webOf(["192.0.2.1", "192.0.2.2"], { algorithm: "hash", maxAnswers });
  const { differences, movedWeight } = differenceOf(of(1), of(2));
  deepEqual(differences.map(({ before, after, moved }) => ({ before, after, moved })), [{
    before: [{ address: "192.0.2.2", share: 1 }],
    after: [{ address: "192.0.2.2", share: 1 }, { address: "192.0.2.1", share: 0 }],
    moved: 0,
  }]);
  equal(movedWeight, 0);
});

Deno.test("a name that is new, or gets its first address, has moved nothing", () => {
  const { differences, movedWeight, emptied } = differenceOf(webOf([]), webOf(["192.0.2.1"]));
  equal(differences.length, 1);
  deepEqual([movedWeight, emptied], [0, []]);
});

Deno.test("labels whose clients are all answered otherwise in the same way are everyone; else each has its own", () => {
  const clients = [
    { label: "DE", weight: 3, address: new Uint8Array([64, 0, 0, 1]) },
    { label: "FR", weight: 1, address: new Uint8Array([128, 0, 0, 1]) },
  ];
  const of = (first: string, members: readonly string[]): Declared => ({
    pools: [{ name: "web", members: [first, ...members], geoRules: [{ cidr: "64.0.0.0/8", member: 0 }] }],
    services: { "www.example.com": "web" },
    zones: ZONES,
  });
  const one = differenceOf(of("192.0.2.1", ["192.0.2.2"]), of("192.0.2.3", ["192.0.2.2"]), clients);
  deepEqual(one.differences.map(({ clients, share, moved }) => ({ clients, share, moved })), [
    { clients: "DE", share: 0.75, moved: 1 },
    { clients: "FR", share: 0.25, moved: 0.5 },
  ]);
  equal(one.movedWeight, 0.875);
  const some = differenceOf(of("192.0.2.1", ["192.0.2.2"]), {
    ...of("192.0.2.1", ["192.0.2.2"]),
    services: { "www.example.com": "web" },
    pools: [{
      name: "web",
      members: ["192.0.2.1", "192.0.2.2"],
      geoRules: [{ cidr: "64.0.0.0/8", member: 1 }],
    }],
  }, clients);
  deepEqual(some.differences.map(({ clients, moved }) => ({ clients, moved })), [{
    clients: "DE",
    moved: 1,
  }]);
  const both = differenceOf(of("192.0.2.1", []), of("192.0.2.3", []), clients);
  deepEqual(both.differences.map(({ clients, share, moved }) => ({ clients, share, moved })), [
    { clients: "everyone", share: 1, moved: 1 },
  ]);
});

Deno.test("a name is emptied for those clients that lose all of a family", () => {
  const clients = [
    { label: "DE", weight: 3, address: new Uint8Array([64, 0, 0, 1]) },
    { label: "others", weight: 1, address: new Uint8Array([128, 0, 0, 1]) },
  ];
  const of = (isEnabled: boolean): Declared => ({
    pools: [{
      name: "web",
      geofence: true,
      members: [{ ipAddress: "192.0.2.1", enabled: isEnabled }, "192.0.2.2", "2001:db8::1"],
      geoRules: [{ cidr: "64.0.0.0/8", member: 0 }],
    }],
    services: { "www.example.com": "web" },
    zones: ZONES,
  });
  const { emptied, emptiedNames } = differenceOf(of(true), of(false), clients);
  deepEqual(emptied, [{ name: "www.example.com", type: "A", clients: ["DE"], share: 0.75 }]);
  equal(emptiedNames, 1);
});

/** Ways in which an address may go, and whether the name counts as emptied. */
const WAYS: readonly [string, Declared, emptied: readonly string[]][] = [
  ["the pool goes", { services: { "www.example.com": null }, zones: ZONES }, ["www.example.com"]],
  ["its last member goes", webOf([]), ["www.example.com"]],
  ["the service has no pool", { ...webOf(["192.0.2.1"]), services: { "www.example.com": null } }, [
    "www.example.com",
  ]],
  [
    "a cut above it comes",
    { ...webOf(["192.0.2.1"]), zones: { "example.com": "www IN NS ns.example.net." } },
    [
      "www.example.com",
    ],
  ],
  [
    "a fence for others",
    webOf(["192.0.2.1"], { geofence: true, geoRules: [{ cidr: "64.0.0.0/8", member: 0 }] }),
    [],
  ],
  ["the service is deleted", { ...webOf(["192.0.2.1"]), services: {} }, []],
  ["the service is renamed", { ...webOf(["192.0.2.1"]), services: { "web.example.com": "web" } }, []],
  ["nothing", webOf(["192.0.2.1"]), []],
];

for (const [way, after, names] of WAYS) {
  Deno.test(`what empties a name: ${way}`, () => {
    deepEqual(differenceOf(webOf(["192.0.2.1"]), after).emptied.map(({ name }) => name), names);
  });
}

Deno.test("a wildcard's service is a name like others", () => {
  const of = (members: readonly string[]): Declared => ({
    ...webOf(members),
    services: { "*.example.com": "web" },
  });
  const { emptied, names } = differenceOf(of(["192.0.2.1"]), of([]));
  deepEqual([emptied.map(({ name }) => name), names], [["*.example.com"], 1]);
});

Deno.test("names of a zone that goes are emptied; those that the text of one gives up are not", () => {
  const before: Declared = { zones: { "example.com": "a IN A 192.0.2.1\nb IN CNAME far.example.net.\n" } };
  const names = ({ emptied }: Differences) => emptied.map(({ name, type }) => `${name} ${type}`);
  deepEqual(names(differenceOf(before, { zones: {} })), [
    "a.example.com A",
    "b.example.com A",
    "b.example.com AAAA",
  ]);
  deepEqual(names(differenceOf(before, { zones: { "example.com": "a IN A 192.0.2.1\n" } })), []);
  const below = { ...before, ...webOf(["192.0.2.1"]), zones: before.zones! };
  deepEqual(names(differenceOf(below, { ...webOf(["192.0.2.1"]), zones: {} })), [
    "a.example.com A",
    "b.example.com A",
    "b.example.com AAAA",
  ]);
});

Deno.test("services of one pool are compared once, and lists have an end", () => {
  const services = Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`s${i}.example.com`, "web"]));
  const of = (member: string): Declared => ({
    pools: [{ name: "web", members: [member] }],
    services,
    zones: ZONES,
  });
  const [was, willBe] = [desiredOf(of("192.0.2.1")), desiredOf(of("192.0.2.2"))];
  const before = new Forecast(was, WORLD);
  let computed = 0;
  const counting = Object.create(before, {
    sourceOf: { value: before.sourceOf.bind(before) },
    outcome: {
      value: (...args: Parameters<Forecast["outcome"]>) => (computed++, before.outcome(...args)),
    },
  }) as Forecast;
  const found = differ(counting, new Forecast(willBe, WORLD), {
    subjects: subjectsOf(was, willBe),
    clients: EVERYONE,
  });
  deepEqual([found.names, found.count, found.differences.length], [3_000, 3_000, DIFFERENCES_MAX]);
  deepEqual([found.movedWeight, computed], [3_000, 2]);
});
