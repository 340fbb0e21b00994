/**
 * Canaries: what they show, and what the guard makes of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { Canaries, type CanaryTerms, type Sight } from "../../src/health/canaries.ts";
import type { ProbeResult } from "../../src/health/verdict.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock, settle } from "../clock.ts";
import { GuardBed, keysTo } from "./guard_bed.ts";

const SECOND = 1_000;
const SIX = keysTo(6);

Deno.test("without canaries a node is unaided", async () => {
  await using bed = new CanaryBed();
  assert.deepEqual([bed.canaries.sight, bed.canaries.spanMs], ["unaided", 0]);
});

const SIGHTS: readonly [up: number, down: number, sight: Sight][] = [
  [1, 0, "clear"],
  [2, 1, "clear"],
  [1, 1, "blurred"],
  [1, 2, "blurred"],
  [0, 1, "blind"],
  [0, 3, "blind"],
];

for (const [up, down, sight] of SIGHTS) {
  Deno.test(`${up} canaries that answer and ${down} that don't show ${sight}`, async () => {
    await using bed = new CanaryBed();
    const ports = Array.from({ length: up + down }, (_, i) => i + 1);
    for (const port of ports.slice(up)) bed.silent.add(port);
    bed.use(ports);
    assert.equal(bed.canaries.sight, "blurred");
    await bed.clock.advance(20);
    assert.deepEqual([bed.canaries.sight, bed.seen.at(-1)], [sight, sight]);
  });
}

Deno.test("one lost packet blinds nobody, two failures in a row do, one success brings sight back", async () => {
  await using bed = new CanaryBed();
  bed.use([1]);
  await bed.clock.advance(20);
  bed.silent.add(1);
  await bed.untilProbes(2);
  bed.silent.delete(1);
  await bed.untilProbes(3);
  assert.deepEqual(bed.seen, ["clear"]);
  bed.silent.add(1);
  await bed.untilProbes(5);
  assert.deepEqual(bed.seen, ["clear", "blind"]);
  bed.silent.delete(1);
  await bed.untilProbes(6);
  assert.deepEqual(bed.seen, ["clear", "blind", "clear"]);
});

Deno.test("a canary that stops answering is noticed within the span", async () => {
  await using bed = new CanaryBed();
  bed.use([1]);
  await bed.clock.advance(20);
  bed.silent.add(1);
  await bed.clock.advance(bed.canaries.spanMs);
  assert.deepEqual([bed.canaries.sight, bed.canaries.spanMs], ["blind", 5 * SECOND]);
});

Deno.test("a fresh look probes all at once, and says what it finds even when it is the same", async () => {
  await using bed = new CanaryBed();
  bed.use([1, 2, 3]);
  await bed.clock.advance(20);
  bed.silent.add(1).add(2).add(3);
  bed.seen.length = 0;
  bed.canaries.look();
  assert.equal(bed.canaries.sight, "blurred");
  await bed.clock.advance(20);
  assert.deepEqual(bed.seen.at(-1), "blind");
  bed.canaries.look();
  await bed.clock.advance(20);
  assert.deepEqual(bed.seen.at(-1), "blind");
});

Deno.test("no timer and no probe is left behind", async () => {
  const bed = new CanaryBed();
  bed.use([1, 2]);
  await bed.clock.advance(20);
  await bed[Symbol.asyncDispose]();
  assert.equal(bed.clock.sleeperCount, 0);
});

Deno.test("a trip while most canaries answer on a fresh look fails over at once, and says so", async () => {
  using bed = new GuardBed();
  bed.terms = { ...bed.terms, canarySpanMs: 5 * SECOND };
  bed.see("clear");
  bed.turn("unhealthy", ...SIX);
  assert.deepEqual([bed.looks, bed.down()], [1, []]);
  await bed.clock.advance(5);
  bed.see("clear");
  assert.deepEqual([bed.down(), bed.clock.sleeperCount], [SIX, 0]);
  assert.deepEqual(bed.events.at(-1), { kind: "ended", outcome: "confirmed", failedOver: 6 });
  assert.match(bed.errors().at(-1)!, /Most canaries answer, so the targets are down indeed/);
});

Deno.test("a trip while only some canaries answer is held as without any", async () => {
  using bed = new GuardBed();
  bed.see("blurred");
  bed.turn("unhealthy", ...SIX);
  bed.see("blurred");
  await bed.clock.advance(30 * SECOND - 1);
  assert.deepEqual(bed.down(), []);
  await bed.clock.advance(1);
  assert.deepEqual(bed.down(), SIX);
});

Deno.test("a blind node holds every down from the first, until the blindness has lasted for its hold", async () => {
  using bed = new GuardBed();
  bed.see("blind");
  bed.turn("unhealthy", "t0");
  await bed.clock.advance(100 * SECOND);
  bed.turn("unhealthy", "t1");
  await bed.clock.advance(200 * SECOND - 1);
  assert.deepEqual([bed.down(), bed.guard.holding], [[], "blindness"]);
  await bed.clock.advance(1);
  assert.deepEqual([bed.down(), bed.guard.holding], [["t0", "t1"], null]);
  assert.deepEqual(bed.events.map(({ kind }) => kind), ["blinded", "overdue"]);
});

Deno.test("first results of a blind node are held, too", () => {
  using bed = new GuardBed();
  bed.verdicts.set("t0", "unknown").set("t1", "unknown");
  bed.see("blind");
  bed.turn("unhealthy", "t0");
  bed.turn("healthy", "t1");
  assert.deepEqual([bed.down(), bed.guard.heldCount], [[], 1]);
});

Deno.test("downs that came before the canaries' silence was noticed are taken back", async () => {
  using bed = new GuardBed();
  bed.terms = { ...bed.terms, canarySpanMs: 5 * SECOND };
  bed.turn("unhealthy", "t0");
  await bed.clock.advance(4 * SECOND);
  bed.turn("unhealthy", "t1");
  await bed.clock.advance(2 * SECOND);
  bed.see("blind");
  assert.deepEqual([bed.down(), bed.takenBack], [["t0"], ["t1"]]);
});

Deno.test("with sight back, the held get the time their checks need, and who is still down then is down", async () => {
  using bed = new GuardBed();
  bed.see("blind");
  bed.turn("unhealthy", "t0", "t1", "t2");
  await bed.clock.advance(60 * SECOND);
  bed.see("clear");
  assert.deepEqual([bed.guard.holding, bed.down()], ["recovery", []]);
  await bed.clock.advance(4 * SECOND);
  bed.turn("healthy", "t0", "t1");
  await bed.clock.advance(499);
  assert.deepEqual(bed.down(), []);
  await bed.clock.advance(1);
  assert.deepEqual([bed.down(), bed.guard.holding], [["t2"], null]);
});

Deno.test("sight that comes back late doesn't make the hold longer", async () => {
  using bed = new GuardBed();
  bed.see("blind");
  bed.turn("unhealthy", "t0");
  await bed.clock.advance(299 * SECOND);
  bed.see("clear");
  await bed.clock.advance(SECOND);
  assert.deepEqual([bed.down(), bed.guard.holding], [["t0"], null]);
});

Deno.test("when the canaries are taken away blindness ends, and the log says so", () => {
  using bed = new GuardBed();
  bed.see("blind");
  bed.turn("unhealthy", "t0");
  bed.see("unaided");
  assert.equal(bed.guard.holding, "recovery");
  assert.match(bed.lines.at(-1)!, /There are no canaries any more: this node isn't blind any more/);
});

Deno.test("when all come back after blindness, the hold is over", async () => {
  using bed = new GuardBed();
  bed.see("blind");
  bed.turn("unhealthy", "t0");
  await bed.clock.advance(SECOND);
  bed.see("clear");
  bed.turn("healthy", "t0");
  assert.deepEqual([bed.guard.holding, bed.clock.sleeperCount, bed.down()], [null, 0, []]);
});

Deno.test("blindness that comes and goes holds no longer than blindness that stays", async () => {
  using bed = new GuardBed();
  bed.checks.set("t0", { intervalMs: 100 * SECOND, timeoutMs: SECOND, rise: 2 });
  bed.see("blind");
  bed.turn("unhealthy", "t0");
  for (let i = 0; i < 2; i++) {
    await bed.clock.advance(100 * SECOND);
    bed.see("clear");
    bed.see("blind");
  }
  await bed.clock.advance(100 * SECOND - 1);
  assert.deepEqual(bed.down(), []);
  await bed.clock.advance(1);
  assert.deepEqual(bed.down(), ["t0"]);
});

Deno.test("a trip that turns out to be blindness is held on, and counted as such", async () => {
  using bed = new GuardBed();
  bed.see("clear");
  bed.turn("unhealthy", ...SIX);
  await bed.clock.advance(SECOND);
  bed.see("blind");
  await bed.clock.advance(299 * SECOND - 1);
  assert.deepEqual([bed.down(), bed.events[1]], [[], { kind: "ended", outcome: "blind", failedOver: 0 }]);
  await bed.clock.advance(1);
  assert.deepEqual(bed.down(), SIX);
});

Deno.test("when the hold of a blindness is used up, downs pass, and only the share holds them", async () => {
  using bed = new GuardBed();
  bed.see("blind");
  await bed.clock.advance(300 * SECOND);
  bed.see("blind");
  bed.turn("unhealthy", "t0");
  assert.deepEqual([bed.down(), bed.guard.holding], [["t0"], null]);
  bed.see("clear");
  bed.see("blind");
  assert.equal(bed.guard.holding, "blindness");
});

Deno.test("a blindness in which nothing went down leaves nothing to wait for", () => {
  using bed = new GuardBed();
  bed.see("blind");
  bed.see("clear");
  assert.deepEqual(bed.events.map(({ kind }) => kind), ["blinded", "sighted"]);
  assert.deepEqual([bed.guard.holding, bed.clock.sleeperCount], [null, 0]);
});

/** Canaries that answer unless they are silent, by their port. */
class CanaryBed implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly seen: Sight[] = [];
  readonly silent = new Set<number>();
  readonly canaries: Canaries;
  #probes = 0;

  constructor() {
    this.canaries = new Canaries({
      clock: this.clock,
      rng: seededRng(7),
      probe: ({ port }): Promise<ProbeResult> => {
        this.#probes++;
        return Promise.resolve(
          this.silent.has(port) ? { ok: false, error: "connection refused" } : { ok: true, latencyMs: 1 },
        );
      },
      log: createLogger({ level: "error", format: "json", clock: this.clock, write: () => {} }),
      onSight: (sight) => void this.seen.push(sight),
    });
  }

  use(ports: readonly number[], terms: Partial<CanaryTerms> = {}): void {
    const targets = ports.map((port) => ({ hostname: "192.0.2.1", port }));
    this.canaries.use({ targets, intervalMs: 2 * SECOND, timeoutMs: SECOND, ...terms });
  }

  /** Moves the clock until this many probes have been started in all, and have come to their result. */
  async untilProbes(count: number): Promise<void> {
    while (this.#probes < count) await this.clock.advance(10);
    await settle();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.canaries[Symbol.asyncDispose]();
  }
}
