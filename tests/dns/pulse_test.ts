/**
 * Judging from a heartbeat: what hangs is found, what is slow, asleep or busy isn't taken for it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Patience, type Pulse, PulseWatch } from "../../src/dns/pulse.ts";

const PATIENCE: Patience = { lookMs: 250, quietMs: 2_000, hungMs: 5_000, deafMs: 30_000 };

/** A watched thread, looked at again and again. */
class Watched {
  readonly #watch = new PulseWatch(PATIENCE);
  #nowMs = 12_345;
  beats = 0;
  work = 0;

  constructor() {
    this.look(0);
  }

  /** Looks after so many milliseconds. */
  look(afterMs: number): Pulse {
    return this.#watch.look(this.#nowMs += afterMs, this.beats, this.work);
  }

  /** What is seen within so many milliseconds, each look on time; a thread does something between looks. */
  during(ms: number, between: () => void = () => {}): Set<Pulse> {
    const seen = new Set<Pulse>();
    for (let passed = 0; passed < ms; passed += PATIENCE.lookMs) {
      between();
      seen.add(this.look(PATIENCE.lookMs));
    }
    return seen;
  }
}

Deno.test("a thread that beats turns", () => {
  const thread = new Watched();
  assert.deepEqual(thread.during(60_000, () => thread.beats++), new Set(["turning"]));
});

Deno.test("a thread whose heartbeat wraps turns", () => {
  const thread = new Watched();
  thread.beats = 0xffffffff;
  thread.look(250);
  assert.deepEqual(
    thread.during(60_000, () => thread.beats = (thread.beats + 1) >>> 0),
    new Set(["turning"]),
  );
});

Deno.test("a thread that stops is quiet first, and then it hangs", () => {
  const thread = new Watched();
  assert.deepEqual(thread.during(1_750), new Set(["turning"]));
  assert.deepEqual(thread.during(3_000), new Set(["quiet"]));
  assert.equal(thread.look(250), "hung");
});

Deno.test("one beat is enough to begin anew", () => {
  const thread = new Watched();
  for (let round = 0; round < 20; round++) {
    assert.equal(thread.during(4_750).has("hung"), false);
    thread.beats++;
    assert.equal(thread.look(250), "turning");
  }
});

Deno.test("a thread that works without a beat is quiet, and hangs only after a long time", () => {
  const thread = new Watched();
  assert.equal(thread.during(29_750, () => thread.work++).has("hung"), false);
  thread.work++;
  assert.equal(thread.look(250), "hung");
});

Deno.test("the time in which nobody looked doesn't count: a stopped process, a sleeping machine, a busy looker", () => {
  const thread = new Watched();
  for (const awayMs of [60_000, 3_600_000, 5_000]) assert.equal(thread.look(awayMs), "turning");
  thread.beats++;
  assert.equal(thread.look(86_400_000), "turning");
});

Deno.test("looks that come in a bunch count no more than the time they took", () => {
  const thread = new Watched();
  for (let i = 0; i < 100; i++) assert.equal(thread.look(10), "turning");
});

Deno.test("another thread on the same place has all the time of its own", () => {
  const watch = new PulseWatch(PATIENCE);
  for (let ms = 0; ms <= 4_750; ms += 250) watch.look(ms, 7, 0);
  watch.restart();
  for (let ms = 5_000; ms < 9_000; ms += 250) assert.notEqual(watch.look(ms, 7, 0), "hung");
});
