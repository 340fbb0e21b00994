/**
 * The test set-up: a machine that lacks real programs leaves tests out and fails none. Here all of them are hidden at
 * once; `prove programs` does it with the whole suite, and one by one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { run } from "../scripts/process.ts";
import { asking, runWithout } from "./hidden_programs.ts";
import { program, PROGRAMS } from "./programs.ts";

/** Files most of whose tests need no program and take seconds: those of `prove programs` alone. */
const SLOW: readonly string[] = [
  "tests/api/unix_server_test.ts",
  "tests/change/crash_test.ts",
  "tests/cluster/model_parts_test.ts",
  ...["provider_files", "shared_registrations"].map((name) => `tests/discovery/${name}_test.ts`),
  ...["encrypted", "fuzz", "streams", "worker"].map((name) => `tests/dns/${name}_test.ts`),
  "tests/gitops/signature_test.ts",
  "tests/webhooks/webhooks_test.ts",
];

/** Which files are quick enough to be run once more here. */
const isQuick = (file: string) =>
  !file.startsWith("tests/e2e/") && !["tests/programs_test.ts", "tests/docs_test.ts", ...SLOW].includes(file);

Deno.test("on a machine that has none of the programs tests are left out and none fails", async () => {
  const hidden = Object.keys(PROGRAMS);
  const asked = hidden.map((name) => asking(name, isQuick));
  const { tally, output } = await runWithout({
    hidden,
    files: [...new Set(asked.flatMap(({ files }) => files))].sort(),
    together: true,
  });
  assert.equal(tally.failed, 0, output);
  assert.ok(tally.ignored >= asked.filter(({ isNeeded }) => isNeeded).length, output);
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
