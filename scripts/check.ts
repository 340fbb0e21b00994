/**
 * `deno task check`: everything that can be said about the sources without running them, and the house rules.
 *
 * Every step runs even when an earlier one failed, so that one look shows all there is to mend.
 *
 * @module
 */
import { deno, plain, ROOT } from "./process.ts";

/** Runs the steps and gives the exit code: 1 when one of them had something to say. */
export async function check(): Promise<number> {
  const sources = await filesBelow("src");
  const steps: ReadonlyArray<readonly [string, readonly string[]]> = [
    ["fmt --check", ["fmt", "--check"]],
    ["lint", ["lint"]],
    ["check", ["check", "main.ts", ...await existing("src", "tests", "scripts", "bench")]],
    ["doc --lint", ["doc", "--lint", ...sources]],
    // By itself, so that it has all the types that its users meet.
    ["doc --lint agent", ["doc", "--lint", "src/agent/exports.ts"]],
    ["house rules", ["test", "-A", "--no-check", "tests/architecture_test.ts", "tests/house_test.ts"]],
  ];
  let failed = 0;
  for (const [name, args] of steps) {
    const { code, output } = await deno(args, { quiet: true, env: { NO_COLOR: "1" } });
    console.log(`${code === 0 ? "ok  " : "FAIL"} ${name}`);
    if (code !== 0) console.log(plain(output).trimEnd());
    failed += code === 0 ? 0 : 1;
  }
  return failed === 0 ? 0 : 1;
}

/** Every TypeScript file below a folder of the repository, sorted, relative to its root. */
export async function filesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${ROOT}/${folder}`)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await filesBelow(path));
    else if (/\.tsx?$/.test(name)) found.push(path);
  }
  return found.sort();
}

/** Those of the folders that hold a TypeScript file: `deno check` refuses an empty one. */
async function existing(...folders: string[]): Promise<string[]> {
  const held = await Promise.all(folders.map(async (folder) => (await filesBelow(folder)).length > 0));
  return folders.filter((_, i) => held[i]);
}

if (import.meta.main) Deno.exit(await check());
