/**
 * The suite needs Node alone: `deno task prove programs [PROGRAM…]`.
 *
 * Hides each real program that tests can use, all of them at once first, and runs every file of tests that names
 * it: what needs it must be left out, and nothing may fail.
 *
 * @module
 */
import { asking, runWithout } from "../hidden_programs.ts";
import { PROGRAMS } from "../programs.ts";

/** Runs the proof. */
export async function prove(names: string[]): Promise<boolean> {
  const all = Object.keys(PROGRAMS);
  // What pages need is known when they are read.
  const filesOf = (name: string) =>
    [...new Set([...asking(name, isSuite).files, "tests/docs_test.ts"])].sort();
  const runs = [
    ...(names.length > 0 ? [] : [{ hidden: all, files: [...new Set(all.flatMap(filesOf))].sort() }]),
    ...(names.length > 0 ? names : all).map((name) => ({ hidden: [name], files: filesOf(name) })),
  ];
  let good = true;
  for (const { hidden, files } of runs) {
    const { tally, output } = await runWithout({ hidden, files });
    const what = hidden.length > 1 ? "all of them" : hidden[0]!;
    const { passed, failed, ignored } = tally;
    console.log(`without ${what.padEnd(16)} ${passed} passed, ${failed} failed, ${ignored} left out`);
    if (failed > 0) console.log(output.slice(output.indexOf("\n ERRORS \n")));
    good &&= failed === 0;
  }
  return good;
}

function isSuite(file: string): boolean {
  return !file.startsWith("tests/prove/") && file !== "tests/programs_test.ts";
}
