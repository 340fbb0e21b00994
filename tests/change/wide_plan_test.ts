/** @module Tests of plans of overrides that cover very many pools, which a thread makes. */
import { setImmediate as immediate } from "node:timers/promises";
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import type { Guard } from "../../src/change/guard.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { AnswerGuard } from "../../src/plan/answer_guard.ts";
import { Store } from "../../src/store/store.ts";
import { systemClock } from "../../src/clock.ts";
import { TEST_SETTINGS } from "../test_node.ts";
import { openFiles } from "./open_files.ts";
import { createMember, createOverride, createPool, createService, id, ORIGIN } from "./samples.ts";

/** More than are planned in a turn. */
const POOLS = 201;
const HOUR_MS = 3_600_000;
/** What is planned counts as it will be; what should have begun already is refused. */
const STARTS_AT = systemClock.unixMs() + HOUR_MS;
const OVERRIDE: readonly Edit[] = [
  createOverride(9_000, { target: "region:fra", startsAt: STARTS_AT, expiresAt: STARTS_AT + HOUR_MS }),
];
/** An hour that is over. */
const LATE: readonly Edit[] = [createOverride(9_001, { target: "region:fra" })];

function guard(): Guard {
  return AnswerGuard.of({
    settings: TEST_SETTINGS,
    health: { out: new Map(), roundTripsUs: new Map() },
    geoData: EMPTY_GEO_DATA,
    addresses: new Map(),
    nowMs: systemClock.unixMs(),
  });
}

/** Changes of a database in a folder, with a pool for each of many services, all of which have a member in one region. */
class Bench implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync();
  readonly store = Store.open(`${this.#folder}/pleiades.db`);
  readonly changes = new Changes({ store: this.store, clock: systemClock });

  constructor() {
    this.changes.commit(
      Array.from({ length: POOLS }, (_, i): Edit[] => [
        createPool(1 + i, { name: `p${i}` }),
        createMember(1_000 + i, 1 + i, { ipAddress: `192.0.2.${1 + i}`, region: "fra" }),
        createMember(2_000 + i, 1 + i, { ipAddress: `198.51.100.${1 + i}`, region: i === 7 ? "fra" : "nyc" }),
        createService(3_000 + i, { domain: `s${i}.example.com`, poolId: id(1 + i) }),
      ]).flat(),
      ORIGIN,
    );
    this.changes.guardBy(guard());
  }

  /** Files of the database that are open, once for each connection. */
  openFiles(): string[] {
    return openFiles(this.#folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.changes.idle();
    this.store.close();
    const left = [...Deno.readDirSync(this.#folder)].map(({ name }) => name).filter((name) =>
      name.endsWith("-wal")
    );
    deepEqual(left, [], "whoever closes it last folds the log into the file");
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

Deno.test("a plan of an override of hundreds of pools is made by a thread, is the same, and keeps nothing", async () => {
  await using bench = new Bench();
  const { changes, store } = bench;
  let turns = 0;
  const turning = setInterval(() => turns++, 0);
  const plan = await changes.plan(OVERRIDE, ORIGIN, new AbortController().signal);
  clearInterval(turning);
  ok(turns > 0, "this thread had turns meanwhile");
  // When an override was made is told by the clock.
  const { answers, refusals, objects } = changes.dryRun(OVERRIDE, ORIGIN);
  deepEqual([plan.answers, plan.refusals, plan.objects], [answers, refusals, objects]);
  equal(plan.answers.services, POOLS);
  equal(plan.refusals.length, 1);
  equal(store.overrides.all().length, 0);
});

Deno.test("a plan of an override that is wrong is refused, and one that is given up ends", async () => {
  await using bench = new Bench();
  const { changes } = bench;
  changes.commit(OVERRIDE, ORIGIN, { force: true });
  const late = changes.plan(LATE, ORIGIN, new AbortController().signal);
  await rejects(late, /has passed: choose a time in the future/);
  const givingUp = new AbortController();
  const planned = changes.plan([{ kind: "deleteOverride", id: id(9_000) }], ORIGIN, givingUp.signal);
  givingUp.abort();
  await rejects(planned, { name: "AbortError" });
  const next = await changes.plan(
    [{ kind: "deleteOverride", id: id(9_000) }],
    ORIGIN,
    new AbortController().signal,
  );
  equal(next.objects.override?.deleted, 1);
});

Deno.test({
  name: "the database isn't closed under a plan that is given up",
  ignore: Deno.build.os !== "linux",
  async fn() {
    let planned: Promise<unknown>;
    {
      await using bench = new Bench();
      const givingUp = new AbortController();
      planned = bench.changes.plan(OVERRIDE, ORIGIN, givingUp.signal);
      planned.catch(() => {});
      const before = bench.openFiles().length;
      while (bench.openFiles().length === before) await immediate();
      givingUp.abort();
    }
    await rejects(planned, { name: "AbortError" });
  },
});

Deno.test("what a change would do is looked at for as long as the change is wanted", async () => {
  await using bench = new Bench();
  let asked = 0;
  let wanted = Infinity;
  const changes = new Changes({ store: bench.store, clock: systemClock, isGivenUp: () => ++asked > wanted });
  changes.guardBy(guard());
  changes.dryRun(OVERRIDE, ORIGIN);
  ok(asked > POOLS, "asked for each name");
  for (wanted of [0, 1, 2, POOLS >> 1]) {
    asked = 0;
    throws(() => changes.dryRun(OVERRIDE, ORIGIN), { name: "AbortError" });
    throws(() => changes.commit(OVERRIDE, ORIGIN), { name: "AbortError" });
    equal(asked, wanted + 2, "no longer than that");
  }
  equal(bench.store.overrides.all().length, 0);
});
