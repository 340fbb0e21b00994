/**
 * A database whose place another process is about to take: nothing is written, and a migration is seen by no other yet.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Database, StoreBusy } from "../../src/store/database.ts";
import { migrate, MIGRATIONS, userVersion } from "../../src/store/schema.ts";
import { Store } from "../../src/store/store.ts";
import { Folder } from "./folder.ts";

Deno.test("a frozen database refuses what is to be written, keeps what can wait, and writes it afterwards", () => {
  using store = Store.memory();
  const frozen = store.freeze("another process comes");
  assert.throws(
    () => store.database.transact(() => {}),
    (error) => error instanceof StoreBusy && error.message === "another process comes",
  );
  assert.throws(() => store.lend(), StoreBusy);
  assert.throws(() => store.freeze("once more"), StoreBusy);
  let written = 0;
  store.database.whenFree(() => written++);
  assert.equal(written, 0);
  frozen[Symbol.dispose]();
  assert.equal(written, 1);
  store.database.transact(() => written++);
  assert.equal(written, 2);
});

Deno.test("a database that is lent isn't frozen", () => {
  using store = Store.memory();
  using _lent = store.lend();
  assert.throws(() => store.freeze("another process comes"), StoreBusy);
});

Deno.test("a migration that is held is seen by its own connection alone, with all that is written meanwhile", () => {
  using folder = new Folder();
  const path = folder.file("held.db");
  {
    const old = new Database(path);
    old.exec("PRAGMA journal_mode = WAL");
    migrate(old, MIGRATIONS.slice(0, -1));
    old.close();
  }
  const other = new Database(path);
  const held = Store.open(path, { holdsMigration: true });
  held.database.transact(() => held.database.run("UPDATE meta SET generation = 7"));
  assert.throws(() =>
    held.database.transact(() => {
      held.database.run("UPDATE meta SET generation = 8");
      throw new Error("given up");
    })
  );
  held.database.transact(() => held.database.run("UPDATE meta SET generation = 9"), () => false);
  assert.equal(held.generation(), 7);
  assert.deepEqual([userVersion(held.database), userVersion(other)], [
    MIGRATIONS.length,
    MIGRATIONS.length - 1,
  ]);
  assert.equal(generationIn(other), 0);
  held.close(); // as a process that is killed
  assert.equal(userVersion(other), MIGRATIONS.length - 1);

  using kept = Store.open(path, { holdsMigration: true });
  kept.keepMigration();
  assert.equal(userVersion(other), MIGRATIONS.length);
  assert(kept.isOurs());
  kept.database.transact(() => kept.database.run("UPDATE meta SET generation = 3"));
  assert.equal(generationIn(other), 3);
  other.close();
});

function generationIn(database: Database): number | undefined {
  return database.get<{ generation: number }>("SELECT generation FROM meta")?.generation;
}
