/** @module Tests of forecasts against what the real engine answers, ticket by ticket. */
import { deepEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { parseIp } from "../../src/ip.ts";
import { Forecast } from "../../src/plan/forecast.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { desiredOf } from "../dns/world.ts";
import { anyState, countedOf, geographyOf, NAMES, realOf } from "./random_world.ts";

/** Every cycle of eight turns or less comes out even. */
const TURNS = 840;
/** What others may be off: of members that drain, or are several addresses that share a weight. */
const TOLERANCE = 0.02;

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
    { numRuns: 200, endOnFailure: false },
  );
  ok(exact > 20, `${exact} compared to the last digit`);
});
