/** @module Tests of names that are alike but for their addresses. */
import { deepEqual, equal } from "node:assert/strict";
import type { SteeredPool } from "../../src/desired/desired.ts";
import { Alikes } from "../../src/plan/alike.ts";
import { EVERYONE } from "../../src/plan/clients.ts";
import { differ } from "../../src/plan/differences.ts";
import { Forecast, type FrozenHealth } from "../../src/plan/forecast.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { ownLocation } from "../../src/snapshot/lists.ts";
import { type Declared, desiredOf } from "../dns/world.ts";

const HEALTHY: FrozenHealth = { out: new Map(), roundTripsUs: new Map() };

type PoolFields = NonNullable<Declared["pools"]>[number];

function poolOf(fields: Omit<PoolFields, "name">): SteeredPool {
  return [...desiredOf({ pools: [{ name: "pool", ...fields }] }).pools()][0]!;
}

const MODEL = {
  before: poolOf({ members: ["192.0.2.1", "192.0.2.2"] }),
  after: poolOf({ members: ["192.0.2.2", "192.0.2.3"] }),
};
const SAME = poolOf({ members: ["203.0.113.1", "203.0.113.2"] });

const OTHERS: readonly [what: string, before: SteeredPool, after: SteeredPool, isAlike: boolean][] = [
  ["other addresses", SAME, poolOf({ members: ["203.0.113.2", "203.0.113.9"] }), true],
  ["other members that stay", SAME, poolOf({ members: ["203.0.113.1", "203.0.113.9"] }), false],
  ["another family", SAME, poolOf({ members: ["203.0.113.2", "2001:db8::9"] }), false],
  [
    "another number of answers",
    SAME,
    poolOf({ members: ["203.0.113.2", "203.0.113.9"], maxAnswers: 2 }),
    false,
  ],
  [
    "members that are out",
    SAME,
    poolOf({
      members: ["203.0.113.2", { ipAddress: "203.0.113.9", enabled: false }],
    }),
    false,
  ],
  [
    "a rule",
    SAME,
    poolOf({
      members: ["203.0.113.2", "203.0.113.9"],
      geoRules: [{ cidr: "198.51.100.0/24", member: 0 }],
    }),
    false,
  ],
  ["a choice by client", SAME, poolOf({ members: ["203.0.113.2", "203.0.113.9"], algorithm: "hash" }), false],
];

for (const [what, before, after, isAlike] of OTHERS) {
  Deno.test(`a name with ${what} is ${isAlike ? "alike" : "its own"}`, () => {
    const alikes = new Alikes(HEALTHY);
    equal(alikes.of("first.example.com", MODEL), null);
    equal(
      alikes.of("other.example.com", { before, after })?.model,
      isAlike ? "first.example.com" : undefined,
    );
  });
}

Deno.test("a weight counts where members are chosen by it", () => {
  for (const [algorithm, isAlike] of [["round-robin", true], ["weighted-round-robin", false]] as const) {
    const of = (weight: number) =>
      poolOf({ algorithm, members: [{ ipAddress: "192.0.2.1", weight }, "192.0.2.2"] });
    const alikes = new Alikes(HEALTHY);
    alikes.of("first.example.com", { before: of(1), after: of(1) });
    equal(alikes.of("other.example.com", { before: of(2), after: of(2) }) !== null, isAlike, algorithm);
  }
});

Deno.test("what differs for names that are alike is shown with the addresses of each", () => {
  const stateOf = (suffix: number, names: readonly string[]) =>
    desiredOf({
      pools: names.map((name, i) => ({ name, members: [`192.0.${i}.1`, `192.0.${i}.${suffix}`] })),
      services: Object.fromEntries(names.map((name) => [`${name}.example.com`, name])),
    });
  const names = ["a", "b", "c"];
  const [before, after] = [stateOf(2, names), stateOf(3, names)];
  const world = { health: HEALTHY, geoData: EMPTY_GEO_DATA, locationOf: ownLocation };
  const subjectsOf = (alikes: Alikes | null) => {
    const pools = [[...before.pools()], [...after.pools()]] as const;
    return names.map((name, i) => ({
      name: `${name}.example.com`,
      weight: 1,
      isRemoved: false,
      alike: alikes?.of(`${name}.example.com`, { before: pools[0][i]!, after: pools[1][i]! }) ?? null,
    }));
  };
  const found = [new Alikes(HEALTHY), null].map((alikes) => {
    const states = [new Forecast(before, world), new Forecast(after, world)] as const;
    return differ(...states, { subjects: subjectsOf(alikes), clients: EVERYONE });
  });
  deepEqual(found[0], found[1]);
  deepEqual(found[0]!.differences.map(({ after }) => after.map(({ address }) => address)), [
    ["192.0.0.1", "192.0.0.3"],
    ["192.0.1.1", "192.0.1.3"],
    ["192.0.2.1", "192.0.2.3"],
  ]);
});
