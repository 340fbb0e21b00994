/**
 * What events make of states, beyond the keys themselves.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { systemClock } from "../../src/clock.ts";
import { POOL_DEFAULTS } from "../../src/model/model.ts";
import { Store } from "../../src/store/store.ts";
import { guardSettings } from "../../src/tui/guard_settings.ts";
import { update } from "../../src/tui/model.ts";
import type { State } from "../../src/tui/state.ts";
import { textOf } from "./captures.ts";
import { happen, opened, play } from "./played.ts";
import { DeskFixture } from "./store_fixture.ts";

const SIZE = { columns: 80, rows: 24 };
const SERVED = { pools: { web: ["192.0.2.1"] }, services: { "www.example.org": "web" } };

Deno.test("a save that fails keeps what was typed, and the field at fault is in focus", async () => {
  await using fixture = new DeskFixture();
  const state = await play(
    fixture.desk,
    await opened(fixture.desk, SIZE),
    "c",
    '"web',
    "down",
    "down",
    '"many',
    "up",
    "up",
    "enter",
  );
  const overlay = state.overlays.at(-1);
  ok(overlay?.kind === "form");
  equal(overlay.form.fields[overlay.form.focus]!.name, "maxAnswers");
  match(textOf(state), /Name +web\n/);
  match(textOf(state), /> Addresses per answer +1many/);
});

Deno.test("a form for an object that was changed meanwhile says who did it, and keeps what was typed", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const typed = await play(fixture.desk, await opened(fixture.desk, SIZE), "r", '"-new');
  {
    using store = Store.open(fixture.path);
    const id = fixture.ids["web"]!;
    const edit = { kind: "updatePool", id, fields: { ...POOL_DEFAULTS, name: "shop" } } as const;
    new Changes({ store, clock: systemClock }).commit([edit], { via: "api", by: "grace", reason: "" });
  }
  const state = await play(fixture.desk, typed, "enter");
  match(textOf(state), /! It was changed by grace by way of api as generation 2/);
  match(textOf(state), /> Name +web-new/);
});

Deno.test("what a guard refuses is done for a reason only", async () => {
  await using fixture = new DeskFixture(SERVED);
  fixture.desk.guardBy(guardSettings({ config: undefined, env: {} }));
  const { desk } = fixture;
  const dialogue = await play(desk, await opened(desk, SIZE), "x");
  match(textOf(dialogue), /A guard would refuse this:\n +! 1 name would lose the last address/);
  const asked = await play(desk, dialogue, "y");
  match(textOf(asked), /Do it all the same/);
  const empty = await play(desk, asked, "enter");
  match(textOf(empty), /! A reason is required/);
  const done = await play(desk, empty, '"moved away', "enter");
  equal(done.pools.total, 0);
  using store = Store.open(fixture.path);
  equal(store.history.get(2)!.reason, "moved away");
});

Deno.test("Enter on a question says no, and a yes before the preview is there does nothing", async () => {
  await using fixture = new DeskFixture(SERVED);
  const { desk } = fixture;
  const start = await opened(desk, SIZE);
  const [early] = update(start, { kind: "key", key: "x" });
  equal(update(early, { kind: "key", key: "y" })[0], early);
  const declined = await play(desk, start, "x", "enter");
  deepEqual([declined.overlays.length, declined.pools.total], [0, 1]);
});

Deno.test("leaving a form with something typed asks first; leaving an untouched one doesn't", async () => {
  await using fixture = new DeskFixture();
  const { desk } = fixture;
  const start = await opened(desk, SIZE);
  equal((await play(desk, start, "c", "escape")).overlays.length, 0);
  const asked = await play(desk, start, "c", '"web', "escape");
  match(textOf(asked), /Leave without saving\?/);
  match(textOf(await play(desk, asked, "escape")), /Name +web/);
  equal((await play(desk, asked, "y")).overlays.length, 0);
});

Deno.test("the mark stays on its row when others come before it", async () => {
  await using fixture = new DeskFixture({ pools: { b: [], c: [] } });
  const { desk } = fixture;
  const marked = await play(desk, await opened(desk, SIZE), "down");
  {
    using store = Store.open(fixture.path);
    const edit = { kind: "createPool", id: "a".repeat(32), fields: { ...POOL_DEFAULTS, name: "a" } } as const;
    new Changes({ store, clock: systemClock }).commit([edit], { via: "api", by: "", reason: "" });
  }
  const state = await happen(desk, marked, {
    kind: "store",
    message: { kind: "changed", generation: 2, isReplaced: false },
  });
  match(textOf(state), /^> c /m);
  equal(state.pools.total, 3);
});

Deno.test("in a pool the mark moves over the rows before they move, and stays on its member when another goes", async () => {
  const addresses = Array.from({ length: 40 }, (_, i) => `192.0.2.${i + 1}`);
  await using fixture = new DeskFixture({ pools: { web: addresses } });
  const { desk } = fixture;
  const end = await play(desk, await opened(desk, SIZE), "enter", "end", "up", "up");
  const rows = textOf(end).split("\n").slice(3, 21);
  deepEqual([rows[0]?.slice(0, 13), rows[15]?.slice(0, 13), rows[17]?.slice(0, 13)], [
    "  192.0.2.23 ",
    "> 192.0.2.38 ",
    "  192.0.2.40 ",
  ]);
  {
    using store = Store.open(fixture.path);
    new Changes({ store, clock: systemClock }).commit(
      [{ kind: "deleteMember", id: fixture.ids["192.0.2.1"]! }],
      { via: "api", by: "", reason: "" },
    );
  }
  const state = await happen(desk, end, {
    kind: "store",
    message: { kind: "changed", generation: 2, isReplaced: false },
  });
  match(textOf(state), /^> 192\.0\.2\.38 /m);
});

Deno.test("a pool that is open and deleted meanwhile is left with a word", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const { desk } = fixture;
  const inside = await play(desk, await opened(desk, SIZE), "enter");
  {
    using store = Store.open(fixture.path);
    new Changes({ store, clock: systemClock }).commit(
      [{ kind: "deletePool", id: fixture.ids["web"]! }],
      { via: "api", by: "", reason: "" },
    );
  }
  const state = await happen(desk, inside, {
    kind: "store",
    message: { kind: "changed", generation: 2, isReplaced: false },
  });
  equal(state.pool, null);
  match(textOf(state), /! Pool web is gone: it was deleted meanwhile/);
});

Deno.test("a filter narrows as it is typed; Escape shows all again", async () => {
  await using fixture = new DeskFixture({ pools: { api: [], mail: [], web: [] } });
  const { desk } = fixture;
  const narrowed = await play(desk, await opened(desk, SIZE), "/", "a", "i");
  match(textOf(narrowed), /1 of 1 {2}filter: ai▏\n.*\n> mail /);
  equal((await play(desk, narrowed, "escape")).pools.total, 3);
  match(textOf(await play(desk, narrowed, "enter", "x")), /Delete pool mail\?/);
});

Deno.test("10,000 pools: the end is a key away, and only windows of them are here", async () => {
  await using fixture = new DeskFixture({
    pools: Object.fromEntries(
      Array.from({ length: 10_000 }, (_, i) => [`pool-${String(i).padStart(5, "0")}`, []]),
    ),
  });
  const { desk } = fixture;
  let state: State = await play(desk, await opened(desk, SIZE), "end");
  match(textOf(state), /10000 of 10000[\s\S]*> pool-09999 /);
  ok(state.pools.rows.length <= 240);
  state = await play(desk, state, "page-up", "k");
  match(textOf(state), /> pool-09980 /);
});

Deno.test("what can't be read is said, and waited for no longer", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const start = await opened(fixture.desk, SIZE);
  const [loading, effects] = update(start, { kind: "key", key: "s" });
  const asked = effects[0];
  ok(asked?.kind === "ask" && loading.overlays.length === 1);
  const answer = { kind: "failed", message: "pleiades.db is damaged: restore a backup" } as const;
  const [failed] = update(loading, {
    kind: "store",
    message: { kind: "answer", number: asked.number, answer },
  });
  equal(failed.overlays.length, 0);
  match(textOf(failed), /! pleiades\.db is damaged: restore a backup/);
});

Deno.test("while another process holds the database the screen says so, and a fault of the file goes when it is gone", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const start = await opened(fixture.desk, SIZE);
  const [saving] = update(await play(fixture.desk, start, "c", '"x'), { kind: "key", key: "enter" });
  const [waiting] = update(saving, { kind: "store", message: { kind: "waiting" } });
  match(textOf(waiting), /saving … another process is writing; it goes on by itself/);
  const [faulty] = update(start, {
    kind: "store",
    message: { kind: "fault", message: "pleiades.db is gone", isFinal: false },
  });
  match(textOf(faulty), /! pleiades\.db is gone/);
  const [well] = update(faulty, {
    kind: "store",
    message: { kind: "changed", generation: 1, isReplaced: false },
  });
  equal(well.fault, null);
});
