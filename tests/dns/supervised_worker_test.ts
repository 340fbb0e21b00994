/**
 * The supervisor of one worker by itself: what it does when no replacement comes up.
 *
 * @module
 */
import assert from "node:assert/strict";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import { MAIN_PATIENCE } from "../../src/dns/fleet.ts";
import { NO_LIMITS } from "../../src/dns/limits.ts";
import type { Patience } from "../../src/dns/pulse.ts";
import { SupervisedWorker } from "../../src/dns/supervised_worker.ts";
import { WorkerLaunch } from "../../src/dns/worker_launch.ts";
import { failingThreads } from "../failing_threads.ts";
import { askTcp } from "./clients.ts";
import { fatal } from "./faulty_snapshots.ts";
import { loggerTo, ROOMY } from "./loopback.ts";
import { addresses, query } from "./packets.ts";
import { type Declared, PLAIN, World } from "./world.ts";

const WWW = query("www.example.com", "A");
/** A busy machine takes its time to start a thread. */
const PATIENT: Patience = { lookMs: 10, quietMs: 30_000, hungMs: 30_000, deafMs: 30_000 };
/** A replacement that says nothing for half a second is given up. */
const IMPATIENT: Patience = { lookMs: 10, quietMs: 500, hungMs: 500, deafMs: 500 };

function at(member: string): Declared {
  return { pools: [{ name: "web", members: [member] }], services: { "www.example.com": "web" } };
}

/** A stream worker, its world and what the log says of it. */
class Supervised implements AsyncDisposable {
  readonly world = new World(at("192.0.2.1"));
  readonly lines: string[] = [];
  supervisor!: SupervisedWorker;
  #looking: ReturnType<typeof setInterval> | undefined;

  static async start(retryMs: number | null, patience = PATIENT): Promise<Supervised> {
    const supervised = new Supervised();
    const { world, lines } = supervised;
    supervised.supervisor = await SupervisedWorker.start({
      title: "The worker",
      retryMs,
      worker: {
        listen: [{ hostname: "127.0.0.1", port: 0 }],
        duty: { kind: "streams", limits: ROOMY, encrypted: null, beside: [] },
        limits: NO_LIMITS,
        engine: PLAIN,
        samplesPerSecond: 0,
        sampleEvery: 1,
        log: { level: "info", format: "json" },
        mainPatience: MAIN_PATIENCE,
      },
      snapshot: world.snapshot,
      board: world.board,
      log: loggerTo((line, { error }) => lines.push(`${line}: ${(error as Error)?.message ?? ""}`)),
      patience,
    }, new WorkerLaunch("streams"));
    supervised.#looking = setInterval(() => supervised.supervisor.look(), patience.lookMs);
    return supervised;
  }

  /** Kills the worker by a snapshot. */
  kill(): Promise<void> {
    return this.supervisor.publish(fatal(this.world.snapshot), this.world.board);
  }

  publish(declared: Declared): Promise<void> {
    this.world.declare(declared);
    return this.supervisor.publish(this.world.snapshot, this.world.board);
  }

  ask(): Promise<Uint8Array | null> {
    return askTcp(this.supervisor.bound.addresses[0]!, WWW);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#looking);
    await this.supervisor[Symbol.asyncDispose]();
  }
}

Deno.test("one that was given up is tried again, with what was published last", async () => {
  await using supervised = await Supervised.start(50);
  await assert.rejects(supervised.kill(), /Cannot open a snapshot/);
  assert(supervised.supervisor.isGivenUp);
  await assert.rejects(supervised.publish(at("192.0.2.2")), /Cannot open a snapshot/);
  while (supervised.supervisor.isGivenUp) await turnEventLoop();
  assert.deepEqual(addresses(await supervised.ask()), ["192.0.2.2"]);
  await supervised.publish(at("192.0.2.3"));
  assert.deepEqual(addresses(await supervised.ask()), ["192.0.2.3"]);
  assert.deepEqual(supervised.lines.map((line) => line.replace(/: .*/, "")), [
    "error The worker died; starting another",
    "error The worker can't be replaced; trying again later",
    "warn The worker answers again",
  ]);
});

Deno.test("without a second try it is lost, and whoever waits for that hears of it", async () => {
  await using supervised = await Supervised.start(null);
  await assert.rejects(supervised.kill(), /Cannot open a snapshot/);
  assert.match((await supervised.supervisor.lost).message, /Cannot open a snapshot/);
});

Deno.test("a replacement that never begins to answer is ended and given up", async () => {
  await using supervised = await Supervised.start(null, IMPATIENT);
  using _silent = failingThreads("onmessage = () => {};");
  await assert.rejects(supervised.kill(), /it has not begun to answer within 0\.5\d* s/);
});

Deno.test("it can be stopped while its replacement doesn't begin to answer", async () => {
  const supervised = await Supervised.start(null);
  using _silent = failingThreads("onmessage = () => {};");
  const killed = supervised.kill();
  while (supervised.lines.length === 0) await turnEventLoop();
  await turnEventLoop();
  await supervised[Symbol.asyncDispose]();
  await killed;
});

Deno.test("it can be stopped while it waits for its second try", async () => {
  const supervised = await Supervised.start(3_600_000);
  await assert.rejects(supervised.kill(), /Cannot open a snapshot/);
  await supervised[Symbol.asyncDispose]();
});

Deno.test("more than ten deaths within a minute are too many", async () => {
  await using supervised = await Supervised.start(null);
  for (let death = 1; death <= 10; death++) {
    const killed = supervised.kill();
    while (supervised.lines.length < death) await turnEventLoop();
    await supervised.publish(at("192.0.2.1")); // before another is started from what killed this one
    await killed;
  }
  await assert.rejects(supervised.kill(), /^Error: 11 DNS workers died or hung within a minute/);
});
