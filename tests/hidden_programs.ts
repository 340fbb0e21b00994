/**
 * The suite as it goes on machines that lack one of the real programs: tests that need it are left out, none fails.
 *
 * @module
 */
import { ROOT, run } from "../scripts/process.ts";
import { type Tally, tally } from "../scripts/test.ts";

/** One run of the suite, or of a part of it. */
export interface HiddenRun {
  /** Programs that this machine doesn't have, for the while. */
  readonly hidden: readonly string[];
  /** Files of tests, relative to the repository. */
  readonly files: readonly string[];
}

/** Runs tests with some programs hidden; nothing else is told to them. */
export async function runWithout(
  { hidden, files }: HiddenRun,
): Promise<{ readonly tally: Tally; readonly output: string }> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-path-" });
  try {
    await linkAllBut(hidden, folder);
    const { code, output } = await run(
      Deno.execPath(),
      ["test", "-A", "--unstable-net", "--no-check", "--permit-no-files", ...files],
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

/**
 * The files of tests in which a program is named, by themselves or in a module of `tests/` that they import.
 *
 * @param under the folder, relative to the repository, such as `tests`
 * @param isIn whether a file, relative to the repository, is of interest
 */
export function filesNaming(program: string, under: string, isIn: (file: string) => boolean): string[] {
  const naming = new Map<string, boolean>();
  const names = (file: string): boolean => {
    const known = naming.get(file);
    if (known !== undefined) return known;
    naming.set(file, false);
    const source = Deno.readTextFileSync(`${ROOT}/${file}`);
    const imports = [...source.matchAll(/from "(\.[^"]+)"/g)]
      .map(([, path]) => new URL(path!, `file:///${file}`).pathname.slice(1))
      .filter((path) => path.startsWith("tests/") && path !== "tests/programs.ts");
    const does = source.includes(`"${program}"`) || imports.some(names);
    naming.set(file, does);
    return does;
  };
  return testFiles(under).filter((file) => isIn(file) && names(file));
}

function testFiles(folder: string): string[] {
  return [...Deno.readDirSync(`${ROOT}/${folder}`)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return testFiles(`${folder}/${name}`);
    return name.endsWith("_test.ts") ? [`${folder}/${name}`] : [];
  }).sort();
}
