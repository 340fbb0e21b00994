/** @module Tests of great circles and of the table of continents. */
import { equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { continentOf, haversineKm, type Location, twoLetters, unitVector } from "../../src/geo/location.ts";

const places: fc.Arbitrary<Location> = fc.record({
  latitude: fc.double({ min: -90, max: 90, noNaN: true }),
  longitude: fc.double({ min: -180, max: 180, noNaN: true }),
});

/** Kilometres by the spherical law of cosines. */
const DISTANCES: readonly (readonly [what: string, from: Location, to: Location, km: number])[] = [
  ["nowhere", { latitude: 50.1, longitude: 8.7 }, { latitude: 50.1, longitude: 8.7 }, 0],
  ["pole to pole", { latitude: 90, longitude: 0 }, { latitude: -90, longitude: 123 }, 20015.1],
  ["a degree of the equator", { latitude: 0, longitude: 179.5 }, { latitude: 0, longitude: -179.5 }, 111.195],
  [
    "Frankfurt to Singapore",
    { latitude: 50.11, longitude: 8.68 },
    { latitude: 1.35, longitude: 103.82 },
    10258.4,
  ],
  ["antipodes", { latitude: 12.5, longitude: -60 }, { latitude: -12.5, longitude: 120 }, 20015.1],
];

for (const [what, from, to, km] of DISTANCES) {
  Deno.test(`haversineKm() is ${km} for ${what}`, () => {
    ok(Math.abs(haversineKm(from, to) - km) < (km > 1000 ? 0.1 : 0.001), String(haversineKm(from, to)));
  });
}

Deno.test("the nearer of two places has the unit vector with the larger dot product", () => {
  const [from, one, other] = [new Float64Array(3), new Float64Array(3), new Float64Array(3)];
  const dot = (a: Float64Array, b: Float64Array) => a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]!;
  fc.assert(fc.property(places, places, places, (client, a, b) => {
    unitVector(client.latitude, client.longitude, from);
    unitVector(a.latitude, a.longitude, one);
    unitVector(b.latitude, b.longitude, other);
    const [toA, toB] = [haversineKm(client, a), haversineKm(client, b)];
    // Ten metres are less than rounding can tell apart near antipodes.
    if (Math.abs(toA - toB) > 0.01) equal(toA < toB, dot(from, one) > dot(from, other));
  }));
});

Deno.test("haversineKm() is the same there and back, and never more than half a circle", () => {
  fc.assert(fc.property(places, places, (a, b) => {
    equal(haversineKm(a, b), haversineKm(b, a));
    ok(haversineKm(a, b) <= Math.PI * 6371.0088 + 1e-9);
  }));
});

Deno.test("continentOf() knows the continent of every country that ISO 3166-1 lists", () => {
  const names = new Intl.DisplayNames("en", { type: "region" });
  // Parts of others, groups and former states, which Unicode's list has, too.
  const none = new Set((
    "AC AN BU CP CQ CS CT DD DG DY EA EU EZ FQ FX HV IC JT MI NH NQ NT PC PU PZ QO QU RH SU TA TP UK UN VD WK XA XB " +
    "YD YU ZR ZZ"
  ).split(" "));
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  for (const first of letters) {
    for (const second of letters) {
      const country = first + second;
      const isCountry = names.of(country) !== country && !none.has(country);
      equal(continentOf(twoLetters(country)) !== 0, isCountry, `${country}: ${names.of(country)}`);
    }
  }
});

Deno.test("continentOf() is 0 for what is no country", () => {
  for (const code of [0, 0xffff, twoLetters("gb"), twoLetters("G1"), twoLetters("[["), twoLetters("@@")]) {
    equal(continentOf(code), 0);
  }
});
