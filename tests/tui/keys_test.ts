/**
 * Every key that `?` names does something, and no other does: tried on the pure part, in a state where each can do something.
 *
 * @module
 */
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { HEALTH_CHECK_DEFAULTS } from "../../src/model/model.ts";
import { formOf } from "../../src/tui/form.ts";
import { KEYS, type Mode } from "../../src/tui/keys.ts";
import { update } from "../../src/tui/model.ts";
import { modeOf, type Overlay, type State } from "../../src/tui/state.ts";
import { opened, play } from "./played.ts";
import { DeskFixture } from "./store_fixture.ts";

const MODES = Object.keys(KEYS) as Mode[];
const NAMED = [
  ..."up down left right page-up page-down home end enter escape tab shift-tab space backspace delete f1"
    .split(" "),
  ...[..."abcdefghijklmnopqrstuvwxyz"].map((letter) => `ctrl-${letter}`),
];
const PRINTED = Array.from({ length: 0x7e - 0x20 }, (_, i) => String.fromCharCode(0x21 + i));

/** A state of each mode in which every key of it has something to do; made once. */
function states(): Promise<Readonly<Record<Mode, State>>> {
  return made ??= makeStates();
}

let made: Promise<Readonly<Record<Mode, State>>> | null = null;

async function makeStates(): Promise<Readonly<Record<Mode, State>>> {
  const addresses = Array.from({ length: 60 }, (_, i) => `192.0.2.${i + 1}`);
  const names = Array.from({ length: 60 }, (_, i) => `pool-${String(i).padStart(2, "0")}`);
  await using fixture = new DeskFixture({
    pools: { ...Object.fromEntries(names.map((name) => [name, []])), "pool-30": addresses },
    services: Object.fromEntries(names.map((name) => [`${name}.example.org`, name])),
  });
  const { desk, ids } = fixture;
  const start = await opened(desk, { columns: 80, rows: 24 });
  const run = (state: State, ...keys: readonly string[]) => play(desk, state, ...keys);
  const middle = Array.from({ length: 30 }, () => "down");
  for (let i = 0; i < 60; i++) {
    const values = { name: `made-${i}` };
    const terms = { isPreview: false, force: false, reason: "" };
    const intent = { kind: "pool", id: null, revision: null, values } as const;
    await desk.answer({ kind: "change", intent, terms });
  }
  desk.look();
  const listed = await opened(desk, { columns: 80, rows: 24 });
  const pools = { ...await run(start, ...middle), undoable: 1 };
  const members = await run(pools, "enter", ...middle);
  const check = await run(members, "2");
  const services = { ...await run(start, "tab", ...middle), undoable: 1 };
  const withServer = (state: State): State => ({ ...state, server: { ...state.server, state: "connected" } });
  const lines = Array.from({ length: 60 }, (_, i) => `line ${i}`);
  const onTop = (overlay: Overlay): State => ({ ...pools, overlays: [overlay] });
  const text = { name: "a", label: "A", kind: "text", type: "text", value: "abc" } as const;
  const form = {
    ...formOf({ title: "", subject: { kind: "pool", id: null, revision: null }, fields: [text, text] }),
    cursor: 1,
  };
  const rule = {
    id: "r",
    poolId: "",
    seq: 1,
    revision: 1,
    cidr: "10.0.0.0/8",
    country: null,
    continent: null,
    asn: null,
  };
  const rules = Array.from(
    { length: 60 },
    (_, i) => ({ ...rule, id: String(i), memberId: ids["192.0.2.1"]!, member: "" }),
  );
  const detail = { ...members.pool!.detail!, rules };
  return {
    pools,
    members,
    check: {
      ...check,
      pool: { ...check.pool!, detail: { ...detail, check: { ...HEALTH_CHECK_DEFAULTS, revision: 1 } } },
    },
    rules: {
      ...members,
      pool: {
        ...members.pool!,
        part: "rules",
        detail,
        cursors: { members: 0, check: 0, rules: 30 },
        tops: { members: 0, check: 0, rules: 20 },
      },
    },
    services: withServer(services),
    history: await run(listed, "tab", "tab", ...middle),
    site: {
      ...withServer(await run(pools, "shift-tab")),
      undoable: 1,
      siteTop: 30,
      server: { ...withServer(pools).server, status: lines },
    },
    filter: { ...pools, isFiltering: true, pools: { ...pools.pools, filter: "pool" } },
    form: onTop({ kind: "form", form }),
    picker: await run(services, "c", "down", "space", ...middle),
    confirm: {
      ...pools,
      overlays: [{
        ...{ kind: "confirm", title: "", yes: { kind: "undo", generation: 1 }, isYes: false, top: 30 },
        preview: { changed: true, lines, guards: [] },
      }],
    },
    text: onTop({ kind: "text", title: "", lines, top: 30 }),
    help: onTop({ kind: "help", of: "pools", top: 10 }),
  };
}

Deno.test("the states that keys are tried in are of the modes that they are tried for", async () => {
  for (const [mode, state] of Object.entries(await states())) equal(modeOf(state), mode);
});

/** The key that leads where one is. */
const PART_KEYS: Partial<Record<Mode, string>> = { members: "1", check: "2", rules: "3" };

for (const mode of MODES) {
  Deno.test(`every key that ? names in ${mode} does something, and no other key does`, async () => {
    const state = (await states())[mode];
    const meant = new Set(KEYS[mode].flatMap(({ keys }) => keys));
    for (const key of meant) {
      // What is marked or shown already is gone to from elsewhere.
      const away = mode === "confirm" && ["left", "h"].includes(key) || PART_KEYS[mode] === key
        ? "right"
        : null;
      const from = away === null ? state : update(state, { kind: "key", key: away })[0];
      const [next, effects] = update(from, { kind: "key", key });
      ok(next !== from || effects.length > 0, `${key} does nothing in ${mode}`);
      if (effects.length === 0) {
        notEqual(JSON.stringify(next), JSON.stringify(from), `${key} changes nothing in ${mode}`);
      }
    }
    const takesText = mode === "form" || mode === "filter";
    for (const key of [...NAMED, ...PRINTED]) {
      if (meant.has(key) || (takesText && PRINTED.includes(key))) continue;
      const [next, effects] = update(state, { kind: "key", key });
      equal(next, state, `${key} does something in ${mode}, and ? doesn't name it`);
      deepEqual(effects, [], key);
    }
  });

  Deno.test(`no key is named twice in ${mode}`, () => {
    const keys = KEYS[mode].flatMap((binding) => binding.keys);
    deepEqual(keys, [...new Set(keys)]);
  });
}
