/** @module Overrides as edits: what they touch, what they go with, and what is refused. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { ChangeRefused, type Edit } from "../../src/change/edit.ts";
import { newId } from "../../src/model/id.ts";
import { memberFieldsSchema, poolFieldsSchema } from "../../src/model/model_schema.ts";
import type { OverrideFields } from "../../src/model/override.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { applyModel } from "./read_model.ts";

const ORIGIN = { via: "test", by: "", reason: "" };

/** Two pools of one member each, in two regions. */
class World implements Disposable {
  readonly clock = new ManualClock();
  readonly store = Store.memory();
  readonly changes = new Changes({ store: this.store, clock: this.clock });
  readonly web = this.#pool("web", "fra");
  readonly spare = this.#pool("spare", "ams");

  /** The edit that makes an override. */
  edit(fields: Partial<OverrideFields>): Extract<Edit, { kind: "createOverride" }> {
    const nowMs = this.clock.unixMs();
    return {
      kind: "createOverride",
      id: newId(),
      fields: {
        target: "region:fra",
        state: "down",
        reason: "why",
        owner: "alice",
        startsAt: nowMs,
        expiresAt: nowMs + 60_000,
        drainMs: 0,
        ...fields,
      },
    };
  }

  put(fields: Partial<OverrideFields>): string {
    const edit = this.edit(fields);
    this.changes.commit([edit], ORIGIN);
    return edit.id;
  }

  /** What the last commit did to overrides: `created` or `deleted`, and the target. */
  lastOfOverrides(): string[] {
    return [...this.store.history.changes(this.store.generation())].filter(({ kind }) => kind === "override")
      .map(({ before, after }) =>
        `${before === null ? "created" : "deleted"} ${((after ?? before) as { target: string }).target}`
      );
  }

  [Symbol.dispose](): void {
    this.store.close();
  }

  #pool(name: string, region: string): { readonly pool: string; readonly member: string } {
    const [pool, member] = [newId(), newId()];
    const fields = memberFieldsSchema.parse({ ipAddress: "192.0.2.1", port: 443, region });
    this.changes.commit([
      { kind: "createPool", id: pool, fields: poolFieldsSchema.parse({ name }) },
      { kind: "createMember", id: member, poolId: pool, fields },
    ], ORIGIN);
    return { pool, member };
  }
}

Deno.test("an override touches the pools that it covers, when it comes and when it goes", () => {
  using world = new World();
  const { web, spare } = world;
  for (
    const [target, pools] of [
      [`member:${web.member}`, [web.pool]],
      [`pool:${spare.pool}`, [spare.pool]],
      ["region:fra", [web.pool]],
    ] as const
  ) {
    const edit = world.edit({ target });
    const before = world.store.generation();
    deepEqual(world.changes.commit([edit], ORIGIN).poolIds, pools);
    deepEqual(world.store.history.touchedSince(before).poolIds, pools);
    deepEqual(world.lastOfOverrides(), [`created ${target}`]);
    deepEqual(world.changes.commit([{ kind: "deleteOverride", id: edit.id }], ORIGIN).poolIds, pools);
    deepEqual(world.store.history.touchedSince(before + 1).poolIds, pools);
    deepEqual(world.lastOfOverrides(), [`deleted ${target}`]);
  }
});

Deno.test("a pool takes its overrides and those of its members along, a region's stay", () => {
  using world = new World();
  const { web } = world;
  world.put({ target: `member:${web.member}` });
  world.put({ target: `pool:${web.pool}` });
  world.put({ target: "region:fra" });
  world.put({ target: `pool:${world.spare.pool}` });
  world.changes.commit([{ kind: "deletePool", id: web.pool }], ORIGIN);
  deepEqual(world.lastOfOverrides().sort(), [
    `deleted member:${web.member}`,
    `deleted pool:${web.pool}`,
  ]);
  deepEqual(world.store.overrides.all().map(({ target }) => target), [
    "region:fra",
    `pool:${world.spare.pool}`,
  ]);
});

Deno.test("a member takes its overrides along", () => {
  using world = new World();
  world.put({ target: `member:${world.web.member}` });
  world.changes.commit([{ kind: "deleteMember", id: world.web.member }], ORIGIN);
  deepEqual(world.lastOfOverrides(), [`deleted member:${world.web.member}`]);
  equal(world.store.overrides.count(), 0);
});

Deno.test("a model that is applied leaves overrides alone, but of what it takes away", async () => {
  using world = new World();
  const { web, spare } = world;
  const stays = world.put({ target: `member:${web.member}` });
  world.put({ target: `member:${spare.member}` });
  const model = world.store.model();
  const pools = model.pools.filter(({ id }) => id === web.pool)
    .map((pool) => ({ ...pool, maxAnswers: 5 }));
  await applyModel(world.changes, { ...model, pools });
  deepEqual(world.store.overrides.all().map(({ id }) => id), [stays]);
  deepEqual(world.lastOfOverrides(), [`deleted member:${spare.member}`]);
});

for (
  const [what, fields, kind, pointer] of [
    ["of a member that isn't there", { target: `member:${"0".repeat(32)}` }, "missing-reference", "/target"],
    ["of a pool that isn't there", { target: `pool:${"0".repeat(32)}` }, "missing-reference", "/target"],
    ["of a region without members", { target: "region:nowhere" }, "missing-reference", "/target"],
    ["without a reason", { reason: "" }, "invalid", "/reason"],
    ["that has ended", { expiresAt: 0 }, "invalid", "/expiresAt"],
    ["that drains for too long", { state: "drain", drainMs: 60_001 }, "invalid", "/drain"],
  ] as const
) {
  Deno.test(`an override ${what} is refused, and nothing is written`, () => {
    using world = new World();
    const before = world.store.generation();
    throws(() => world.put(fields), (error) => {
      deepEqual(
        error instanceof ChangeRefused && [error.kind, error.problems.map((problem) => problem.pointer)],
        [kind, [pointer]],
      );
      return true;
    });
    equal(world.store.generation(), before);
    equal(world.store.overrides.count(), 0);
  });
}

Deno.test("an override that is read anew is the one that was made, and its index is kept until others are there", () => {
  using world = new World();
  const id = world.put({ state: "drain", drainMs: 30_000 });
  const { overrides } = world.store;
  const { createdAt, poolId, target, drainMs } = overrides.get(id)!;
  deepEqual([createdAt, poolId, target, drainMs], [world.clock.unixMs(), null, "region:fra", 30_000]);
  const index = overrides.index();
  equal(overrides.index(), index);
  world.changes.commit([{ kind: "deleteOverride", id }, world.edit({})], ORIGIN);
  equal(overrides.index().overrides.length, 1);
  equal(overrides.index().overrides[0]!.id === id, false);
});
