/**
 * Writes tables ten times over and says how many of them are alive; a process of its own, because only a flag at its
 * start makes the garbage collector callable.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Tables } from "../../src/snapshot/tables.ts";
import { World } from "../dns/world.ts";

const TIMES = 10;
const { gc } = globalThis as { gc?: () => void };
if (!gc) throw new Error("Run with --v8-flags=--expose-gc");

const DECLARED = { pools: [{ name: "web", members: ["192.0.2.1"] }], services: { "www.example.com": "web" } };
const world = new World(DECLARED);
const written: WeakRef<Tables>[] = [];
for (let i = 0; i < TIMES; i++) {
  world.declare(DECLARED);
  written.push(new WeakRef(world.tables!));
}
// What a reference was made to stays until the turn is over.
await new Promise((resolve) => setImmediate(resolve));
gc();
const alive = written.filter((each) => each.deref() !== undefined).length;
console.log(`${alive} of ${TIMES} is alive`);
