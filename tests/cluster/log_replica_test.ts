/** @module What nodes make of changes that meet, each case by itself: `log_world.ts` without its hazards. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Guard } from "../../src/change/guard.ts";
import { NOTHING_FORESEEN } from "../../src/change/guard.ts";
import { createOverride, id, memberFields, ORIGIN, poolFields, serviceFields } from "../change/samples.ts";
import { World, type WorldNode } from "./log_world.ts";

/** Two nodes with a pool, a member and a service. */
async function twoNodes(): Promise<{ world: World; a: WorldNode; b: WorldNode; agree: () => Promise<void> }> {
  const world = new World(1, 2);
  const [a, b] = world.nodes as [WorldNode, WorldNode];
  const agree = async () => {
    for (let i = 0; i < 5; i++) for (const node of [a, b]) await node.step();
    equal(a.text(), b.text());
    equal(a.replica.pendingCount() + b.replica.pendingCount(), 0);
  };
  a.commit([
    { kind: "createPool", id: id(1), fields: poolFields({ name: "web" }) },
    { kind: "createMember", id: id(2), poolId: id(1), fields: memberFields() },
    { kind: "createService", id: id(3), fields: serviceFields({ poolId: id(1) }) },
  ]);
  await agree();
  return { world, a, b, agree };
}

Deno.test("ends of overrides stay where they are, and what is edited last stands everywhere", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  for (let i = 0; i < 50; i++) {
    const expiresAt = world.clock.nowMs + 60_000;
    ok(
      a.commit([
        createOverride(100 + i, { target: `pool:${id(1)}`, startsAt: expiresAt - 60_000, expiresAt }),
      ]),
    );
    world.clock.nowMs += 61_000;
    a.expire();
  }
  await agree();
  b.expire();
  ok(a.store.generation() > b.store.generation() + 10);
  ok(a.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "web", maxAnswers: 3 }) }]));
  await agree();
  ok(b.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "web", maxAnswers: 5 }) }]));
  await agree();
  equal(a.store.pools.get(id(1))!.maxAnswers, 5);
});

Deno.test("fields that two authors changed apart from each other are both kept", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  ok(a.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "web", maxAnswers: 3 }) }]));
  ok(b.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "www" }) }]));
  await agree();
  const { name, maxAnswers } = a.store.pools.get(id(1))!;
  deepEqual({ name, maxAnswers }, { name: "www", maxAnswers: 3 });
});

Deno.test("what is set away from the server stands, and who set the same field meanwhile is named", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const set = (maxAnswers: number) =>
    [{ kind: "updatePool", id: id(1), fields: poolFields({ name: "web", maxAnswers }) }] as const;
  b.link.isAway = true;
  ok(b.commit(set(3)));
  ok(a.commit(set(5)));
  await a.step();
  b.link.isAway = false;
  await agree();
  equal(a.store.pools.get(id(1))!.maxAnswers, 3);
  deepEqual(a.store.log.conflicts(9), []);
  const [{ node, by, why } = { node: "", by: "", why: "" }] = b.store.log.conflicts(9);
  deepEqual([node, by], ["a", "a"]);
  match(why, /^maxAnswers of pool .*: a change of b at b before it was known there says otherwise/);
});

Deno.test("what was deleted isn't brought back by an edit from away", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  ok(a.commit([{ kind: "deletePool", id: id(1) }]));
  ok(b.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "web", maxAnswers: 3 }) }]));
  await a.step();
  await agree();
  equal(b.store.pools.get(id(1)), null);
  const [conflict] = b.store.log.conflicts(10);
  deepEqual([conflict!.node, conflict!.by], ["b", "b"]);
  match(conflict!.why, /The pool web was deleted meanwhile/);
  equal(b.store.audit.page({ limit: 1, cursor: null }, null).items[0]!.outcome, "refused");
  equal(a.store.log.conflictCount(), 0);
});

Deno.test("of two that rename to one name, the one that comes second is undone and told of", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  ok(a.commit([{ kind: "createPool", id: id(4), fields: poolFields({ name: "other" }) }]));
  await agree();
  ok(a.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "new" }) }]));
  ok(b.commit([{ kind: "updatePool", id: id(4), fields: poolFields({ name: "new" }) }]));
  await a.step();
  await agree();
  equal(a.store.pools.byName("new")!.id, id(1));
  equal(a.store.pools.byName("other")!.id, id(4));
  match(b.store.log.conflicts(1)[0]!.why, /another pool new by now/);
});

Deno.test("a service that is pointed to a pool that another deletes keeps what it had", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  ok(a.commit([{ kind: "createPool", id: id(4), fields: poolFields({ name: "other" }) }]));
  await agree();
  ok(a.commit([{ kind: "deletePool", id: id(4) }]));
  ok(b.commit([{ kind: "updateService", id: id(3), fields: serviceFields({ poolId: id(4) }) }]));
  await a.step();
  await agree();
  equal(a.store.services.get(id(3))!.poolId, id(1));
  match(b.store.log.conflicts(1)[0]!.why, /needs was deleted meanwhile/);
});

Deno.test("a pool that is deleted takes along the members that others gave it", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const fields = memberFields({ ipAddress: "192.0.2.77" });
  ok(a.commit([{ kind: "createMember", id: id(5), poolId: id(1), fields }]));
  ok(b.commit([{ kind: "deletePool", id: id(1) }]));
  await a.step();
  await agree();
  equal(b.store.members.get(id(5)), null);
  equal(b.store.services.get(id(3))!.poolId, null);
});

Deno.test("a guard is asked again when a change is made again, unless it was forced", async () => {
  for (const force of [false, true]) {
    const { world, a, b, agree } = await twoNodes();
    using _ = world;
    const fields = memberFields({ ipAddress: "192.0.2.77" });
    ok(a.commit([{ kind: "createMember", id: id(5), poolId: id(1), fields }]));
    await agree();
    for (const node of [a, b]) node.changes.guardBy(lastMemberGuard);
    a.changes.commit([{ kind: "deleteMember", id: id(2) }], ORIGIN);
    b.changes.commit([{ kind: "deleteMember", id: id(5) }], ORIGIN, { force });
    await a.step();
    await agree();
    equal(a.store.members.rowsOf(id(1)).length, force ? 0 : 1);
    equal(b.store.log.conflictCount(), force ? 0 : 1);
  }
});

/** Refuses to leave a pool without members. */
const lastMemberGuard: Guard = {
  examine: ({ store }) => {
    const isEmpty = [...store.pools.each()].some(({ members }) => members.length === 0);
    const refusal = { guard: "empties-live-name", message: "no member is left", names: [] } as const;
    return { ...NOTHING_FORESEEN, refusals: isEmpty ? [refusal] : [] };
  },
  portable: () => null,
};

Deno.test("where a log begins again, a node that lacked its end publishes nothing again", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const edit = (node: WorldNode, maxAnswers: number) =>
    node.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "web", maxAnswers }) }]);
  ok(edit(a, 3));
  await agree();
  ok(edit(a, 4));
  await a.step();
  world.broker.wipe();
  for (let i = 0; i < 3; i++) await a.step();
  await agree();
  equal(b.store.pools.get(id(1))!.maxAnswers, 4);
  equal(world.broker.messages.length, 1);
});

Deno.test("a node that was out of the cluster brings along what was changed on it", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  b.store.log.leave();
  ok(b.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "web", maxAnswers: 4 }) }]));
  equal(b.replica.pendingCount(), 0);
  b.start();
  equal(b.replica.pendingCount(), 1);
  await agree();
  equal(a.store.pools.get(id(1))!.maxAnswers, 4);
});

Deno.test("a node with a model that no log knows begins an empty log with it, and leaves another one alone", async () => {
  using world = new World(1, 2);
  const [a, b] = world.nodes as [WorldNode, WorldNode];
  for (const [node, name] of [[a, "web"], [b, "mine"]] as const) {
    node.store.log.leave();
    node.replace();
    node.store.log.leave();
    ok(node.commit([{ kind: "createPool", id: id(9), fields: poolFields({ name }) }]));
    // As if it had never been in a cluster.
    node.store.log.join({ cluster: "another", node: node.name, boot: "00" }, true);
    node.start();
  }
  await a.step();
  await a.step();
  await b.step();
  await b.step();
  equal(a.store.pools.get(id(9))!.name, "web");
  equal(b.store.pools.get(id(9))!.name, "mine");
  match(b.faults.at(-1)!, /a model of its own/);
  equal(world.broker.messages.length, 1);
  // Nor where the log begins with another one's model of later.
  ok(a.commit([{ kind: "createPool", id: id(8), fields: poolFields({ name: "more" }) }]));
  await a.step();
  world.broker.wipe();
  for (const node of [a, a, b, b]) await node.step();
  equal(world.broker.messages.length, 1);
  deepEqual([...b.store.pools.each()].map(({ name }) => name), ["mine"]);
  match(b.faults.at(-1)!, /a model of its own/);
  b.replace();
  await b.step();
  equal(b.text(), a.text());
});
