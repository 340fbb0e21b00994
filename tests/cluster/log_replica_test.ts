/** @module What nodes make of changes that meet, each case by itself: `log_world.ts` without its hazards. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Guard } from "../../src/change/guard.ts";
import { NOTHING_FORESEEN } from "../../src/change/guard.ts";
import { createOverride, id, memberFields, ORIGIN, poolFields, serviceFields } from "../change/samples.ts";
import { encodeMessage } from "../../src/cluster/log_wire.ts";
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
  const [rounds, each] = [10, 101];
  for (let round = 0; round < rounds; round++) {
    const startsAt = world.clock.nowMs;
    const overrides = Array.from({ length: each }, (_, i) =>
      createOverride(100 + round * each + i, {
        ...{ target: `pool:${id(1)}`, startsAt, expiresAt: startsAt + 60_000 + i * 1_000 },
      }));
    ok(a.commit(overrides));
    await agree();
    world.clock.nowMs += 59_000;
    for (let i = 0; i < each; i++) {
      world.clock.nowMs += 1_000;
      a.expire();
    }
    b.expire();
  }
  ok(a.store.generation() >= b.store.generation() + 1_000);
  equal(a.replica.position().stamp, 1 + rounds);
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

Deno.test("members that come in one change stay in their order, behind those that another was faster to add", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const member = (n: number, poolId: string) =>
    ({
      kind: "createMember",
      ...{ id: id(n), poolId, fields: memberFields({ ipAddress: `192.0.2.${n}` }) },
    }) as const;
  const pool = { kind: "createPool", id: id(20), fields: poolFields({ name: "new" }) } as const;
  ok(b.commit([pool, member(33, id(20)), member(31, id(20)), member(32, id(20))]));
  ok(a.commit([member(40, id(1)), member(41, id(1))]));
  await a.step();
  await agree();
  deepEqual(b.store.log.conflicts(9), []);
  const places = a.store.members.rowsOf(id(20)).map(({ id, seq }) => [id, seq]);
  deepEqual(places, [[id(33), 5], [id(31), 6], [id(32), 7]]);
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

Deno.test("what is pending isn't made again for an entry that has nothing to do with it", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const service = (n: number, poolId = id(1)) =>
    ({
      kind: "createService",
      id: id(n),
      fields: serviceFields({ domain: `s${n}.example.com`, poolId }),
    }) as const;
  const pool = (n: number, name: string) =>
    ({ kind: "createPool", id: id(n), fields: poolFields({ name }) }) as const;
  const member = (n: number, poolId: string) =>
    ({
      kind: "createMember",
      ...{ id: id(n), poolId, fields: memberFields({ ipAddress: `192.0.2.${n}` }) },
    }) as const;
  ok(a.commit([pool(4, "other")]));
  await agree();
  // What b has pending, what a publishes before it, and how many generations that takes b.
  const cases: readonly [
    string,
    Parameters<WorldNode["commit"]>[0],
    Parameters<WorldNode["commit"]>[0],
    number,
  ][] = [
    ["two services of one pool", [service(20)], [service(21)], 1],
    ["a pool, and a member of another one", [pool(22, "more")], [member(23, id(1))], 1],
    ["two members, of which one comes first", [member(24, id(1))], [member(25, id(4))], 3],
    ["a member, and a service of its pool", [member(26, id(4))], [service(27, id(4))], 3],
    ["a service that goes", [service(28)], [{ kind: "deleteService", id: id(20) }], 3],
  ];
  for (const [what, pending, first, generations] of cases) {
    ok(b.commit(pending), what);
    ok(a.commit(first), what);
    await a.step();
    const before = b.store.generation();
    await b.follower!.read();
    equal(b.store.generation() - before, generations, what);
    equal(b.replica.pendingCount(), 1, what);
    await agree();
  }
  deepEqual(b.store.log.conflicts(9), []);
});

Deno.test("a node that was away for longer than the log reaches back takes the model, and makes only its own changes again", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const pool = (maxAnswers: number, name = "web") =>
    [{ kind: "updatePool", id: id(1), fields: poolFields({ name, maxAnswers }) }] as const;
  ok(b.commit(pool(2)));
  ok(b.commit([{ kind: "createPool", id: id(4), fields: poolFields({ name: "gone" }) }]));
  await agree();
  b.link.isAway = true;
  await b.step();
  ok(b.commit([{ kind: "createService", id: id(5), fields: serviceFields({ domain: "b.example.com" }) }]));
  ok(a.commit([{ kind: "deletePool", id: id(4) }]));
  await a.step();
  // As if so many entries had come meanwhile that none is kept which both know.
  a.store.log.forgetEntries();
  for (let i = 0; i < 40; i++) {
    ok(a.commit(pool(3 + i)));
    await a.step();
  }
  ok(world.broker.first > 10);
  b.link.isAway = false;
  await agree();
  equal(b.store.pools.get(id(1))!.maxAnswers, 42);
  equal(b.store.pools.get(id(4)), null);
  ok(a.store.services.byDomain("b.example.com"));
  deepEqual([...a.store.log.conflicts(9), ...b.store.log.conflicts(9)], []);
});

Deno.test("a node that followed another log brings along what this one lacks, and overwrites nothing", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const pool = (n: number, name: string, maxAnswers = 1) =>
    ({ kind: "createPool", id: id(n), fields: poolFields({ name, maxAnswers }) }) as const;
  const service = (n: number, domain: string, poolId: string) =>
    ({ kind: "createService", id: id(n), fields: serviceFields({ domain, poolId }) }) as const;
  const member = (n: number, poolId: string) =>
    ({
      kind: "createMember",
      ...{ id: id(n), poolId, fields: memberFields({ ipAddress: `192.0.2.${n}` }) },
    }) as const;
  ok(b.commit([pool(4, "shared", 3), pool(5, "mine"), service(6, "b.example.com", id(5))]));
  ok(b.commit([member(9, id(5)), member(10, id(5))]));
  ok(b.commit([service(7, "both.example.com", id(4)), service(8, "c.example.com", id(4))]));
  await agree();
  b.link.isAway = true;
  ok(b.commit([{ kind: "updatePool", id: id(5), fields: poolFields({ name: "mine", maxAnswers: 9 }) }]));
  // Machines that know nothing of it begin another log, which is longer.
  a.replace();
  world.broker.wipe();
  for (let i = 0; i < 20; i++) {
    ok(
      a.commit(
        i === 0
          ? [
            pool(30, "shared", 7),
            service(31, "both.example.com", id(30)),
            member(32, id(30)),
            member(33, id(30)),
          ]
          : [pool(40 + i, `p${i}`)],
      ),
    );
    await a.step();
  }
  world.broker.copy();
  b.link.isAway = false;
  await agree();
  const { maxAnswers } = a.store.pools.byName("shared")!;
  deepEqual([maxAnswers, a.store.pools.get(id(4))], [7, null]);
  equal(a.store.pools.byName("mine")!.maxAnswers, 9);
  deepEqual(a.store.members.rowsOf(id(5)).map(({ id, seq }) => [id, seq]), [[id(9), 5], [id(10), 6]]);
  equal(a.store.services.byDomain("b.example.com")!.poolId, id(5));
  equal(a.store.services.byDomain("both.example.com")!.id, id(31));
  equal(a.store.services.byDomain("c.example.com")!.poolId, id(30));
  // What was, what b brought along, and what it had pending.
  equal(a.replica.position().stamp, 22);
  // The server loses that, and what some of it needs goes: the rest is brought along again.
  b.link.isAway = true;
  world.broker.restore(true);
  a.replace();
  await a.step();
  ok(a.commit([{ kind: "deletePool", id: id(30) }]));
  await a.step();
  b.link.isAway = false;
  await agree();
  equal(a.store.services.byDomain("b.example.com")!.poolId, id(5));
  equal(a.store.services.byDomain("c.example.com"), null);
  const [conflict] = b.store.log.conflicts(1);
  deepEqual(conflict!.changes.map(({ kind, id }) => [kind, id]), [["service", id(8)]]);
});

Deno.test("members that come from elsewhere stand behind those that are there, in their order", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const member = (n: number, poolId: string) =>
    ({
      kind: "createMember",
      ...{ id: id(n), poolId, fields: memberFields({ ipAddress: `192.0.2.${n}` }) },
    }) as const;
  const pool = (n: number, name: string) =>
    ({ kind: "createPool", id: id(n), fields: poolFields({ name }) }) as const;
  const isOrdered = (poolId: string, ...numbers: readonly number[]) =>
    deepEqual(a.store.members.rowsOf(poolId).map(({ id }) => id), numbers.map(id));
  ok(a.commit([member(9, id(1))]));
  ok(b.commit([pool(4, "mine"), ...[20, 21, 22, 23].map((n) => member(n, id(4)))]));
  ok(b.commit([member(8, id(1)), member(7, id(1))]));
  await a.step();
  await agree();
  isOrdered(id(4), 20, 21, 22, 23);
  isOrdered(id(1), 2, 9, 8, 7);
  b.link.isAway = true;
  a.replace();
  world.broker.wipe();
  // Fewer members in a longer log: a place of theirs is wanted, and the one behind them as well.
  ok(a.commit([pool(5, "theirs"), member(30, id(5)), member(31, id(5))]));
  for (let i = 0; i < 5; i++) {
    await a.step();
    ok(a.commit([pool(40 + i, `p${i}`)]));
  }
  await a.step();
  b.link.isAway = false;
  await agree();
  isOrdered(id(4), 20, 21, 22, 23);
  deepEqual(b.store.log.conflicts(9), []);
});

Deno.test("of a model that the server has lost again, whatever fits is kept", async () => {
  using world = new World(1, 3);
  const [a, b, c] = world.nodes as [WorldNode, WorldNode, WorldNode];
  const step = async (...nodes: readonly WorldNode[]) => {
    for (let i = 0; i < 5; i++) for (const node of nodes) await node.step();
  };
  const pool = (n: number, name: string) =>
    ({ kind: "createPool", id: id(n), fields: poolFields({ name }) }) as const;
  const service = (n: number, domain: string, poolId: string | null) =>
    ({ kind: "createService", id: id(n), fields: serviceFields({ domain, poolId }) }) as const;
  ok(a.commit([pool(1, "web")]));
  await step(a, b, c);
  b.link.isAway = c.link.isAway = true;
  ok(a.commit([pool(4, "shared")]));
  ok(a.commit([service(5, "apart.example.com", null), service(6, "both.example.com", id(4))]));
  await step(a);
  // The log begins again, with a's model: to b all that is one entry.
  world.broker.wipe();
  await step(a);
  b.link.isAway = false;
  await step(b);
  a.link.isAway = true;
  // It begins once more, with the model of a node that has none of that, and a pool of its own by the same name.
  world.broker.wipe();
  ok(c.commit([pool(9, "shared")]));
  c.link.isAway = false;
  await step(c, b);
  equal(b.text(), c.text());
  ok(b.store.services.byDomain("apart.example.com"));
  equal(b.store.services.byDomain("both.example.com")!.poolId, id(9));
  const [conflict, ...more] = b.store.log.conflicts(9);
  match(conflict!.why, /another pool shared/);
  deepEqual(conflict!.changes.map(({ kind, id }) => [kind, id]), [["pool", id(4)]]);
  deepEqual(more, []);
  // Whoever has it entry by entry adds nothing to it.
  a.link.isAway = false;
  await step(a, b, c);
  deepEqual([a.text(), c.text()], [b.text(), b.text()]);
  equal(a.store.services.byDomain("both.example.com")!.poolId, id(9));
});

Deno.test("what lay beside the log and is lost is written again, by whoever has all of it", async () => {
  for (const isAuthorThere of [true, false]) {
    const { world, a, b, agree } = await twoNodes();
    using _ = world;
    for (let i = 0; i < 40; i++) {
      ok(
        a.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "web", maxAnswers: i + 1 }) }]),
      );
      await a.step();
    }
    await agree();
    ok(world.broker.first > 1);
    world.broker.loseBucket();
    const late = isAuthorThere ? b : a;
    late.replace();
    await late.step();
    match(late.faults.at(-1)!, /doesn't reach back to its begin/);
    await agree();
    deepEqual([a, b].map(({ store }) => store.pools.get(id(1))!.maxAnswers), [40, 40]);
  }
});

Deno.test("an entry of another program that doesn't fit the model is left out by every node alike, and listed", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const { head, stamp } = a.replica.position();
  const entry = {
    ...{
      id: "f".repeat(32),
      node: "x",
      boot: "00",
      at: 1,
      via: "api",
      by: "",
      reason: "",
      force: true,
      parts: null,
    },
    changes: [{
      kind: "service",
      id: id(8),
      before: null,
      after: JSON.stringify({ ...serviceFields({ domain: "x.example.com", poolId: id(9) }), id: id(8) }),
    }],
  } as const;
  const message = encodeMessage({ prev: head, stamp: stamp + 1, entries: [entry], base: null });
  const { messages } = world.broker;
  messages.push({ ...message, sequence: messages.length + 1, id: "", isBelieved: true });
  await agree();
  for (const { store, replica } of [a, b]) {
    equal(replica.position().stamp, stamp + 1);
    equal(store.services.byDomain("x.example.com"), null);
    match(
      store.log.conflicts(1)[0]!.why,
      /The pool 0+9 that the service x.example.com needs was deleted meanwhile/,
    );
  }
  ok(b.commit([{ kind: "createService", id: id(8), fields: serviceFields({ domain: "x.example.com" }) }]));
  await agree();
});

Deno.test("what another program publishes once more is left out, also by nodes that look for their place", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const { broker } = world;
  broker.wipe();
  await agree();
  ok(a.commit([{ kind: "createPool", id: id(4), fields: poolFields({ name: "later" }) }]));
  await agree();
  const { head } = a.replica.position();
  const before = [...broker.messages];
  equal(before.length, 2);
  for (const message of before) {
    broker.messages.push({ ...message, sequence: broker.messages.length + 1, id: "" });
    for (const node of [a, b]) await node.step();
  }
  deepEqual([a, b].map(({ follower }) => follower!.unreadable), [1, 1]);
  for (const node of [a, b]) node.start();
  await agree();
  deepEqual([a, b].map(({ replica }) => replica.position().head), [head, head]);
  equal(broker.messages.length, 4);
  // Also where the stream was made again from a copy.
  broker.created++;
  await agree();
  deepEqual([a, b].map(({ replica }) => replica.position().head), [head, head]);
  equal(broker.messages.length, 4);
});

Deno.test("behind a message without an id nothing is published before the log is known to be the same", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const edit = (node: WorldNode, domain: string, n: number) =>
    node.commit([{ kind: "createService", id: id(n), fields: serviceFields({ domain }) }]);
  world.broker.copy();
  world.broker.messages.push({
    ...{ bytes: new TextEncoder().encode("{"), isGzipped: false, id: "", isBelieved: true },
    sequence: world.broker.messages.length + 1,
  });
  await b.step();
  // The server has another one in its place before b looks again.
  world.broker.restore(true);
  ok(edit(a, "a.example.com", 5));
  await a.step();
  await a.step();
  equal(world.broker.messages.length, b.replica.position().sequence);
  ok(edit(b, "b.example.com", 6));
  await b.step();
  await agree();
  ok(a.store.services.byDomain("b.example.com"));
});

Deno.test("where a node stands behind a message that can't be read, the one before it tells whether the log is the same", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const edit = (node: WorldNode, domain: string, n: number) =>
    node.commit([{ kind: "createService", id: id(n), fields: serviceFields({ domain }) }]);
  world.broker.copy();
  ok(edit(b, "b.example.com", 5));
  await b.step();
  world.broker.intrude(() => 0);
  await b.step();
  const { sequence } = b.replica.position();
  // The server loses both, and gets others in their places.
  world.broker.restore(true);
  ok(edit(a, "a.example.com", 6));
  await a.step();
  await a.step();
  world.broker.intrude(() => 0);
  equal(world.broker.messages.length, sequence);
  b.start();
  await agree();
  ok(a.store.services.byDomain("b.example.com"));
});

Deno.test("a log that begins behind messages that were all removed is published on", async () => {
  using world = new World(1, 1);
  const [a] = world.nodes as [WorldNode];
  world.broker.intrude(() => 0);
  world.broker.first = 2;
  ok(a.commit([{ kind: "createPool", id: id(1), fields: poolFields() }]));
  await a.step();
  deepEqual([world.broker.messages.length, a.replica.pendingCount()], [2, 0]);
});

Deno.test("what a server has lost is published again, also where something else has its place", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  const { broker } = world;
  const pool = (n: number, name: string) =>
    [{ kind: "createPool", id: id(n), fields: poolFields({ name }) }] as const;
  broker.copy();
  ok(a.commit(pool(4, "later")));
  await agree();
  for (const node of [a, b]) {
    node.link.isAway = true;
    await node.step();
    node.link.isAway = false;
  }
  broker.restore(true);
  const bytes = new TextEncoder().encode("{");
  const sequence = broker.messages.length + 1;
  equal(a.replica.position().sequence, sequence);
  broker.messages.push({ bytes, isGzipped: false, id: "", sequence, isBelieved: true });
  ok(b.commit(pool(5, "more")));
  await agree();
  a.replace();
  await agree();
  deepEqual(["later", "more"].map((name) => a.store.pools.byName(name)?.id), [id(4), id(5)]);
});

Deno.test("a node that was out of the cluster brings along what was changed on it", async () => {
  const { world, a, b, agree } = await twoNodes();
  using _ = world;
  b.store.log.leave();
  ok(b.commit([{ kind: "updatePool", id: id(1), fields: poolFields({ name: "web", maxAnswers: 4 }) }]));
  ok(b.commit([{ kind: "createPool", id: id(4), fields: poolFields({ name: "both" }) }]));
  const fields = serviceFields({ domain: "b.example.com", poolId: id(4) });
  ok(b.commit([{ kind: "createService", id: id(5), fields }]));
  equal(b.replica.pendingCount(), 0);
  // Of all that only this doesn't fit.
  ok(a.commit([{ kind: "createPool", id: id(9), fields: poolFields({ name: "both" }) }]));
  await a.step();
  b.start();
  equal(b.replica.pendingCount(), 1);
  await agree();
  equal(a.store.pools.get(id(1))!.maxAnswers, 4);
  equal(a.store.services.byDomain("b.example.com")!.poolId, id(9));
  deepEqual(b.store.log.conflicts(9).map(({ changes }) => changes.map(({ id }) => id)), [[id(4)]]);
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
