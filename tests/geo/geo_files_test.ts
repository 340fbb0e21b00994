/** @module Tests of the files about clients: how they are taken, watched and kept when they break. */
import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { GeoFiles, type GeoSettings } from "../../src/geo/geo_files.ts";
import { DATABASE_WATCH_MS } from "../../src/geo/watched_databases.ts";
import { Extents } from "../../src/geo/extents.ts";
import { Mmdb } from "../../src/geo/mmdb.ts";
import type { GeoData } from "../../src/geo/geo_data.ts";
import { setImmediate } from "node:timers/promises";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { flatRecord, type MmdbValue, nestedRecord, writeMmdb } from "./mmdb_writer.ts";
import { ManualClock } from "../clock.ts";
import { failingThreads, FAILURES } from "../failing_threads.ts";

const FRANKFURT = { latitude: 50, longitude: 8.5 };
const SYDNEY = { latitude: -33.75, longitude: 151.25 };
const DAY = 86_400;

const cityV4 = (place = FRANKFURT, buildEpoch = 20_000 * DAY) =>
  writeMmdb({ buildEpoch, networks: [["192.0.2.0/24", nestedRecord({ ...place, country: "DE" })]] });
const cityV6 = writeMmdb({
  ipVersion: 6,
  buildEpoch: 19_999 * DAY,
  networks: [["2001:db8::/32", flatRecord({ ...SYDNEY, country: "AU" })]],
});
const asn = writeMmdb({
  buildEpoch: 20_001 * DAY,
  networks: [["192.0.2.0/24", flatRecord({ asn: 64_500 })]],
});

Deno.test("databases and map file are one geoData, told of once", async () => {
  await using world = await openWorld({
    "v4.mmdb": cityV4(),
    "v6.mmdb": cityV6,
    "asn.mmdb": asn,
    "rules": RULES,
  });
  await using files = world.open({
    database: ["v4.mmdb", "v6.mmdb"],
    asnDatabase: ["asn.mmdb"],
    map: "rules",
  });
  deepEqual(files.geoData, { edition: 0, city: [], extents: [], asn: [], map: null });
  await files.reload();
  deepEqual(world.told, [files.geoData]);
  deepEqual(files.geoData.city.map((bytes) => new Uint8Array(bytes)), [cityV4(), cityV6]);
  deepEqual(files.geoData.asn.map((bytes) => new Uint8Array(bytes)), [asn]);
  ok(files.geoData.map !== null);
  match(world.metrics(), /^pleiades_geoip_loads_total\{result="success"\} 3$/m);
  match(world.metrics(), /^pleiades_geoip_build_timestamp_seconds\{kind="city"\} 1727913600$/m);
  match(world.metrics(), /^pleiades_geoip_build_timestamp_seconds\{kind="asn"\} 1728086400$/m);
});

const RULES = new TextEncoder().encode("10.0.0.0/8 192.0.2.1\n");

Deno.test("bounds are worked out on a thread, and come with another geoData of the same databases", async () => {
  const networks = Array.from({ length: 200 }, (_, i): [string, MmdbValue] => [
    `10.${i}.0.0/16`,
    flatRecord({ ...FRANKFURT, country: "DE", asn: i + 1 }),
  ]);
  await using world = await openWorld({ "city.mmdb": writeMmdb({ networks }) });
  await using files = world.open({ database: ["city.mmdb"] });
  await files.reload();
  deepEqual(files.geoData.extents, [null]);
  const [city] = files.geoData.city;
  await files.bounded();
  equal(files.geoData.city[0], city);
  ok(new Extents(files.geoData.extents[0]!).count > 0);
  deepEqual(world.told.map(({ edition }) => edition), [1, 2]);
});

for (const [what, source] of Object.entries(FAILURES)) {
  Deno.test(`a database whose bounds are worked out by a thread that ${what} is used all the same`, async () => {
    await using world = await openWorld({ "city.mmdb": cityV4() });
    await using files = world.open({ database: ["city.mmdb"] });
    using _ = failingThreads(source);
    await files.reload();
    await files.bounded();
    deepEqual(files.locate("192.0.2.1"), FRANKFURT);
    deepEqual(files.geoData.extents, [null]);
    match(world.warnings().join(), /Cannot work out the bounds in a database/);
  });
}

for (const file of ["city.mmdb", "rules"] as const) {
  Deno.test(`what throws while the files are watched (${file}) is told of and counted, and watching goes on`, async () => {
    await using world = await openWorld({ "city.mmdb": cityV4(), rules: RULES });
    await using files = world.open({ database: ["city.mmdb"], map: "rules" });
    await files.reload();
    const { edition } = files.geoData;
    const rewrite = (round: number) =>
      world.write(
        file,
        file === "rules"
          ? new TextEncoder().encode(`10.0.0.0/8 192.0.2.${round}\n`)
          : cityV4(FRANKFURT, (20_000 + round) * DAY),
      );
    {
      using _ = files.onChange(() => {
        throw new Error("thrown on purpose");
      });
      await rewrite(2);
      await world.look();
      await world.look();
    }
    match(world.errors().join(), /^Cannot look at the (?:databases|map file); trying again$/);
    match(world.metrics(), /^pleiades_(?:geoip|map_file)_loads_total\{result="error"\} 1$/m);
    await rewrite(3);
    await world.look();
    await world.look();
    ok(files.geoData.edition >= edition + 2);
    equal(world.told.at(-1), files.geoData);
  });
}

Deno.test("locate() asks the database that knows the family, and says nothing of others", async () => {
  await using world = await openWorld({ "v4.mmdb": cityV4(), "v6.mmdb": cityV6 });
  await using files = world.open({ database: ["v4.mmdb", "v6.mmdb"] });
  await files.reload();
  deepEqual(files.locate("192.0.2.1"), FRANKFURT);
  deepEqual(files.locate("2001:db8::1"), SYDNEY);
  equal(files.locate("198.51.100.1"), null);
  equal(files.locate("2001:db9::1"), null);
});

const PLACES:
  readonly (readonly [what: string, Partial<Parameters<GeoFiles["locationOf"]>[0]>, typeof SYDNEY | null])[] =
    [
      ["where it says itself", { ipAddress: "192.0.2.7", latitude: 1, longitude: 2 }, {
        latitude: 1,
        longitude: 2,
      }],
      ["where the settings say", { ipAddress: "192.0.2.7" }, SYDNEY],
      ["where the database says", { ipAddress: "192.0.2.8" }, FRANKFURT],
      ["nowhere when nobody knows its address", { ipAddress: "198.51.100.1" }, null],
      ["nowhere when it has no address", {}, null],
      ["on the null island when it says so", { latitude: 0, longitude: 0 }, { latitude: 0, longitude: 0 }],
    ];

for (const [what, member, place] of PLACES) {
  Deno.test(`a member stands ${what}`, async () => {
    await using world = await openWorld({ "city.mmdb": cityV4() });
    await using files = world.open({ database: ["city.mmdb"], endpointLocations: { "192.0.2.7": SYDNEY } });
    await files.reload();
    deepEqual(files.locationOf({ ipAddress: null, latitude: null, longitude: null, ...member }), place);
  });
}

Deno.test("databases that were refused with the settings are counted, too", async () => {
  await using world = await openWorld({ "city.mmdb": cityV4() });
  await using files = world.open({ database: ["city.mmdb"] });
  await files.reload();
  files.countRefused(2);
  match(world.metrics(), /^pleiades_geoip_loads_total\{result="error"\} 2$/m);
  match(world.metrics(), /^pleiades_geoip_records_without_coordinates_ratio 0$/m);
});

const whole = cityV4();
const BROKEN: readonly (readonly [what: string, content: Uint8Array | null, message: string])[] = [
  ["is gone", null, "there is no such file"],
  ["is empty", new Uint8Array(0), "isn't in the last 131072 of its 0 bytes"],
  ["is cut short", whole.subarray(0, -400), "(the file is cut short, or no MaxMind DB)"],
  ["is cut in its metadata", whole.subarray(0, -20), "its metadata can't be read to its end"],
  ["is packed", Uint8Array.of(0x1f, 0x8b, 8, 0), "it is compressed (unpack it first)"],
  ["has a broken record", withBrokenRecord(), "can't be read (the file is corrupt: download it again)"],
  [
    "is about something else",
    asn,
    "there are no coordinates, countries or continents in it (name another file)",
  ],
];

for (const [what, content, message] of BROKEN) {
  Deno.test(`a database that ${what} leaves the one before, and says so once`, async () => {
    await using world = await openWorld({ "city.mmdb": cityV4() });
    await using files = world.open({ database: ["city.mmdb"] });
    await files.reload();
    await files.bounded();
    const before = files.geoData;
    await world.write("city.mmdb", content);
    for (let i = 0; i < 4; i++) await world.look();
    equal(files.geoData, before);
    deepEqual(files.locate("192.0.2.1"), FRANKFURT);
    const [error, ...others] = world.errors();
    deepEqual(others, []);
    ok(error!.startsWith(`Database not loaded, the previous one stays: ${world.path("city.mmdb")}: `), error);
    ok(error!.includes(message), error);
    match(world.metrics(), /^pleiades_geoip_loads_total\{result="error"\} 1$/m);
    await world.write("city.mmdb", cityV4(SYDNEY));
    for (let i = 0; i < 2; i++) await world.look();
    deepEqual(files.locate("192.0.2.1"), SYDNEY);
  });
}

Deno.test("a database that is broken at the start is left out, loudly", async () => {
  await using world = await openWorld({ "v4.mmdb": cityV4(), "v6.mmdb": cityV6.subarray(0, 99) });
  await using files = world.open({ database: ["v4.mmdb", "v6.mmdb"] });
  await files.reload();
  equal(files.geoData.city.length, 1);
  equal(files.locate("2001:db8::1"), null);
  ok(world.errors()[0]!.startsWith(`Database not loaded: ${world.path("v6.mmdb")}: `));
});

Deno.test("a new database is noticed by itself, when the file has been at rest for a look", async () => {
  await using world = await openWorld({ "city.mmdb": cityV4() });
  await using files = world.open({ database: ["city.mmdb"] });
  await files.reload();
  await world.write("city.mmdb", cityV4(SYDNEY));
  await world.look();
  deepEqual(files.locate("192.0.2.1"), FRANKFURT);
  await world.look();
  deepEqual(files.locate("192.0.2.1"), SYDNEY);
});

Deno.test("reload() takes a changed file at once, and leaves alone what is as it was", async () => {
  await using world = await openWorld({ "city.mmdb": cityV4(), "asn.mmdb": asn });
  await using files = world.open({ database: ["city.mmdb"], asnDatabase: ["asn.mmdb"] });
  await files.reload();
  const { asn: [before] } = files.geoData;
  await world.write("city.mmdb", cityV4(SYDNEY));
  await files.reload();
  deepEqual(files.locate("192.0.2.1"), SYDNEY);
  equal(files.geoData.asn[0], before);
});

Deno.test("settings that are prepared change nothing, and are taken over at once, keeping what both name", async () => {
  await using world = await openWorld({ "v4.mmdb": cityV4(), "v6.mmdb": cityV6, "rules": RULES });
  await using files = world.open({ database: ["v4.mmdb", "v6.mmdb"], map: "rules" });
  await files.reload();
  await files.bounded();
  const before = files.geoData;
  const told = world.told.length;
  const next = world.settings({ database: ["v4.mmdb"], endpointLocations: { "198.51.100.1": SYDNEY } });
  const prepared = await files.prepare(next, NEVER);
  const member = { ipAddress: "198.51.100.1", latitude: null, longitude: null };
  equal(files.geoData, before);
  deepEqual([files.locationOf(member), prepared.locationOf(member)], [null, SYDNEY]);
  deepEqual(files.locate("2001:db8::1"), SYDNEY);
  equal(world.told.length, told);

  prepared.take();
  deepEqual(world.told.slice(told), [prepared.geoData]);
  equal(files.geoData, prepared.geoData);
  ok(files.geoData.edition > before.edition);
  deepEqual(files.geoData.city, [before.city[0]]);
  deepEqual(files.geoData.extents, [before.extents[0]]);
  equal(files.geoData.map, null);
  notEqual(before.map, null);
  deepEqual(files.locationOf(member), SYDNEY);
  equal(files.locate("2001:db8::1"), null);
});

Deno.test("a changed file and a new one are read when they are prepared, and in effect when they are taken", async () => {
  await using world = await openWorld({ "v4.mmdb": cityV4(), "asn.mmdb": asn, "rules": RULES });
  await using files = world.open({ database: ["v4.mmdb"] });
  await files.reload();
  await world.write("v4.mmdb", cityV4(SYDNEY));
  const next = world.settings({ database: ["v4.mmdb"], asnDatabase: ["asn.mmdb"], map: "rules" });
  const prepared = await files.prepare(next, NEVER);
  deepEqual(files.locate("192.0.2.1"), FRANKFURT);
  deepEqual(prepared.locationOf({ ipAddress: "192.0.2.1", latitude: null, longitude: null }), SYDNEY);
  match(world.metrics(), /^pleiades_geoip_loads_total\{result="success"\} 1$/m);
  prepared.take();
  deepEqual(files.locate("192.0.2.1"), SYDNEY);
  deepEqual([files.geoData.asn.length, files.geoData.map !== null], [1, true]);
  match(world.metrics(), /^pleiades_geoip_loads_total\{result="success"\} 3$/m);
  const { edition } = files.geoData;
  await files.bounded();
  ok(files.geoData.edition >= edition);
  for (let i = 0; i < 3; i++) await world.look();
  match(world.metrics(), /^pleiades_geoip_loads_total\{result="success"\} 3$/m);
});

Deno.test("a file that comes into effect between the two isn't lost", async () => {
  await using world = await openWorld({ "v4.mmdb": cityV4(), "v6.mmdb": cityV6 });
  await using files = world.open({ database: ["v4.mmdb"] });
  await files.reload();
  const prepared = await files.prepare(world.settings({ database: ["v4.mmdb", "v6.mmdb"] }), NEVER);
  await world.write("v4.mmdb", cityV4(SYDNEY));
  await files.reload();
  const { geoData } = prepared;
  prepared.take();
  notEqual(files.geoData, geoData);
  equal(files.geoData, prepared.geoData);
  equal(world.told.at(-1), files.geoData);
  deepEqual([files.locate("192.0.2.1"), files.locate("2001:db8::1")], [SYDNEY, SYDNEY]);
});

for (
  const [what, named] of [
    ["a database that is cut short", { database: ["v4.mmdb", "cut.mmdb"] }],
    ["a database that isn't there", { database: ["v4.mmdb", "nowhere.mmdb"] }],
    ["a map file that isn't there", { database: ["v6.mmdb"], map: "nowhere" }],
  ] as const
) {
  Deno.test(`${what} can't be prepared, and nothing of its settings is in effect`, async () => {
    await using world = await openWorld({
      "v4.mmdb": cityV4(),
      "v6.mmdb": cityV6,
      "cut.mmdb": cityV6.subarray(0, 99),
      "rules": RULES,
    });
    await using files = world.open({ database: ["v4.mmdb"], map: "rules" });
    await files.reload();
    await files.bounded();
    const before = files.geoData;
    const told = world.told.length;
    await rejects(
      files.prepare(world.settings({ ...named, endpointLocations: { "192.0.2.9": SYDNEY } }), NEVER),
      /^Error: (?:Database|Map file) not loaded: .*(?:cut|nowhere)/,
    );
    equal(files.geoData, before);
    equal(world.told.length, told);
    deepEqual(files.locate("192.0.2.9"), FRANKFURT);
    match(world.metrics(), /^pleiades_(?:geoip|map_file)_loads_total\{result="error"\} 1$/m);
    for (let i = 0; i < 3; i++) await world.look();
    equal(files.geoData, before);
  });
}

Deno.test("a database in effect that has become faulty stays as it was read, and is told of once", async () => {
  await using world = await openWorld({ "v4.mmdb": cityV4() });
  await using files = world.open({ database: ["v4.mmdb"] });
  await files.reload();
  await files.bounded();
  const before = files.geoData;
  await world.write("v4.mmdb", cityV4().subarray(0, 99));
  (await files.prepare(world.settings({ database: ["v4.mmdb"] }), NEVER)).take();
  for (let i = 0; i < 3; i++) await world.look();
  equal(files.geoData, before);
  equal(world.errors().length, 1);
});

Deno.test("what is prepared when the files are disposed of, or when the signal has fired, is refused", async () => {
  await using world = await openWorld({ "v4.mmdb": cityV4(), "v6.mmdb": cityV6 });
  const files = world.open({ database: ["v4.mmdb"] });
  await files.reload();
  const next = world.settings({ database: ["v6.mmdb"] });
  await rejects(files.prepare(next, AbortSignal.abort(new Error("on purpose"))), /on purpose/);
  const preparing = files.prepare(next, NEVER);
  await Promise.all([rejects(preparing), files[Symbol.asyncDispose]()]);
});

const NEVER = new AbortController().signal;

Deno.test("nothing is told of when nothing has changed", async () => {
  await using world = await openWorld({ "city.mmdb": cityV4() });
  await using files = world.open({ database: ["city.mmdb"] });
  await files.reload();
  await files.bounded();
  const told = world.told.length;
  await files.reload();
  (await files.prepare(world.settings({ database: ["city.mmdb"] }), NEVER)).take();
  for (let i = 0; i < 3; i++) await world.look();
  equal(world.told.length, told);
});

Deno.test("disposing ends a thread that is still at work", async () => {
  await using world = await openWorld({ "city.mmdb": cityV4() });
  const files = world.open({ database: ["city.mmdb"] });
  await files.reload();
  await files[Symbol.asyncDispose]();
  equal(world.errors().length, 0);
});

/** A file of which every record is broken: its map claims more than there is. */
function withBrokenRecord(): Uint8Array {
  const bytes = cityV4().slice();
  bytes[new Mmdb(bytes).nodeCount * 7 + 16] = 0xff;
  return bytes;
}

interface Named {
  readonly database: readonly string[];
  readonly asnDatabase?: readonly string[];
  readonly map?: string;
  readonly endpointLocations?: GeoSettings["geoip"]["endpointLocations"];
}

interface World extends AsyncDisposable {
  /** What `onChange` heard. */
  readonly told: readonly GeoData[];
  path(name: string): string;
  settings(named: Named): GeoSettings;
  open(named: Named): GeoFiles;
  /** Replaces a file as downloads do, by renaming; `null` = removes it. */
  write(name: string, content: Uint8Array | null): Promise<void>;
  /** Lets the files be looked at once. */
  look(): Promise<void>;
  /** The messages of level error. */
  errors(): string[];
  /** The messages of level warn. */
  warnings(): string[];
  metrics(): string;
}

/** A folder with these files. */
async function openWorld(contents: Readonly<Record<string, Uint8Array>>): Promise<World> {
  const folder = await Deno.makeTempDir();
  const clock = new ManualClock();
  const lines: { level: string; message: string }[] = [];
  const log = createLogger({
    ...{ level: "info", format: "json", clock },
    write: (line) => lines.push(JSON.parse(line)),
  });
  const registry = new Registry({});
  const told: GeoData[] = [];
  const path = (name: string) => `${folder}/${name}`;
  const settings = ({ database, asnDatabase = [], map, endpointLocations = {} }: Named) => ({
    geoip: {
      database: database.map(path),
      asnDatabase: asnDatabase.map(path),
      endpointLocations,
    },
    mapFile: { path: map === undefined ? null : path(map) },
  });
  const write = async (name: string, content: Uint8Array | null) => {
    if (content === null) return await Deno.remove(path(name));
    await Deno.writeFile(path(`${name}.new`), content);
    await Deno.rename(path(`${name}.new`), path(name));
  };
  for (const [name, content] of Object.entries(contents)) await write(name, content);
  return {
    ...{ told, path, settings, write },
    open(named) {
      const files = new GeoFiles({ settings: settings(named), clock, log, registry });
      files.onChange((geoData) => told.push(geoData));
      return files;
    },
    async look() {
      await clock.advance(DATABASE_WATCH_MS);
      // One sleeper for the databases, one for the map file.
      while (clock.sleeperCount < 2) await setImmediate();
    },
    errors: () => lines.filter(({ level }) => level === "error").map(({ message }) => message),
    warnings: () => lines.filter(({ level }) => level === "warn").map(({ message }) => message),
    metrics: () => registry.expose(),
    async [Symbol.asyncDispose]() {
      await Deno.remove(folder, { recursive: true });
    },
  };
}
