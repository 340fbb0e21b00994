/**
 * The house rules that no linter knows: they are read from the files as they lie there.
 *
 * @module
 */
import { filesBelow } from "../scripts/check.ts";
import { ROOT } from "../scripts/process.ts";
import { codeOnly, findings, none } from "./source_text.ts";

interface Source {
  readonly file: string;
  readonly text: string;
}

const read = (file: string): Source => ({ file, text: Deno.readTextFileSync(`${ROOT}/${file}`) });
const OURS = [
  "main.ts",
  ...await filesBelow("src"),
  ...await filesBelow("scripts"),
  ...await filesBelow("bench"),
]
  .map(read);
const TESTS = (await filesBelow("tests")).map(read);
const ALL = [...OURS, ...TESTS];

/** Drawers in which anything can be put say nothing about what is in them. */
const DRAWERS = /(^|\/)(utils?|helpers?|common|misc|managers?|shared|types|lib|index|mod)(\/|\.tsx?$)/;

/** Written so that this file doesn't find itself. */
const UNFINISHED = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|")})\\b`);
const IGNORES = new RegExp(
  `${["deno-lint-" + "ignore", "@ts-" + "(ignore|expect-error|nocheck)"].join("|")}`,
);

Deno.test("every file opens with a @module block", () => {
  const without = ALL.filter(({ text }) => !/^\/\*\*(?:(?!\*\/)[\s\S])*@module\b/.test(text));
  none(without.map(({ file }) => file));
});

Deno.test("every file is named after what lives in it", () => {
  none(ALL.map(({ file }) => file).filter((file) => DRAWERS.test(file)));
});

Deno.test("file names are snake_case", () => {
  const odd = ALL.filter(({ file }) => !/^[a-z0-9_]+\.tsx?$/.test(file.split("/").at(-1)!));
  none(odd.map(({ file }) => file));
});

Deno.test("nothing is left for later", () => {
  none(ALL.flatMap((source) => findings(source, UNFINISHED)));
});

Deno.test("no rule of the compiler or the linter is switched off", () => {
  none(ALL.flatMap((source) => findings(source, IGNORES)));
});

Deno.test("nothing is of type any", () => {
  const anys = ALL.flatMap(({ file, text }) =>
    findings({ file, text: codeOnly(text) }, /[:<|&(,]\s*any\b(?!\s*[.(=])|\bas any\b/)
  );
  none(anys);
});

Deno.test("signals of several are those that aren't collected while something waits for them", () => {
  none(
    ALL.filter(({ file }) => !file.includes("any_signal")).flatMap(({ file, text }) =>
      findings({ file, text: codeOnly(text) }, /\bAbortSignal\.any\b/)
    ),
  );
});

Deno.test("no test is singled out or switched off", () => {
  const out = TESTS.filter(({ file }) => file !== "tests/programs.ts").flatMap(({ file, text }) =>
    findings({ file, text: codeOnly(text) }, /\b(Deno\.test|t|step)\.(only|ignore)\b|\b(only|ignore): true\b/)
  );
  none(out);
});

Deno.test("no test waits by the clock, unless it says that time is the subject", () => {
  // The long runs of tests/prove measure time and load throughout.
  const waits = TESTS.filter(({ file }) => !file.startsWith("tests/prove/")).flatMap(({ file, text }) => {
    const lines = text.split("\n");
    const excused = (line: number) =>
      /\/\/ Time is the subject\b/.test(`${lines[line - 2]}${lines[line - 1]}`);
    return findings({ file, text: codeOnly(text) }, /\bsetTimeout\(|\bdelay\(\d|\bsystemClock\.sleep\(/)
      .filter((finding) => !excused(Number(finding.split(":")[1])));
  });
  none(waits);
});

Deno.test("every test file lies where its source lies", async () => {
  const sources = new Set([...await filesBelow("src"), ...await filesBelow("scripts")]);
  const folders = new Set([...sources].map((file) => file.split("/").slice(1, -1).join("/")));
  const astray = TESTS.map(({ file }) => file)
    .filter((file) => file.endsWith("_test.ts") && file.split("/").length > 2)
    .filter((file) =>
      !folders.has(file.split("/").slice(1, -1).join("/")) && !/^tests\/(e2e|prove)\//.test(file)
    );
  none(astray);
});
