/**
 * What `config validate` says about every broken file, beside what it is meant to say.
 *
 * @module
 */
import { validatePaths } from "../../src/cli/validate.ts";
import { compareText, formatProblem } from "../../src/input/yaml_source.ts";

/** Files and directories that must not validate. */
export const BROKEN = new URL("../fixtures/config/broken/", import.meta.url).pathname;

/** One text per broken file, of the same name. */
export const GOLDEN = new URL("./config/", import.meta.url).pathname;

/** The names of all broken files and directories. */
export function brokenNames(): string[] {
  return [...Deno.readDirSync(BROKEN)].map(({ name }) => name).sort(compareText);
}

/** The report on one of them, with paths as if its folder were the current one. */
export async function reportOn(name: string): Promise<string> {
  const { problems } = (await validatePaths([`${BROKEN}${name}`], {}))[0]!;
  return problems.map((problem) => `${formatProblem(problem).replaceAll(BROKEN, "")}\n`).join("");
}
