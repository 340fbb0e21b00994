/** @module Tests of forecasts against what the real engine answers, ticket by ticket. */
import { deepEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { maskBits, parseIp } from "../../src/ip.ts";
import { Forecast, type Outcome } from "../../src/plan/forecast.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { desiredOf } from "../dns/world.ts";
import { runs } from "../property_runs.ts";
import { anyState, countedOf, geographyOf, NAMES, realOf, type State } from "./random_world.ts";

/** Every cycle of eight turns or less comes out even. */
const TURNS = 840;
/** What others may be off: of members that drain, or are several addresses that share a weight. */
const TOLERANCE = 0.05;

Deno.test("a forecast is what the real engine answers over a whole cycle", () => {
  let exact = 0;
  fc.assert(
    fc.property(
      anyState,
      fc.integer({ min: 0, max: 50 }),
      fc.constantFrom(...NAMES),
      fc.nat(4),
      (state, seed, name, which) => {
        const { geoData, clients } = geographyOf(seed);
        const { real, frozen } = realOf(state, geoData);
        const forecast = new Forecast(desiredOf(state.declared), frozen);
        for (const type of [TYPE.A, TYPE.AAAA] as const) {
          const client = clients[which]!;
          const outcome = forecast.outcome(name, type, parseIp(client)!);
          const counted = countedOf(real, { name, type, client, turns: TURNS });
          deepEqual([...outcome.all].sort(), [...counted.all].sort());
          deepEqual([...outcome.shares.keys()].sort(), [...counted.shares.keys()].sort());
          const isUneven = state.declared.pools!.some(({ members }) =>
            members.some((it) => typeof it !== "string" && (it.left !== undefined || it.target))
          );
          if (!isUneven) exact++;
          for (const [it, share] of outcome.shares) {
            const off = Math.abs(share - counted.shares.get(it)!);
            ok(off < (isUneven ? TOLERANCE : 1e-9), `${it}: ${share} is ${off} off`);
          }
        }
      },
    ),
    { numRuns: runs(70), endOnFailure: false },
  );
  ok(exact > 0, "none was compared to the last digit");
});

Deno.test("a forecast holds for all clients that share so many bits with the one asked for", () => {
  let narrow = 0;
  fc.assert(
    fc.property(
      anyState,
      fc.integer({ min: 1, max: 50 }),
      fc.constantFrom(...NAMES),
      fc.nat(4),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      (state, seed, name, which, noise) => {
        const { geoData, clients } = geographyOf(seed);
        const { frozen } = realOf(state, geoData);
        const forecast = new Forecast(desiredOf(state.declared), frozen);
        const client = parseIp(clients[which]!)!;
        const { clientBits, ...answers } = forecast.outcome(name, TYPE.A, client);
        const bits = clientBits ?? 0;
        if (clientBits !== null) narrow++;
        const kept = maskBits(new Uint8Array(client.length).fill(0xff), bits);
        const other = client.map((byte, i) => byte & kept[i]! | noise[i]! & ~kept[i]!);
        const { clientBits: otherBits, ...others } = forecast.outcome(name, TYPE.A, other);
        deepEqual(others, answers);
        deepEqual(otherBits === null, clientBits === null);
      },
    ),
    { numRuns: runs(100) },
  );
  ok(narrow > 20, `${narrow} depend on the client`);
});

Deno.test("names with the same source have the same outcome", () => {
  fc.assert(fc.property(anyState, fc.integer({ min: 0, max: 50 }), fc.nat(4), (state, seed, which) => {
    const { geoData, clients } = geographyOf(seed);
    const { frozen } = realOf(state, geoData);
    const forecast = new Forecast(desiredOf(state.declared), frozen);
    const outcomes = new Map<string, Outcome>();
    for (const name of [...NAMES, "more.wild.example.com", "nothing.example.com", "nothing2.example.com"]) {
      for (const type of [TYPE.A, TYPE.AAAA] as const) {
        const source = `${type} ${forecast.sourceOf(name, type)}`;
        const outcome = forecast.outcome(name, type, parseIp(clients[which]!)!);
        deepEqual(outcome, outcomes.get(source) ?? outcome);
        outcomes.set(source, outcome);
      }
    }
    ok(outcomes.size < 2 * NAMES.length);
  }));
});

Deno.test("what a forecast is to know of health can be posted to another thread", () => {
  const state = {
    declared: {
      pools: [{ name: "web", members: ["192.0.2.1", "192.0.2.2"] }],
      services: { "www.example.com": "web" },
    },
    health: [{ isOut: false, sinceMs: 0, rttUs: 0 }, { isOut: true, sinceMs: 5_000, rttUs: 0 }],
  };
  const { frozen } = realOf(state, EMPTY_GEO_DATA);
  const health = structuredClone(frozen.health);
  const forecast = new Forecast(desiredOf(state.declared), { ...frozen, health });
  deepEqual(forecast.outcome("www.example.com", TYPE.A, parseIp("192.0.2.53")!), {
    shares: new Map([["192.0.2.2", 1]]),
    all: new Set(["192.0.2.2"]),
    clientBits: null,
  });
});

Deno.test("a drain that goes past members in step with a cycle has the share that is left of it", () => {
  // 987 is a Fibonacci number: the golden ratio comes near a whole number of cycles.
  const declared = {
    pools: [{
      name: "web",
      algorithm: "geoip" as const,
      maxAnswers: 1,
      members: [
        { ipAddress: "192.0.2.1", weight: 986, share: 0.5, left: 0.5 },
        { ipAddress: "192.0.2.2", weight: 1 },
      ],
    }],
    services: { "www.example.com": "web" },
  };
  const { frozen } = realOf({ declared, health: [{ isOut: false, sinceMs: 0, rttUs: 0 }] }, EMPTY_GEO_DATA);
  const { shares } = new Forecast(desiredOf(declared), frozen)
    .outcome("www.example.com", TYPE.A, parseIp("192.0.2.53")!);
  ok(Math.abs([...shares.values()].reduce((sum, share) => sum + share, 0) - 1) < 1e-9);
  deepEqual(shares.size, 2);
});

/** What a client in 64/8 is forecast, after it was compared with what the real engine gives. */
function forecastOf(state: Omit<State, "health"> & Partial<State>, name = "www.example.com"): string[] {
  const health = state.health ?? [{ isOut: false, sinceMs: 0, rttUs: 0 }];
  const { real, frozen } = realOf({ ...state, health }, EMPTY_GEO_DATA);
  const client = "64.0.0.1";
  const outcome = new Forecast(desiredOf(state.declared), frozen).outcome(name, TYPE.A, parseIp(client)!);
  const counted = countedOf(real, { name, type: TYPE.A, client, turns: TURNS });
  deepEqual([...outcome.all].sort(), [...counted.all].sort());
  for (const [it, share] of outcome.shares) ok(Math.abs(share - counted.shares.get(it)!) < TOLERANCE);
  return [...outcome.all].sort();
}

Deno.test("while members drain, the shares are those of very many answers", () => {
  const members = [
    { ipAddress: "192.0.2.1", weight: 1 },
    { ipAddress: "192.0.2.2", weight: 1, share: 0.25, left: 0.25 },
    { ipAddress: "192.0.2.3", weight: 3 },
  ];
  const pools = [{ name: "web", algorithm: "map-file" as const, members }];
  const state = {
    declared: { pools, services: { "www.example.com": "web" } },
    health: [{ isOut: false, sinceMs: 0, rttUs: 0 }],
  };
  const { real, frozen } = realOf(state, EMPTY_GEO_DATA);
  const client = "192.0.2.53";
  const question = { name: "www.example.com", type: TYPE.A, client } as const;
  const { shares } = new Forecast(desiredOf(state.declared), frozen)
    .outcome(question.name, question.type, parseIp(client)!);
  const counted = countedOf(real, { ...question, turns: 50_000 });
  deepEqual(shares.size, 3);
  for (const [it, share] of shares) ok(Math.abs(share - counted.shares.get(it)!) < 0.001, `${it}: ${share}`);
});

Deno.test("those behind the lead that rotate into the last place of an answer are all forecast", () => {
  const pools = [{
    name: "web",
    algorithm: "map-file" as const,
    maxAnswers: 2,
    members: ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    geoRules: [{ cidr: "64.0.0.0/8", member: 0 }],
  }];
  const declared = { pools, services: { "www.example.com": "web" } };
  deepEqual(forecastOf({ declared }), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
});

Deno.test("of members that are all out those lead that went out last", () => {
  const pools = [{
    name: "web",
    onAllDown: "last-healthy" as const,
    members: ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
  }];
  const out = (sinceMs: number) => ({ isOut: true, sinceMs, rttUs: 0 });
  // Slot 0 belongs to none; a check's interval is between both.
  const health = [out(0), out(1_000), out(900_000), out(900_001)];
  const declared = { pools, services: { "www.example.com": "web" } };
  deepEqual(forecastOf({ declared, health }), ["192.0.2.2", "192.0.2.3"]);
});

Deno.test("a member by name is its name, but at an apex its addresses", () => {
  const pools = [{ name: "web", flatten: false, members: [{ ipAddress: null, target: "t1.example.net" }] }];
  const names = { "t1.example.net": ["192.0.2.1", "192.0.2.2"] };
  const declared = { pools, names, services: { "www.example.com": "web", "apex.example": "web" } };
  deepEqual(forecastOf({ declared: { ...declared, zones: { "example.com": null } } }), ["t1.example.net"]);
  deepEqual(forecastOf({ declared }, "apex.example"), ["192.0.2.1", "192.0.2.2"]);
});

Deno.test("a chain may come back to a pool by name that has too few", () => {
  const pools = [
    {
      name: "web",
      flatten: false,
      minHealthy: 2,
      onAllDown: "fallback" as const,
      fallbackPoolId: "rest",
      members: [{ ipAddress: null, target: "t1.example.net" }],
    },
    { name: "rest", members: [] },
  ];
  const names = { "t1.example.net": ["192.0.2.1"] };
  const declared = { pools, names, services: { "www.example.com": "web" }, zones: { "example.com": null } };
  deepEqual(forecastOf({ declared }), ["t1.example.net"]);
});
