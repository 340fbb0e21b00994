/** @module The gate: never more than the limit in a second, and not less while it is asked for. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import { Allowance, type AllowanceTerms } from "../../src/license/allowance.ts";
import { LicenseGate } from "../../src/license/gate.ts";
import type { TakerOrder } from "./taker_thread.ts";

const LIMITED: AllowanceTerms = { limit: 1000, expiresAt: null, standing: "valid" };
const T = 1_767_225_600;

/** Gates of some workers on one allowance, and their clock. */
class Node {
  readonly allowance = Allowance.create();
  readonly gates: readonly LicenseGate[];
  /** Unix milliseconds. */
  now = T * 1000;

  constructor(workers: number, terms: AllowanceTerms | null) {
    this.allowance.set(terms);
    const opened = () => new Allowance(this.allowance.buffer);
    this.gates = Array.from({ length: workers }, () => new LicenseGate(opened(), () => this.now));
  }

  /** A batch of so many packets at one worker; gives how many were answered. */
  batch(packets: number, worker = 0, getsAnswer: (packet: number) => boolean = () => true): number {
    const gate = this.gates[worker]!;
    let answered = 0;
    gate.begin(packets);
    for (let packet = 0; packet < packets; packet++) {
      if (!gate.admits() || !getsAnswer(packet)) continue;
      gate.spend();
      answered++;
    }
    gate.end();
    return answered;
  }
}

Deno.test("while licensing is off everything is admitted, and nothing counted", () => {
  const node = new Node(1, null);
  equal(node.batch(100_000), 100_000);
  equal(node.allowance.takePeak(), 0);
});

for (const workers of [1, 2]) {
  for (const batch of [1, 64]) {
    Deno.test(`of 20,000 a second 1,000 are answered, each second: ${workers} workers, batches of ${batch}`, () => {
      const node = new Node(workers, LIMITED);
      const seconds: number[] = [];
      for (let second = 0; second < 10; second++) {
        let answered = 0;
        for (let asked = 0, number = 0; asked < 20_000; asked += batch, number++) {
          node.now = (T + second) * 1000 + asked / 20;
          answered += node.batch(batch, number % workers);
        }
        seconds.push(answered);
      }
      deepEqual(seconds, Array(10).fill(1000));
    });
  }
}

Deno.test("a burst at the end of a second and one at the beginning of the next get what each second has", () => {
  const node = new Node(2, { ...LIMITED, limit: 10 });
  node.now = T * 1000 + 999;
  equal(node.batch(64, 0) + node.batch(64, 1), 10);
  node.now += 1;
  equal(node.batch(64, 1) + node.batch(64, 0), 10);
});

Deno.test("a batch that began before the second was over takes nothing from it once another worker is in the next", () => {
  const node = new Node(2, { ...LIMITED, limit: 10 });
  const [late] = node.gates;
  node.now = T * 1000 + 999;
  late!.begin(64);
  node.now += 1;
  equal(node.batch(64, 1), 10);
  ok(!late!.admits(), "the window of the second that began is used up, and no other one is there");
  late!.end();
});

Deno.test("what gets no answer costs nothing, near the limit and far from it", () => {
  for (const limit of [10, 100_000]) {
    const node = new Node(2, { ...LIMITED, limit });
    for (let i = 0; i < limit; i++) equal(node.batch(64, i % 2, () => false), 0);
    let answered = 0;
    for (let i = 0; i < limit / 32; i++) answered += node.batch(64, i % 2, (packet) => packet % 2 === 0);
    equal(answered, limit);
    equal(node.batch(64, 1), 0);
  }
});

Deno.test("what one worker holds and doesn't use is another's within the same second", () => {
  const node = new Node(2, { ...LIMITED, limit: 2000 });
  const [one] = node.gates;
  one!.begin(64);
  equal(node.batch(2000, 1), 1936);
  one!.end();
  equal(node.batch(100, 1), 64);
});

Deno.test("from the second of its end on a license allows ten a second, whatever main does", () => {
  const node = new Node(1, { limit: 1000, expiresAt: T + 1, standing: "valid" });
  equal(node.batch(2000), 1000);
  equal(node.gates[0]!.standing, 0);
  node.now += 1000;
  equal(node.batch(2000), 10);
  equal(node.gates[0]!.standing, 3);
});

Deno.test("other terms count from the next batch on, in the second that has begun", () => {
  const node = new Node(1, { limit: 10, expiresAt: null, standing: "missing" });
  equal(node.batch(64), 10);
  equal(node.gates[0]!.standing, 1);
  node.allowance.set(LIMITED);
  equal(node.batch(2000), 990);
  node.allowance.set({ ...LIMITED, limit: 50 });
  equal(node.batch(64), 0);
  node.allowance.set(null);
  equal(node.batch(64), 64);
  node.allowance.set(LIMITED);
  node.now += 1000;
  equal(node.batch(2000), 1000);
});

Deno.test("a clock that is set back by hours ends no answers, and one that goes back a little gives none twice", () => {
  const node = new Node(2, LIMITED);
  node.now = T * 1000 + 1000;
  equal(node.batch(2000), 1000);
  node.now = T * 1000 + 999;
  equal(node.batch(2000, 1), 0);
  node.now = (T - 7200) * 1000;
  equal(node.batch(2000, 1) + node.batch(2000), 1000);
  node.now = (T + 7200) * 1000;
  equal(node.batch(2000) + node.batch(2000, 1), 1000);
});

for (const silence of [1, 63, 64, 65, 127, 128, 129, 256, 86_400, 1 << 25]) {
  Deno.test(`after ${silence} seconds of silence a second has its limit, and so has the next`, () => {
    const node = new Node(2, LIMITED);
    equal(node.batch(2000), 1000);
    node.now += silence * 1000;
    equal(node.batch(600, 1) + node.batch(2000), 1000);
    node.now += 1000;
    equal(node.batch(2000), 1000);
    node.now -= silence * 1000;
    equal(node.batch(2000, 1), silence === 1 ? 0 : 1000, "the clock is set back");
  });
}

Deno.test("the busiest second is told once, and later seconds when they were", () => {
  const node = new Node(1, LIMITED);
  node.batch(700);
  node.now += 1000;
  node.batch(300);
  equal(node.allowance.takePeak(), 700);
  equal(node.allowance.takePeak(), 0);
  node.batch(100);
  equal(node.allowance.takePeak(), 400);
  node.now += 60_000;
  node.batch(5);
  equal(node.allowance.takePeak(), 400);
});

Deno.test("whatever workers do in whatever order, a second has its limit and no more", () => {
  const step = fc.record({
    worker: fc.nat(3),
    packets: fc.integer({ min: 1, max: 64 }),
    unanswered: fc.nat(64),
    /** Milliseconds until the next. */
    pause: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(1500)),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.array(step, { maxLength: 200 }), (limit, steps) => {
      const node = new Node(4, { ...LIMITED, limit });
      const given = new Map<number, number>();
      for (const { worker, packets, unanswered, pause } of steps) {
        const second = Math.floor(node.now / 1000);
        const before = given.get(second) ?? 0;
        const wanted = Math.max(0, packets - unanswered);
        const answered = node.batch(packets, worker, (packet) => packet >= unanswered);
        equal(answered, Math.min(wanted, limit - before));
        given.set(second, before + answered);
        node.now += pause;
      }
    }),
  );
});

Deno.test("threads that take at the same time get the limit of each second together, to the last one", async () => {
  const LIMIT = 20_000;
  const SECONDS = 20;
  const allowance = Allowance.create();
  allowance.set({ ...LIMITED, limit: LIMIT });
  const clock = new Uint32Array(new SharedArrayBuffer(8));
  Atomics.store(clock, 0, 1);
  const given = new Uint32Array(new SharedArrayBuffer(4 * (SECONDS + 2)));
  const order: TakerOrder = {
    allowance: allowance.buffer,
    clock: clock.buffer as SharedArrayBuffer,
    given: given.buffer as SharedArrayBuffer,
  };
  const threads = Array.from({ length: 3 }, () => {
    const worker = new Worker(new URL("./taker_thread.ts", import.meta.url), { type: "module" });
    const running = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<number>();
    worker.onmessage = ({ data }) => data === 0 ? running.resolve() : ended.resolve(data);
    worker.postMessage(order);
    return { running: running.promise, ended: ended.promise };
  });
  await Promise.all(threads.map(({ running }) => running));
  const patience = AbortSignal.timeout(60_000);
  for (let second = 1; second <= SECONDS; second++) {
    Atomics.store(clock, 0, second);
    while (Atomics.load(given, second) < LIMIT) {
      if (patience.aborted) break; // less than the limit, which is said below
      await turnEventLoop();
    }
  }
  Atomics.store(clock, 1, 1);
  const packets = await Promise.all(threads.map(({ ended }) => ended));
  deepEqual([...given.subarray(1, SECONDS + 1)], Array(SECONDS).fill(LIMIT));
  ok(packets.every((count) => count > 0));
});
