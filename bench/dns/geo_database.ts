/**
 * A made-up city database for the benches: all of the unicast IPv4 space in networks from /16 to /22, each near one
 * of five sites and on that site's continent, so that "nearest site" and "the continent's site" are the same answer
 * and servers that steer by either can be compared. In MaxMind's format, as GeoIP2 City has it.
 *
 * @module
 */
import { workOutExtents } from "../../src/geo/extents.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import { seededRng } from "../../src/clock.ts";
import { EMPTY_GEO_DATA, type GeoData } from "../../src/geo/geo_data.ts";
import { MmdbNumber, type MmdbValue, nestedRecord, writeMmdb } from "../../tests/geo/mmdb_writer.ts";

/** Where members stand. */
export interface Site {
  /** Name in the configurations of others. */
  readonly name: string;
  /** Two letters. */
  readonly continent: string;
  /** Two letters; of all places near it. */
  readonly country: string;
  /** Degrees. */
  readonly latitude: number;
  /** Degrees. */
  readonly longitude: number;
}

/** Far enough from each other that a place within five degrees of one is nearest to that one. */
export const SITES: readonly Site[] = [
  { name: "fra", continent: "EU", country: "DE", latitude: 50.1, longitude: 8.7 },
  { name: "nyc", continent: "NA", country: "US", latitude: 40.7, longitude: -74 },
  { name: "sin", continent: "AS", country: "SG", latitude: 1.35, longitude: 103.8 },
  { name: "gru", continent: "SA", country: "BR", latitude: -23.5, longitude: -46.6 },
  { name: "syd", continent: "OC", country: "AU", latitude: -33.9, longitude: 151.2 },
];

/** First octets in use: 1 to 223, without 10 and 127. */
const OCTETS = Array.from({ length: 223 }, (_, i) => i + 1).filter((octet) => octet !== 10 && octet !== 127);
const PLACES_PER_SITE = 500;
const MASK_MIN = 16;
const MASK_MAX = 22;
/** Neighbouring networks are near the same site so often; else addresses would tell nothing of each other. */
const SAME_SITE_SHARE = 0.6;

/** A database, and which site is nearest to an address. */
export class GeoDatabase {
  /** The file. */
  readonly bytes: Uint8Array;
  /** First address of each network, ascending. */
  readonly #starts: Uint32Array;
  readonly #sites: Uint8Array;

  /** Always the same. */
  constructor() {
    const random = seededRng(3);
    const networks: [prefix: string, record: MmdbValue][] = [];
    const starts: number[] = [];
    const sites: number[] = [];
    const records = SITES.map((site) =>
      Array.from({ length: PLACES_PER_SITE }, (_, i) => placeNear(site, i, random))
    );
    let site = 0;
    for (const octet of OCTETS) {
      for (let at = octet * 2 ** 24, end = at + 2 ** 24; at < end;) {
        let mask = MASK_MIN + random() % (MASK_MAX - MASK_MIN + 1);
        while (at % 2 ** (32 - mask) !== 0) mask++;
        if (random() / 2 ** 32 > SAME_SITE_SHARE) site = random() % SITES.length;
        networks.push([`${textOf(at)}/${mask}`, records[site]![random() % PLACES_PER_SITE]!]);
        starts.push(at);
        sites.push(site);
        at += 2 ** (32 - mask);
      }
    }
    this.#starts = Uint32Array.from(starts);
    this.#sites = Uint8Array.from(sites);
    this.bytes = writeMmdb({ networks, databaseType: "GeoIP2-City" });
  }

  /** A /24 that nothing is known but its place of. */
  subnet(random: () => number): string {
    const octet = OCTETS[random() % OCTETS.length]!;
    return `${octet}.${random() & 255}.${random() & 255}.0/24`;
  }

  /** Index of the site nearest to a /24. */
  siteOf(subnet: string): number {
    const [a, b, c] = subnet.split(/[./]/).map(Number);
    const address = a! * 2 ** 24 + b! * 2 ** 16 + c! * 2 ** 8;
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= address) low = middle;
      else high = middle - 1;
    }
    return this.#sites[low]!;
  }
}

/** A database as our workers read it, bounds worked out. */
export function geoDataOf(bytes: Uint8Array): GeoData {
  const city = new SharedArrayBuffer(bytes.length);
  new Uint8Array(city).set(bytes);
  const extents = workOutExtents(new Mmdb(new Uint8Array(city)));
  return { ...EMPTY_GEO_DATA, edition: 1, city: [city], extents: [extents] };
}

function placeNear(site: Site, number: number, random: () => number): MmdbValue {
  const jitter = () => (random() / 2 ** 32 - 0.5) * 8;
  const record = nestedRecord({
    latitude: site.latitude + jitter(),
    longitude: site.longitude + jitter(),
    country: site.country,
    continent: site.continent,
  }) as Record<string, MmdbValue>;
  return { ...record, city: { geoname_id: new MmdbNumber("uint32", number + 1) } };
}

function textOf(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}
