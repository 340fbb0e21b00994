/** @module Tests of what guards say. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { Emptied } from "../../src/plan/differences.ts";
import { type Change, type GuardLimits, judge } from "../../src/plan/guards.ts";

const LIMITS: GuardLimits = { movedShare: 0.3, deletedShare: 0.3, minObjects: 10 };
const NOTHING: Change = {
  differences: { movedWeight: 0, emptied: [], emptiedNames: 0 },
  names: { count: 100, weight: 100 },
  deleted: [],
  isOverride: false,
};

const emptied = (name: string, type: Emptied["type"] = "A", clients = ["everyone"]): Emptied => ({
  name,
  type,
  clients,
  share: 1,
});

function changeOf({ movedWeight = 0, empties = [] as readonly Emptied[], ...more }): Change {
  const emptiedNames = new Set(empties.map(({ name }) => name)).size;
  return { ...NOTHING, differences: { movedWeight, emptied: empties, emptiedNames }, ...more };
}

Deno.test("a change that does nothing is refused by none", () => {
  deepEqual(judge(NOTHING, LIMITS), []);
});

Deno.test("empties-live-name names the names, their families, and the clients unless all are meant", () => {
  deepEqual(
    judge(
      changeOf({
        empties: [
          emptied("www.example.com"),
          emptied("www.example.com", "AAAA"),
          emptied("a.example", "A", ["DE", "FR"]),
        ],
      }),
      LIMITS,
    ),
    [{
      guard: "empties-live-name",
      message: "2 names would lose the last address: www.example.com (A, AAAA), a.example (A for DE, FR)",
      names: ["www.example.com", "a.example"],
    }],
  );
});

Deno.test("a refusal has ten names at most, and says how many more there are", () => {
  const empties = Array.from({ length: 12 }, (_, i) => emptied(`n${i}.example`));
  const [refusal] = judge(changeOf({ empties }), LIMITS);
  equal(refusal!.names.length, 10);
  ok(refusal!.message.endsWith("n9.example (A) and 2 more"), refusal!.message);
});

Deno.test("empties-live-name holds however few names there are, and for overrides", () => {
  const change = changeOf({
    empties: [emptied("www.example")],
    names: { count: 1, weight: 1 },
    isOverride: true,
  });
  deepEqual(judge(change, { ...LIMITS, movedShare: 1 }).map(({ guard, message }) => [guard, message]), [[
    "empties-live-name",
    "1 name would lose the last address: www.example (A)",
  ]]);
});

Deno.test("moved-share refuses beyond its limit, not at it", () => {
  deepEqual(judge(changeOf({ movedWeight: 30 }), LIMITS), []);
  deepEqual(judge(changeOf({ movedWeight: 42.5 }), LIMITS), [{
    guard: "moved-share",
    message: "42.5 % of all answers would move, and the limit is 30 %",
    names: [],
  }]);
});

Deno.test("moved-share says nothing of overrides, of few names, or with a limit of 1", () => {
  const all = { movedWeight: 100 };
  deepEqual(judge(changeOf({ ...all, isOverride: true }), LIMITS), []);
  deepEqual(judge(changeOf({ movedWeight: 9, names: { count: 9, weight: 9 } }), LIMITS), []);
  equal(judge(changeOf({ movedWeight: 10, names: { count: 10, weight: 10 } }), LIMITS).length, 1);
  deepEqual(judge(changeOf(all), { ...LIMITS, movedShare: 1 }), []);
  deepEqual(judge(changeOf({ names: { count: 10, weight: 0 } }), LIMITS), []);
});

Deno.test("deleted-share judges each kind for itself, where there are enough of it", () => {
  const deleted = [
    { kind: "pools", before: 10, deleted: 4, names: ["a", "b", "c", "d"] },
    { kind: "members", before: 1_000, deleted: 300, names: [] },
    { kind: "zones", before: 9, deleted: 9, names: [] },
    { kind: "services", before: 0, deleted: 0, names: [] },
  ];
  deepEqual(judge(changeOf({ deleted }), LIMITS), [{
    guard: "deleted-share",
    message: "4 of 10 pools would be deleted (40 %), and the limit is 30 %: a, b, c, d",
    names: ["a", "b", "c", "d"],
  }]);
});

Deno.test("a share just beyond the limit isn't said to be the limit", () => {
  const [refusal] = judge(changeOf({ movedWeight: 30.000_01, names: { count: 100, weight: 100 } }), LIMITS);
  ok(!refusal!.message.startsWith("30 %"), refusal!.message);
});
