/**
 * Which client belongs to which backend, over simulated days: after every step the tables are those of a model that keeps
 * everything in maps and looks at all of it each time.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Affinity } from "../../src/front/affinity.ts";
import { Backends } from "../../src/front/backends.ts";
import { frontLog } from "../../src/front/front_log.ts";
import { Remotes } from "../../src/front/remotes.ts";
import { play, Scripted, SILENT } from "./simulation.ts";

/** No session has anything to lose. */
const end = () => ({ moved: 0, lost: 0 });

Deno.test("over three simulated hours every choice and the whole table are those of the model", () => {
  for (const seed of [1, 2, 3]) {
    const { chosen, moved, expired } = play(3_600, { seed, clients: 1_500, compareEvery: 120 });
    ok(chosen > 10_000 && moved > 50 && expired > 500, `${chosen} ${moved} ${expired}`);
  }
});

Deno.test("a client that finds no backend keeps none, and gets one as soon as there is one", () => {
  const world = new Scripted();
  const remotes = new Remotes(1, 16);
  const affinity = new Affinity(world.backends, remotes, { log: SILENT, nowMs: 0 });
  const address = Uint8Array.of(192, 0, 2, 1);
  equal(affinity.choose(address, 0), null);
  world.alive.add("/d/5301");
  world.backends.discover("/d", ["5301"], 0);
  world.backends.tick(0);
  world.greetAll();
  equal(affinity.choose(address, 0)?.id, 5301);
});

Deno.test("'no backends available' is said once in five seconds, however many ask", () => {
  const said: string[] = [];
  const log = frontLog("error", ({ message }) => said.push(message));
  const backends = new Backends({ connect: () => "absent", end }, log);
  const affinity = new Affinity(backends, new Remotes(1, 16), { log, nowMs: 0 });
  for (let ms = 0; ms < 10_000; ms += 10) affinity.choose(Uint8Array.of(192, 0, 2, 1), ms);
  deepEqual(said, ["no backends available", "no backends available"]);
});

Deno.test("where the table is full a new client gets a backend by its address, always the same, and no known one goes", () => {
  const world = new Scripted();
  for (const name of ["5301", "5302", "5303"]) world.alive.add(`/d/${name}`);
  world.backends.discover("/d", ["5301", "5302", "5303"], 0);
  world.backends.tick(0);
  world.greetAll();
  const remotes = new Remotes(7, 64);
  const affinity = new Affinity(world.backends, remotes, { log: SILENT, nowMs: 0 });
  const at = (i: number) => Uint8Array.of(10, 1, i >>> 8, i & 0xff);
  const first = Array.from({ length: 64 }, (_, i) => affinity.choose(at(i), 0)?.id);
  const more = Array.from({ length: 1_000 }, (_, i) => affinity.choose(at(64 + i), 0)?.id);
  equal(remotes.count, 64);
  equal(affinity.unrecorded, 1_000);
  deepEqual(Array.from({ length: 64 }, (_, i) => affinity.choose(at(i), 0)?.id), first);
  deepEqual(Array.from({ length: 1_000 }, (_, i) => affinity.choose(at(64 + i), 0)?.id), more);
  for (const id of [5301, 5302, 5303]) ok(more.filter((each) => each === id).length > 250);
});

Deno.test("numbers are file names from 5300 to 5399, else one more than the highest; dots in front are no backends", () => {
  const world = new Scripted();
  world.backends.discover("/d", ["web", "5301", ".balstat", "5399", "5400", "x.sock"], 0);
  deepEqual(
    world.backends.all.map(({ id, path }) => [id, path]),
    [[1, "/d/web"], [5301, "/d/5301"], [5399, "/d/5399"], [5400, "/d/5400"], [5401, "/d/x.sock"]],
  );
});

Deno.test("paths of 108 bytes, names that are no UTF-8 and more than 1,024 entries are skipped, each said once", () => {
  const said: string[] = [];
  const log = frontLog("warn", ({ fields }) => said.push(String(fields["reason"])));
  const backends = new Backends({ connect: () => new Error("refused"), end }, log);
  const fits = "a".repeat(104);
  for (let i = 0; i < 2; i++) backends.discover("/d", [fits, `${fits}b`, "\ufffd"], 0);
  deepEqual(said, ["its path has more than 107 bytes", "its name is no UTF-8"]);
  backends.discover("/d", Array.from({ length: 10_000 }, (_, i) => `b${i}`), 0);
  equal(backends.all.length, 1_024);
  ok(said.length <= 1_024);
});
