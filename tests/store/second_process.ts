/**
 * Another process on the same database, started by tests: `second_process.ts FILE`. Each line on standard input is
 * one word; each is answered by one line.
 *
 * - `open` opens the store and reads its generation,
 * - `pool NAME` commits a pool of that name,
 * - `lock` takes the write lock and keeps it, `unlock` gives it back,
 * - end of input closes the store.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { systemClock } from "../../src/clock.ts";
import { Changes } from "../../src/change/commit.ts";
import { newId } from "../../src/model/id.ts";
import { Store } from "../../src/store/store.ts";
import { ORIGIN, poolFields } from "../change/samples.ts";

const store = Store.open(Deno.args[0]!);
for await (const line of createInterface({ input: process.stdin })) {
  const [word, name = ""] = line.split(" ");
  if (word === "pool") {
    const edit = { kind: "createPool", id: newId(), fields: poolFields({ name }) } as const;
    new Changes({ store, clock: systemClock }).commit([edit], ORIGIN);
  }
  if (word === "lock") store.database.exec("BEGIN IMMEDIATE");
  if (word === "unlock") store.database.exec("ROLLBACK");
  console.log(`${word} ${store.generation()}`);
}
store.close();
