/**
 * The suite as it goes on machines that lack one of the real programs: tests that need it are left out, none fails.
 *
 * @module
 */
import { pathToFileURL } from "node:url";
import { ROOT, run } from "../scripts/process.ts";
import { type Tally, tally } from "../scripts/test.ts";

/** One run of the suite, or of a part of it. */
export interface HiddenRun {
  /** Programs that this machine doesn't have, for the while. */
  readonly hidden: readonly string[];
  /** Files of tests, relative to the repository. */
  readonly files: readonly string[];
  /**
   * Whether of them only those tests are to be run that say in their names which programs they need. One thread loads all, and has
   * the sources once instead of for each of them.
   */
  readonly leftOutAlone?: boolean;
}

/** Runs tests with some programs hidden; nothing else is told to them. */
export async function runWithout(
  { hidden, files, leftOutAlone = false }: HiddenRun,
): Promise<{ readonly tally: Tally; readonly output: string }> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-path-" });
  try {
    await linkAllBut(hidden, folder);
    const all = `${folder}/all_test.ts`;
    if (leftOutAlone) {
      const urls = files.map((file) => pathToFileURL(`${ROOT}/${file}`));
      await Deno.writeTextFile(all, urls.map(({ href }) => `import ${JSON.stringify(href)};\n`).join(""));
    }
    const { code, output } = await run(
      Deno.execPath(),
      [
        ...["test", "-A", "--unstable-net", "--no-check", "--permit-no-files"],
        ...leftOutAlone ? ["--filter=/ \\[needs /", all] : files,
      ],
      {
        quiet: true,
        env: {
          NO_COLOR: "1",
          PATH: folder,
          PLEIADES_TEST_ALL: "",
          PLEIADES_TEST_HIDE: hidden.join(","),
          ...(hidden.includes("pleiades") && { PLEIADES_EXECUTABLE: "" }),
        },
      },
    );
    return { tally: tally(output, code), output };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Fills a folder with links to all programs of the PATH but some, so that nothing finds those by itself. */
async function linkAllBut(hidden: readonly string[], folder: string): Promise<void> {
  const seen = new Set(hidden);
  for (const from of (Deno.env.get("PATH") ?? "").split(":").filter((each) => each.startsWith("/"))) {
    for await (const { name } of entriesOf(from)) {
      if (seen.has(name)) continue;
      seen.add(name);
      await Deno.symlink(`${from}/${name}`, `${folder}/${name}`);
    }
  }
}

async function* entriesOf(folder: string): AsyncIterable<Deno.DirEntry> {
  try {
    yield* Deno.readDir(folder);
  } catch (error) {
    // A PATH may name folders that aren't there.
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
  }
}

/** What a program is to the files of tests that ask for it. */
export interface Asking {
  /** All of them, relative to the repository. */
  readonly files: readonly string[];
  /** Whether a test among them can't do without it. */
  readonly isNeeded: boolean;
}

/**
 * The files of tests that ask for a program, by themselves or in a module of `tests/` that they import.
 *
 * @param isIn whether a file, relative to the repository, is of interest
 */
export function asking(program: string, isIn: (file: string) => boolean): Asking {
  // Tests that need programs list them; `program()` finds one that is of use.
  const needed = new RegExp(`\\[\\s*(?:"[a-z-]+",\\s*)*"${program}"[\\],]`);
  const used = new Set<string>();
  const needing = new Set<string>();
  const looked = new Map<string, boolean>();
  const asks = (file: string): boolean => {
    const known = looked.get(file);
    if (known !== undefined) return known;
    looked.set(file, false);
    const source = Deno.readTextFileSync(`${ROOT}/${file}`);
    const imports = [...source.matchAll(/ from "(\.[^"]+)";$/gm)]
      .map(([, path]) => new URL(path!, `file:///${file}`).pathname.slice(1))
      .filter((path) => path.startsWith("tests/") && path !== "tests/programs.ts");
    if (needed.test(source)) needing.add(file);
    const does = needing.has(file) || source.includes(`program("${program}")`) ||
      imports.filter(asks).length > 0;
    looked.set(file, does);
    return does;
  };
  for (const file of testFiles("tests").filter(isIn)) if (asks(file)) used.add(file);
  const files = [...used].sort();
  return { files, isNeeded: files.some((file) => needing.has(file)) };
}

function testFiles(folder: string): string[] {
  return [...Deno.readDirSync(`${ROOT}/${folder}`)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return testFiles(`${folder}/${name}`);
    return name.endsWith("_test.ts") ? [`${folder}/${name}`] : [];
  }).sort();
}
