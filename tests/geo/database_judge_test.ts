/**
 * What can't be used as a database is refused before a start, by a start and while a node runs, in the same plain words.
 *
 * @module
 */
import { deepEqual, doesNotMatch, equal, match, rejects } from "node:assert/strict";
import { readDatabase } from "../../src/geo/database_file.ts";
import { judgeDatabases } from "../../src/settings/databases.ts";
import { loadSettings } from "../../src/settings/settings.ts";
import { openDatabase } from "../../src/geo/database.ts";
import { databaseFault, faultOf } from "../../src/geo/database_fault.ts";
import { failingThreads, FAILURES } from "../failing_threads.ts";
import { flatRecord, MmdbNumber, type MmdbValue, nestedRecord, writeMmdb } from "./mmdb_writer.ts";

const FRANKFURT = { latitude: 50.1, longitude: 8.7, country: "DE" };

/** A sound database of one network, with a long text in its record to write other things over. */
function spacious(): Uint8Array {
  return writeMmdb({
    networks: [[
      "0.0.0.0/0",
      { ...flatRecord(FRANKFURT) as object, space: "~".repeat(60_000) } as MmdbValue,
    ]],
  });
}

/** Writes over the value in `spacious`. */
function withValue(bytes: readonly number[]): Uint8Array {
  const file = spacious();
  // The text's head has three bytes.
  file.set(bytes, file.indexOf("~".charCodeAt(0)) - 3);
  return file;
}

function patched(change: (file: Uint8Array) => void, file = spacious()): Uint8Array {
  change(file);
  return file;
}

/** Where a key of the metadata has its value. */
function metadataAt(file: Uint8Array, key: string): number {
  const bytes = new TextEncoder().encode(key);
  for (let at = file.length - bytes.length; at >= 0; at--) {
    if (bytes.every((byte, i) => file[at + i] === byte)) return at + bytes.length;
  }
  throw new Error(`no ${key}`);
}

const NESTED_ARRAY = [1, 4];
const NESTED_MAP = [0xe1, 0x41, 0x61];
const repeated = (bytes: readonly number[]) => Array.from({ length: 19_000 }, () => bytes).flat();

const BROKEN: Readonly<Record<string, readonly [file: Uint8Array, reason: RegExp]>> = {
  "no database": [
    new TextEncoder().encode("country,latitude\n".repeat(40)),
    /the marker before its metadata/,
  ],
  "an empty file": [new Uint8Array(0), /the marker before its metadata/],
  "a packed file": [Uint8Array.of(0x1f, 0x8b, 8, 0), /it is compressed \(unpack it first\)/],
  "a tree that leads behind the data": [
    patched((file) => file.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
    /can't be read|there are no coordinates/,
  ],
  "a tree larger than the file": [
    patched((file) => file.set([0xc3, 0x7f, 0xff, 0xff], metadataAt(file, "node_count"))),
    /doesn't fit|metadata can't be read/,
  ],
  "deeply nested arrays": [withValue(repeated(NESTED_ARRAY)), /can't be read/],
  "deeply nested maps": [withValue(repeated(NESTED_MAP)), /can't be read/],
  "an oversized array": [withValue([31, 4, 0xff, 0xff, 0xff]), /can't be read/],
  "an oversized map": [withValue([0xff, 0xff, 0xff, 0xff]), /can't be read/],
  "a pointer that leads nowhere": [withValue([0x3f, 0xff, 0xff, 0xff, 0xff]), /can't be read/],
  "a pointer to itself": [
    patched((file) => {
      const data = file.indexOf("~".charCodeAt(0)) - 3;
      file.set([0x20, data - 7 - 16], data);
    }),
    /can't be read|there are no/,
  ],
  "a separator that isn't zero": [patched((file) => file[7 + 3] = 1), /between tree and data/],
  "a time that is none": [
    writeMmdb({ networks: [["0.0.0.0/0", flatRecord(FRANKFURT)]], buildEpoch: 2 ** 63 }),
    /build_epoch in its metadata is \d+, which is no time/,
  ],
  "nothing of its kind": [
    writeMmdb({ networks: [["0.0.0.0/0", { ip: "test" }]], databaseType: "Test" }),
    /its type is "Test", and there are no coordinates, countries or continents in it \(name another file\)/,
  ],
  "metadata that ends": [spacious().subarray(0, -20), /its metadata can't be read to its end/],
};

for (const [what, [file, reason]] of Object.entries(BROKEN)) {
  Deno.test(`${what} is refused by settings and by a running node, in the same plain words`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const path = `${folder}/broken.mmdb`;
      await Deno.writeFile(path, file);
      await Deno.writeTextFile(`${folder}/pleiades.yaml`, "geoip: { database: [broken.mmdb] }\n");
      const loaded = await judgeDatabases(loadSettings({ file: `${folder}/pleiades.yaml`, env: {} }));
      const [problem] = loaded.problems;
      match(problem?.message ?? "taken", reason);
      doesNotMatch(problem!.message, /NaN|call stack|Unknown type|offset/i);
      if (loaded.settings === null) equal(loaded.refusedDatabases, 1);
      await rejects(readDatabase(path, "city"), (error: Error) => {
        equal(`broken.mmdb can't be used as a database: ${error.message}`, problem!.message);
        return true;
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** A file that is too large to be read by the way: a sound one, or one with a broken record. */
async function large(test: (path: string) => Promise<void>, value: MmdbValue): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".mmdb" });
  try {
    const paddingBytes = 2 << 20;
    await Deno.writeFile(path, writeMmdb({ paddingBytes, networks: [["0.0.0.0/0", value]] }));
    await test(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("a large file is judged on a thread as it would be here", async () => {
  await large(
    async (path) => deepEqual([await databaseFault(path, "city"), faultOf(path, "city")], [null, null]),
    flatRecord(FRANKFURT),
  );
  await large(async (path) => {
    const fault = await databaseFault(path, "asn");
    deepEqual(fault, faultOf(path, "asn"));
    match(fault!.reason, /there are no autonomous systems in it/);
  }, flatRecord(FRANKFURT));
});

for (const [how, source] of Object.entries(FAILURES)) {
  Deno.test(`a large file is not to be gone by when the thread that judges it ${how}`, async () => {
    await large(async (path) => {
      using _ = failingThreads(source);
      const fault = await databaseFault(path, "city");
      equal(fault?.isUnreadable, true);
      match(fault!.reason, /The thread for ".*" failed/);
    }, flatRecord(FRANKFURT));
  });
}

Deno.test("records without coordinates are taken as such, and counted", () => {
  const record = (latitude: MmdbValue): MmdbValue => ({
    country: { iso_code: "DE" },
    location: { latitude, longitude: new MmdbNumber("double", 8.7) },
  });
  const broken = openDatabase(writeMmdb({ networks: [["0.0.0.0/0", record("fifty")]] }), "city");
  equal(broken.unplaced, 1);
  const place = broken.mmdb.place(broken.mmdb.find(new Uint8Array([192, 0, 2, 1])));
  deepEqual([broken.mmdb.country(place), broken.mmdb.latitude(place)], [0x4445, NaN]);
  const half = writeMmdb({
    networks: [["0.0.0.0/1", nestedRecord({ country: "DE" })], ["128.0.0.0/1", nestedRecord(FRANKFURT)]],
  });
  const { unplaced } = openDatabase(half, "city");
  equal(unplaced > 0.4 && unplaced < 0.6, true, `${unplaced}`);
});
