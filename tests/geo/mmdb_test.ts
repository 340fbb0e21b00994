/** @module Tests of the reader of MaxMind databases, with `maxmind` as the other opinion. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { type AsnResponse, type CityResponse, Reader } from "maxmind";
import { twoLetters } from "../../src/geo/location.ts";
import { Mmdb, MmdbFault } from "../../src/geo/mmdb.ts";
import { seededRng } from "../../src/clock.ts";
import { formatIp, parseIp, parsePrefix } from "../../src/ip.ts";
import { runs } from "../property_runs.ts";
import {
  type Facts,
  flatRecord,
  type MmdbContent,
  MmdbNumber,
  type MmdbValue,
  nestedRecord,
  writeMmdb,
} from "./mmdb_writer.ts";

const RECORD_SIZES = [24, 28, 32] as const;

/** What a database knows of an address, in words. */
function known(database: Mmdb, address: string) {
  const place = database.place(database.find(parseIp(address)!));
  return {
    latitude: database.latitude(place),
    longitude: database.longitude(place),
    country: letters(database.country(place)),
    continent: letters(database.continent(place)),
    asn: database.asn(place),
  };
}

const NOTHING = { latitude: NaN, longitude: NaN, country: "", continent: "", asn: 0 };

function letters(code: number): string {
  return code === 0 ? "" : String.fromCharCode(code >> 8, code & 255);
}

const LONDON: Facts = { latitude: 51.5, longitude: -0.125, country: "GB", continent: "EU", asn: 64500 };

for (const recordSize of RECORD_SIZES) {
  for (const [kind, record] of [["nested", nestedRecord(LONDON)], ["flat", flatRecord(LONDON)]] as const) {
    Deno.test(`a ${kind} record is found in a tree of ${recordSize} bits a record`, () => {
      const database = new Mmdb(writeMmdb({ recordSize, networks: [["192.0.2.0/24", record]] }));
      deepEqual(known(database, "192.0.2.77"), {
        ...{ latitude: 51.5, longitude: -0.125, country: "GB", continent: "EU", asn: 64500 },
      });
      equal(database.depth, 24);
      deepEqual(known(database, "192.0.3.77"), NOTHING);
      equal(database.depth, 24);
    });
  }
}

Deno.test("the metadata says what the file is", () => {
  const database = new Mmdb(
    writeMmdb({ networks: [], databaseType: "Zürich", buildEpoch: 1_800_000_000, ipVersion: 6 }),
  );
  const { databaseType, buildEpoch, nodeCount, ipVersion } = database;
  deepEqual({ databaseType, buildEpoch, nodeCount, ipVersion }, {
    ...{ databaseType: "Zürich", buildEpoch: 1_800_000_000, nodeCount: 1, ipVersion: 6 },
  });
});

Deno.test("root() is −1 for a family that the file knows nothing of, and then find() finds nothing", () => {
  const v4 = new Mmdb(writeMmdb({ networks: [["192.0.2.0/24", flatRecord(LONDON)]] }));
  equal(v4.root(6), -1);
  deepEqual(known(v4, "2001:db8::1"), NOTHING);
  equal(v4.depth, 0);
  const v6 = new Mmdb(writeMmdb({ ipVersion: 6, networks: [["2001:db8::/32", flatRecord(LONDON)]] }));
  equal(v6.root(4), -1);
  equal(v6.root(6), 0);
  deepEqual(known(v6, "192.0.2.1"), NOTHING);
  equal(v6.depth, 0);
});

Deno.test("IPv4 lies at ::/96 of a tree over IPv6, and aliases lead there", () => {
  const mapped = { bytes: new Uint8Array(16).fill(255, 10, 12), length: 96 };
  const sixToFour = { bytes: parsePrefix("2002::/16").bytes, length: 16 };
  const database = new Mmdb(
    writeMmdb({
      ipVersion: 6,
      networks: [["192.0.2.0/24", flatRecord(LONDON)]],
      aliases: [mapped, sixToFour],
    }),
  );
  equal(known(database, "192.0.2.9").country, "GB");
  equal(database.depth, 24);
  equal(known(database, "::192.0.2.9").country, "GB");
  equal(database.depth, 120);
  equal(known(database, "2002:c000:0209::1").country, "GB");
  equal(database.depth, 40);
  const address = new Uint8Array(16).fill(255, 10, 12);
  address.set([192, 0, 2, 9], 12);
  equal(letters(database.country(database.place(database.find(address)))), "GB");
});

Deno.test("a family that lies under one leaf has that leaf for its root", () => {
  const database = new Mmdb(writeMmdb({ ipVersion: 6, networks: [["::/8", flatRecord(LONDON)]] }));
  ok(database.root(4) > database.nodeCount);
  equal(known(database, "192.0.2.1").country, "GB");
  equal(database.depth, 0);
});

const FACTS: readonly (readonly [what: string, record: MmdbValue, known: Partial<typeof NOTHING>])[] = [
  ["no country but a registered one", nestedRecord({ registeredCountry: "FR" }), {
    country: "FR",
    continent: "EU",
  }],
  ["both countries", nestedRecord({ country: "GB", registeredCountry: "FR" }), {
    country: "GB",
    continent: "EU",
  }],
  ["a country without a continent", flatRecord({ country: "US" }), { country: "US", continent: "NA" }],
  ["a continent only", flatRecord({ continent: "AF" }), { continent: "AF" }],
  ["another continent than the table has", flatRecord({ country: "CY", continent: "AS" }), {
    country: "CY",
    continent: "AS",
  }],
  ["a country that there isn't", flatRecord({ country: "ZZ" }), { country: "ZZ" }],
  ["a country in small letters", flatRecord({ country: "gb" }), {}],
  ["a country by its name", flatRecord({ country: "Great Britain" }), {}],
  ["a latitude above the pole", flatRecord({ latitude: 90.5, longitude: 0, country: "GB" }), {
    country: "GB",
    continent: "EU",
  }],
  ["a longitude beyond the date line", flatRecord({ latitude: 9, longitude: -181, asn: 7 }), { asn: 7 }],
  ["a latitude only", flatRecord({ latitude: 9 }), {}],
  ["coordinates that are no numbers", flatRecord({ latitude: NaN, longitude: NaN }), {}],
  ["the pole", flatRecord({ latitude: -90, longitude: 180 }), { latitude: -90, longitude: 180 }],
  ["a latitude in text", { latitude: "51.5", longitude: "0" }, {}],
  ["a location in text", { location: "London", country_code: "GB" }, { country: "GB", continent: "EU" }],
  ["the largest number of an autonomous system", flatRecord({ asn: 4_294_967_295 }), { asn: 4_294_967_295 }],
  ["nothing of interest", { a: [true, { b: [] }], c: { latitude: new MmdbNumber("double", 1) } }, {}],
  ["no map", ["latitude"], {}],
  ["no key", {}, {}],
  [
    "a long text before",
    { a: "x".repeat(70_000), b: "y".repeat(300), c: "z".repeat(30), country_code: "GB" },
    {
      country: "GB",
      continent: "EU",
    },
  ],
];

for (const [what, record, facts] of FACTS) {
  Deno.test(`of a record with ${what} as much is known as it says`, () => {
    const database = new Mmdb(writeMmdb({ networks: [["192.0.2.0/24", record]] }));
    deepEqual(known(database, "192.0.2.1"), { ...NOTHING, ...facts });
    const place = database.place(database.find(parseIp("192.0.2.1")!));
    equal(place === 0, Object.keys(facts).length === 0, "place 0 is nothing known");
  });
}

/** Bytes before the data → how long pointers get. */
const PADDINGS = [0, 3000, 600_000];

for (const paddingBytes of PADDINGS) {
  for (const longPointers of [false, true]) {
    Deno.test(`keys and texts may lie behind pointers${longPointers ? " of 32 bits" : ""} to byte ${paddingBytes}`, () => {
      const database = new Mmdb(
        writeMmdb({
          ...{ paddingBytes, longPointers },
          networks: [
            ["192.0.2.0/24", nestedRecord(LONDON)],
            ["198.51.100.0/24", nestedRecord({ ...LONDON, latitude: 10 })],
          ],
        }),
      );
      deepEqual(known(database, "192.0.2.1"), { ...known(database, "198.51.100.1"), latitude: 51.5 });
    });
  }
}

Deno.test("the unit vector of a place points where its coordinates do", () => {
  const database = new Mmdb(
    writeMmdb({ networks: [["0.0.0.0/0", flatRecord({ latitude: 30, longitude: 90 })]] }),
  );
  const place = database.place(database.find(new Uint8Array(4)));
  ok(Math.abs(database.x(place)) < 1e-15);
  ok(Math.abs(database.y(place) - Math.sqrt(3) / 2) < 1e-15);
  ok(Math.abs(database.z(place) - 0.5) < 1e-15);
  ok(Number.isNaN(database.x(0)));
});

Deno.test("a leaf keeps its place however many others are met", () => {
  const networks = Array.from({ length: 20_000 }, (_, i): [string, MmdbValue] => [
    `10.${i >> 8}.${i & 255}.0/24`,
    flatRecord({ asn: i + 1 }),
  ]);
  const database = new Mmdb(writeMmdb({ networks }));
  const first = networks.map((_, i) => database.place(database.find(Uint8Array.of(10, i >> 8, i & 255, 1))));
  for (const [i, place] of first.entries()) {
    equal(database.place(database.find(Uint8Array.of(10, i >> 8, i & 255, 255))), place);
    equal(database.asn(place), i + 1);
  }
});

const prefixes = fc.oneof(
  fc.tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.integer({ min: 1, max: 32 })),
  fc.tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 1, max: 128 })),
).map(([bytes, length]) => `${formatIp(masked(bytes, length))}/${length}`);

const facts: fc.Arbitrary<Facts> = fc.record({
  latitude: fc.integer({ min: -900, max: 900 }).map((tenths) => tenths / 10),
  longitude: fc.integer({ min: -1800, max: 1800 }).map((tenths) => tenths / 10),
  country: fc.constantFrom("GB", "US", "JP", undefined),
  registeredCountry: fc.constantFrom("DE", undefined),
  continent: fc.constantFrom("EU", "NA", undefined),
  asn: fc.option(fc.integer({ min: 1, max: 4_294_967_295 }), { nil: undefined }),
}, { requiredKeys: [] });

/** Databases of every kind; those over IPv4 hold no IPv6. */
const contents: fc.Arbitrary<MmdbContent> = fc.record({
  networks: fc.array(
    fc.tuple(
      prefixes,
      fc.oneof(facts.map((each) => nestedRecord(each)), facts.map((each) => flatRecord(each, "double"))),
    ),
    { maxLength: 40 },
  ),
  ipVersion: fc.constantFrom<4 | 6>(4, 6),
  recordSize: fc.constantFrom(...RECORD_SIZES),
  paddingBytes: fc.constantFrom(0, 2500),
  longPointers: fc.boolean(),
}).map((content) =>
  content.ipVersion === 6
    ? content
    : { ...content, networks: content.networks.filter(([prefix]) => !prefix.includes(":")) }
);

Deno.test("a random database tells of random addresses what maxmind reads in it, and from as many bits", () => {
  fc.assert(
    fc.property(contents, fc.integer(), (content, seed) => {
      const bytes = writeMmdb(content);
      const database = new Mmdb(bytes);
      const oracle = new Reader<AnyRecord>(Buffer.from(bytes));
      const isOver4 = content.ipVersion === 4;
      for (const address of addressesNear(content, seed)) {
        if (isOver4 && address.length === 16) continue;
        const text = formatIp(address);
        const [record, depth] = oracle.getWithPrefixLength(text);
        deepEqual(known(database, text), factsOf(record), text);
        equal(database.depth, depth, text);
      }
    }),
    { numRuns: runs(20) },
  );
});

/** Some in each network, at its edges and beside it, and some anywhere. */
function addressesNear({ networks }: MmdbContent, seed: number): Uint8Array[] {
  const rng = seededRng(seed);
  const near = networks.flatMap(([text]) => {
    const { bytes, length } = parsePrefix(text);
    return [0, 1, 2].map(() => {
      const address = bytes.map(() => rng() & 255);
      const same = Math.max(0, length - rng() % 3);
      return address.map((byte, i) => {
        const mask = 0xff00 >> Math.min(8, Math.max(0, same - i * 8)) & 255;
        return bytes[i]! & mask | byte & ~mask;
      });
    });
  });
  const anywhere = [4, 4, 16, 16].map((size) => new Uint8Array(size).map(() => rng() & 255));
  return [...near, ...anywhere];
}

/** A record of either kind, as far as it is read. */
type AnyRecord = CityResponse & AsnResponse & {
  readonly latitude?: number;
  readonly longitude?: number;
  readonly country_code?: string;
  readonly continent_code?: string;
};

/** The record that `maxmind` has read, as `known` shows one. */
function factsOf(record: AnyRecord | null): typeof NOTHING {
  if (record === null) return NOTHING;
  const latitude = record.location?.latitude ?? record.latitude ?? NaN;
  const longitude = record.location?.longitude ?? record.longitude ?? NaN;
  const country = record.country?.iso_code ?? record.country_code ?? record.registered_country?.iso_code ??
    "";
  const continent = record.continent?.code ?? record.continent_code ?? CONTINENTS[country] ?? "";
  const isPlaced = !Number.isNaN(latitude) && !Number.isNaN(longitude);
  return {
    latitude: isPlaced ? latitude : NaN,
    longitude: isPlaced ? longitude : NaN,
    ...{ country, continent },
    asn: record.autonomous_system_number ?? 0,
  };
}

const CONTINENTS: Readonly<Record<string, string>> = { GB: "EU", US: "NA", JP: "AS", DE: "EU" };

function masked(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.map((byte, i) => byte & 0xff00 >> Math.min(8, Math.max(0, length - i * 8)));
}

/** A small file with everything in it that a file can have. */
function sample(recordSize: 24 | 28 | 32): Uint8Array {
  return writeMmdb({
    recordSize,
    ipVersion: 6,
    networks: [
      ["192.0.2.0/24", nestedRecord(LONDON)],
      ["192.0.2.128/26", nestedRecord({ ...LONDON, country: "FR" }, "float")],
      ["2001:db8::/32", flatRecord(LONDON)],
      ["2001:db8:1::/48", flatRecord({ asn: 64501 })],
    ],
    aliases: [{ bytes: parsePrefix("2002::/16").bytes, length: 16 }],
  });
}

/** Opens what may be no database, and asks it everything; gives whether it was taken for one. */
function ask(bytes: Uint8Array, rng: () => number): boolean {
  let database: Mmdb;
  try {
    database = new Mmdb(bytes);
  } catch (fault) {
    ok(fault instanceof MmdbFault, String(fault));
    return false;
  }
  for (let i = 0; i < 20; i++) {
    const address = i % 2 === 0 ? Uint8Array.of(192, 0, 2, rng() & 255) : Uint8Array.of(
      0x20,
      rng() & 3,
      0x0d,
      0xb8,
      0,
      rng() & 3,
      ...new Uint8Array(10).map(() => rng() & 255),
    );
    const leaf = database.find(address);
    ok(leaf >= database.nodeCount && database.depth <= address.length * 8);
    const place = database.place(leaf);
    equal(database.place(leaf), place, "a second look says the same");
    const { latitude, longitude } = {
      latitude: database.latitude(place),
      longitude: database.longitude(place),
    };
    ok(Number.isNaN(latitude) === Number.isNaN(longitude));
    ok(Number.isNaN(latitude) || Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180);
    for (const code of [database.country(place), database.continent(place)]) {
      ok(code === 0 || /^[A-Z]{2}$/.test(letters(code)));
    }
    ok(database.asn(place) >= 0);
  }
  // Whatever a corrupt tree leads to, each leaf of it can be asked about.
  for (let at = 0; at < 100; at++) database.place(rng() >>> (at & 15));
  return true;
}

for (const recordSize of RECORD_SIZES) {
  Deno.test(`a file of ${recordSize} bits a record that was cut anywhere is refused`, () => {
    const whole = sample(recordSize);
    const rng = seededRng(1);
    ok(ask(whole, rng));
    for (let length = 0; length < whole.length; length++) {
      ok(!ask(whole.subarray(0, length), rng), `of ${length} of ${whole.length} bytes`);
    }
  });

  Deno.test(`a file of ${recordSize} bits a record in which bytes are wrong is refused, or is asked in vain`, () => {
    const whole = sample(recordSize);
    const rng = seededRng(recordSize);
    for (let at = 0; at < whole.length; at++) {
      for (const byte of someOf([0, 255, whole[at]! ^ 1 << (rng() & 7), rng() & 255], at + recordSize / 4)) {
        const corrupt = whole.slice();
        corrupt[at] = byte;
        ask(corrupt, rng);
      }
    }
    for (let run = 0; run < runs(300); run++) {
      const corrupt = whole.slice();
      for (let flips = 1 + rng() % 8; flips > 0; flips--) corrupt[rng() % whole.length] = rng() & 255;
      ask(corrupt, rng);
    }
  });
}

/** The one whose turn it is; each where there are more cases than in the suite. */
function someOf<T>(all: readonly T[], turn: number): readonly T[] {
  return runs(1) > 1 ? all : [all[turn % all.length]!];
}

/**
 * Opens what may be no database with both readers. What this one takes `maxmind` must take, too, and the other way round
 * nothing is asked: here more is refused.
 *
 * @returns how many records were taken
 */
function takenByBoth(bytes: Uint8Array, rng: () => number): number {
  let database: Mmdb;
  try {
    database = new Mmdb(bytes);
  } catch {
    return 0;
  }
  const oracle = new Reader(Buffer.from(bytes));
  let taken = 0;
  for (let i = 0; i < 20; i++) {
    const address = addressIn(database, rng);
    if (!database.isWhole(database.find(address))) continue;
    oracle.get(formatIp(address));
    taken++;
  }
  return taken;
}

/** An address on a random way through the tree, with data at its end where there is some to be had. */
function addressIn(database: Mmdb, rng: () => number): Uint8Array {
  const address = new Uint8Array(database.ipVersion === 6 ? 16 : 4);
  let node = 0;
  for (let depth = 0; depth < address.length * 8 && node < database.nodeCount; depth++) {
    const drawn = rng() >>> 16 & 1;
    const bit = database.child(node, drawn) === database.nodeCount ? 1 - drawn : drawn;
    address[depth >> 3]! |= bit << (7 - (depth & 7));
    node = database.child(node, bit);
  }
  return address;
}

for (const recordSize of RECORD_SIZES) {
  Deno.test(`what maxmind refuses of a corrupt file of ${recordSize} bits a record is refused`, () => {
    const whole = sample(recordSize);
    const rng = seededRng(recordSize);
    let taken = 0;
    for (let length = 0; length < whole.length; length++) {
      taken += takenByBoth(whole.subarray(0, length), rng);
    }
    equal(taken, 0);
    equal(takenByBoth(whole, rng), 20);
    for (let at = 0; at < whole.length; at++) {
      for (const byte of someOf([whole[at]! ^ 1 << (rng() & 7), rng() & 255], at)) {
        const corrupt = whole.slice();
        corrupt[at] = byte;
        taken += takenByBoth(corrupt, rng);
      }
    }
    for (let run = 0; run < runs(150); run++) {
      const corrupt = whole.slice();
      for (let flips = 1 + rng() % 8; flips > 0; flips--) corrupt[rng() % whole.length] = rng() & 255;
      taken += takenByBoth(corrupt, rng);
    }
    ok(taken > runs(300), "enough is taken for the comparison to say something");
  });
}

Deno.test("random bytes are no database, with or without a marker behind them", () => {
  const rng = seededRng(7);
  const marker = sample(24).subarray(-300);
  for (let run = 0; run < 2000; run++) {
    const noise = new Uint8Array(rng() % 400).map(() => rng() & 255);
    ok(!ask(noise, rng));
    ask(Uint8Array.of(...noise, ...marker), rng);
  }
});

Deno.test("a tree that leads to itself ends with the address", () => {
  const bytes = writeMmdb({ recordSize: 24, networks: [["0.0.0.0/1", flatRecord(LONDON)]] });
  bytes.fill(0, 0, 6);
  const database = new Mmdb(bytes);
  deepEqual(known(database, "192.0.2.1"), NOTHING);
  equal(database.depth, 32);
});

/** A file of one network whose record is these bytes, and the last before the metadata. */
function withRecord(record: readonly number[]): Uint8Array {
  const bytes = writeMmdb({ recordSize: 24, networks: [["0.0.0.0/0", {}]] });
  const dataBegin = 6 + 16;
  return Uint8Array.of(...bytes.subarray(0, dataBegin), ...record, ...bytes.subarray(dataBegin + 1));
}

function text(characters: string): number[] {
  return [0x40 | characters.length, ...new TextEncoder().encode(characters)];
}

/** A key and a value that are good. */
const GB = [...text("country_code"), ...text("GB")];

const CORRUPT_RECORDS: readonly (readonly [what: string, record: readonly number[]])[] = [
  ["a pointer to itself", [0x20, 0x00, 0, 0]],
  ["a pointer behind the end", [0x27, 0xff, 0, 0]],
  ["a map that goes on behind the end", [0xe9, 0x41, 0x61, 0x41]],
  ["a map that contains itself", [0xe1, 0x41, 0x61, 0x20, 0x00]],
  ["a map of sixteen million entries", [0xff, 0xff, 0xff, 0xff]],
  ["a key that is a number", [0xe1, 0xa1, 0x01, 0x41, 0x61]],
  ["a text that goes on behind the end", [0xe1, 0x41, 0x61, 0x5c, 0x61]],
  ["a type that there isn't", [0xe1, 0x41, 0x61, 0x00, 0x0f]],
  ["an end marker", [0x00, 0x06, 0, 0]],
  ["good until a text behind the end", [0xe2, ...GB, 0x41, 0x61, 0x5c, 0x61]],
  ["good until a pointer to no type", [0xe2, ...GB, ...text("latitude"), 0x20, 28, 0x00, 0x0f]],
  ["good until an entry is missing", [0xe3, ...GB, 0x41, 0x61, 0x40]],
  ["a boolean of two bits", [0xe1, 0x41, 0x61, 0x02, 0x07]],
  ["a double of four bytes", [0xe1, 0x41, 0x61, 0x64, 0, 0, 0, 0]],
  ["a float of two bytes", [0xe1, 0x41, 0x61, 0x02, 0x08, 0, 0]],
  ["an array with a pointer behind the end", [0xe1, 0x41, 0x61, 0x01, 0x04, 0x27, 0xff]],
];

for (const [what, record] of CORRUPT_RECORDS) {
  Deno.test(`of a record that is ${what} nothing is known, and it isn't whole`, () => {
    const database = new Mmdb(withRecord(record));
    deepEqual(known(database, "192.0.2.1"), NOTHING);
    equal(database.isWhole(database.find(Uint8Array.of(192, 0, 2, 1))), false);
  });
}

Deno.test("a record that is good is read by its bytes, too", () => {
  const database = new Mmdb(withRecord([0xe1, ...GB]));
  equal(known(database, "192.0.2.1").country, "GB");
  equal(database.isWhole(database.find(Uint8Array.of(192, 0, 2, 1))), true);
});

Deno.test("of a record with more values than any has nothing is known", () => {
  const record = { a: new Array<MmdbValue>(5000).fill(true), country_code: "GB" };
  deepEqual(known(new Mmdb(writeMmdb({ networks: [["0.0.0.0/0", record]] })), "192.0.2.1"), NOTHING);
});

Deno.test("child() reads all bits of both halves of a node", () => {
  const halves = [[0x123456, 0x789abc], [0x0a123456, 0x0b789abc], [0xca123456, 0xdb789abc]];
  const nodes = [
    [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc],
    [0x12, 0x34, 0x56, 0xab, 0x78, 0x9a, 0xbc],
    [0xca, 0x12, 0x34, 0x56, 0xdb, 0x78, 0x9a, 0xbc],
  ];
  for (const [i, recordSize] of RECORD_SIZES.entries()) {
    const bytes = writeMmdb({ recordSize, networks: [["192.0.2.0/24", flatRecord(LONDON)]] });
    bytes.set(nodes[i]!, 5 * nodes[i]!.length);
    const database = new Mmdb(bytes);
    deepEqual([database.child(5, 0), database.child(5, 1)], halves[i]);
  }
});

const REFUSED: readonly (readonly [bytes: () => Uint8Array, message: RegExp])[] = [
  [() => new Uint8Array(0), /the marker before its metadata isn't in the last 131072 of its 0 bytes/],
  [
    () => withMetadata("record_size", 28, 20),
    /record_size in its metadata is 20; 24 or 28 or 32 can be read/,
  ],
  [() => withMetadata("ip_version", 4, 5), /ip_version in its metadata is 5; 4 or 6 can be read/],
  [
    () => withMetadata("node_count", 24, 250),
    /its tree of 250 nodes of 7 bytes doesn't fit before the metadata/,
  ],
  [() => {
    const bytes = withMetadata("node_count", 24, 24);
    bytes[24 * 7 + 5] = 9;
    return bytes;
  }, /byte 173, between tree and data, is 9 instead of 0/],
  [
    () => withMetadata("binary_format_major_version", 2, 3),
    /binary_format_major_version .* is 3; 2 can be read/,
  ],
  [
    () => withPointerTo("no value"),
    /its metadata can't be read to its end/,
  ],
];

for (const [bytes, message] of REFUSED) {
  Deno.test(`a file is refused with ${message.source.slice(0, 60)}`, () => {
    throws(
      () => new Mmdb(bytes()),
      (fault: unknown) => fault instanceof MmdbFault && message.test(fault.message),
    );
  });
}

/** A file with a list of one text more in its metadata, whose text lies behind a pointer to this offset in it. */
function withPointerTo(zeros: "a value" | "no value"): Uint8Array {
  const bytes = writeMmdb({ networks: [["192.0.2.0/24", flatRecord(LONDON)]] });
  const marker = "MaxMind.com";
  const begin = new TextDecoder("latin1").decode(bytes).lastIndexOf(marker) + marker.length;
  bytes[begin]! += 2;
  const key = text("description");
  const head = bytes.length - begin + key.length;
  const offset = zeros === "a value" ? head : head + 1;
  const pointer = [0x20 | offset >> 8, offset & 255];
  return Uint8Array.of(...bytes, ...key, 0x42, 0, 0, ...text("languages"), 0x01, 0x04, ...pointer);
}

/** A file in whose metadata a number of one byte is another. */
function withMetadata(key: string, from: number, to: number): Uint8Array {
  const bytes = writeMmdb({ networks: [["192.0.2.0/24", flatRecord(LONDON)]] });
  const at = new TextDecoder("latin1").decode(bytes).lastIndexOf(key) + key.length + 1;
  equal(bytes[at], from);
  bytes[at] = to;
  return bytes;
}

Deno.test("metadata with a pointer to a value in it is taken", () => {
  equal(new Mmdb(withPointerTo("a value")).ipVersion, 4);
});

Deno.test("twoLetters() is how the reader writes a country", () => {
  const database = new Mmdb(writeMmdb({ networks: [["192.0.2.0/24", flatRecord(LONDON)]] }));
  equal(database.country(database.place(database.find(Uint8Array.of(192, 0, 2, 1)))), twoLetters("GB"));
});
