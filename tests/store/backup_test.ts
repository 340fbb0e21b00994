/**
 * Backups of databases in use, and what `restore` puts back or refuses.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { systemClock } from "../../src/clock.ts";
import { backup, restore, RestoreRefused } from "../../src/store/backup.ts";
import { Database } from "../../src/store/database.ts";
import { SchemaRefused } from "../../src/store/schema.ts";
import { Store } from "../../src/store/store.ts";
import { createMember, createPool, id, ORIGIN } from "../change/samples.ts";
import { dump } from "./dump.ts";
import { Folder } from "./folder.ts";
import { LineProcess } from "./line_process.ts";

function openWith(path: string, name: string): Store {
  const store = Store.open(path);
  new Changes({ store, clock: systemClock }).commit([createPool(1, { name }), createMember(2, 1)], ORIGIN);
  return store;
}

Deno.test("a backup of an open database is one private file that holds the same", async () => {
  using folder = new Folder();
  using store = openWith(folder.file("live.db"), "web");
  await backup(store, folder.file("copy.db"));
  assert.deepEqual(folder.names(), ["copy.db", "live.db", "live.db-shm", "live.db-wal"]);
  assert.equal(Deno.statSync(folder.file("copy.db")).mode! & 0o777, 0o600);
  using copy = Store.open(folder.file("copy.db"));
  assert.deepEqual(dump(copy), dump(store));
});

Deno.test("a backup takes the place of an older one", async () => {
  using folder = new Folder();
  using store = openWith(folder.file("live.db"), "web");
  await backup(store, folder.file("copy.db"));
  new Changes({ store, clock: systemClock }).commit([{ kind: "deletePool", id: id(1) }], ORIGIN);
  await backup(store, folder.file("copy.db"));
  using copy = Store.open(folder.file("copy.db"));
  assert.equal(copy.generation(), 2);
});

Deno.test("a backup into a folder that isn't there fails by name and leaves nothing", async () => {
  using folder = new Folder();
  using store = openWith(folder.file("live.db"), "web");
  await assert.rejects(
    backup(store, folder.file("missing/copy.db")),
    /Cannot write .*missing\/copy\.db: .*; choose/,
  );
  assert.deepEqual(folder.names(), ["live.db", "live.db-shm", "live.db-wal"]);
});

Deno.test("restore() puts a backup in the place of a closed database", async () => {
  using folder = new Folder();
  {
    using store = openWith(folder.file("live.db"), "before");
    await backup(store, folder.file("copy.db"));
    new Changes({ store, clock: systemClock }).commit([{ kind: "deletePool", id: id(1) }], ORIGIN);
  }
  await restore({ from: folder.file("copy.db"), to: folder.file("live.db") });
  assert.deepEqual(folder.names(), ["copy.db", "live.db"]);
  using store = Store.open(folder.file("live.db"));
  assert.equal(store.pools.get(id(1))!.name, "before");
});

Deno.test("restore() makes a database where there was none", async () => {
  using folder = new Folder();
  openWith(folder.file("copy.db"), "web").close();
  await restore({ from: folder.file("copy.db"), to: folder.file("new.db") });
  using store = Store.open(folder.file("new.db"));
  assert.equal(store.generation(), 1);
  assert.equal(Deno.statSync(store.path).mode! & 0o777, 0o600);
});

Deno.test("restore() leaves no write-ahead log of the old database for the new one to swallow", async () => {
  using folder = new Folder();
  openWith(folder.file("copy.db"), "from the backup").close();
  const live = openWith(folder.file("crashed.db"), "old");
  // As a crash leaves it: the commit is in the log alone.
  for (const suffix of ["", "-wal"]) {
    Deno.copyFileSync(folder.file(`crashed.db${suffix}`), folder.file(`live.db${suffix}`));
  }
  live.close();
  await restore({ from: folder.file("copy.db"), to: folder.file("live.db") });
  using store = Store.open(folder.file("live.db"));
  assert.equal(store.pools.get(id(1))!.name, "from the backup");
});

Deno.test("restore() takes a backup that has a write-ahead log beside it with what is in the log", async () => {
  using folder = new Folder();
  using live = openWith(folder.file("live.db"), "in the log");
  await restore({ from: live.path, to: folder.file("new.db") });
  using store = Store.open(folder.file("new.db"));
  assert.equal(store.pools.get(id(1))!.name, "in the log");
});

Deno.test("restore() refuses while another process has the database open, and changes nothing", async () => {
  using folder = new Folder();
  openWith(folder.file("copy.db"), "from the backup").close();
  openWith(folder.file("live.db"), "in use").close();
  await using other = new LineProcess("second_process.ts", [folder.file("live.db")]);
  assert.equal(await other.ask("open"), "open 1");
  await assert.rejects(
    restore({ from: folder.file("copy.db"), to: folder.file("live.db") }),
    (error) =>
      error instanceof RestoreRefused && /another process has it open; stop that/.test(error.message),
  );
  assert.equal(await other.ask("pool still-works"), "pool 2");
  using store = Store.open(folder.file("live.db"));
  assert.deepEqual(store.model().pools.map((pool) => pool.name), ["in use", "still-works"]);
});

Deno.test("restore() takes the place of a database that is damaged beyond reading", async () => {
  using folder = new Folder();
  openWith(folder.file("copy.db"), "web").close();
  Deno.writeTextFileSync(folder.file("live.db"), "not a database at all".repeat(500));
  Deno.writeTextFileSync(folder.file("live.db-wal"), "what was left of its log");
  await restore({ from: folder.file("copy.db"), to: folder.file("live.db") });
  assert.deepEqual(folder.names(), ["copy.db", "live.db"]);
  using store = Store.open(folder.file("live.db"));
  assert.equal(store.generation(), 1);
});

Deno.test("restore() takes the place of a database whose pages are garbage, and of its log", async () => {
  using folder = new Folder();
  openWith(folder.file("copy.db"), "web").close();
  openWith(folder.file("live.db"), "lost").close();
  const bytes = Deno.readFileSync(folder.file("live.db"));
  Deno.writeFileSync(folder.file("live.db"), bytes.fill(0xa5, 100));
  Deno.writeTextFileSync(folder.file("live.db-wal"), "what was left of its log");
  await restore({ from: folder.file("copy.db"), to: folder.file("live.db") });
  assert.deepEqual(folder.names(), ["copy.db", "live.db"]);
  using store = Store.open(folder.file("live.db"));
  assert.equal(store.pools.get(id(1))!.name, "web");
});

interface BadBackup {
  readonly name: string;
  readonly make: (path: string) => void;
  readonly error: (error: unknown) => boolean;
}

const BAD_BACKUPS: readonly BadBackup[] = [
  { name: "that isn't there", make: () => {}, error: refused(/missing or empty/) },
  {
    name: "that is no database",
    make: (path) => Deno.writeTextFileSync(path, "pools: []\n"),
    error: (error) =>
      error instanceof Error &&
      /not a SQLite database; give a file that pleiades backup has made$/.test(error.message),
  },
  {
    name: "that is empty",
    make: (path) => Deno.writeTextFileSync(path, ""),
    error: refused(/missing or empty/),
  },
  {
    name: "with a damaged page",
    make: (path) => {
      openWith(path, "web").close();
      using file = Deno.openSync(path, { read: true, write: true });
      const pageSize = 4096;
      file.seekSync(2 * pageSize, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array(8 * pageSize).fill(0xa5));
    },
    error: refused(/it is damaged \(.+\); choose another backup/),
  },
  {
    name: "that is cut off",
    make: (path) => {
      openWith(path, "web").close();
      Deno.truncateSync(path, 4096 * 5);
    },
    error: refused(/it is damaged/),
  },
  {
    name: "with a reference that leads nowhere",
    make: (path) => {
      openWith(path, "web").close();
      const database = new Database(path);
      database.exec("PRAGMA foreign_keys = OFF; DELETE FROM pools");
      database.close();
    },
    error: refused(/a row of members refers to a row of pools that isn't there/),
  },
  {
    name: "of a newer version",
    make: (path) => {
      openWith(path, "web").close();
      const database = new Database(path);
      database.exec("PRAGMA user_version = 999; PRAGMA journal_mode = DELETE");
      database.close();
    },
    error: (error) => error instanceof SchemaRefused,
  },
];

for (const { name, make, error } of BAD_BACKUPS) {
  Deno.test(`restore() refuses a backup ${name}, and leaves the database as it was`, async () => {
    using folder = new Folder();
    openWith(folder.file("live.db"), "precious").close();
    make(folder.file("bad.db"));
    const before = Deno.readFileSync(folder.file("live.db"));
    const names = folder.names();
    await assert.rejects(restore({ from: folder.file("bad.db"), to: folder.file("live.db") }), error);
    assert.deepEqual(Deno.readFileSync(folder.file("live.db")), before);
    assert.deepEqual(folder.names(), names);
  });
}

function refused(message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof RestoreRefused && message.test(error.message);
}
