/**
 * One generation taken back, and no other.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { ChangeRefused, type RolledBack } from "../../src/change/edit.ts";
import { ChangeWorld } from "./change_world.ts";
import { commitsArbitrary } from "./edit_arbitrary.ts";
import {
  createMember,
  createOverride,
  createPool,
  createService,
  geoRuleFields,
  healthCheck,
  id,
  poolFields,
} from "./samples.ts";

class World extends ChangeWorld {
  revert(generation: number, dryRun = false): RolledBack {
    return this.changes.revertHere({ generation, origin: { by: "ada", reason: "" }, dryRun });
  }

  refused(generation: number, kind: string, message: RegExp): Promise<void> {
    return this.expectRefused(() => this.revert(generation), kind, message);
  }

  /** With the overrides, and without places. */
  override tables(): Record<string, string[]> {
    const tables = ["pools", "members", "health_checks", "geo_rules", "services", "zones", "overrides"];
    return this.rowsOf(tables, ["revision", "seq"]);
  }
}

Deno.test("a generation is taken back while those after it stay, and the history says which it was", () => {
  using world = new World();
  world.commit(createPool(1), createMember(11, 1), createMember(12, 1, { ipAddress: "192.0.2.2" }));
  world.commit({ kind: "deleteMember", id: id(11) });
  world.commit(createService(31, { poolId: id(1) }));
  const dry = world.revert(2, true);
  deepEqual([
    dry.changed,
    dry.plan!.changes.map(({ action, name }) => `${action} ${name}`),
    world.store.generation(),
  ], [
    true,
    ["created web/192.0.2.10:443"],
    3,
  ]);
  world.revert(2);
  deepEqual(world.store.members.of(id(1)).map((member) => member.id), [id(11), id(12)]);
  ok(world.store.services.get(id(31)));
  const { via, by, reason } = world.store.history.get(4)!;
  deepEqual([via, by, reason], ["rollback", "ada", "of generation 2"]);
  // That is a generation like any other.
  world.revert(4);
  deepEqual(world.store.members.of(id(1)).map((member) => member.id), [id(12)]);
});

Deno.test("what later generations changed, or stands on it, isn't taken along", async () => {
  using world = new World();
  world.commit(createPool(1));
  world.commit({ kind: "updatePool", id: id(1), fields: poolFields({ maxAnswers: 2 }) });
  await world.refused(1, "stale", /^The pool web was changed again by generation 2 \(api\): undo that first/);
  world.commit(createPool(2, { name: "b" }));
  world.commit(createMember(11, 2));
  await world.refused(3, "stale", /^Something was put into pool b after generation 3/);
  world.revert(4);
  world.commit({ kind: "putHealthCheck", poolId: id(2), fields: healthCheck() });
  await world.refused(3, "stale", /^Something was put into pool b/);
  world.revert(6);
  world.commit(createService(31, { poolId: id(2) }));
  await world.refused(3, "stale", /^Service www\.example\.com was given pool b after generation 3/);
  world.revert(8);
  world.revert(3);
  equal(world.store.pools.get(id(2)), null);
  world.commit(createMember(12, 1));
  const created = world.store.generation();
  world.commit({
    kind: "createGeoRule",
    id: id(21),
    poolId: id(1),
    fields: geoRuleFields({ memberId: id(12) }),
  });
  await world.refused(created, "stale", /^A geo rule was made for member 192\.0\.2\.10 port 443/);
});

Deno.test("an override is removed; one that has ended meanwhile changes nothing", () => {
  using world = new World();
  world.commit(createPool(1), createMember(11, 1));
  world.commit(createOverride(41, { target: `member:${id(11)}` }));
  world.revert(2);
  equal(world.store.overrides.count(), 0);
  deepEqual(world.revert(2).changed, false);
});

Deno.test("what isn't there yet, or isn't kept any more, is refused", async () => {
  using world = new World();
  world.commit(createPool(1));
  await world.refused(2, "not-found", /There is no generation 2 yet/);
  await world.refused(0, "gone", /can't be told any more/);
  world.changes.use({ keep: 1, maxBytes: 1 << 20 });
  world.commit(createPool(2, { name: "b" }));
  await world.refused(1, "gone", /can't be told any more/);
});

Deno.test("any generation: the last one goes back to before; of an earlier one only what it touched is as before, or nothing", () => {
  fc.assert(
    fc.property(commitsArbitrary, fc.boolean(), (commits, isFromEnd) => {
      using world = new World();
      const tables = [world.tables()];
      for (const edits of commits) {
        try {
          if (world.commit(...edits) === tables.length) tables.push(world.tables());
        } catch (error) {
          if (!(error instanceof ChangeRefused)) throw error;
        }
      }
      const last = world.store.generation();
      const order = Array.from({ length: last }, (_, i) => isFromEnd ? last - i : i + 1);
      for (const generation of order) {
        const now = world.tables();
        const touched = new Set([...world.store.history.changes(generation)].map((change) => change.id));
        try {
          world.revert(generation);
        } catch (error) {
          if (!(error instanceof ChangeRefused)) throw error;
          deepEqual(world.tables(), now);
          continue;
        }
        const untouched = (found: Record<string, string[]>) =>
          Object.values(found).flat().filter((row) => ![...touched].some((each) => row.includes(each)));
        deepEqual(untouched(world.tables()), untouched(now));
        if (generation === last) deepEqual(world.tables(), tables[generation - 1]);
        // The next one is tried on what there was.
        const undone = world.store.generation();
        if (undone > last) world.revert(undone);
        deepEqual(world.tables(), now);
        return;
      }
    }),
    { numRuns: 25 },
  );
});
