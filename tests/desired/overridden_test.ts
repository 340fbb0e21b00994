/** @module What overrides make of a pool: tables for each rule, and properties over random pools and times. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import type { SteeredMember, SteeredPool } from "../../src/desired/desired.ts";
import { HEALTH_CHECK_DEFAULTS } from "../../src/model/model.ts";
import {
  applyOverrides,
  drainShare,
  nextStep,
  overriddenSource,
  OverrideIndex,
  stepOf,
} from "../../src/desired/overridden.ts";
import type { Override } from "../../src/model/override.ts";

const NOW = 1_767_225_600_000;
const POOL = "0".repeat(32);

function member(n: number, fields: Partial<SteeredMember> = {}): SteeredMember {
  return {
    id: String(n).padStart(32, "0"),
    ipAddress: `192.0.2.${n}`,
    target: null,
    port: 443,
    weight: 1,
    priority: 0,
    enabled: true,
    latitude: null,
    longitude: null,
    region: "",
    share: 1,
    forcedUp: false,
    ...fields,
  };
}

function pool(members: readonly SteeredMember[], fields: Partial<SteeredPool> = {}): SteeredPool {
  return {
    id: POOL,
    algorithm: "round-robin",
    maxAnswers: 0,
    onAllDown: "all",
    fallbackPoolId: null,
    minHealthy: 0,
    failback: "auto",
    failbackDelayMs: 0,
    geofence: false,
    flatten: true,
    discover: null,
    healthCheck: HEALTH_CHECK_DEFAULTS,
    members,
    geoRules: [],
    changesAt: 0,
    ...fields,
  };
}

let made = 0;
function override(fields: Partial<Override>): Override {
  return {
    id: String(++made).padStart(32, "f"),
    target: `pool:${POOL}`,
    state: "down",
    reason: "why",
    owner: "alice",
    startsAt: NOW - 1_000,
    expiresAt: NOW + 60_000,
    drainMs: 0,
    createdAt: NOW - 1_000,
    ...fields,
  };
}

const OF_FIRST = { target: `member:${"1".padStart(32, "0")}` };

/** One member, as it is answered. */
function looks(
  overrides: readonly Override[],
  { member: one = member(1, { region: "fra" }), nowMs = NOW } = {},
) {
  const { members, changesAt } = applyOverrides(pool([one]), new OverrideIndex(overrides), nowMs);
  const [{ enabled, forcedUp, share }] = members as [SteeredMember];
  return { enabled, forcedUp, share, changesAt: changesAt && (changesAt - NOW) / 1000 };
}

const AS_IT_IS = { enabled: true, forcedUp: false, share: 1, changesAt: 0 };
const OUT = { ...AS_IT_IS, enabled: false, changesAt: 60 };
const UP = { ...AS_IT_IS, forcedUp: true, changesAt: 60 };

for (
  const [what, overrides, expected] of [
    ["nothing overrides it", [], AS_IT_IS],
    ["its pool is down", [override({})], OUT],
    ["it is down itself", [override(OF_FIRST)], OUT],
    ["its region is down", [override({ target: "region:fra" })], OUT],
    ["another region is down", [override({ target: "region:ams" })], AS_IT_IS],
    ["another member is down", [override({ target: `member:${"2".padStart(32, "0")}` })], AS_IT_IS],
    ["another pool is down", [override({ target: `pool:${"9".repeat(32)}` })], AS_IT_IS],
    ["it is forced up", [override({ ...OF_FIRST, state: "up" })], UP],
    ["it is up in a pool that is down", [override({}), override({ ...OF_FIRST, state: "up" })], UP],
    ["its pool is up in a region that is down", [
      override({ state: "up" }),
      override({ target: "region:fra" }),
    ], UP],
    ["an older up is followed by a down", [override({ state: "up" }), override({ createdAt: NOW })], OUT],
    ["a newer up comes first in the list", [override({ state: "up", createdAt: NOW }), override({})], UP],
    ["of one instant the later one counts", [override({}), override({ state: "up" })], UP],
    ["it begins later", [override({ startsAt: NOW + 5_000 })], { ...AS_IT_IS, changesAt: 5 }],
    ["it has ended this instant", [override({ expiresAt: NOW })], AS_IT_IS],
    ["it ends within this second", [override({ expiresAt: NOW + 1_999 })], { ...OUT, changesAt: 1.999 }],
    [
      "the narrow one ends before the wide one",
      [override({ state: "up", ...OF_FIRST, expiresAt: NOW + 7_000 }), override({})],
      { ...UP, changesAt: 7 },
    ],
    [
      "the end of a wide one isn't seen behind a narrow one of the same effect",
      [override({ ...OF_FIRST }), override({ expiresAt: NOW + 7_000 })],
      OUT,
    ],
    [
      "a down follows on a down",
      [override({ expiresAt: NOW + 7_000 }), override({ startsAt: NOW + 7_000, expiresAt: NOW + 90_000 })],
      { ...OUT, changesAt: 90 },
    ],
    [
      "it is half drained",
      [override({ state: "drain", startsAt: NOW - 30_000, drainMs: 60_000 })],
      { ...AS_IT_IS, share: 0.5, changesAt: 30 },
    ],
    [
      "it is drained",
      [override({ state: "drain", startsAt: NOW - 30_000, drainMs: 30_000 })],
      OUT,
    ],
    [
      "its draining begins this instant",
      [override({ state: "drain", startsAt: NOW, drainMs: 30_000 })],
      { ...AS_IT_IS, changesAt: 30 },
    ],
    ["a drain that takes no time", [override({ state: "drain" })], OUT],
  ] as const
) {
  Deno.test(`a member when ${what}`, () => {
    deepEqual(looks(overrides), expected);
  });
}

Deno.test("a disabled member is answered while it is forced up, and its end is planned", () => {
  const disabled = { member: member(1, { enabled: false }) };
  deepEqual(looks([override({ ...OF_FIRST, state: "up" })], disabled), UP);
  deepEqual(looks([override({})], disabled), { ...AS_IT_IS, enabled: false });
  deepEqual(looks([override({ state: "drain", drainMs: 5_000, startsAt: NOW })], disabled), {
    ...AS_IT_IS,
    enabled: false,
  });
});

Deno.test("an up of a member that isn't checked changes nothing, so nothing is planned", () => {
  const unchecked = pool([member(1)], { healthCheck: null });
  const { changesAt } = applyOverrides(unchecked, new OverrideIndex([override({ state: "up" })]), NOW);
  equal(changesAt, 0);
});

Deno.test("a pool that no override has a say in is handed back as it is", () => {
  const one = pool([member(1)]);
  equal(applyOverrides(one, new OverrideIndex([]), NOW), one);
  equal(applyOverrides(one, new OverrideIndex([override({ target: "region:fra" })]), NOW), one);
  equal(applyOverrides(one, new OverrideIndex([override({ expiresAt: NOW - 1 })]), NOW), one);
});

Deno.test("what a pool has planned already comes first when it is earlier", () => {
  const planned = pool([member(1)], { changesAt: NOW + 2_000 });
  equal(applyOverrides(planned, new OverrideIndex([override({})]), NOW).changesAt, NOW + 2_000);
  const later = pool([member(1)], { changesAt: NOW + 90_000 });
  equal(applyOverrides(later, new OverrideIndex([override({})]), NOW).changesAt, NOW + 60_000);
});

Deno.test("geo rules lead to the same members as before", () => {
  const rule = { cidr: null, country: "DE", continent: null, asn: null, member: 1 };
  const one = pool([member(1), member(2)], { geoRules: [rule] });
  const after = applyOverrides(one, new OverrideIndex([override(OF_FIRST)]), NOW);
  deepEqual(after.geoRules, [rule]);
  equal(after.members[1]!.ipAddress, "192.0.2.2");
});

Deno.test("a source without overrides is read as it is, one with them pool by pool", () => {
  const source = {
    generation: 1,
    *prepare() {
      yield;
      return 0;
    },
    pools: () => [pool([member(1)])],
    checkedPools: () => [pool([member(1)])],
    services: () => [],
    zones: [],
    fallback: null,
  };
  equal(overriddenSource(source, { overrides: new OverrideIndex([]), nowMs: NOW }), source);
  const overridden = overriddenSource(source, { overrides: new OverrideIndex([override({})]), nowMs: NOW });
  for (const pools of [overridden.pools(), overridden.checkedPools()]) {
    deepEqual([...pools].map(({ members }) => members[0]!.enabled), [false]);
  }
});

/** Small numbers of milliseconds meet each other often. */
const someOverride = fc.record({
  target: fc.constantFrom(OF_FIRST.target, `pool:${POOL}`, "region:fra", "region:ams"),
  state: fc.constantFrom("up" as const, "down" as const, "drain" as const),
  startsIn: fc.integer({ min: -20, max: 20 }),
  life: fc.integer({ min: 1, max: 40 }),
  drain: fc.integer({ min: 0, max: 40 }),
  createdAgo: fc.integer({ min: 0, max: 3 }),
}).map(({ target, state, startsIn, life, drain, createdAgo }) => {
  const second = 1_000;
  return override({
    target,
    state,
    startsAt: NOW + startsIn * second,
    expiresAt: NOW + (startsIn + life) * second,
    drainMs: state === "drain" ? Math.min(drain, life) * second : 0,
    createdAt: NOW - createdAgo,
  });
});
const somePool = fc.record({
  isChecked: fc.boolean(),
  members: fc.array(
    fc.record({ region: fc.constantFrom("", "fra", "ams"), enabled: fc.boolean() }),
    { minLength: 1, maxLength: 4 },
  ),
}).map(({ isChecked, members }) =>
  pool(members.map((fields, i) => member(i + 1, fields)), {
    healthCheck: isChecked ? HEALTH_CHECK_DEFAULTS : null,
  })
);
const someOverrides = fc.array(someOverride, { maxLength: 5 });

/** How a pool is answered, without what time has planned for it; an `up` without a check isn't seen. */
function answered(one: SteeredPool, overrides: OverrideIndex, nowMs: number): string {
  const { members, healthCheck } = applyOverrides(one, overrides, nowMs);
  return JSON.stringify(
    members.map(({ enabled, forcedUp, share }) =>
      enabled ? [forcedUp && healthCheck !== null, share] : "out"
    ),
  );
}

Deno.test("nothing of a pool changes before changesAt but by the steps of a drain", () => {
  fc.assert(fc.property(somePool, someOverrides, (one, list) => {
    const overrides = new OverrideIndex(list);
    const { changesAt } = applyOverrides(one, overrides, NOW);
    const untilMs = changesAt === 0 ? NOW + 70_000 : changesAt;
    const outOrIn = (nowMs: number) => answered(one, overrides, nowMs).replaceAll(/0\.\d+|1(?=\])/g, "some");
    const first = outOrIn(NOW);
    for (let ms = NOW; ms < untilMs; ms += 500) equal(outOrIn(ms), first);
  }));
});

Deno.test("something begins or ends at changesAt", () => {
  fc.assert(fc.property(somePool, someOverrides, (one, list) => {
    const { changesAt } = applyOverrides(one, new OverrideIndex(list), NOW);
    const instants = list.flatMap((
      { startsAt, drainMs, expiresAt },
    ) => [startsAt, startsAt + drainMs, expiresAt]);
    ok(changesAt === 0 || (instants.includes(changesAt) && changesAt > NOW));
  }));
});

Deno.test("between two looks that nextStep asks for nothing changes", () => {
  fc.assert(fc.property(somePool, someOverrides, (one, list) => {
    const overrides = new OverrideIndex(list);
    for (let ms: number | null = NOW; ms !== null;) {
      const next = nextStep(list, ms);
      const state = answered(one, overrides, ms);
      const lastMs = (next ?? ms + 10_000) - 1;
      for (const at of [ms + 1, Math.floor((ms + lastMs) / 2), lastMs]) {
        if (at > ms && at <= lastMs) equal(answered(one, overrides, at), state);
      }
      ok(next === null || next > ms);
      ms = next;
    }
  }));
});

Deno.test("the narrowest override that is in effect rules, then the newest: as a plain search finds", () => {
  const widths = ["member", "pool", "region"];
  fc.assert(fc.property(somePool, someOverrides, (one, list) => {
    const after = applyOverrides(one, new OverrideIndex(list), NOW);
    for (const [i, each] of one.members.entries()) {
      const covers = ({ target }: Override) =>
        [`member:${each.id}`, `pool:${POOL}`, `region:${each.region}`].includes(target);
      const [ruling] = list.filter(covers).filter(({ startsAt, expiresAt }) =>
        startsAt <= NOW && NOW < expiresAt
      )
        .toReversed()
        .sort((a, b) => b.createdAt - a.createdAt)
        .sort((a, b) => widths.indexOf(a.target.split(":")[0]!) - widths.indexOf(b.target.split(":")[0]!));
      const { enabled, forcedUp, share } = after.members[i]!;
      const isOut = ruling?.state === "down" || (ruling?.state === "drain" && drainShare(ruling, NOW) === 0);
      equal(enabled, ruling?.state === "up" || (each.enabled && !isOut));
      equal(forcedUp, ruling?.state === "up");
      if (enabled && ruling?.state === "drain") equal(share, drainShare(ruling, NOW));
    }
  }));
});

Deno.test("a drain falls from 1 to 0 in at most 64 equal steps, and never rises", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 86_400_000 }), (drainMs) => {
    const drain = override({ state: "drain", startsAt: NOW, drainMs, expiresAt: NOW + drainMs + 1 });
    const shares = [drainShare(drain, NOW)];
    for (let ms: number | null = NOW; ms !== null && ms < NOW + drainMs;) {
      ms = nextStep([drain], ms);
      if (ms !== null && ms <= NOW + drainMs) shares.push(drainShare(drain, ms));
    }
    equal(shares[0], 1);
    equal(shares.at(-1), 0);
    ok(shares.length - 1 <= 64, `${shares.length - 1} steps`);
    ok(shares.every((share, i) => i === 0 || share < shares[i - 1]!));
  }));
});

Deno.test("an override is at step -1 before it, at an infinite one after it, and goes by a drain's steps between", () => {
  const drain = override({ state: "drain", startsAt: NOW, drainMs: 64_000, expiresAt: NOW + 100_000 });
  deepEqual([-1, 0, 999, 1_000, 63_999, 64_000, 99_999, 100_000].map((ms) => stepOf(drain, NOW + ms)), [
    -1,
    0,
    0,
    1,
    63,
    64,
    64,
    Infinity,
  ]);
});
