/** @module `prove geo` at a small scale, on a database that is made up. */
import { deepEqual, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Reader } from "maxmind";
import { Extents, workOutExtents } from "../../src/geo/extents.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import { type Rng, seededRng } from "../../src/clock.ts";
import { formatIp } from "../../src/ip.ts";
import { type CityRecord, compareFacts, compareSites } from "../prove/geo.ts";
import { flatRecord, type MmdbValue, writeMmdb } from "../geo/mmdb_writer.ts";

/** Countries, each round a point, with a city in each of their networks; some networks nobody knows. */
function cities(ipVersion: 4 | 6, rng: Rng): [prefix: string, record: MmdbValue][] {
  const centres = ["DE", "US", "SG", "BR", "AU", "ZA", "JP"].map((country) => ({
    country,
    latitude: rng() % 120 - 60,
    longitude: rng() % 340 - 170,
  }));
  return Array.from({ length: 3000 }, (_, i) => {
    const bytes = new Uint8Array(ipVersion === 4 ? 4 : 16);
    bytes.set(ipVersion === 4 ? [1 + (i >> 4), (i & 15) << 4] : [0x20 | i >> 8, i & 255]);
    const { country, latitude, longitude } = centres[(i >> 6) % centres.length]!;
    const near = () => (rng() % 2001 - 1000) / 100;
    return [
      `${formatIp(bytes)}/${ipVersion === 4 ? 12 : 16}`,
      flatRecord({ country, latitude: latitude + near(), longitude: longitude + near() }),
    ];
  });
}

for (const ipVersion of [4, 6] as const) {
  Deno.test(`clients of IPv${ipVersion} are where maxmind says, and are sent to the nearest of five sites`, () => {
    const rng = seededRng(ipVersion);
    const bytes = writeMmdb({
      ipVersion,
      networks: cities(ipVersion, rng),
      recordSize: ipVersion === 4 ? 24 : 32,
    });
    const database = new Mmdb(bytes);
    const options = { database, reader: new Reader<CityRecord>(Buffer.from(bytes)), rng };
    const facts = compareFacts({ ...options, count: 3000 });
    deepEqual(facts.wrong, []);
    ok(facts.known > 1000);
    const extents = new Extents(workOutExtents(database));
    const bounded = compareSites({ ...options, extents, count: 1000 });
    const unbounded = compareSites({ ...options, extents: null, count: 1000 });
    deepEqual([...bounded.wrong, ...unbounded.wrong], []);
  });
}
