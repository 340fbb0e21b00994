/**
 * The checker under a clock that the test moves: when targets are probed, what is believed of them, who is told.
 *
 * @module
 */
import assert from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { type CheckTarget, checkTargetOf } from "../../src/desired/check_target.ts";
import { HEALTH_CHECK_DEFAULTS, type HealthCheck } from "../../src/model/model.ts";
import {
  HealthChecker,
  type HealthCheckerOptions,
  type VerdictChange,
} from "../../src/health/health_checker.ts";
import { type ProbeResult, UNKNOWN_VERDICT, type Verdict } from "../../src/health/verdict.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { inSlices } from "../../src/slices.ts";
import { ManualClock, settle } from "../clock.ts";

const HEALTHY: Verdict = { state: "healthy", since: 5, lastError: null, latencyMs: 1, checkedAt: 6 };
const UNHEALTHY: Verdict = { state: "unhealthy", since: 5, lastError: "x", latencyMs: null, checkedAt: 6 };
const SECOND = 1_000;

Deno.test("a target without a verdict is probed at once, and its first result decides", async () => {
  await using bed = new TestBed();
  const [up, down] = [target("192.0.2.1"), target("192.0.2.2")];
  bed.fail("192.0.2.2", "connection refused");
  bed.checker.use([up, down]);
  assert.deepEqual(bed.checker.verdict(up.key), UNKNOWN_VERDICT);
  await bed.clock.advance(20);
  assert.equal(bed.checker.verdict(up.key).state, "healthy");
  assert.equal(bed.checker.verdict(down.key).state, "unhealthy");
  assert.equal(bed.checker.verdict(down.key).lastError, "connection refused");
  assert.deepEqual(bed.changes.map(({ key, previous }) => [key, previous.state]), [
    [up.key, "unknown"],
    [down.key, "unknown"],
  ]);
});

Deno.test("a target that fails goes down after fall rounds and comes back after rise rounds", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1");
  bed.checker.use([it]);
  await bed.clock.advance(20);
  bed.fail("192.0.2.1", "status 503, expected 200-399");
  await bed.untilProbes(3);
  assert.equal(bed.checker.verdict(it.key).state, "healthy");
  await bed.untilProbes(4);
  assert.equal(bed.checker.verdict(it.key).state, "unhealthy");
  bed.mend("192.0.2.1");
  await bed.untilProbes(5);
  assert.equal(bed.checker.verdict(it.key).state, "unhealthy");
  await bed.untilProbes(6);
  assert.equal(bed.checker.verdict(it.key).state, "healthy");
  assert.deepEqual(bed.changes.map(({ verdict }) => verdict.state), ["healthy", "unhealthy", "healthy"]);
});

Deno.test("two starts lie between 95 % and 100 % of the interval apart, and don't drift", async () => {
  await using bed = new TestBed();
  bed.checker.use([target("192.0.2.1")]);
  await bed.clock.advance(1000 * SECOND);
  const starts = bed.starts("192.0.2.1");
  // The first gap is random: it spreads what began together. A tick of 10 ms may come on top.
  const gaps = starts.slice(2).map((start, i) => start - starts[i + 1]!);
  assert.deepEqual(gaps.filter((gap) => gap < 940 || gap > 1010), []);
  const mean = gaps.reduce((sum, gap) => sum + gap) / gaps.length;
  assert.ok(mean > 970 && mean < 980, `mean gap ${mean}`);
});

Deno.test("what is due is probed behind each slice of other work, however late the timer is", async () => {
  await using bed = new TestBed();
  const addresses = Array.from({ length: 200 }, (_, i) => `192.0.2.${i + 1}`);
  bed.checker.use(addresses.map((address) => target(address, { intervalMs: 10 * SECOND })));
  await bed.clock.advance(SECOND);
  const started = () => addresses.flatMap((address) => bed.starts(address)).length;
  const before = started();
  // Work takes ten seconds, and no timer has its turn.
  let spentMs = 0;
  const { monotonicMs } = bed.clock;
  bed.clock.monotonicMs = () => monotonicMs.call(bed.clock) + spentMs;
  function* work() {
    spentMs += 10 * SECOND;
    yield;
  }
  const { signal } = new AbortController();
  const working = inSlices(work(), { clock: bed.clock, signal });
  assert.equal(started(), before + 128, "some at a time");
  const more = inSlices(work(), { clock: bed.clock, signal });
  assert.equal(started(), before + 200, "none twice");
  bed.clock.monotonicMs = monotonicMs;
  await bed.clock.advance(0);
  await Promise.all([working, more]);
});

Deno.test("intervals shorter than the loop's own sleep are kept", async () => {
  await using bed = new TestBed();
  bed.checker.use([target("192.0.2.1", { intervalMs: 30, timeoutMs: 20 })]);
  await bed.clock.advance(SECOND);
  const starts = bed.starts("192.0.2.1").length;
  assert.ok(starts >= 33 && starts <= 36, `${starts} starts in a second`);
});

Deno.test("a dead target is found within interval × fall + timeout, whenever it dies", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1", { fall: 3, timeoutMs: 500 });
  bed.checker.use([it]);
  for (let round = 0; round < 40; round++) {
    await bed.clock.advance(5_000 + 137 * round);
    assert.equal(bed.checker.verdict(it.key).state, "healthy");
    bed.hang("192.0.2.1");
    await bed.clock.advance(3 * SECOND + 500 + 50);
    assert.equal(bed.checker.verdict(it.key).state, "unhealthy", `round ${round}`);
    bed.mend("192.0.2.1");
  }
});

Deno.test("targets that began together are soon spread over the interval", async () => {
  await using bed = new TestBed();
  const all = Array.from({ length: 1000 }, (_, i) => target(`192.0.${i >> 8}.${i & 255}`));
  bed.checker.use(all);
  await bed.clock.advance(100);
  bed.forgetStarts();
  await bed.clock.advance(1000);
  const tenths = new Array<number>(10).fill(0);
  for (const start of bed.allStarts()) tenths[Math.min(9, Math.floor((start - 100) / 100))]!++;
  assert.ok(tenths.every((count) => count > 60 && count < 150), `starts per tenth ${tenths}`);
});

Deno.test("a probe never overlaps itself, even when it takes longer than the interval", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1", { intervalMs: 1000, timeoutMs: 1000 });
  bed.ignoreAborts("192.0.2.1");
  bed.checker.use([it]);
  await bed.clock.advance(5 * SECOND);
  assert.equal(bed.starts("192.0.2.1").length, 1);
  assert.equal(bed.checker.verdict(it.key).lastError, "timeout after 1000 ms");
  bed.mend("192.0.2.1");
  await bed.clock.advance(2 * SECOND);
  assert.ok(bed.starts("192.0.2.1").length >= 2);
});

Deno.test("a hanging probe is aborted at its time-out and counts as a failure", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1", { timeoutMs: 500 });
  bed.hang("192.0.2.1");
  bed.checker.use([it]);
  await bed.clock.advance(490);
  assert.equal(bed.checker.verdict(it.key).state, "unknown");
  await bed.clock.advance(50);
  assert.equal(bed.checker.verdict(it.key).lastError, "timeout after 500 ms");
  assert.equal(bed.aborted, 1);
});

Deno.test("a blocked process takes no target down", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1", { timeoutMs: 500, fall: 1 });
  bed.checker.use([it]);
  await bed.untilProbes(2);
  bed.hang("192.0.2.1");
  await bed.untilProbes(3);
  await bed.clock.stall(10 * SECOND);
  // The answer had come during the stall; the event loop delivers it only now.
  await bed.clock.advance(100);
  bed.mend("192.0.2.1");
  await bed.clock.advance(100);
  assert.equal(bed.checker.verdict(it.key).state, "healthy");
  assert.equal(bed.aborted, 0);
});

Deno.test("a target that hangs on after a stall is still found", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1", { timeoutMs: 500, fall: 1 });
  bed.checker.use([it]);
  await bed.untilProbes(2);
  bed.hang("192.0.2.1");
  await bed.untilProbes(3);
  await bed.clock.stall(2 * SECOND);
  await bed.clock.advance(3 * SECOND);
  assert.equal(bed.checker.verdict(it.key).state, "unhealthy");
});

Deno.test("a target that hangs is found by a process that is always late, too", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1", { timeoutMs: 500 });
  bed.hang("192.0.2.1");
  bed.checker.use([it]);
  await settle();
  while (bed.clock.monotonicMs() < 2_000) await bed.clock.stall(400);
  assert.equal(bed.checker.verdict(it.key).lastError, "timeout after 500 ms");
});

Deno.test("a result that waits behind the deadline in the event loop still counts", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1", { timeoutMs: 500 });
  bed.hang("192.0.2.1");
  bed.checker.use([it]);
  await bed.clock.advance(505);
  bed.mend("192.0.2.1");
  await bed.clock.advance(10);
  assert.equal(bed.checker.verdict(it.key).state, "healthy");
});

Deno.test("restored verdicts count until the first new result, and then need rise and fall as usual", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1");
  bed.fail("192.0.2.1", "connection refused");
  bed.checker.restore([[it.key, HEALTHY]]);
  bed.checker.use([it]);
  assert.deepEqual(bed.checker.verdict(it.key), HEALTHY);
  await bed.untilProbes(2);
  assert.equal(bed.checker.verdict(it.key).state, "healthy");
  assert.equal(bed.changes.length, 0);
  await bed.untilProbes(3);
  assert.deepEqual(bed.changes.map(({ verdict }) => verdict.state), ["unhealthy"]);
});

Deno.test("a restored verdict is for the targets of the first configuration only", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1");
  bed.checker.restore([[it.key, HEALTHY]]);
  bed.checker.use([]);
  bed.checker.use([it]);
  assert.deepEqual(bed.checker.verdict(it.key), UNKNOWN_VERDICT);
});

Deno.test("targets with restored verdicts are first probed spread over their interval", async () => {
  await using bed = new TestBed();
  const all = Array.from({ length: 100 }, (_, i) => target(`192.0.2.${i}`));
  bed.checker.restore(all.map(({ key }) => [key, HEALTHY] as const));
  bed.checker.use(all);
  await bed.clock.advance(500);
  const half = bed.allStarts().length;
  assert.ok(half > 30 && half < 70, `${half} of 100 in half an interval`);
  await bed.clock.advance(510);
  assert.equal(new Set(bed.addresses()).size, 100);
});

Deno.test("firstRound() waits for every target without a verdict", async () => {
  await using bed = new TestBed();
  bed.hang("192.0.2.2");
  bed.checker.restore([[target("192.0.2.3").key, UNHEALTHY]]);
  bed.checker.use(["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((address) => target(address)));
  let isDone = false;
  const round = bed.checker.firstRound(new AbortController().signal).then(() => isDone = true);
  await bed.clock.advance(400);
  assert.equal(isDone, false);
  await bed.clock.advance(120);
  await round;
  assert.equal(bed.checker.verdict(target("192.0.2.2").key).state, "unhealthy");
});

Deno.test("firstRound() doesn't wait when nothing lacks a verdict, nor after its signal", async () => {
  await using bed = new TestBed();
  const never = new AbortController().signal;
  await bed.checker.firstRound(never);
  bed.checker.restore([[target("192.0.2.1").key, HEALTHY]]);
  bed.checker.use([target("192.0.2.1")]);
  await bed.checker.firstRound(never);
  bed.hang("192.0.2.2");
  bed.checker.use([target("192.0.2.2")]);
  const controller = new AbortController();
  const round = bed.checker.firstRound(controller.signal);
  controller.abort();
  await round;
});

Deno.test("firstRound() ends when the target that it waits for is gone", async () => {
  await using bed = new TestBed();
  bed.hang("192.0.2.1");
  bed.checker.use([target("192.0.2.1")]);
  const round = bed.checker.firstRound(new AbortController().signal);
  bed.checker.use([]);
  await round;
});

Deno.test("verdicts are told before firstRound() resolves", async () => {
  await using bed = new TestBed();
  bed.checker.use([target("192.0.2.1")]);
  const told = bed.checker.firstRound(new AbortController().signal).then(() => bed.changes.length);
  await bed.clock.advance(20);
  assert.equal(await told, 1);
});

Deno.test("use() starts what is new, forgets what is gone and leaves the rest undisturbed", async () => {
  await using bed = new TestBed();
  const [kept, gone, fresh] = [target("192.0.2.1"), target("192.0.2.2"), target("192.0.2.3")];
  bed.checker.use([kept, gone]);
  await bed.untilProbes(4);
  const before = bed.checker.verdict(kept.key);
  bed.forgetStarts();
  bed.checker.use([{ ...kept }, fresh]);
  await bed.clock.advance(20);
  assert.deepEqual(bed.addresses(), ["192.0.2.3"]);
  assert.equal(bed.checker.verdict(kept.key), before);
  assert.equal(bed.checker.verdict(gone.key).state, "unknown");
  assert.deepEqual([...bed.checker.verdicts()].map(([key]) => key), [kept.key, fresh.key]);
  await bed.clock.advance(5 * SECOND);
  assert.equal(bed.addresses().includes("192.0.2.2"), false);
});

Deno.test("a target that is gone is no longer probed, and its late result changes nothing", async () => {
  await using bed = new TestBed();
  bed.ignoreAborts("192.0.2.1");
  bed.checker.use([target("192.0.2.1")]);
  await bed.clock.advance(20);
  bed.checker.use([]);
  bed.mend("192.0.2.1");
  await bed.clock.advance(100);
  assert.equal(bed.changes.length, 0);
  assert.deepEqual([...bed.checker.verdicts()], []);
});

Deno.test("a target that left and came back is unknown again, and its old probe isn't taken for the new one", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1");
  bed.ignoreAborts("192.0.2.1");
  bed.checker.use([it]);
  await bed.clock.advance(20);
  const endOld = bed.endHanging();
  bed.checker.use([]);
  bed.checker.use([it]);
  await bed.clock.advance(20);
  endOld({ ok: false, error: "old" });
  await settle();
  assert.deepEqual(bed.checker.verdict(it.key), UNKNOWN_VERDICT);
  bed.mend("192.0.2.1");
  await bed.clock.advance(20);
  assert.equal(bed.checker.verdict(it.key).state, "healthy");
});

Deno.test("equal targets of several pools are probed once", async () => {
  await using bed = new TestBed();
  bed.checker.use([target("192.0.2.1"), target("192.0.2.1")]);
  await bed.clock.advance(20);
  assert.equal(bed.starts("192.0.2.1").length, 1);
});

Deno.test("no more probes are under way than allowed, and none starves", async () => {
  await using bed = new TestBed({ concurrency: 3 });
  const all = Array.from(
    { length: 10 },
    (_, i) => target(`192.0.2.${i}`, { timeoutMs: 100, intervalMs: 1000 }),
  );
  for (const { ipAddress } of all) bed.hang(ipAddress);
  bed.checker.use(all);
  await bed.clock.advance(2 * SECOND);
  assert.equal(bed.mostAtOnce, 3);
  assert.equal(new Set(bed.addresses()).size, 10);
});

Deno.test("a probe that could not be made says nothing about its target", async () => {
  await using bed = new TestBed();
  const it = target("192.0.2.1", { fall: 1 });
  bed.checker.use([it]);
  await bed.untilProbes(1);
  bed.throwFor("192.0.2.1", new Error("Too many open files (os error 24)"));
  await bed.untilProbes(5);
  assert.equal(bed.checker.verdict(it.key).state, "healthy");
  assert.ok(bed.lines.some((line) => line.includes("Cannot probe") && line.includes("Too many open files")));
});

Deno.test("results of one turn are told in one call", async () => {
  await using bed = new TestBed();
  bed.checker.use(Array.from({ length: 50 }, (_, i) => target(`192.0.2.${i}`)));
  await bed.clock.advance(20);
  assert.equal(bed.changes.length, 50);
  assert.ok(bed.calls < 5, `${bed.calls} calls`);
});

Deno.test("probing goes on when onVerdicts throws", async () => {
  await using bed = new TestBed({
    onVerdicts: () => {
      throw new Error("board is gone");
    },
  });
  bed.checker.use([target("192.0.2.1")]);
  await bed.untilProbes(3);
  assert.ok(
    bed.lines.some((line) => line.includes("Cannot act on new verdicts") && line.includes("board is gone")),
  );
});

Deno.test("a probe that throws before it begins says nothing about its target, and is tried again", async () => {
  let calls = 0;
  await using bed = new TestBed({
    probe: () => {
      if (calls++ === 0) return Promise.resolve(SUCCESS);
      throw new Error("thrown on purpose");
    },
  });
  const it = target("192.0.2.1", { fall: 1 });
  bed.checker.use([it]);
  await bed.clock.advance(20 * SECOND);
  assert.ok(calls > 3, `${calls} probes`);
  assert.equal(bed.checker.verdict(it.key).state, "healthy");
  assert.ok(bed.lines.some((line) => line.includes("Cannot probe") && line.includes("thrown on purpose")));
});

for (const what of ["answers", "fails", "hangs"] as const) {
  Deno.test(`probing of a target that ${what} goes on when counting throws`, async () => {
    await using bed = new TestBed({
      observer: {
        probed: () => {
          throw new Error("thrown on purpose");
        },
        detected: () => {},
      },
    });
    if (what === "fails") bed.fail("192.0.2.1", "x");
    if (what === "hangs") bed.hang("192.0.2.1");
    bed.checker.use([target("192.0.2.1", { fall: 1 })]);
    await bed.clock.advance(20 * SECOND);
    assert.ok(bed.addresses().length > 2, `${bed.addresses().length} probes`);
    assert.deepEqual(bed.changes.map(({ verdict }) => verdict.state), [
      what === "answers" ? "healthy" : "unhealthy",
    ]);
    assert.ok(
      bed.lines.some((line) => line.includes("met an error and go on") && line.includes("thrown on purpose")),
    );
  });
}

Deno.test("a thousand targets that fall together don't flood the log", async () => {
  await using bed = new TestBed();
  const all = Array.from({ length: 1000 }, (_, i) => target(`192.0.${i >> 8}.${i & 255}`));
  for (const { ipAddress } of all) bed.fail(ipAddress, "connection refused");
  bed.checker.use(all);
  await bed.clock.advance(500);
  assert.equal(bed.changes.length, 1000);
  assert.equal(bed.lines.length, 50);
  bed.mend(...all.map(({ ipAddress }) => ipAddress));
  await bed.clock.advance(3 * SECOND);
  assert.ok(bed.lines.some((line) => line.includes("950")), "says how many lines were left out");
});

Deno.test("the observer learns of every probe and of the time to detection", async () => {
  const probed: string[] = [];
  const detected: [string, number][] = [];
  await using bed = new TestBed({
    observer: {
      probed: (type, result) => probed.push(`${type} ${result}`),
      detected: (direction, seconds) => detected.push([direction, seconds]),
    },
  });
  bed.checker.use([target("192.0.2.1", { fall: 2, rise: 1 })]);
  await bed.untilProbes(2);
  bed.fail("192.0.2.1", "x");
  await bed.untilProbes(4);
  bed.throwFor("192.0.2.1", new Error("EMFILE"));
  await bed.untilProbes(5);
  bed.mend("192.0.2.1");
  await bed.untilProbes(6);
  assert.deepEqual(probed, [
    "tcp success",
    "tcp success",
    "tcp failure",
    "tcp failure",
    "tcp error",
    "tcp success",
  ]);
  assert.deepEqual(detected.map(([direction]) => direction), ["down", "up"]);
  assert.ok(detected[0]![1] > 1.9 && detected[0]![1] < 2.02, `down was detected after ${detected[0]![1]} s`);
});

Deno.test("endpoints() counts per family, and what is unknown as healthy", async () => {
  await using bed = new TestBed();
  bed.fail("192.0.2.2", "x");
  bed.hang("2001:db8::1");
  bed.checker.use(["192.0.2.1", "192.0.2.2", "2001:db8::1"].map((address) => target(address)));
  await bed.clock.advance(20);
  assert.deepEqual(bed.checker.endpoints(), [
    { family: 4, total: 2, healthy: 1 },
    { family: 6, total: 1, healthy: 1 },
  ]);
});

Deno.test("a jump of the wall clock neither delays nor hastens a round", async () => {
  await using bed = new TestBed();
  bed.checker.use([target("192.0.2.1")]);
  await bed.untilProbes(2);
  const before = bed.starts("192.0.2.1").length;
  bed.clock.setUnixMs(0);
  await bed.clock.advance(10 * SECOND);
  const rounds = bed.starts("192.0.2.1").length - before;
  assert.ok(rounds >= 10 && rounds <= 11, `${rounds} rounds in 10 intervals`);
});

Deno.test("without targets the checker sleeps; disposing wakes it and ends what is under way", async () => {
  const bed = new TestBed();
  await settle();
  assert.equal(bed.clock.nextWakeMs, 60_000);
  bed.hang("192.0.2.1");
  bed.checker.use([target("192.0.2.1")]);
  const round = bed.checker.firstRound(new AbortController().signal);
  await bed.clock.advance(20);
  await bed.checker[Symbol.asyncDispose]();
  await round;
  assert.equal(bed.aborted, 1);
  assert.equal(bed.clock.sleeperCount, 0);
});

function target(ipAddress: string, check: Partial<HealthCheck> = {}): CheckTarget {
  const complete = { ...HEALTH_CHECK_DEFAULTS, intervalMs: 1000, timeoutMs: 500, ...check };
  return checkTargetOf({ ipAddress, port: 80 }, complete);
}

/** A checker whose probes do as they are told, per address. */
class TestBed implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly changes: VerdictChange[] = [];
  readonly lines: string[] = [];
  readonly checker: HealthChecker;
  calls = 0;
  aborted = 0;
  mostAtOnce = 0;
  #underWay = 0;
  #starts: { address: string; atMs: number }[] = [];
  readonly #behaviours = new Map<string, Behaviour>();
  #hanging: { address: string; end: (result: ProbeResult) => void }[] = [];

  constructor(options: Partial<HealthCheckerOptions> = {}) {
    this.checker = new HealthChecker({
      clock: this.clock,
      rng: seededRng(0x2545f491),
      probe: (target, signal) => this.#probe(target, signal),
      log: createLogger({
        level: "info",
        format: "json",
        clock: this.clock,
        write: (line) => this.lines.push(line),
        isTerminal: false,
      }),
      onVerdicts: (changes) => {
        this.calls++;
        this.changes.push(...changes);
      },
      ...options,
    });
  }

  fail(address: string, error: string): void {
    this.#behaviours.set(address, { result: { ok: false, error } });
  }

  throwFor(address: string, error: Error): void {
    this.#behaviours.set(address, { error });
  }

  hang(address: string): void {
    this.#behaviours.set(address, "hang");
  }

  ignoreAborts(address: string): void {
    this.#behaviours.set(address, "ignore-aborts");
  }

  /** Probes of these addresses succeed from now on, those that hang included. */
  mend(...addresses: string[]): void {
    for (const address of addresses) this.#behaviours.delete(address);
    for (const { address, end } of this.#hanging) if (addresses.includes(address)) end(SUCCESS);
  }

  /** Takes the probes that hang out of the bed's hands. */
  endHanging(): (result: ProbeResult) => void {
    const hanging = this.#hanging;
    this.#hanging = [];
    return (result) => hanging.forEach(({ end }) => end(result));
  }

  starts(address: string): number[] {
    return this.#starts.filter((start) => start.address === address).map(({ atMs }) => atMs);
  }

  allStarts(): number[] {
    return this.#starts.map(({ atMs }) => atMs);
  }

  addresses(): string[] {
    return this.#starts.map(({ address }) => address);
  }

  forgetStarts(): void {
    this.#starts = [];
  }

  /** Moves the clock until this many probes have been started in all, and have come to their result. */
  async untilProbes(count: number): Promise<void> {
    while (this.#starts.length < count) await this.clock.advance(10);
    await settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.endHanging()(SUCCESS);
    await this.checker[Symbol.asyncDispose]();
  }

  async #probe({ ipAddress: address }: CheckTarget, signal: AbortSignal): Promise<ProbeResult> {
    this.#starts.push({ address, atMs: this.clock.monotonicMs() });
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#underWay);
    try {
      const behaviour = this.#behaviours.get(address) ?? { result: SUCCESS };
      if (behaviour === "hang" || behaviour === "ignore-aborts") {
        return await this.#wait(address, behaviour === "hang" ? signal : null);
      }
      if ("error" in behaviour) throw behaviour.error;
      return behaviour.result;
    } finally {
      this.#underWay--;
    }
  }

  #wait(address: string, signal: AbortSignal | null): Promise<ProbeResult> {
    return new Promise((resolve) => {
      this.#hanging.push({ address, end: resolve });
      signal?.addEventListener("abort", () => {
        this.aborted++;
        resolve({ ok: false, error: "aborted" });
      });
    });
  }
}

type Behaviour = "hang" | "ignore-aborts" | { result: ProbeResult } | { error: Error };

const SUCCESS: ProbeResult = { ok: true, latencyMs: 3 };
