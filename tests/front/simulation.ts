/**
 * Backends without sockets, and days of their life in seconds.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { Affinity } from "../../src/front/affinity.ts";
import { type Backend, Backends, type ControlSession } from "../../src/front/backends.ts";
import { frontLog } from "../../src/front/front_log.ts";
import { Remotes } from "../../src/front/remotes.ts";
import { AffinityModel } from "./affinity_model.ts";

/** Says nothing. */
export const SILENT = frontLog("fatal", () => {});

/** Backends of which a test says how they are, with no sockets at all. */
export class Scripted {
  readonly alive = new Set<string>();
  readonly backends: Backends;
  nowMs = 0;

  constructor() {
    this.backends = new Backends({
      connect: (backend) => this.#connect(backend),
      end: () => ({ moved: 0, lost: 0 }),
    }, SILENT);
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
    return { sendHeartbeat: () => true, announce: () => {}, finish: () => {} };
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
  const names = ["5301", "5302", "5303", "5304", "gone"];
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
    // One takes its file along when it ends.
    if (second % 5 === 0) {
      const there = names.filter((name) => name !== "gone" || world.alive.has(`/d/${name}`));
      world.backends.discover("/d", there, world.nowMs);
    }
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
