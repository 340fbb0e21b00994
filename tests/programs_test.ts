/**
 * The test set-up: a machine that lacks a real program leaves tests out and fails none. `prove programs` does the
 * same with the whole suite.
 *
 * @module
 */
import assert from "node:assert/strict";
import { asking, runWithout } from "./hidden_programs.ts";
import { program, PROGRAMS } from "./programs.ts";

/** Which files are quick enough to be run once more here. */
const isQuick = (file: string) =>
  !file.startsWith("tests/e2e/") && file !== "tests/programs_test.ts" && file !== "tests/docs_test.ts";

for (const name of Object.keys(PROGRAMS)) {
  const { files, isNeeded } = asking(name, isQuick);
  Deno.test({
    name: `without ${name} tests are left out and none fails`,
    ignore: files.length === 0 || program(name) === null,
    async fn() {
      const { tally, output } = await runWithout({ hidden: [name], files });
      assert.equal(tally.failed, 0, output);
      assert.equal(tally.ignored > 0, isNeeded, output);
    },
  });
}

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
