/**
 * `deno task compile [--target TRIPLE] [--output FILE]`: one executable, `dist/pleiades`, that needs no file beside it.
 *
 * First `deno bundle`, then `deno compile`: compiled directly, the sources would drag every package of `deno.lock`
 * into the executable. Bundling joins modules into files of one folder, `main.js` and what it imports, so a worker's source
 * can't be found relative to the module that starts it. Hence the rule: the entry `src/X/worker.ts` becomes `X_worker.js` beside
 * them, where `src/thread.ts` looks for it. Permissions (`permissions.ts`) and flags are baked in.
 *
 * What is behind an `import()` is in a file of its own, so that a start reads what it needs and no more: a node needs a
 * third of it all.
 *
 * `--no-code-cache` because the executable would otherwise write a file with a predictable name into the temporary
 * folder. It carries a cache of its own instead, where it can be run here (`code_cache.ts`). No `--minify`: CommonJS packages break under it.
 *
 * All is made in a folder of its own and moved into its place at the end: what lay there before stays until it is
 * replaced by one that works.
 *
 * `DENORT_BIN` names the runtime to embed where Deno's download site is out of reach; it fits the host only, so it
 * is not handed on with `--target`.
 *
 * @module
 */
import { basename, dirname, parse, resolve } from "node:path";
import { parseArgs } from "node:util";
import { CACHED_PROGRAMS, loaderFlags, loaderOf, recordCaches, scriptFile, scriptOf } from "./code_cache.ts";
import { permissionsFor } from "./permissions.ts";
import { deno, plain, ROOT } from "./process.ts";
import { V8_FLAGS } from "./v8_flags.ts";

/** Bundles and compiles; gives the executable's path. */
export async function compile({ target, output, main, threads }: CompileOptions = {}): Promise<string> {
  if (target !== undefined) Deno.env.delete("DENORT_BIN");
  const executable = resolve(ROOT, output ?? defaultOutput(target));
  // Below the repository, so that its deno.json holds here too, and so that moving is renaming.
  await Deno.mkdir(`${ROOT}/.cache`, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: `${ROOT}/.cache`, prefix: "compile-" });
  try {
    const workers = main === undefined ? workerEntries() : [];
    const entry = main ?? "main.ts";
    const cached = main === undefined && canRecord(target) ? CACHED_PROGRAMS : [];
    const threadsFolder = `${folder}/threads`;
    await bundleAll([
      [[entry], ["--code-splitting", "--outdir", folder]],
      // Together, for what several of them import is read once.
      ...(workers.length > 0
        ? [[workers.map(({ source }) => source), ["--outdir", threadsFolder]] as const]
        : []),
      ...cached.map((program) =>
        [[program.source], ["--format", "cjs", "-o", `${folder}/${scriptFile(program)}`]] as const
      ),
    ]);
    for (const { name, bundle } of workers) {
      await Deno.rename(`${threadsFolder}/${name}/worker.js`, `${folder}/${bundle}`);
    }
    if (workers.length > 0) await Deno.remove(threadsFolder, { recursive: true });
    for (const { name } of Deno.readDirSync(folder)) {
      const bundle = await Deno.readTextFile(`${folder}/${name}`);
      await Deno.writeTextFile(`${folder}/${name}`, inAscii(withoutUnused(quieted(bundle))));
    }
    if (threads !== undefined) {
      await Deno.mkdir(threads, { recursive: true });
      for (const { bundle } of workers) await Deno.copyFile(`${folder}/${bundle}`, `${threads}/${bundle}`);
    }
    const make = (main: string, made: string, flags: readonly string[]) =>
      must("deno compile", [
        ...[
          "compile",
          "--no-check",
          "--unstable-net",
          "--unstable-worker-options",
          "--no-code-cache",
          V8_FLAGS,
        ],
        ...(target === undefined ? [] : ["--target", target]),
        ...flags,
        ...["-o", made, main],
      ]);
    if (cached.length > 0) await carryCaches(folder, make);
    const made = `${folder}/${basename(executable)}`;
    await make(`${folder}/${parse(entry).name}.js`, made, [
      ...permissionsFor(target ?? Deno.build.target),
      ...(cached.length > 0 ? loaderFlags(folder) : []),
      ...workers.flatMap((worker) => ["--include", `${folder}/${worker.bundle}`]),
    ]);
    await Deno.mkdir(dirname(executable), { recursive: true });
    await Deno.rename(made, executable);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return executable;
}

/** Whether the executable can be run here, so that what V8 compiles of it is known. Tried on Linux only. */
function canRecord(target: string | undefined): boolean {
  return Deno.build.os === "linux" && (target ?? Deno.build.target) === Deno.build.target;
}

/** Puts modules that run scripts with their caches in the place of the programs in a folder. */
async function carryCaches(folder: string, make: Parameters<typeof recordCaches>[1]): Promise<void> {
  for (const program of CACHED_PROGRAMS) {
    const file = `${folder}/${scriptFile(program)}`;
    await Deno.writeTextFile(file, scriptOf(await Deno.readTextFile(file)));
  }
  await recordCaches(folder, make);
  for (const program of CACHED_PROGRAMS) {
    // What is imported on demand has a hash in its name.
    const isOf = new RegExp(`^${program.name}(?:-[A-Z0-9]+)?\\.js$`);
    const [module, ...others] = [...Deno.readDirSync(folder)].filter(({ name }) => isOf.test(name));
    if (module === undefined || others.length > 0) throw new Error(`which module is ${program.source}?`);
    await Deno.writeTextFile(`${folder}/${module.name}`, loaderOf(program));
  }
}

/** What to compile for. */
export interface CompileOptions {
  /** A triple that `deno compile --target` knows; absent = this machine. */
  readonly target?: string | undefined;
  /** Path relative to the repository; absent = `dist/pleiades`, with the target's name in it when there is one. */
  readonly output?: string | undefined;
  /** A program of one module to compile instead; absent = Pleiades with its workers. */
  readonly main?: string;
  /** A folder that gets the bundles of the threads as well. */
  readonly threads?: string;
}

interface WorkerEntry {
  /** Its folder below `src`. */
  readonly name: string;
  readonly source: string;
  readonly bundle: string;
}

function workerEntries(): WorkerEntry[] {
  const folders = [...Deno.readDirSync(`${ROOT}/src`)].filter((entry) => entry.isDirectory);
  return folders
    .filter(({ name }) => exists(`${ROOT}/src/${name}/worker.ts`))
    .map(({ name }) => ({ name, source: `src/${name}/worker.ts`, bundle: `${name}_worker.js` }));
}

function defaultOutput(target: string | undefined): string {
  if (target === undefined) return Deno.build.os === "windows" ? "dist/pleiades.exe" : "dist/pleiades";
  return `dist/pleiades-${target}${target.includes("windows") ? ".exe" : ""}`;
}

/**
 * Bundles sources into what their flags say, as many at a time as there are processors. The first one alone: where the cache
 * is empty it brings the bundler, which can't be begun while it is being written.
 */
async function bundleAll(
  each: readonly (readonly [sources: readonly string[], to: readonly string[]])[],
): Promise<void> {
  const [first, ...left] = each;
  await bundle(...first!);
  const bundling = Array.from({ length: navigator.hardwareConcurrency }, async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await bundle(...next);
  });
  // None of them may go on writing when the folder is taken away.
  for (const ended of await Promise.allSettled(bundling)) if (ended.status === "rejected") throw ended.reason;
}

/** Bundles sources into what the flags of `deno bundle` say. */
async function bundle(sources: readonly string[], to: readonly string[]): Promise<void> {
  const external = UNUSED.flatMap((unused) => ["--external", unused]);
  await must(`deno bundle ${sources.join(" ")}`, [
    ...["bundle", "--quiet", "--platform", "deno", ...external, ...to, ...sources],
  ]);
}

/**
 * The same bundle in ASCII, which V8 reads where it lies in the executable; any other it copies first, two bytes for each
 * character. `deno bundle` leaves other characters in comments and regular expressions alone.
 */
export function inAscii(bundle: string): string {
  return bundle.replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * A bundle in which OpenPGP.js prints nothing. `deno bundle` sets `process.env.NODE_ENV` to "development", where that
 * library writes to the console what is wrong with the signatures it is given.
 *
 * @throws {Error} when the library is in there and says it in another way
 */
export function quieted(bundle: string): string {
  const quiet = bundle.replace(/(debugMode = \(\(\) => \{\s*try \{\s*return )true;/, "$1false;");
  if (quiet === bundle && bundle.includes("[OpenPGP.js debug]")) {
    throw new Error("OpenPGP.js prints for debugging: see where it decides that, and change quieted()");
  }
  return quiet;
}

/**
 * What is imported and never used, and would be read at every start: what Ink is debugged with where `DEV` is set, and what Zod
 * says in forty languages, of which English is imported once more.
 */
const UNUSED = ["react-devtools-core", "../locales/index.js"] as const;

/**
 * A bundle in which those are empty objects.
 *
 * @throws {Error} when one is imported in another way
 */
export function withoutUnused(bundle: string): string {
  return UNUSED.reduce((text, unused) => {
    const name = unused.replaceAll(".", "\\.");
    const without = text.replace(
      new RegExp(`^import (?:\\* as )?(\\w+) from "${name}";$`, "gm"),
      "const $1 = {};",
    ).replace(new RegExp(`\\brequire\\("${name}"\\)`, "g"), "({})");
    if (!new RegExp(`^(?:im|ex)port .*"${name}"`, "m").test(without)) return without;
    throw new Error(`${unused} is imported in another way: see how, and change withoutUnused()`);
  }, bundle);
}

async function must(what: string, args: readonly string[]): Promise<void> {
  const { code, output } = await deno(args, { quiet: true, timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`${what} ended with ${code}: ${plain(output).trim()}`);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({
      args: Deno.args,
      options: { target: { type: "string" }, output: { type: "string" } },
    });
    const executable = await compile(values);
    const { size } = await Deno.stat(executable);
    console.log(`${executable.slice(ROOT.length + 1)} (${(size / 1e6).toFixed(0)} MB)`);
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exit(error instanceof TypeError ? 2 : 1);
  }
}
