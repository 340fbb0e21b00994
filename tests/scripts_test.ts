/** @module Tests of the task scripts. */
import { deepEqual, equal, match, rejects, throws } from "node:assert/strict";
import { drawing } from "../scripts/picture.ts";
import { billOfMaterials } from "../scripts/sbom.ts";
import { dirname, resolve } from "node:path";
import { Script } from "node:vm";
import { loaderOf, scriptFile, scriptOf } from "../scripts/code_cache.ts";
import { compile, inAscii, quieted, withoutUnused } from "../scripts/compile.ts";
import { deno, ROOT } from "../scripts/process.ts";
import { V8_FLAGS } from "../scripts/v8_flags.ts";
import { filesBelow } from "../scripts/check.ts";
import {
  failedTests,
  failures,
  firstWords,
  innermostReason,
  JOINED,
  passesOfAll,
  tally,
  TemporaryFolder,
  type Work,
} from "../scripts/test.ts";

Deno.test("tally() reads Deno's summary, coloured or not", () => {
  deepEqual(tally("…\nok | 12 passed (3 steps) | 0 failed | 2 ignored (4s)\n", 0), {
    passed: 12,
    failed: 0,
    ignored: 2,
  });
  deepEqual(tally("\x1b[31mFAILED\x1b[0m | 9 passed | 1 failed (1 step) (3s)", 1), {
    passed: 9,
    failed: 1,
    ignored: 0,
  });
});

Deno.test("tally() counts a run that broke off without a summary as one failure", () => {
  deepEqual(tally("error: Type checking failed.", 1), { passed: 0, failed: 1, ignored: 0 });
});

Deno.test("tally() counts a run that failed although no test did", () => {
  deepEqual(tally("ok | 3 passed | 0 failed (1s)", 1), { passed: 3, failed: 1, ignored: 0 });
});

Deno.test("failures() gives Deno's account of what failed, without the noise before it", () => {
  equal(
    failures("fine ... ok (0ms)\n\n ERRORS \n\nbad => a.ts:1\nerror: x\n"),
    "ERRORS \n\nbad => a.ts:1\nerror: x",
  );
});

Deno.test("failures() gives the last lines of a run that broke off", () => {
  const lines = Array.from({ length: 100 }, (_, i) => `line ${i}`);
  match(failures(lines.join("\n")), /^line 40\n[\s\S]*line 99$/);
});

Deno.test("firstWords() has a line of each test that failed, with why it did", () => {
  const account = [
    "leaks => ./tests/a_test.ts:1:6",
    "error: Leaks detected:",
    "  - A timer was started in this test, but never completed.",
    "To get more details where leaks occurred, run again with the --trace-leaks flag.",
    "",
    "steps ... inner => ./tests/a_test.ts:3:43",
    "error: Error: inside",
    "    at file:///tests/a_test.ts:3:71",
    "",
    "long => ./tests/b_test.ts:1:6",
    `error: ${"x".repeat(1_000)}`,
    "",
  ];
  const [leaks, steps, long, ...more] = firstWords(
    `…\n ERRORS \n\n${account.join("\n")}\n FAILURES \n\nleaks => …\n`,
  );
  match(
    leaks!,
    /^leaks: error: Leaks detected: - A timer was started in this test, but never completed\. To/,
  );
  equal(steps, "steps ... inner: error: Error: inside at file:///tests/a_test.ts:3:71");
  match(long!, /^long: error: x{500,600}…$/);
  deepEqual(more, []);
});

Deno.test("failedTests() names what failed and the file to run for it, unless something failed outside of every test", () => {
  const account = (said: string, ...lines: string[]) =>
    `${said}\n ERRORS \n\n…\n\n FAILURES \n\n${lines.join("\n")}\n\nFAILED | 1 passed`;
  const sideBySide =
    "./tests/y_test.ts => d ... ok (1s)\n./tests/x_test.ts => a => b ... step c ... FAILED (1ms)\n" +
    "./tests/x_test.ts => a => b ... FAILED (due to 1 failed step) (1s)\n./tests/x_test.ts => d ... FAILED (1ms)\n" +
    "./tests/z_test.ts => d ... ok (1ms)\n";
  const oneByOne =
    "running 2 tests from ./tests/x_test.ts\na => b ...\n  step c ... FAILED (1ms)\na => b ... FAILED (due to 1 failed step) (1ms)\n" +
    "d ... FAILED (1ms)\n\nrunning 1 test from ./tests/z_test.ts\nd ... ok (1ms)\n";
  for (const said of [sideBySide, oneByOne]) {
    // Both are registered by a module that other files use as well.
    const lines = ["a => b ... step c => ./tests/made.ts:4:6", "d => ./tests/made.ts:1:1"];
    deepEqual(failedTests(account(said, ...lines)), [
      { name: "a => b", file: "tests/x_test.ts" },
      { name: "d", file: "tests/x_test.ts" },
    ]);
    deepEqual(
      failedTests(account(said, "d => ./tests/y_test.ts:1:1", "./tests/z_test.ts (uncaught error)")),
      [],
    );
  }
  deepEqual(failedTests(account("", "d => ./tests/y_test.ts:1:1")), [{ name: "d", file: "tests/y_test.ts" }]);
  deepEqual(failedTests(account("", "d => ./tests/made.ts:1:1")), []);
  deepEqual(failedTests("ok | 3 passed | 0 failed (1s)"), []);
});

Deno.test("the suite runs every file of tests once, and its units none of those that need more", async () => {
  const all = (await filesBelow("tests")).filter((file) =>
    file.endsWith("_test.ts") && !file.startsWith("tests/prove/")
  );
  try {
    const whole = (await passesOfAll({ unitOnly: false })).flat().flatMap(filesOf);
    deepEqual(whole.sort(), all);
    const units = (await passesOfAll({ unitOnly: true })).flat().flatMap(filesOf);
    deepEqual(units.length, new Set(units).size);
    deepEqual(units.filter((file) => /^tests\/(e2e\/|docs_|programs_)/.test(file)), []);
    equal(units.length > all.length * 0.8, true);
  } finally {
    await Deno.remove(JOINED, { recursive: true });
  }
});

Deno.test("all files that run side by side lie in one folder, so that Deno begins them in their order", async () => {
  try {
    for (const unitOnly of [false, true]) {
      const passes = (await passesOfAll({ unitOnly })).flat().filter(({ args }) => args[0] === "--parallel");
      for (const { args } of passes) equal(new Set(args.slice(1).map(dirname)).size, 1);
    }
  } finally {
    await Deno.remove(JOINED, { recursive: true });
  }
});

Deno.test("what the suite begins before there are programs asks for none", async () => {
  try {
    const early = (await passesOfAll({ unitOnly: false })).flat().filter(({ begins }) =>
      begins === "at once"
    );
    const files = early.flatMap(filesOf);
    equal(files.length > 0, true);
    const loaded = new Set(files.map((file) => `${ROOT}/${file}`));
    for (const path of loaded) {
      if (!path.startsWith(`${ROOT}/tests/`)) continue;
      for (const [, to] of Deno.readTextFileSync(path).matchAll(/^(?:im|ex)port [^;]*?"(\.[^"]+\.tsx?)"/gm)) {
        loaded.add(resolve(dirname(path), to!));
      }
    }
    deepEqual([...loaded].filter((path) => path === `${ROOT}/tests/programs.ts`), []);
  } finally {
    await Deno.remove(JOINED, { recursive: true });
  }
});

/** The files of tests that a pass runs. */
function filesOf({ args }: Work): string[] {
  return args.filter((arg) => !arg.startsWith("--")).flatMap((path) => {
    if (!path.startsWith(JOINED)) return [path];
    return [...Deno.readTextFileSync(path).matchAll(/"\.\.\/\.\.\/(.+)"/g)].map(([, file]) => file!);
  });
}

Deno.test("what tests leave behind is named and removed, and nothing is said where there is none", async () => {
  for (const left of [[], ["a", "b"]]) {
    const said: string[] = [];
    const temporary = await TemporaryFolder.make((line) => void said.push(line));
    for (const name of left) await Deno.mkdir(`${temporary.path}/${name}/inside`, { recursive: true });
    equal((await Deno.stat(temporary.path)).mode! & 0o777, 0o755);
    await temporary[Symbol.asyncDispose]();
    deepEqual(said, left.length > 0 ? ["left behind by tests, and removed: a, b"] : []);
    await rejects(Deno.stat(temporary.path), Deno.errors.NotFound);
  }
});

Deno.test("innermostReason() gives what lies under all that a tool says", () => {
  const said =
    "deno compile ended with 1: Compile main.js\nerror: Writing x\n\nCaused by:\n    0: Setting up\n" +
    "    1: failed to lookup address information: Name or service not known\n";
  equal(innermostReason(said), "failed to lookup address information: Name or service not known");
  equal(innermostReason("deno compile ended with 1"), "deno compile ended with 1");
});

Deno.test("the demo collects garbage as the executable does, and V8 knows the flags", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  for (const task of [tasks.demo, tasks.prove]) match(task, new RegExp(` ${V8_FLAGS} `));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", V8_FLAGS, "-"],
    stdin: "null",
  }).output();
  deepEqual([success, new TextDecoder().decode(stderr)], [true, ""]);
});

Deno.test("quieted() keeps OpenPGP.js from printing what it is given", async () => {
  const args = ["bundle", "--quiet", "--platform", "deno", "src/gitops/pgp_signature.ts"];
  const { code, stdout: bundle, output } = await deno(args, { quiet: true });
  equal(code, 0, output);
  const decision = /debugMode = \(\(\) => \{\s*try \{\s*return (\w+);/;
  deepEqual([decision.exec(bundle)?.[1], decision.exec(quieted(bundle))?.[1]], ["true", "false"]);
  equal(quieted("const other = true;"), "const other = true;");
  throws(() => quieted('console.log("[OpenPGP.js debug]")'), /change quieted\(\)/);
});

Deno.test("inAscii() writes a bundle that means the same in ASCII", () => {
  const bundle = "const unit = /^(?:µs|😀)$/u; // → 1–2\nreturn [unit.test('µs'), unit.test('😀'), `…`];";
  const ascii = inAscii(bundle);
  equal(/[\u0080-\uffff]/.test(ascii), false);
  deepEqual(new Function(ascii)(), [true, true, "…"]);
});

Deno.test("withoutUnused() leaves out what is imported for nothing, and says when it isn't imported as it was", () => {
  const bundle = 'import { a } from "a";\nimport devtools from "react-devtools-core";\n' +
    'import * as locales2 from "../locales/index.js";\n';
  equal(
    withoutUnused(bundle),
    'import { a } from "a";\nconst devtools = {};\nconst locales2 = {};\n',
  );
  equal(withoutUnused('var l = __toESM(require("../locales/index.js"));'), "var l = __toESM(({}));");
  throws(() => withoutUnused('import { de } from "../locales/index.js";'), /change withoutUnused\(\)/);
});

Deno.test("a program that is carried as a script does as its module, whether V8 takes what it has of it or not", async () => {
  await Deno.mkdir(`${ROOT}/.cache`, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: `${ROOT}/.cache`, prefix: "code-cache-test-" });
  const script = scriptOf(
    "var import_meta = {};\n" +
      'const { basename } = require("node:path");\n' +
      "module.exports = { told: (function () { return [this === undefined, basename(import_meta.url)]; })() };",
  );
  const compiled = new Script(script).createCachedData();
  try {
    for (const mayRead of [true, false]) {
      const program = { name: "program", source: "", exports: ["told"], mayRead };
      await Deno.writeTextFile(`${folder}/${scriptFile(program)}`, script);
      await Deno.writeTextFile(`${folder}/program.js`, loaderOf(program));
      await Deno.writeTextFile(
        `${folder}/main.js`,
        'import { told } from "./program.js"; console.log(JSON.stringify(told));',
      );
      for (const cache of [compiled, new Uint8Array(100)]) {
        await Deno.writeFile(`${folder}/program.cache`, cache);
        const { stdout, output } = await deno(
          ["run", "--quiet", `--allow-read=${folder}`, "--unstable-raw-imports", `${folder}/main.js`],
          { quiet: true },
        );
        equal(stdout, '[true,"program.js"]\n', output);
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("scriptOf() says when a bundle has import.meta in another way", () => {
  throws(() => scriptOf("import_meta = null; import_meta.url;"), /change scriptOf\(\)/);
});

Deno.test("compile() leaves the executable of before when it can't make another, and nothing beside it", async () => {
  await Deno.mkdir(`${ROOT}/.cache`, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: `${ROOT}/.cache`, prefix: "compile-test-" });
  const runtime = Deno.env.get("DENORT_BIN");
  try {
    await Deno.writeTextFile(`${folder}/pleiades`, "of before");
    Deno.env.set("DENORT_BIN", `${folder}/absent`);
    await rejects(
      compile({ output: `${folder.slice(ROOT.length + 1)}/pleiades`, main: "src/version.ts" }),
      /deno compile ended with/,
    );
    equal(await Deno.readTextFile(`${folder}/pleiades`), "of before");
    equal([...Deno.readDirSync(folder)].length, 1);
  } finally {
    if (runtime === undefined) Deno.env.delete("DENORT_BIN");
    else Deno.env.set("DENORT_BIN", runtime);
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("drawing() goes on in the style of the line before, as a terminal does", () => {
  const texts = [...drawing("\x1b[2mquiet\nstill\n\x1b[0mloud").matchAll(/fill="(#\w+)">(\w+)</g)];
  const [quiet, still, loud] = texts.map(([, fill]) => fill);
  deepEqual([texts.length, quiet === still, still === loud], [3, true, false]);
});

Deno.test("billOfMaterials() lists what the program needs, and not what only tests need", () => {
  const lock = {
    specifiers: {
      "npm:hono@4.0.0": "4.0.0",
      "npm:@x/y@1.0.0": "1.0.0_hono@4.0.0",
      "npm:fast-check@1.0.0": "1.0.0",
    },
    npm: {
      "hono@4.0.0": { integrity: "sha512-AAEC" },
      "@x/y@1.0.0_hono@4.0.0": { integrity: "sha512-AwQF", dependencies: ["hono", "deep"] },
      "deep@2.0.0": { integrity: "sha512-BgcI" },
      "fast-check@1.0.0": { integrity: "sha512-CQoL", dependencies: ["pure"] },
      "pure@1.0.0": { integrity: "sha512-DA0O" },
    },
  };
  const { components } = billOfMaterials(lock, "1.2.3");
  deepEqual(components, [
    component("@x/y", "1.0.0", "pkg:npm/%40x/y@1.0.0", "030405"),
    component("deep", "2.0.0", "pkg:npm/deep@2.0.0", "060708"),
    component("hono", "4.0.0", "pkg:npm/hono@4.0.0", "000102"),
  ]);
});

function component(name: string, version: string, purl: string, content: string): Record<string, unknown> {
  return { type: "library", "bom-ref": purl, name, version, purl, hashes: [{ alg: "SHA-512", content }] };
}
