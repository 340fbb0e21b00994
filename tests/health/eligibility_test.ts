/**
 * Who may be answered: plain targets, calculated checks, failback.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  MEMBER_DEFAULTS,
  POOL_DEFAULTS,
} from "../../src/model/model.ts";
import type { SteeredPool } from "../../src/desired/desired.ts";
import { checkTargetOf } from "../../src/desired/check_target.ts";
import { eligibilityKeyOf } from "../../src/desired/eligibility.ts";
import { Eligibility, type Out } from "../../src/health/eligibility.ts";
import { type HealthState, UNKNOWN_VERDICT } from "../../src/health/verdict.ts";
import { ManualClock } from "../clock.ts";

const SECOND = 1_000;
const TCP: HealthCheck = { ...HEALTH_CHECK_DEFAULTS, port: 80 };
const OTHER: HealthCheck = { ...HEALTH_CHECK_DEFAULTS, port: 443 };
const THIRD: HealthCheck = { ...HEALTH_CHECK_DEFAULTS, port: 8080 };
const IP = "192.0.2.1";

Deno.test("a plain target is its own eligibility, and nothing is kept of it", () => {
  using bed = new Bed();
  const pool = poolOf({ healthCheck: TCP });
  const key = bed.put(pool);
  assert.equal(key, targetKey(TCP));
  assert.deepEqual([
    bed.eligibility.isEligible(key),
    bed.turn("unhealthy", TCP),
    bed.eligibility.isEligible(key),
  ], [true, [
    key,
  ], false]);
  bed.turn("healthy", TCP);
  assert.deepEqual([bed.eligibility.isEligible(key), [...bed.kept]], [true, []]);
});

const REQUIREMENTS: readonly [
  require: HealthCheck["require"],
  down: readonly HealthCheck[],
  isEligible: boolean,
][] = [
  ["all", [], true],
  ["all", [TCP], false],
  ["all", [TCP, OTHER, THIRD], false],
  ["any", [TCP, OTHER], true],
  ["any", [TCP, OTHER, THIRD], false],
  [2, [OTHER], true],
  [2, [OTHER, THIRD], false],
  [1, [OTHER, THIRD], true],
  [3, [THIRD], false],
];

for (const [require, down, isIn] of REQUIREMENTS) {
  Deno.test(`of three checks ${require} required and ${down.length} down: ${isIn ? "in" : "out"}`, () => {
    using bed = new Bed();
    const key = bed.put(poolOf({ healthCheck: calculated(require, [TCP, OTHER, THIRD]) }));
    bed.turn("unhealthy", ...down);
    assert.equal(bed.eligibility.isEligible(key), isIn);
    bed.turn("healthy", ...down);
    assert.equal(bed.eligibility.isEligible(key), true);
  });
}

Deno.test("a change of a part names the eligibility that depend on it", () => {
  using bed = new Bed();
  const key = bed.put(poolOf({ healthCheck: calculated("all", [TCP, OTHER]) }));
  assert.deepEqual(bed.turn("unhealthy", OTHER), [targetKey(OTHER), key]);
});

Deno.test("equal calculated checks of one address are one eligibility, whatever the order of their parts", () => {
  const one = poolOf({ id: "one", healthCheck: calculated("all", [TCP, OTHER]) });
  const two = poolOf({ id: "two", healthCheck: calculated(2, [OTHER, TCP]) });
  assert.equal(keyOf(one), keyOf(two));
  using bed = new Bed();
  const key = bed.put(one);
  bed.put(two);
  bed.remove("one");
  bed.turn("unhealthy", TCP);
  assert.equal(bed.eligibility.isEligible(key), false);
  bed.remove("two");
  assert.deepEqual(bed.followed, []);
});

Deno.test("a plain pool and a calculated one share their targets", () => {
  using bed = new Bed();
  const plain = bed.put(poolOf({ id: "plain", healthCheck: TCP }));
  const both = bed.put(poolOf({ id: "both", healthCheck: calculated("all", [TCP, OTHER]) }));
  bed.turn("unhealthy", TCP);
  assert.deepEqual([bed.eligibility.isEligible(plain), bed.eligibility.isEligible(both)], [false, false]);
  bed.remove("both");
  assert.deepEqual([bed.eligibility.isEligible(plain), bed.followed], [false, [targetKey(TCP)]]);
});

Deno.test("a member without a check, by name or forced up always stands", () => {
  const pool = poolOf({ healthCheck: TCP, failback: "manual" });
  const member = pool.members[0]!;
  assert.deepEqual(
    [
      eligibilityKeyOf(poolOf({ healthCheck: null }), member),
      eligibilityKeyOf(pool, { ...member, ipAddress: null }),
      eligibilityKeyOf(pool, { ...member, forcedUp: true }),
    ],
    [null, null, null],
  );
});

Deno.test("who is answered as a name stands while one address has enough of its checks", () => {
  using bed = new Bed();
  const addresses = [IP, "192.0.2.2"];
  const healthCheck = calculated(2, [TCP, OTHER]);
  const pool = poolOf({ healthCheck });
  const member = { ...pool.members[0]!, ipAddress: null, target: "lb.example.net", addresses };
  const members = addresses.map((ipAddress) => ({ ...pool.members[0]!, ipAddress }));
  const named = { ...pool, members, named: { members: [member], geoRules: [] } };
  bed.put(named);
  const isEligible = () => bed.eligibility.isEligible(eligibilityKeyOf(named, member)!);
  const turn = (state: HealthState, ipAddress: string, check: HealthCheck) => {
    const { key } = checkTargetOf({ ipAddress, port: 443 }, check);
    bed.eligibility.judge([{
      key,
      verdict: { ...UNKNOWN_VERDICT, state },
      previous: UNKNOWN_VERDICT,
      isTakenBack: false,
    }]);
    return isEligible();
  };
  assert.equal(isEligible(), true);
  assert.equal(turn("unhealthy", IP, TCP), true);
  // Each address has one of two checks left: together they are two, but neither has both.
  assert.equal(turn("unhealthy", "192.0.2.2", OTHER), false);
  assert.equal(turn("healthy", IP, TCP), true);
});

Deno.test("with a delay a member comes back when it was well for so long without a break", async () => {
  using bed = new Bed();
  const key = bed.put(poolOf({ healthCheck: TCP, failbackDelayMs: 60 * SECOND }));
  bed.turn("unhealthy", TCP);
  bed.turn("healthy", TCP);
  await bed.clock.advance(59 * SECOND);
  bed.turn("unhealthy", TCP);
  bed.turn("healthy", TCP);
  assert.deepEqual(bed.eligibility.waiting(key), { leftMs: 60 * SECOND });
  await bed.clock.advance(60 * SECOND - 1);
  assert.equal(bed.eligibility.isEligible(key), false);
  await bed.clock.advance(1);
  assert.deepEqual([bed.eligibility.isEligible(key), bed.changed, bed.eligibility.waiting(key)], [
    true,
    [key],
    null,
  ]);
  assert.deepEqual([bed.clock.sleeperCount, [...bed.kept]], [0, []]);
});

Deno.test("with manual failback a member comes back when an operator says so, and not while it is down", async () => {
  using bed = new Bed();
  const key = bed.put(poolOf({ healthCheck: TCP, failback: "manual" }));
  assert.equal(bed.eligibility.failBack(key), "was in");
  bed.turn("unhealthy", TCP);
  assert.deepEqual([bed.eligibility.failBack(key), bed.eligibility.waiting(key)], ["down", null]);
  bed.turn("healthy", TCP);
  await bed.clock.advance(3_600 * SECOND);
  assert.deepEqual([bed.eligibility.isEligible(key), bed.eligibility.waiting(key)], [
    false,
    "for an operator",
  ]);
  assert.deepEqual([bed.eligibility.tryFailBack(key), bed.eligibility.isEligible(key)], ["done", false]);
  assert.deepEqual([bed.eligibility.failBack(key), bed.eligibility.isEligible(key), bed.changed], [
    "done",
    true,
    [
      key,
    ],
  ]);
  bed.turn("unhealthy", TCP);
  bed.turn("healthy", TCP);
  assert.equal(bed.eligibility.isEligible(key), false);
});

Deno.test("an operator may cut a delay short", () => {
  using bed = new Bed();
  const key = bed.put(poolOf({ healthCheck: TCP, failbackDelayMs: SECOND }));
  bed.turn("unhealthy", TCP);
  bed.turn("healthy", TCP);
  assert.deepEqual([bed.eligibility.failBack(key), bed.eligibility.isEligible(key)], ["done", true]);
  assert.equal(bed.clock.sleeperCount, 0);
});

Deno.test("failback of a calculated check waits for the calculation, not for its parts", async () => {
  using bed = new Bed();
  const key = bed.put(poolOf({ healthCheck: calculated("any", [TCP, OTHER]), failbackDelayMs: SECOND }));
  bed.turn("unhealthy", TCP);
  assert.equal(bed.eligibility.isEligible(key), true);
  bed.turn("unhealthy", OTHER);
  bed.turn("healthy", OTHER);
  await bed.clock.advance(SECOND - 1);
  bed.turn("healthy", TCP);
  assert.equal(bed.eligibility.isEligible(key), false);
  await bed.clock.advance(1);
  assert.equal(bed.eligibility.isEligible(key), true);
});

Deno.test("a down that is taken back leaves no failback to wait for, and keeps one that was", async () => {
  using bed = new Bed();
  const key = bed.put(poolOf({ healthCheck: TCP, failback: "manual" }));
  bed.turn("unhealthy", TCP);
  bed.takeBack(TCP);
  assert.deepEqual([bed.eligibility.isEligible(key), [...bed.kept]], [true, []]);
  bed.turn("unhealthy", TCP);
  bed.turn("healthy", TCP);
  const wellSince = bed.clock.unixMs();
  await bed.clock.advance(SECOND);
  bed.turn("unhealthy", TCP);
  bed.takeBack(TCP);
  assert.deepEqual([bed.eligibility.isEligible(key), [...bed.kept]], [false, [[key, { wellSince }]]]);
});

Deno.test("who waits before a restart still waits after it, and only for what is left", async () => {
  const pool = poolOf({ healthCheck: TCP, failbackDelayMs: 60 * SECOND });
  const first = new Bed();
  const key = first.put(pool);
  first.turn("unhealthy", TCP);
  first.turn("healthy", TCP);
  await first.clock.advance(20 * SECOND);
  first[Symbol.dispose]();
  assert.equal(first.clock.sleeperCount, 0);
  using second = new Bed({ kept: first.kept, startUnixMs: first.clock.unixMs() + 10 * SECOND });
  second.replace([pool]);
  assert.deepEqual(second.eligibility.waiting(key), { leftMs: 30 * SECOND });
  await second.clock.advance(30 * SECOND);
  assert.equal(second.eligibility.isEligible(key), true);
});

Deno.test("who was down at the end of the last run and is well now begins to wait", () => {
  const pool = poolOf({ healthCheck: TCP, failback: "manual" });
  using bed = new Bed({ kept: new Map([[keyOf(pool), { wellSince: null }]]) });
  bed.replace([pool]);
  assert.equal(bed.eligibility.waiting(keyOf(pool)), "for an operator");
});

Deno.test("who waited at the end of the last run and is down now is down", () => {
  const pool = poolOf({ healthCheck: TCP, failback: "manual" });
  using bed = new Bed({ kept: new Map([[keyOf(pool), { wellSince: 5 }]]) });
  bed.believed.set(targetKey(TCP), "unhealthy");
  bed.replace([pool]);
  assert.deepEqual([...bed.kept], [[keyOf(pool), { wellSince: null }]]);
});

Deno.test("what the last run kept of members that are gone is dropped", () => {
  using bed = new Bed({ kept: new Map([["failback gone 192.0.2.9 80", { wellSince: 5 }]]) });
  bed.replace([]);
  assert.deepEqual([...bed.kept], []);
});

Deno.test("a wall clock that was set makes no wait longer than the delay", () => {
  const pool = poolOf({ healthCheck: TCP, failbackDelayMs: 60 * SECOND });
  const clock = new ManualClock();
  using bed = new Bed({ kept: new Map([[keyOf(pool), { wellSince: clock.unixMs() + 3_600 * SECOND }]]) });
  bed.replace([pool]);
  assert.deepEqual(bed.eligibility.waiting(keyOf(pool)), { leftMs: 60 * SECOND });
});

Deno.test("who waits goes on waiting when the check, the delay or the rest of the pool changes", async () => {
  using bed = new Bed();
  const key = bed.put(poolOf({ healthCheck: TCP, failbackDelayMs: 60 * SECOND }));
  bed.turn("unhealthy", TCP);
  bed.turn("healthy", TCP);
  await bed.clock.advance(10 * SECOND);
  bed.put(poolOf({ healthCheck: OTHER, failbackDelayMs: 60 * SECOND }));
  assert.deepEqual(bed.eligibility.waiting(key), { leftMs: 50 * SECOND });
  bed.put(poolOf({ healthCheck: OTHER, failbackDelayMs: 30 * SECOND }));
  assert.deepEqual(bed.eligibility.waiting(key), { leftMs: 20 * SECOND });
  bed.put(poolOf({ healthCheck: OTHER, failback: "manual" }));
  assert.equal(bed.eligibility.waiting(key), "for an operator");
  bed.replace([poolOf({ healthCheck: OTHER, failback: "manual" })]);
  assert.equal(bed.eligibility.waiting(key), "for an operator");
});

Deno.test("without a policy any more a member is in as soon as it is well", () => {
  using bed = new Bed();
  bed.put(poolOf({ healthCheck: TCP, failback: "manual" }));
  bed.turn("unhealthy", TCP);
  bed.turn("healthy", TCP);
  const key = bed.put(poolOf({ healthCheck: TCP }));
  assert.deepEqual([bed.eligibility.isEligible(key), [...bed.kept]], [true, []]);
});

Deno.test("a member that was forced up needn't be failed back afterwards", () => {
  using bed = new Bed();
  const pool = poolOf({ healthCheck: TCP, failback: "manual" });
  const key = bed.put(pool);
  bed.turn("unhealthy", TCP);
  bed.turn("healthy", TCP);
  bed.put({ ...pool, members: pool.members.map((member) => ({ ...member, forcedUp: true })) });
  bed.put(pool);
  assert.equal(bed.eligibility.isEligible(key), true);
});

Deno.test("the static fallback may have a calculated check", () => {
  using bed = new Bed();
  bed.eligibility.follow(bed.eligibility.replace({
    checkedPools: () => [],
    fallback: {
      algorithm: "round-robin",
      endpoints: [IP],
      weights: {},
      onAllDown: "all",
      ttl: null,
      healthCheck: calculated("any", [TCP, OTHER]),
    },
  }));
  assert.deepEqual(bed.followed.toSorted(), [targetKey(TCP), targetKey(OTHER)].toSorted());
});

function poolOf(fields: Partial<SteeredPool>): SteeredPool {
  return {
    ...POOL_DEFAULTS,
    id: "pool",
    healthCheck: null,
    geoRules: [],
    changesAt: 0,
    members: [{ ...MEMBER_DEFAULTS, ipAddress: IP, port: 80, id: null, share: 1, forcedUp: false }],
    ...fields,
  };
}

function calculated(require: HealthCheck["require"], checks: readonly HealthCheck[]): HealthCheck {
  return { ...HEALTH_CHECK_DEFAULTS, type: "calculated", require, checks };
}

function targetKey(check: HealthCheck): string {
  return checkTargetOf({ ipAddress: IP, port: 80 }, check).key;
}

function keyOf(pool: SteeredPool): string {
  return eligibilityKeyOf(pool, pool.members[0]!)!;
}

Deno.test("what is eligible stays so while all pools are told of anew, and goes when the telling ends", () => {
  using bed = new Bed();
  const gone = bed.put(poolOf({ id: "gone", healthCheck: calculated("all", [TCP, OTHER]) }));
  bed.put(poolOf({ id: "stays", healthCheck: TCP }));
  bed.turn("unhealthy", OTHER);
  bed.eligibility.begin();
  bed.tell(poolOf({ id: "stays", healthCheck: TCP }));
  bed.tell(poolOf({ id: "new", healthCheck: THIRD }));
  assert.equal(bed.eligibility.isEligible(gone), false);
  assert.deepEqual(bed.followed.toSorted(), [TCP, OTHER, THIRD].map(targetKey).toSorted());
  bed.forget(bed.eligibility.end());
  assert.deepEqual([bed.followed.toSorted(), bed.eligibility.isEligible(gone)], [
    [TCP, THIRD].map(targetKey).toSorted(),
    true,
  ]);
});

Deno.test("a telling that is given up leaves what was there, what was put meanwhile included", () => {
  using bed = new Bed();
  bed.put(poolOf({ id: "one", healthCheck: TCP }));
  bed.put(poolOf({ id: "two", healthCheck: TCP }));
  bed.eligibility.begin();
  bed.tell(poolOf({ id: "one", healthCheck: OTHER }));
  bed.put(poolOf({ id: "two", healthCheck: THIRD }));
  bed.forget(bed.eligibility.giveUp());
  assert.deepEqual(bed.followed.toSorted(), [TCP, THIRD].map(targetKey).toSorted());
  // What it has is what it is told to have.
  bed.put(poolOf({ id: "one", healthCheck: THIRD }));
  assert.deepEqual(bed.followed, [targetKey(THIRD)]);
});

Deno.test("what is put or removed while all pools are told of anew is newer than what is told of it", () => {
  using bed = new Bed();
  bed.put(poolOf({ id: "one", healthCheck: TCP }));
  bed.put(poolOf({ id: "two", healthCheck: OTHER }));
  bed.eligibility.begin();
  bed.put(poolOf({ id: "one", healthCheck: THIRD }));
  bed.remove("two");
  bed.tell(poolOf({ id: "one", healthCheck: TCP }));
  bed.tell(poolOf({ id: "two", healthCheck: OTHER }));
  bed.forget(bed.eligibility.end());
  assert.deepEqual(bed.followed, [targetKey(THIRD)]);
});

/** Eligibility over verdicts that a test turns. */
class Bed implements Disposable {
  readonly clock: ManualClock;
  readonly eligibility: Eligibility;
  /** What outlives the process. */
  readonly kept: Map<string, Out>;
  readonly believed = new Map<string, HealthState>();
  /** Targets that are probed. */
  followed: string[] = [];
  /** Keys that changed without a verdict. */
  readonly changed: string[] = [];

  constructor({ kept = new Map(), startUnixMs }: { kept?: Map<string, Out>; startUnixMs?: number } = {}) {
    this.clock = new ManualClock(startUnixMs);
    this.kept = new Map(kept);
    this.eligibility = new Eligibility({
      clock: this.clock,
      health: {
        follow: (added, gone) => {
          const lost = new Set(gone);
          this.followed = [
            ...this.followed.filter((key) => !lost.has(key)),
            ...[...added].map(({ key }) => key),
          ];
        },
        verdict: (key) => ({ ...UNKNOWN_VERDICT, state: this.believed.get(key) ?? "unknown" }),
      },
      restored: [...kept],
      keeper: {
        save: (outs) => {
          for (const [key, out] of outs) {
            if (out === null) this.kept.delete(key);
            else this.kept.set(key, out);
          }
        },
      },
      onTargetsGone: () => {},
      onChange: (keys) => this.changed.push(...keys),
    });
  }

  /** Gives the key of the pool's first member. */
  put(pool: SteeredPool): string {
    this.eligibility.follow(this.eligibility.put(pool));
    return keyOf(pool);
  }

  /** One of all pools. */
  tell(pool: SteeredPool): void {
    this.eligibility.follow({ added: this.eligibility.tell(pool), gone: [] });
  }

  forget(gone: Iterable<readonly string[]>): void {
    for (const keys of gone) this.eligibility.follow({ added: [], gone: keys });
  }

  remove(id: string): void {
    this.eligibility.follow(this.eligibility.remove(id));
  }

  replace(pools: readonly SteeredPool[]): void {
    this.eligibility.follow(this.eligibility.replace({ checkedPools: () => pools, fallback: null }));
  }

  /** Gives the keys that may stand differently. */
  turn(state: HealthState, ...checks: HealthCheck[]): string[] {
    return this.#judge(state, checks, false);
  }

  takeBack(...checks: HealthCheck[]): void {
    this.#judge("healthy", checks, true);
  }

  #judge(state: HealthState, checks: readonly HealthCheck[], isTakenBack: boolean): string[] {
    return this.eligibility.judge(checks.map((check) => {
      const key = targetKey(check);
      this.believed.set(key, state);
      return { key, verdict: { ...UNKNOWN_VERDICT, state }, previous: UNKNOWN_VERDICT, isTakenBack };
    }));
  }

  [Symbol.dispose](): void {
    this.eligibility[Symbol.dispose]();
  }
}
