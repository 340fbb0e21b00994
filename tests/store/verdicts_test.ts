/**
 * Verdicts kept over a restart.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Verdict } from "../../src/health/verdict.ts";
import { Store } from "../../src/store/store.ts";
import { Folder } from "./folder.ts";

const HEALTHY: Verdict = {
  state: "healthy",
  since: 1_767_225_600_000,
  lastError: null,
  latencyMs: 0.75,
  checkedAt: 1_767_225_600_500,
};
const UNHEALTHY: Verdict = {
  ...HEALTHY,
  state: "unhealthy",
  lastError: "connection refused",
  latencyMs: null,
};

Deno.test("verdicts are there again after a restart", () => {
  using folder = new Folder();
  const first = Store.open(folder.file("pleiades.db"));
  first.verdicts.save([["a", HEALTHY], ["b", UNHEALTHY]]);
  first.verdicts.save([["a", UNHEALTHY]]);
  first.close();
  using second = Store.open(folder.file("pleiades.db"));
  assert.deepEqual([...second.verdicts.each()], [["a", UNHEALTHY], ["b", UNHEALTHY]]);
  assert.deepEqual(second.verdicts.get("a"), UNHEALTHY);
  assert.equal(second.verdicts.get("c"), null);
});

Deno.test("saving verdicts makes no generation", () => {
  using store = Store.memory();
  store.verdicts.save([["a", HEALTHY]]);
  assert.deepEqual([store.generation(), store.history.page({ limit: 1 }).items], [0, []]);
});

Deno.test("verdicts on targets that nothing probes any more can be dropped", () => {
  using store = Store.memory();
  store.verdicts.save([["a", HEALTHY], ["b", UNHEALTHY], ["c", HEALTHY]]);
  store.verdicts.forget(["a", "c", "never there"]);
  assert.deepEqual([...store.verdicts.each()], [["b", UNHEALTHY]]);
});

Deno.test("a batch of verdicts is kept whole or not at all", () => {
  using store = Store.memory();
  function* failing(): Generator<readonly [string, Verdict]> {
    yield ["a", HEALTHY];
    throw new Error("no more");
  }
  assert.throws(() => store.verdicts.save(failing()), /no more/);
  assert.deepEqual([...store.verdicts.each()], []);
});

Deno.test("who is out under a failback policy is there again after a restart, and gone when it is in", () => {
  using folder = new Folder();
  const first = Store.open(folder.file("pleiades.db"));
  first.verdicts.saveOuts([["a", { wellSince: null }], ["b", { wellSince: 5 }], ["c", { wellSince: 6 }]]);
  first.verdicts.saveOuts([["a", { wellSince: 7 }], ["c", null], ["never there", null]]);
  first.close();
  using second = Store.open(folder.file("pleiades.db"));
  assert.deepEqual([...second.verdicts.eachOut()], [["a", { wellSince: 7 }], ["b", { wellSince: 5 }]]);
  assert.equal(second.generation(), 0);
});
