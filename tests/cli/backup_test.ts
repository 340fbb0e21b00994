/** @module Tests of backup and restore, on real files. */
import { equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { Changes } from "../../src/change/commit.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { capturedTerminal } from "./captured_terminal.ts";

/** A folder with a database in which there is one zone. */
async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    putZoneInto(`${folder}/pleiades.db`, "example.com");
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function putZoneInto(path: string, domain: string): void {
  using store = Store.open(path);
  putZone(store, domain);
}

function putZone(store: Store, domain: string): void {
  const text = "@ 60 IN SOA ns1 host 1 60 60 60 60\n@ 60 IN NS ns1\nns1 60 IN A 192.0.2.53\n";
  new Changes({ store, clock: new ManualClock() })
    .commit([{ kind: "putZone", domain, text }], { via: "cli", by: "", reason: "" });
}

function zonesIn(path: string): string[] {
  using store = Store.open(path);
  return store.model().zones.map(({ domain }) => domain);
}

Deno.test("restore brings back what backup kept", async () => {
  await inFolder(async (folder) => {
    const [database, copy] = [`${folder}/pleiades.db`, `${folder}/copy.db`];
    const terminal = capturedTerminal();
    equal(await run(["backup", copy, "--db", database], terminal), 0);
    match(terminal.stdout(), /pleiades\.db -> .*copy\.db \(\d+ kB\)\n$/);
    putZoneInto(database, "example.org");
    equal(await run(["restore", copy, "--db", database], capturedTerminal()), 0);
    equal(zonesIn(database).join(), "example.com");
  });
});

Deno.test("backup makes no folder: a slip in its path is no success", async () => {
  await inFolder(async (folder) => {
    const terminal = capturedTerminal();
    const file = `${folder}/mnt/bakcup/copy.db`;
    equal(await run(["backup", file, "--db", `${folder}/pleiades.db`], terminal), 1);
    match(
      terminal.stderr(),
      /^error: Cannot write ".*copy\.db": .*bakcup: there is no such folder \(mkdir -p/,
    );
    equal([...Deno.readDirSync(folder)].some(({ name }) => name === "mnt"), false);
    const inFile = capturedTerminal();
    equal(await run(["backup", `${folder}/pleiades.db/x`, "--db", `${folder}/pleiades.db`], inFile), 1);
    match(inFile.stderr(), /it isn't a folder/);
  });
});

Deno.test("backup works while a node has the database open", async () => {
  await inFolder(async (folder) => {
    using store = Store.open(`${folder}/pleiades.db`);
    putZone(store, "example.org");
    equal(await run(["backup", `${folder}/copy.db`, "--db", store.path], capturedTerminal()), 0);
    equal(zonesIn(`${folder}/copy.db`).join(), "example.com,example.org");
  });
});

Deno.test("restore refuses while a node has the database open, and changes nothing", async () => {
  await inFolder(async (folder) => {
    const database = `${folder}/pleiades.db`;
    equal(await run(["backup", `${folder}/copy.db`, "--db", database], capturedTerminal()), 0);
    const terminal = capturedTerminal();
    {
      using store = Store.open(database);
      putZone(store, "example.org");
      equal(await run(["restore", `${folder}/copy.db`, "--db", database], terminal), 1);
    }
    match(
      terminal.stderr(),
      /^error: Cannot replace .*: another process has it open; stop that process first\n$/,
    );
    equal(zonesIn(database).join(), "example.com,example.org");
  });
});

Deno.test("backup of a database that isn't there makes neither", async () => {
  await inFolder(async (folder) => {
    const terminal = capturedTerminal();
    equal(await run(["backup", `${folder}/copy.db`, "--db", `${folder}/none.db`], terminal), 1);
    match(terminal.stderr(), /^error: No database is at .*none\.db \(--db FILE, or -c SETTINGS/);
    equal([...Deno.readDirSync(folder)].map(({ name }) => name).sort().join(), "pleiades.db");
  });
});

Deno.test("restore refuses a file that is no database", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/copy.db`, "hello");
    const terminal = capturedTerminal();
    equal(await run(["restore", `${folder}/copy.db`, "--db", `${folder}/pleiades.db`], terminal), 1);
    match(terminal.stderr(), /^error: .*not a SQLite database/);
    equal(zonesIn(`${folder}/pleiades.db`).join(), "example.com");
  });
});

Deno.test("backup finds the database by the settings", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/pleiades.yaml`, `database: { path: ${folder}/pleiades.db }\n`);
    const terminal = capturedTerminal();
    equal(await run(["backup", `${folder}/copy.db`, "-c", `${folder}/pleiades.yaml`], terminal), 0);
    equal(zonesIn(`${folder}/copy.db`).join(), "example.com");
  });
});
