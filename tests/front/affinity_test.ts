/**
 * Which client belongs to which backend, over simulated days: after every step the tables are those of a model that keeps
 * everything in maps and looks at all of it each time.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { Affinity } from "../../src/front/affinity.ts";
import { type Backend, Backends, type ControlSession } from "../../src/front/backends.ts";
import { frontLog } from "../../src/front/front_log.ts";
import { Remotes } from "../../src/front/remotes.ts";
import { AffinityModel } from "./affinity_model.ts";

const SILENT = frontLog("fatal", () => {});

/** Backends of which a test says how they are, with no sockets at all. */
class Scripted {
  readonly alive = new Set<string>();
  readonly backends: Backends;
  nowMs = 0;

  constructor() {
    this.backends = new Backends({ connect: (backend) => this.#connect(backend) }, SILENT);
  }

  /** Says hello for every backend that is connected and hasn't. */
  greetAll(): void {
    for (const backend of this.backends.all) {
      if (backend.session && !backend.ok) this.backends.onHello(backend, this.nowMs);
    }
  }

  /** Answers every heartbeat. */
  beatAll(): void {
    for (const backend of this.backends.all) {
      if (backend.beatByMs < Infinity) this.backends.onHeartbeat(backend, this.nowMs);
    }
  }

  #connect({ path }: Backend): ControlSession | "absent" | Error {
    if (!this.alive.has(path)) return path.endsWith("gone") ? "absent" : new Error("refused");
    return { sendHeartbeat: () => true, announce: () => {}, abort: () => 0, finish: () => {} };
  }
}

/**
 * Plays a number of seconds of arrivals, restarts, expiry and rebalancing.
 *
 * @param compareEvery seconds between looks at the whole tables
 */
export function play(seconds: number, { seed, clients, compareEvery }: {
  readonly seed: number;
  readonly clients: number;
  readonly compareEvery: number;
}): { readonly chosen: number; readonly moved: number; readonly expired: number } {
  const rng = seededRng(seed);
  const world = new Scripted();
  const remotes = new Remotes(seed, 1 << 14);
  const affinity = new Affinity(world.backends, remotes, { log: SILENT, nowMs: 0 });
  const names = ["5301", "5302", "5303", "5304", "extra"];
  const paths = names.map((name) => `/d/${name}`);
  for (const path of paths) world.alive.add(path);
  world.backends.discover("/d", names, 0);
  const model = new AffinityModel(() => world.backends.all);
  let chosen = 0;
  const address = new Uint8Array(4);
  for (let second = 1; second <= seconds; second++) {
    world.nowMs = second * 1000;
    if (rng() % 97 === 0) {
      const path = paths[rng() % paths.length]!;
      world.alive.delete(path);
      const backend = world.backends.all.find((each) => each.path === path)!;
      if (backend.session) world.backends.fault(backend, "killed", world.nowMs);
    }
    if (rng() % 31 === 0) { for (const path of paths) world.alive.add(path); }
    world.backends.tick(world.nowMs);
    affinity.tick(world.nowMs);
    model.tick(world.nowMs);
    while (affinity.continue()) { /* to its end */ }
    world.greetAll();
    world.beatAll();
    for (let i = rng() % 8; i > 0; i--) {
      const client = rng() % clients;
      address.set([10, 0, client >>> 8, client & 0xff]);
      const backend = affinity.choose(address, world.nowMs);
      if (affinity.record >= 0) remotes.touch(affinity.record, world.nowMs);
      equal(backend?.id ?? 0, model.choose(client, world.nowMs), `second ${second}, client ${client}`);
      chosen++;
    }
    if (second % compareEvery === 0) {
      deepEqual(tableOf(remotes), model.table(), `second ${second}`);
      for (const backend of world.backends.all) equal(backend.remotes, model.countOf(backend.id));
    }
  }
  return { chosen, moved: affinity.rebalanced, expired: affinity.expired };
}

function tableOf(remotes: Remotes): string[] {
  return remotes.rows(0, Infinity).map(({ client, primary, backup }) => `${client} ${primary} ${backup}`)
    .sort();
}

Deno.test("over three simulated hours every choice and the whole table are those of the model", () => {
  for (const seed of [1, 2, 3]) {
    const { chosen, moved, expired } = play(3_600, { seed, clients: 1_500, compareEvery: 10 });
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
  const backends = new Backends({ connect: () => "absent" }, log);
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
  const backends = new Backends({ connect: () => new Error("refused") }, log);
  const fits = "a".repeat(104);
  for (let i = 0; i < 2; i++) backends.discover("/d", [fits, `${fits}b`, "\ufffd"], 0);
  deepEqual(said, ["its path has more than 107 bytes", "its name is no UTF-8"]);
  backends.discover("/d", Array.from({ length: 10_000 }, (_, i) => `b${i}`), 0);
  equal(backends.all.length, 1_024);
  ok(said.length <= 1_024);
});
