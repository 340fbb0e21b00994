/** @module What time does to overrides, by a clock that stands still until it is moved. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import { OverrideClock } from "../../src/change/override_clock.ts";
import { newId } from "../../src/model/id.ts";
import type { OverrideFields } from "../../src/model/override.ts";
import { memberFieldsSchema, poolFieldsSchema } from "../../src/model/model_schema.ts";
import { StoreBusy } from "../../src/store/database.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";

const ORIGIN = { via: "test", by: "", reason: "" };

/** A store with one pool per region given, and an override clock that runs on it. */
class World implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly store = Store.memory();
  readonly changes = new Changes({ store: this.store, clock: this.clock });
  readonly pools: string[] = [];
  /** Pools that were to be written anew, with the time at which. */
  readonly touched: { readonly atMs: number; readonly ids: readonly string[] }[] = [];
  readonly said: string[] = [];
  /** Thrown by the next commits of the clock. */
  fails: Error | null = null;
  readonly overrides: OverrideClock;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  readonly #startMs = this.clock.unixMs();

  constructor(regions: readonly string[] = ["fra"]) {
    for (const region of regions) this.#addPool(region);
    this.overrides = new OverrideClock({
      store: this.store,
      changes: {
        commit: (edits, origin) => {
          if (this.fails) throw this.fails;
          return this.changes.commit(edits, origin);
        },
      },
      clock: this.clock,
      log: createLogger({
        level: "debug",
        format: "json",
        clock: this.clock,
        write: (line) => void this.said.push(JSON.parse(line).message),
      }),
    });
    this.overrides.onDue((ids) => this.touched.push({ atMs: this.nowMs, ids }));
    this.changes.subscribe(() => this.overrides.wake());
    this.#running = this.overrides.run(this.#ending.signal);
  }

  /** Since the start of the test. */
  get nowMs(): number {
    return this.clock.unixMs() - this.#startMs;
  }

  /** Commits an override; its times count from the start of the test. */
  put(fields: Partial<OverrideFields>): string {
    const { startsAt = this.nowMs, expiresAt = 60_000 } = fields;
    const edit: Edit = {
      kind: "createOverride",
      id: newId(),
      fields: {
        target: "region:fra",
        state: "down",
        reason: "why",
        owner: "alice",
        drainMs: 0,
        ...fields,
        startsAt: this.#startMs + startsAt,
        expiresAt: this.#startMs + expiresAt,
      },
    };
    this.changes.commit([edit], ORIGIN);
    return edit.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    this.store.close();
  }

  #addPool(region: string): void {
    const id = newId();
    this.pools.push(id);
    this.changes.commit([
      { kind: "createPool", id, fields: poolFieldsSchema.parse({ name: `pool-${this.pools.length}` }) },
      {
        kind: "createMember",
        id: newId(),
        poolId: id,
        fields: memberFieldsSchema.parse({ ipAddress: "192.0.2.1", port: 443, region }),
      },
    ], ORIGIN);
  }
}

Deno.test("pools are touched when an override begins and when it ends, and those of its region only", async () => {
  await using world = new World(["fra", "ams", "fra"]);
  world.put({ startsAt: 5_000, expiresAt: 20_000 });
  await world.clock.advance(30_000);
  const fra = [world.pools[0], world.pools[2]].sort();
  deepEqual(world.touched.map(({ atMs, ids }) => [atMs, [...ids].sort()]), [[5_000, fra], [20_000, fra]]);
  deepEqual(world.said, ["Override begins", "Override has expired"]);
});

Deno.test("an override that has ended is removed by a commit that says so", async () => {
  await using world = new World();
  world.put({ expiresAt: 10_000 });
  await world.clock.advance(9_999);
  equal(world.store.overrides.count(), 1);
  await world.clock.advance(1);
  equal(world.store.overrides.count(), 0);
  const entry = world.store.history.get(world.store.generation())!;
  deepEqual([entry.via, entry.reason], ["expiry", "expired"]);
});

Deno.test("a busy database delays the removal of an override and not the end of its effect", async () => {
  await using world = new World();
  world.put({ expiresAt: 10_000 });
  world.fails = new StoreBusy("held by another process");
  await world.clock.advance(10_000);
  deepEqual(world.touched.map(({ atMs }) => atMs), [10_000]);
  equal(world.store.overrides.count(), 1);
  world.fails = null;
  await world.clock.advance(1_000);
  equal(world.store.overrides.count(), 0);
});

Deno.test("a drain is touched at each of its steps, and at its end", async () => {
  await using world = new World();
  world.put({ state: "drain", drainMs: 64_000, expiresAt: 100_000 });
  await world.clock.advance(64_000);
  equal(world.touched.length, 64);
  equal(world.touched.at(-1)!.atMs, 64_000);
  await world.clock.advance(36_000);
  equal(world.touched.length, 65);
});

Deno.test("a drain of many pools takes fewer steps, and still ends at its end", async () => {
  await using world = new World(Array.from({ length: 1_600 }, () => "fra"));
  world.put({ state: "drain", drainMs: 64_000, expiresAt: 100_000 });
  await world.clock.advance(64_000);
  ok(world.touched.length > 10 && world.touched.length < 30, `${world.touched.length} steps`);
  equal(world.touched.at(-1)!.atMs, 64_000);
  equal(world.touched.at(-1)!.ids.length, 1_600);
});

Deno.test("a clock that is set forward ends an override within a second, one set back begins it again", async () => {
  await using world = new World();
  world.put({ startsAt: 5_000, expiresAt: 20_000 });
  await world.clock.advance(6_000);
  equal(world.touched.length, 1);
  world.clock.setUnixMs(world.clock.unixMs() - 4_000);
  await world.clock.advance(1_000);
  equal(world.touched.length, 2, "before its start again");
  await world.clock.advance(3_000);
  equal(world.touched.length, 3, "in effect again");
  world.clock.setUnixMs(world.clock.unixMs() + 3_600_000);
  await world.clock.advance(1_000);
  equal(world.touched.length, 4);
  equal(world.store.overrides.count(), 0);
});

Deno.test("an override that is deleted is said to be removed, and nobody waits for its end", async () => {
  await using world = new World();
  const id = world.put({});
  await world.clock.advance(1_000);
  world.changes.commit([{ kind: "deleteOverride", id }], ORIGIN);
  await world.clock.advance(120_000);
  deepEqual(world.said, ["Override begins", "Override was removed"]);
  deepEqual(world.touched, []);
});

Deno.test("without overrides the clock sleeps, and a commit wakes it in time", async () => {
  await using world = new World();
  await world.clock.advance(1);
  ok(world.clock.nextWakeMs! > 60_000);
  world.put({ startsAt: 500, expiresAt: 700 });
  await world.clock.advance(699);
  deepEqual(world.touched.map(({ atMs }) => atMs), [500, 700]);
});
