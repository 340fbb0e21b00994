/**
 * Screens as they were agreed on, and what never may reach a terminal.
 *
 * @module
 */
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { fit, harmless, widthOf, wrapped } from "../../src/tui/screen_text.ts";
import { frameOf } from "../../src/tui/view/frame.tsx";
import { plainFrame } from "../../src/tui/view/screen.ts";
import { captures, GOLDEN, illustrated, PAGE, painted, textOf } from "./captures.ts";
import { happen, opened, play } from "./played.ts";
import { DeskFixture } from "./store_fixture.ts";

Deno.test("every screen looks as its golden file says, at 80×24 and at 200×60, and so do the pictures of the page", async () => {
  const found = await captures();
  deepEqual([...Deno.readDirSync(GOLDEN)].map(({ name }) => name).sort(), [...found.keys()].sort());
  for (const [name, text] of found) equal(text, Deno.readTextFileSync(`${GOLDEN}${name}`), name);
  const page = Deno.readTextFileSync(PAGE);
  equal(page, illustrated(page, found), "deno run -A --unstable-net tests/golden/update.ts");
});

Deno.test("names with escape sequences, wide and combining characters are drawn harmless and in their columns", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const state = await opened(fixture.desk, { columns: 80, rows: 24 });
  for (
    const name of [
      "\x1b[2J\x1b]0;x\x07",
      "数据数据",
      "e\u0301te\u0301",
      "\u202Egnol",
      "a\u200Bb",
      "x".repeat(300),
    ]
  ) {
    const rows = state.pools.rows.map((row) => ({ ...row, name }));
    const shown = frameOf({ ...state, pools: { ...state.pools, rows } }, { colour: false });
    const text = shown.join("\n").replaceAll(new RegExp(String.raw`\x1b\[\d*m`, "g"), "");
    doesNotMatch(text.replaceAll("\n", ""), /\p{Cc}|[\u200B\u202E]/u, JSON.stringify(name));
    for (const line of text.split("\n")) ok(widthOf(line) <= 80, `${widthOf(line)} cells: ${line}`);
    const row = text.split("\n")[3]!;
    equal(widthOf(row.slice(0, row.indexOf("round-robin"))), 21, row);
  }
});

Deno.test("text is cut and filled by cells, and broken at spaces", () => {
  equal(fit("数据", 3), "数…");
  equal(fit("ab", 4), "ab  ");
  equal(harmless("a\x1b[2Jb"), "a‹1b›[2Jb");
  deepEqual(wrapped("one two three", 8), ["one two", "three"]);
  equal(wrapped("x".repeat(30), 10).join(""), "x".repeat(30));
});

Deno.test("without colours there is no colour, and the marked row is marked all the same", async () => {
  await using fixture = new DeskFixture({ pools: { web: ["192.0.2.1"] } });
  const state = await opened(fixture.desk, { columns: 80, rows: 24 });
  const failing = { ...state.pools.rows[0]!, up: 0, enabled: 1 };
  const shown = {
    ...state,
    server: { ...state.server, state: "connected" as const },
    pools: { ...state.pools, rows: [failing] },
  };
  const colours = new RegExp(String.raw`\x1b\[(?:3\d|9\d)m`);
  doesNotMatch(frameOf(shown, { colour: false }).join("\n"), colours);
  match(frameOf(shown, { colour: true }).join("\n"), colours);
  match(textOf(shown), /^> web .*0 of 1/m);
});

Deno.test("only colours that a user has chosen for a dark or a light background are used, and of the sixteen", async () => {
  const used = new Set<string>();
  for (const frame of await painted()) {
    for (const [, codes] of frame.matchAll(new RegExp(String.raw`\x1b\[([\d;]*)m`, "g"))) used.add(codes!);
  }
  // Bold, faint and inverse, red, green and yellow, and their ends: no background, and neither black nor white.
  deepEqual(
    [...used].filter((code) => !["1", "2", "7", "22", "27", "31", "32", "33", "39", "0"].includes(code)),
    [],
  );
  ok(used.has("31") && used.has("7"));
});

Deno.test("a terminal that becomes too small says so, and a form that is open is as it was afterwards", async () => {
  await using fixture = new DeskFixture();
  const { desk } = fixture;
  const form = await play(desk, await opened(desk, { columns: 80, rows: 24 }), "c", '"half a name');
  const small = await happen(desk, form, { kind: "resized", columns: 20, rows: 5 });
  match(textOf(small).replaceAll("\n", " "), /20×5 is too small: +make it 80×24/);
  equal(textOf(small).trimEnd().split("\n").length <= 5, true);
  const large = await happen(desk, small, { kind: "resized", columns: 80, rows: 24 });
  equal(textOf(large), textOf(form));
});

Deno.test("what is wrong is said to its end, which says what to do, at 80×24 too", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const message = "/var/lib/pleiades/pleiades.db was brought up to date by a newer program; " +
    "nothing is saved any more: leave with q and start that one";
  const state = await happen(fixture.desk, await opened(fixture.desk, { columns: 80, rows: 24 }), {
    kind: "store",
    message: { kind: "fault", message, isFinal: false },
  });
  equal(textOf(state).trimEnd().split("\n").length, 24);
  ok(textOf(state).replaceAll(/\n\s*/g, " ").includes(`! ${message}`), textOf(state));
});

Deno.test("before Ink is there a frame has the same words", async () => {
  await using fixture = new DeskFixture({ pools: { web: ["192.0.2.1"] } });
  const state = await play(fixture.desk, await opened(fixture.desk, { columns: 80, rows: 24 }), "enter");
  equal(`${plainFrame(state).join("\n")}\n`, textOf(state));
});

Deno.test("a frame has as many lines as the terminal, whatever lies over it", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const { desk } = fixture;
  for (const rows of [24, 25, 60]) {
    const start = await opened(desk, { columns: 80, rows });
    for (
      const keys of [
        ...[[], ["c"], ["?"], ["x"], ["enter"], ["enter", "2", "enter"]],
        ...[["tab"], ["tab", "tab"], ["tab", "tab", "enter"], ["shift-tab"], ["s"]],
      ]
    ) {
      const state = await play(desk, start, ...keys);
      const lines = frameOf(state, { colour: false });
      equal(lines.length, rows, keys.join());
      match(lines.at(-1)!, /keys/, keys.join());
    }
  }
});
