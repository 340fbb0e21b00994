/**
 * Going back: the model of any generation that is kept can be told, and made the stored one.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { ChangeRefused, type Edit, type RolledBack } from "../../src/change/edit.ts";
import { differenceBetween, modelAt } from "../../src/change/past.ts";
import { toEnd } from "../../src/slices.ts";
import { ChangeWorld } from "./change_world.ts";
import { runs } from "../property_runs.ts";
import { commitsArbitrary } from "./edit_arbitrary.ts";
import {
  createMember,
  createOverride,
  createPool,
  createService,
  geoRuleFields,
  healthCheck,
  id,
  memberFields,
  ORIGIN,
  poolFields,
  serviceFields,
  zoneText,
} from "./samples.ts";

const WHO = { by: "alice", reason: "" };

class World extends ChangeWorld {
  rollback(
    to: number | null,
    options: { readonly reason?: string; readonly dryRun?: boolean } = {},
  ): Promise<RolledBack> {
    const { reason = "", dryRun = false } = options;
    const { signal } = new AbortController();
    return this.changes.rollback({ to, origin: { ...WHO, reason }, dryRun, signal });
  }

  refused(to: number | null, kind: string, message: RegExp): Promise<void> {
    return this.expectRefused(() => this.rollback(to), kind, message);
  }
}

/** A world with an object of each kind, in one generation. */
function filled(): World {
  const world = new World();
  world.commit(
    createPool(1, { name: "web" }),
    createPool(2, { name: "spare" }),
    createMember(11, 1, { ipAddress: "192.0.2.1" }),
    createMember(12, 1, { ipAddress: "192.0.2.2", latitude: 0.1 + 0.2, longitude: 8.7 }),
    createMember(13, 1, { ipAddress: "192.0.2.3" }),
    { kind: "putHealthCheck", poolId: id(1), fields: healthCheck({ type: "http", httpContains: "ok" }) },
    { kind: "createGeoRule", id: id(21), poolId: id(1), fields: geoRuleFields({ memberId: id(11) }) },
    {
      kind: "createGeoRule",
      id: id(22),
      poolId: id(1),
      fields: geoRuleFields({ memberId: id(12), cidr: "203.0.113.0/24" }),
    },
    createService(31, { domain: "www.example.com", poolId: id(1) }),
    createService(32, { domain: "api.example.com", poolId: id(2) }),
    { kind: "putZone", domain: "example.org", text: zoneText("sub 300 NS ns.example.net.") },
  );
  return world;
}

Deno.test("what was deleted comes back with its id, its place and all that went along", async () => {
  using world = filled();
  const before = world.tables();
  world.commit({ kind: "deletePool", id: id(1) }, { kind: "deleteZone", domain: "example.org" });
  const { commit, changed, to, objects } = await world.rollback(1);
  deepEqual([changed, to, commit.generation], [true, 1, 3]);
  deepEqual(objects, {
    pool: { created: 1, changed: 0, deleted: 0 },
    member: { created: 3, changed: 0, deleted: 0 },
    healthCheck: { created: 1, changed: 0, deleted: 0 },
    geoRule: { created: 2, changed: 0, deleted: 0 },
    service: { created: 0, changed: 1, deleted: 0 },
    zone: { created: 1, changed: 0, deleted: 0 },
  });
  deepEqual(world.tables(), before);
  deepEqual([commit.poolIds, commit.serviceIds, commit.zoneDomains], [[id(1)], [id(31)], ["example.org"]]);
});

Deno.test("a member that was deleted and made again rotates at its former place", async () => {
  using world = filled();
  world.commit({ kind: "deleteMember", id: id(11) });
  world.commit(createMember(14, 1, { ipAddress: "192.0.2.1" }));
  await world.rollback(1);
  deepEqual(world.store.members.of(id(1)).map(({ id }) => id), [id(11), id(12), id(13)]);
});

Deno.test("places that were given anew are taken back", async () => {
  using world = filled();
  // SQLite gives the last place again, to a member of another pool.
  world.commit({ kind: "deleteMember", id: id(13) });
  world.commit(createMember(15, 2, { ipAddress: "192.0.2.9" }));
  equal(world.store.members.get(id(15))!.seq, 3);
  await world.rollback(1);
  equal(world.store.members.get(id(13))!.seq, 3);
  await world.rollback(3);
  deepEqual([world.store.members.get(id(15))!.seq, world.store.members.get(id(13))], [3, null]);
});

Deno.test("what was made again by the id that it had takes its former place", async () => {
  using world = filled();
  const before = world.tables();
  world.commit({ kind: "deleteMember", id: id(11) });
  world.commit(createMember(11, 2, { ipAddress: "192.0.2.1" }));
  world.commit({ kind: "deleteGeoRule", id: id(22) });
  world.commit(createMember(12 + 40, 1, { ipAddress: "192.0.2.52" }));
  world.commit({
    kind: "createGeoRule",
    id: id(21),
    poolId: id(1),
    fields: geoRuleFields({ memberId: id(12) }),
  });
  deepEqual([world.store.members.get(id(11))!.seq, world.store.geoRules.get(id(21))!.seq], [4, 1]);
  await world.rollback(1);
  deepEqual(world.tables(), before);
});

Deno.test("names, domains and addresses that were swapped are swapped back", async () => {
  using world = filled();
  const before = world.tables();
  const rename = (number: number, name: string): Edit => (
    { kind: "updatePool", id: id(number), fields: poolFields({ name }) }
  );
  const move = (number: number, domain: string, pool: number): Edit => (
    { kind: "updateService", id: id(number), fields: serviceFields({ domain, poolId: id(pool) }) }
  );
  const readdress = (number: number, ipAddress: string): Edit => (
    { kind: "updateMember", id: id(number), fields: memberFields({ ipAddress }) }
  );
  world.commit(rename(1, "x"), rename(2, "web"), rename(1, "spare"));
  world.commit(
    move(31, "x.example.com", 1),
    move(32, "www.example.com", 2),
    move(31, "api.example.com", 1),
  );
  world.commit(readdress(11, "192.0.2.77"), readdress(13, "192.0.2.1"), readdress(11, "192.0.2.3"));
  await world.rollback(1);
  deepEqual(world.tables(), before);
});

Deno.test("without a generation the last change of the model is undone, and overrides stay", async () => {
  using world = filled();
  world.commit(createPool(3, { name: "third" }));
  world.commit(createOverride(41, { target: `pool:${id(1)}` }));
  const { to, objects } = await world.rollback(null, { reason: "wrong pool" });
  deepEqual([to, objects], [1, { pool: { created: 0, changed: 0, deleted: 1 } }]);
  ok(world.store.overrides.get(id(41)));
  equal(world.store.pools.get(id(3)), null);
  deepEqual(world.store.history.get(4), {
    generation: 4,
    at: world.store.history.get(4)!.at,
    via: "rollback",
    by: "alice",
    reason: "to generation 1: wrong pool",
  });
  equal((await world.rollback(null)).to, 3, "a rollback is a change like any other");
  ok(world.store.pools.get(id(3)));
});

Deno.test("no override comes back, not even with the pool that took it along, and one that goes is recorded", async () => {
  using world = filled();
  world.commit(createOverride(41, { target: `pool:${id(1)}` }));
  world.commit({ kind: "deletePool", id: id(1) });
  equal((await world.rollback(2)).changed, true);
  ok(world.store.pools.get(id(1)));
  equal(world.store.overrides.count(), 0);
  world.commit(createOverride(42, { target: `pool:${id(1)}` }));
  const { objects } = await world.rollback(0);
  deepEqual(objects.override, { created: 0, changed: 0, deleted: 1 });
  const { kind, after } = [...world.store.history.changes(6)].find(({ kind }) => kind === "override")!;
  deepEqual([kind, after], ["override", null]);
});

Deno.test("a fallback comes back, and goes again", async () => {
  using world = filled();
  const fallback = {
    algorithm: "weighted-round-robin",
    endpoints: ["192.0.2.1", "2001:db8::1"],
    weights: { "192.0.2.1": 3 },
    onAllDown: "all",
    ttl: 60,
    healthCheck: healthCheck({ type: "http" }),
  } as const;
  world.commit({ kind: "putFallback", fallback });
  equal((await world.rollback(1)).commit.fallback, true);
  equal(world.store.fallback(), null);
  await world.rollback(2);
  deepEqual(world.store.fallback(), fallback);
});

Deno.test("going to where the model is already makes no generation", async () => {
  using world = filled();
  const { changed, commit, objects } = await world.rollback(1);
  deepEqual([changed, commit.generation, objects], [false, 1, {}]);
  world.commit(createPool(3, { name: "third" }));
  world.commit({ kind: "deletePool", id: id(3) });
  equal((await world.rollback(1)).changed, false);
  equal(world.store.generation(), 3);
});

Deno.test("a dry run says what would come back, and changes nothing", async () => {
  using world = filled();
  world.commit({ kind: "deleteMember", id: id(11) });
  const before = world.tables();
  const { changed, objects } = await world.rollback(1, { dryRun: true });
  equal(changed, true);
  deepEqual(objects.member, { created: 1, changed: 0, deleted: 0 });
  deepEqual([world.tables(), world.store.generation()], [before, 2]);
});

Deno.test("what can't be told is refused, and why is said", async () => {
  using world = filled();
  await world.refused(2, "not-found", /There is no generation 2 yet: the last one is 1$/);
  world.changes.use({ keep: 2, maxBytes: 1 << 20 });
  for (let i = 0; i < 4; i++) world.commit(createPool(50 + i, { name: `p${i}` }));
  await world.refused(0, "gone", /generation 0 .* the history begins with 4, which tells the model at 3/);
  await world.refused(2, "gone", /the history begins with 4/);
  equal((await world.rollback(3)).changed, true);
});

Deno.test("nothing to undo is said", async () => {
  using world = new World();
  await world.refused(null, "not-found", /nothing to undo/);
  equal((await world.rollback(0)).changed, false);
});

Deno.test("a generation of which an older release kept counts only is the limit, and is named", async () => {
  using world = filled();
  world.commit(createPool(3, { name: "third" }));
  world.store.database.run(
    "UPDATE history_changes SET kind = 'summary', id = '', after = '{}' WHERE generation = 2",
  );
  world.commit(createPool(4, { name: "fourth" }));
  await world.refused(1, "gone", /generation 2 came after it.* the earliest that can be told is 2$/);
  equal((await world.rollback(2)).changed, true);
  await world.refused(1, "gone", /generation 2/);
});

Deno.test("records of an older release lack fields: what has no place is behind the others", async () => {
  using world = filled();
  world.commit({ kind: "deleteMember", id: id(11) });
  world.store.database.run(
    "UPDATE history_changes SET before = json_remove(before, '$.seq', '$.region', '$.enabled') WHERE before ->> 'seq' IS NOT NULL",
  );
  deepEqual(
    toEnd(modelAt(world.store, 1)).pools.find(({ name }) => name === "web")!.members.map(({ id }) => id),
    [
      id(12),
      id(13),
      id(11),
    ],
  );
  await world.rollback(1);
  deepEqual(world.store.members.of(id(1)).map(({ id, region, enabled }) => [id, region, enabled]), [
    [id(12), "", true],
    [id(13), "", true],
    [id(11), "", true],
  ]);
  deepEqual(world.store.geoRules.of(id(1)).length, 2);
});

Deno.test("rows that were written by hand and are in the way are not run over", async () => {
  using world = filled();
  world.commit({ kind: "deleteService", id: id(31) });
  world.store.database.run("INSERT INTO services (id, domain) VALUES ('by-hand', 'www.example.com')");
  await world.refused(1, "duplicate", /written past the history are in the way .*services\.domain/);
  world.store.database.run("DELETE FROM services WHERE id = 'by-hand'");
  world.commit({ kind: "deleteMember", id: id(13) });
  world.store.database.run(
    "INSERT INTO members (seq, id, pool_id, ip_address, port) VALUES (3, 'by-hand', ?, '192.0.2.99', 80)",
    id(2),
  );
  await world.rollback(1);
  equal(world.store.members.get(id(13))!.seq, 4);
  equal(world.store.members.get("by-hand")!.seq, 3);
});

Deno.test("a model that today's rules refuse is refused", async () => {
  using world = filled();
  world.commit({ kind: "deleteService", id: id(32) });
  world.commit({ kind: "deleteService", id: id(31) });
  // As a release may have recorded it that knew fewer rules.
  world.store.database.run(
    "UPDATE history_changes SET before = json_set(before, '$.domain', 'www.sub.example.org') WHERE generation = 3",
  );
  await world.refused(
    2,
    "invalid",
    /service 0+1f as it was: service "www\.sub\.example\.org" is below "sub\.example\.org"/,
  );
  world.store.database.run(
    "UPDATE history_changes SET before = json_set(before, '$.domain', 'www.example.com', '$.poolId', ?) WHERE generation = 3",
    id(99),
  );
  await world.refused(2, "missing-reference", /pool "0+63" doesn't exist/);
});

Deno.test("what refers by hand to what goes again is refused", async () => {
  using world = filled();
  world.commit(createPool(3, { name: "third" }));
  world.store.database.run("UPDATE pools SET fallback_pool_id = ? WHERE id = ?", id(3), id(2));
  await world.refused(1, "missing-reference", /pool 0+3 as it was: pool "0+3" doesn't exist/);
});

Deno.test("one that was given up before its commit changes nothing", async () => {
  using world = filled();
  world.commit(createPool(3, { name: "third" }));
  const rollback = world.changes.rollback({
    to: 1,
    origin: WHO,
    dryRun: false,
    signal: AbortSignal.abort(new Error("given up")),
  });
  await rejects(rollback, /given up/);
  equal(world.store.generation(), 2);
});

Deno.test("a rollback that was seen on another generation is refused, and made on the one it was seen on", async () => {
  using world = filled();
  world.commit(createPool(3, { name: "third" }));
  const { signal } = new AbortController();
  const over = (ifGeneration: number) =>
    world.changes.rollback({ to: 1, ifGeneration, origin: WHO, dryRun: false, signal });
  await world.expectRefused(() => over(1), "stale", /made for generation 1/);
  equal((await over(2)).changed, true);
});

Deno.test("a change that comes between the choice of what is undone and the undoing isn't undone instead", () => {
  using world = filled();
  world.commit(createPool(3, { name: "third" }));
  let isMade = false;
  const origin = {
    by: "alice",
    // Read when the generation has been chosen, and the transaction not begun: another process may have it then.
    get reason() {
      if (!isMade) world.commit(createPool(4, { name: "fourth" }));
      isMade = true;
      return "";
    },
  };
  const undo = () => world.changes.rollbackHere({ to: null, origin, dryRun: false });
  throws(undo, (error) => error instanceof ChangeRefused && error.kind === "stale");
  deepEqual(["third", "fourth"].map((name) => world.store.pools.byName(name) !== null), [true, true]);
  equal(world.store.generation(), 3);
});

Deno.test("whatever was changed, every generation can be told, gone back to, and compared with any other", async () => {
  const property = fc.asyncProperty(
    commitsArbitrary,
    fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
    async (commits, picks) => {
      using world = new World();
      const { store, changes } = world;
      const models = [store.model()];
      const tables = [world.tables()];
      const note = () => {
        if (store.generation() === models.length - 1) return;
        models.push(store.model());
        tables.push(world.tables());
      };
      for (const edits of commits) {
        try {
          changes.commit(edits, ORIGIN);
        } catch (error) {
          if (!(error instanceof ChangeRefused)) throw error;
        }
        note();
      }
      for (const pick of picks) {
        for (const [generation, model] of models.entries()) {
          deepEqual(toEnd(modelAt(store, generation)), model);
        }
        const to = pick % models.length;
        const before = world.tables();
        const { changed } = await world.rollback(to);
        note();
        equal(changed, !isDeepStrictEqual(before, tables[to]));
        deepEqual(world.tables(), tables[to]);
        deepEqual({ ...store.model(), generation: to }, models[to]);
        const from = (pick >> 4) % models.length;
        const { objects, changes: listed } = toEnd(
          differenceBetween(store.history, { from, to, max: 10_000 }),
        );
        equal(listed.length === 0, isDeepStrictEqual(tables[from], tables[to]));
        const total = Object.values(objects).reduce((n, it) => n + it.created + it.changed + it.deleted, 0);
        equal(total, listed.length);
      }
      deepEqual(store.database.all("PRAGMA foreign_key_check"), []);
    },
  );
  await fc.assert(property, { numRuns: runs(13) });
});

Deno.test("a difference can be read both ways", () => {
  using world = filled();
  world.commit({ kind: "deleteMember", id: id(13) });
  world.commit(createService(33, { domain: "new.example.com" }));
  const { history } = world.store;
  const forward = toEnd(differenceBetween(history, { from: 1, to: 3, max: 10 }));
  deepEqual(forward.objects, {
    member: { created: 0, changed: 0, deleted: 1 },
    service: { created: 1, changed: 0, deleted: 0 },
  });
  const back = toEnd(differenceBetween(history, { from: 3, to: 1, max: 1 }));
  deepEqual(back.objects, {
    member: { created: 1, changed: 0, deleted: 0 },
    service: { created: 0, changed: 0, deleted: 1 },
  });
  deepEqual([forward.truncated, back.truncated, back.changes.length], [false, true, 1]);
  deepEqual(back.changes[0]!.after, forward.changes[0]!.before);
  deepEqual(toEnd(differenceBetween(history, { from: 2, to: 2, max: 1 })), {
    objects: {},
    changes: [],
    truncated: false,
  });
  throws(() => toEnd(differenceBetween(history, { from: 2, to: 9, max: 1 })), /no generation 9 yet/);
});
