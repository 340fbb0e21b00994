/** @module Tests of the bounds of what is below a node. */
import { equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { twoLetters } from "../../src/geo/location.ts";
import { Extents, SEVERAL, workOutExtents } from "../../src/geo/extents.ts";
import { Mmdb, MmdbFault } from "../../src/geo/mmdb.ts";
import { seededRng } from "../../src/clock.ts";
import { formatIp, parsePrefix } from "../../src/ip.ts";
import { type Facts, flatRecord, type MmdbValue, writeMmdb } from "./mmdb_writer.ts";

const COUNTRIES = ["GB", "FR", "US", undefined];

/** Some thousand networks: here of one country, there of all, with and without coordinates. */
function randomNetworks(seed: number, ipVersion: 4 | 6): [prefix: string, record: MmdbValue][] {
  const rng = seededRng(seed);
  return Array.from({ length: 1500 }, () => {
    const isV4 = ipVersion === 4 || rng() % 2 === 0;
    const bytes = new Uint8Array(isV4 ? 4 : 16).map((_, i) => i < 3 ? rng() & 0x83 : 0);
    const tenths = (max: number) => (rng() % (20 * max + 1)) / 10 - max;
    const facts: Facts = {
      country: bytes[0]! > 127 ? "GB" : COUNTRIES[rng() % COUNTRIES.length],
      ...(bytes[1]! < 2 || rng() % 100 > 0 ? { latitude: tenths(90), longitude: tenths(180) } : {}),
    };
    return [`${formatIp(bytes)}/24`, flatRecord(facts)];
  });
}

/** All that is below a node, by looking at every leaf. */
function below(database: Mmdb, node: number): number[] {
  if (node >= database.nodeCount) return [database.place(node)];
  return [0, 1].flatMap((bit) => below(database, database.child(node, bit)));
}

for (const ipVersion of [4, 6] as const) {
  Deno.test(`an extent bounds exactly what is below its node of a tree over IPv${ipVersion}`, () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const database = new Mmdb(writeMmdb({ ipVersion, networks: randomNetworks(seed, ipVersion) }));
        const extents = new Extents(workOutExtents(database));
        let found = 0;
        for (let node = 0; node < database.nodeCount; node++) {
          const places = below(database, node);
          const extent = extents.find(node);
          equal(extent >= 0, places.length > 32, `node ${node} with ${places.length} leaves`);
          if (extent < 0) continue;
          equal(extent, found++);
          isBoundOf(extents, extent, database, places);
        }
        equal(extents.count, found);
        ok(found > 10);
      }),
      { numRuns: 5 },
    );
  });
}

function isBoundOf(extents: Extents, extent: number, database: Mmdb, places: readonly number[]): void {
  const known = places.filter((place) => !Number.isNaN(database.x(place)));
  equal(extents.hasUnknown(extent), known.length < places.length);
  const sides = [
    [extents.minX(extent), extents.maxX(extent), known.map((place) => database.x(place))],
    [extents.minY(extent), extents.maxY(extent), known.map((place) => database.y(place))],
    [extents.minZ(extent), extents.maxZ(extent), known.map((place) => database.z(place))],
  ] as const;
  for (const [min, max, values] of sides) {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    ok(min <= least && (min > least - 1e-6 || known.length === 0), `${min} for ${least}`);
    ok(max >= most && (max < most + 1e-6 || known.length === 0), `${max} for ${most}`);
  }
  const common = (codes: readonly number[]) => codes.every((code) => code === codes[0]) ? codes[0] : SEVERAL;
  equal(extents.country(extent), common(places.map((place) => database.country(place))));
  equal(extents.continent(extent), common(places.map((place) => database.continent(place))));
}

Deno.test("a database of few leaves has no extents", () => {
  const database = new Mmdb(writeMmdb({ networks: [["192.0.2.0/24", flatRecord({ country: "GB" })]] }));
  const extents = new Extents(workOutExtents(database));
  equal(extents.count, 0);
  for (let node = 0; node < database.nodeCount; node++) equal(extents.find(node), -1);
});

Deno.test("below a node without coordinates the box is inside out", () => {
  const networks = Array.from({ length: 256 }, (_, i): [string, MmdbValue] => [
    `${i}.0.0.0/8`,
    flatRecord({ country: "GB", asn: i + 1 }),
  ]);
  const extents = new Extents(workOutExtents(new Mmdb(writeMmdb({ networks }))));
  equal(extents.find(0), 0);
  ok(
    extents.minX(0) > extents.maxX(0) && extents.minY(0) > extents.maxY(0) &&
      extents.minZ(0) > extents.maxZ(0),
  );
  ok(extents.hasUnknown(0));
  equal(extents.country(0), twoLetters("GB"));
  equal(extents.continent(0), twoLetters("EU"));
});

Deno.test("what an alias leads to is counted where it leads", () => {
  const networks = randomNetworks(3, 4);
  const database = new Mmdb(
    writeMmdb({ ipVersion: 6, networks, aliases: [{ bytes: parsePrefix("2002::/16").bytes, length: 16 }] }),
  );
  const extents = new Extents(workOutExtents(database));
  isBoundOf(extents, extents.find(0), database, below(database, 0));
});

Deno.test("a tree that leads to itself has bounds, and they promise nothing", () => {
  const bytes = writeMmdb({ ipVersion: 6, networks: [["::/1", flatRecord({ country: "GB" })]] });
  bytes.fill(0, 0, 7);
  const extents = new Extents(workOutExtents(new Mmdb(bytes)));
  equal(extents.find(0), 0);
  equal(extents.country(0), SEVERAL);
  equal(extents.continent(0), SEVERAL);
  ok(extents.hasUnknown(0) && extents.minX(0) <= -1 && extents.maxZ(0) >= 1);
});

Deno.test("extents of a corrupt database are worked out in bounded time", () => {
  const rng = seededRng(11);
  const whole = writeMmdb({ ipVersion: 6, networks: randomNetworks(5, 6).slice(0, 300) });
  for (let run = 0; run < 300; run++) {
    const corrupt = whole.slice();
    for (let flips = 0; flips < 20; flips++) corrupt[rng() % whole.length] = rng() & (rng() % 2 ? 255 : 1);
    try {
      const database = new Mmdb(corrupt);
      const extents = new Extents(workOutExtents(database));
      for (let node = 0; node < database.nodeCount; node += 7) ok(extents.find(node) < extents.count);
    } catch (fault) {
      ok(fault instanceof MmdbFault, String(fault));
    }
  }
});
