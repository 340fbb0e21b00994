/**
 * Files of every age: older ones are brought up to date, newer and foreign ones are left alone.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { Database } from "../../src/store/database.ts";
import { migrate, MIGRATIONS, SCHEMA_VERSION, SchemaRefused, userVersion } from "../../src/store/schema.ts";
import { Store } from "../../src/store/store.ts";
import { Folder } from "./folder.ts";

/** Versions that were released: each has a file, written by that version's program and never regenerated. */
const RELEASED = [1];

const FIXTURES = fileURLToPath(new URL("../fixtures/store/", import.meta.url));

for (const version of RELEASED) {
  Deno.test(`a file of version ${version} is opened with all it holds`, () => {
    using folder = new Folder();
    const path = folder.file("old.db");
    Deno.copyFileSync(`${FIXTURES}version-${version}.db`, path);
    using store = Store.open(path);
    assert.equal(userVersion(store.database), SCHEMA_VERSION);
    assert.deepEqual(store.database.all("PRAGMA foreign_key_check"), []);
    assert.equal(store.generation(), 3);
    assert.deepEqual(store.counts(), { pools: 2, members: 3, services: 2, zones: 1 });
    assert.deepEqual(store.model(), JSON.parse(Deno.readTextFileSync(`${FIXTURES}version-${version}.json`)));
    assert.deepEqual([...store.verdicts.each()].length, 1);
    assert.deepEqual(schemaOf(store.database), schemaOf(fresh()));
  });
}

Deno.test("the databases that a process makes after its first one are as that, which took one step after the other", () => {
  const all = (database: Database) => {
    const tables = database.all<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'");
    return [
      database.all("SELECT type, name, tbl_name, sql FROM sqlite_schema"),
      database.all("PRAGMA user_version"),
      database.all("PRAGMA application_id"),
      ...tables.map(({ name }) => [name, database.all(`SELECT * FROM ${name}`)]),
    ];
  };
  const first = new Database(":memory:");
  migrate(first, [...MIGRATIONS]);
  for (const later of [fresh(), fresh()]) {
    assert.deepEqual(all(later), all(first));
    later.close();
  }
  first.close();
});

Deno.test("an empty file becomes a new database", () => {
  using folder = new Folder();
  Deno.writeTextFileSync(folder.file("empty.db"), "");
  using store = Store.open(folder.file("empty.db"));
  assert.equal(userVersion(store.database), SCHEMA_VERSION);
});

Deno.test("a migration that fails leaves the file at its old version, and the next try succeeds", () => {
  const database = fresh();
  const before = schemaOf(database);
  const half = "CREATE TABLE half (id TEXT) STRICT; CREATE TABLE half (id TEXT) STRICT";
  assert.throws(() => migrate(database, [...MIGRATIONS, half]));
  assert.equal(userVersion(database), SCHEMA_VERSION);
  assert.deepEqual(schemaOf(database), before);
  migrate(database, [...MIGRATIONS, "CREATE TABLE half (id TEXT) STRICT"]);
  assert.equal(userVersion(database), SCHEMA_VERSION + 1);
  database.close();
});

Deno.test("a file of a newer version is refused, and not a byte of its folder is touched", () => {
  using folder = new Folder();
  const path = folder.file("newer.db");
  makeNewer(path).close();
  refusedUntouched(folder, path);
});

Deno.test("a newer version that only the write-ahead log tells of is refused untouched", () => {
  using folder = new Folder();
  const writer = makeNewer(folder.file("live.db"));
  // As a crash leaves it: the log isn't folded into the file.
  for (const suffix of ["", "-wal", "-shm"]) {
    Deno.copyFileSync(folder.file(`live.db${suffix}`), folder.file(`newer.db${suffix}`));
  }
  writer.close();
  const before = Deno.readFileSync(folder.file("newer.db"));
  assert.throws(() => Store.open(folder.file("newer.db")), SchemaRefused);
  assert.deepEqual(Deno.readFileSync(folder.file("newer.db")), before);
});

Deno.test("another program's database is refused, and not a byte of its folder is touched", () => {
  using folder = new Folder();
  const path = folder.file("foreign.db");
  const foreign = new DatabaseSync(path);
  foreign.exec("CREATE TABLE bookmarks (url TEXT)");
  foreign.close();
  const before = bytesOf(folder);
  assert.throws(() => Store.open(path), /it is a database of another program \(application_id 0\); point/);
  assert.deepEqual(bytesOf(folder), before);
});

Deno.test("a file that is no database is refused by name, and not touched", () => {
  using folder = new Folder();
  const path = folder.file("notes.txt");
  Deno.writeTextFileSync(path, "remember the milk\n".repeat(20));
  const before = bytesOf(folder);
  assert.throws(
    () => Store.open(path),
    /Cannot open .*notes\.txt: it is not a SQLite database; move it away/,
  );
  assert.deepEqual(bytesOf(folder), before);
});

Deno.test("a row written by hand with its least columns is whole", () => {
  using store = Store.memory();
  store.database.exec(`
    INSERT INTO pools (id, name) VALUES ('p', 'by-hand');
    INSERT INTO members (id, pool_id, ip_address, port) VALUES ('m', 'p', '192.0.2.1', 80);
    INSERT INTO health_checks (pool_id) VALUES ('p');
    INSERT INTO services (id, domain, pool_id) VALUES ('s', 'www.example.com', 'p')`);
  const [pool] = store.model().pools;
  assert.equal(pool!.algorithm, "round-robin");
  assert.equal(pool!.members[0]!.enabled, true);
  assert.equal(pool!.healthCheck!.httpExpectedStatus, "200-399");
  assert.equal(store.services.byDomain("www.example.com")!.ttl, 30);
});

Deno.test("the tables themselves cascade and set null", () => {
  using store = Store.memory();
  store.database.exec(`
    INSERT INTO pools (id, name) VALUES ('p', 'by-hand');
    INSERT INTO members (id, pool_id, ip_address, port) VALUES ('m', 'p', '192.0.2.1', 80);
    INSERT INTO geo_rules (id, pool_id, cidr, member_id) VALUES ('r', 'p', '192.0.2.0/24', 'm');
    INSERT INTO health_checks (pool_id) VALUES ('p');
    INSERT INTO services (id, domain, pool_id) VALUES ('s', 'www.example.com', 'p');
    DELETE FROM pools`);
  const { members } = store.counts();
  assert.deepEqual([members, store.geoRules.get("r"), store.healthChecks.get("p")], [0, null, null]);
  assert.equal(store.services.get("s")!.poolId, null);
});

/** A database of the version after this program's, still open. */
function makeNewer(path: string): Database {
  const database = new Database(path);
  database.exec("PRAGMA journal_mode = WAL");
  migrate(database, [...MIGRATIONS, "CREATE TABLE of_the_future (id TEXT) STRICT"]);
  return database;
}

function refusedUntouched(folder: Folder, path: string): void {
  const before = bytesOf(folder);
  assert.throws(() => Store.open(path), (error) => {
    assert(error instanceof SchemaRefused);
    assert.match(
      error.message,
      new RegExp(
        `version ${SCHEMA_VERSION + 1}, this program knows versions up to ${SCHEMA_VERSION}; run the newer`,
      ),
    );
    return true;
  });
  assert.deepEqual(bytesOf(folder), before);
}

function bytesOf(folder: Folder): [string, Uint8Array][] {
  return folder.names().map((name) => [name, Deno.readFileSync(folder.file(name))]);
}

function fresh(): Database {
  const database = new Database(":memory:");
  migrate(database);
  return database;
}

function schemaOf(database: Database): unknown {
  return database.all("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name");
}
