/**
 * The test set-up: a machine that lacks real programs leaves tests out and fails none. Here all of them are hidden at
 * once, and every file that asks for one is loaded, so that the tests are told apart; `prove programs` runs all that is left of the
 * suite so, and hides them one by one as well.
 *
 * @module
 */
import assert from "node:assert/strict";
import { run } from "../scripts/process.ts";
import { asking, runWithout } from "./hidden_programs.ts";
import { program, PROGRAMS } from "./programs.ts";

Deno.test("on a machine that has none of the programs tests are left out and none fails", async () => {
  const hidden = Object.keys(PROGRAMS);
  const asked = hidden.map((name) => asking(name, (file) => !file.startsWith("tests/prove/")));
  const { tally, output } = await runWithout({
    hidden,
    files: [...new Set(asked.flatMap(({ files }) => files))].sort(),
    leftOutAlone: true,
  });
  const needed = asked.filter(({ isNeeded }) => isNeeded).length;
  assert.deepEqual([tally.passed, tally.failed], [0, 0], output);
  assert.ok(needed > 20 && tally.ignored >= needed, output);
});

Deno.test("a test finds no program that it doesn't list", async () => {
  // In a process of its own, as tests are registered there: the one below would fail here.
  const file = await Deno.makeTempFile({ suffix: "_test.ts" });
  const programs = new URL("./programs.ts", import.meta.url).href;
  await Deno.writeTextFile(
    file,
    `import { program, testWith } from ${JSON.stringify(programs)};
     testWith(["sh"], "lists sh", () => void program("sh"));
     testWith(["sh"], "lists no env", () => void program("env"));`,
  );
  const { code, output } = await run(Deno.execPath(), ["test", "-A", "--no-check", file], { quiet: true });
  await Deno.remove(file);
  assert.notEqual(code, 0);
  assert.match(output, /1 passed \| 1 failed/);
  assert.match(output, /"env" is asked for by a test that doesn't list it: lists no env/);
});

Deno.test("a hidden program isn't found", () => {
  const before = Deno.env.get("PLEIADES_TEST_HIDE");
  Deno.env.set("PLEIADES_TEST_HIDE", "sh,nothing");
  try {
    assert.equal(program("sh"), null);
    assert.notEqual(program("env"), null);
  } finally {
    if (before === undefined) Deno.env.delete("PLEIADES_TEST_HIDE");
    else Deno.env.set("PLEIADES_TEST_HIDE", before);
  }
});
