/** @module Drills under a manual clock, with a node that believes what it is told. */
import { deepEqual, equal } from "node:assert/strict";
import { Drill, type DrillBackend } from "../../src/demo/drill.ts";
import type { DemoEvent } from "../../src/demo/narration.ts";
import { CHECK } from "../../src/demo/sample.ts";
import { ManualClock } from "../clock.ts";

/** interval × fall + timeout + 100 ms; rise equals fall. */
const BOUND_MS = 2600;

class StageBackend implements DrillBackend {
  isRunning = true;
  constructor(readonly number: number, readonly hostname: string) {}

  start(): Promise<void> {
    this.isRunning = true;
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.isRunning = false;
    return Promise.resolve();
  }
}

/** A drill over two backends; `answered` is what DNS says. */
function stage() {
  const clock = new ManualClock();
  const events: DemoEvent[] = [];
  const answered = new Set(["192.0.2.1", "192.0.2.2"]);
  const drill = new Drill({
    clock,
    check: CHECK,
    ask: () => Promise.resolve([{ domain: "www.demo.test", addresses: [...answered].sort() }]),
    tell: (event) => events.push(event),
  });
  return {
    clock,
    drill,
    answered,
    backends: [new StageBackend(1, "192.0.2.1"), new StageBackend(2, "192.0.2.2")] as const,
    kinds: () => events.map(({ kind }) => kind),
    last: () => events.at(-1),
    /** What the node does when it has found out. */
    learn: (address: string, state: "healthy" | "unhealthy") => {
      if (state === "healthy") answered.add(address);
      else answered.delete(address);
      drill.onVerdict(address, state);
    },
  };
}

Deno.test("a backend that leaves the answers in time keeps the promise", async () => {
  const { clock, drill, backends, learn, last, kinds } = stage();
  const kept = drill.stop(backends[1]);
  await clock.advance(1700);
  learn("192.0.2.2", "unhealthy");
  equal(await kept, true);
  deepEqual(kinds(), ["stopped", "gone"]);
  deepEqual(last(), {
    kind: "gone",
    address: "192.0.2.2",
    afterMs: 1700,
    boundMs: BOUND_MS,
    now: [{ domain: "www.demo.test", addresses: ["192.0.2.1"] }],
  });
});

Deno.test("a backend that comes back in time keeps the promise", async () => {
  const { clock, drill, backends, learn, kinds } = stage();
  const gone = drill.stop(backends[1]);
  await clock.advance(1700);
  learn("192.0.2.2", "unhealthy");
  await gone;
  const kept = drill.start(backends[1]);
  await clock.advance(1900);
  learn("192.0.2.2", "healthy");
  equal(await kept, true);
  deepEqual(kinds(), ["stopped", "gone", "started", "back"]);
});

Deno.test("a verdict that comes after the bound is told as late, then as gone, and breaks the promise", async () => {
  const { clock, drill, backends, learn, kinds } = stage();
  const kept = drill.stop(backends[1]);
  await clock.advance(BOUND_MS);
  deepEqual(kinds(), ["stopped", "late"]);
  await clock.advance(1000);
  learn("192.0.2.2", "unhealthy");
  equal(await kept, false);
  deepEqual(kinds(), ["stopped", "late", "gone"]);
});

Deno.test("a verdict that never comes ends the drill", async () => {
  const { clock, drill, backends, kinds } = stage();
  const kept = drill.stop(backends[1]);
  await clock.advance(BOUND_MS);
  await clock.advance(60_000);
  equal(await kept, false);
  deepEqual(kinds(), ["stopped", "late"]);
});

Deno.test("a verdict without its answer breaks the promise: DNS is the proof", async () => {
  const { clock, drill, backends, kinds } = stage();
  const kept = drill.stop(backends[1]);
  await clock.advance(1700);
  drill.onVerdict("192.0.2.2", "unhealthy");
  equal(await kept, false);
  deepEqual(kinds(), ["stopped", "late"]);
});

Deno.test("the last backend that falls stays in the answers with those before it, and that is told", async () => {
  const { clock, drill, backends, answered, learn, kinds, last } = stage();
  const first = drill.stop(backends[0]);
  await clock.advance(1700);
  learn("192.0.2.1", "unhealthy");
  await first;
  const second = drill.stop(backends[1]);
  await clock.advance(1700);
  // With none left, all are answered again.
  answered.add("192.0.2.1");
  drill.onVerdict("192.0.2.2", "unhealthy");
  equal(await second, null);
  deepEqual(kinds(), ["stopped", "gone", "stopped", "kept"]);
  deepEqual(last(), {
    kind: "kept",
    address: "192.0.2.2",
    afterMs: 1700,
    again: ["192.0.2.1"],
    now: [{ domain: "www.demo.test", addresses: ["192.0.2.1", "192.0.2.2"] }],
  });
});

Deno.test("a backend that is started before it was missed is told as unnoticed", async () => {
  const { clock, drill, backends, kinds } = stage();
  const stopped = drill.stop(backends[1]);
  await clock.advance(300);
  equal(await drill.start(backends[1]), null);
  equal(await stopped, null);
  deepEqual(kinds(), ["stopped", "unnoticed"]);
});

Deno.test("a drill that is ended tells nothing more", async () => {
  const { clock, drill, backends, kinds } = stage();
  const stopped = drill.stop(backends[1]);
  await clock.advance(300);
  drill[Symbol.dispose]();
  equal(await stopped, null);
  deepEqual(kinds(), ["stopped"]);
});
