/**
 * Properties with many times as many cases as in the suite: `deno task prove properties [TIMES [PATH…]]`.
 *
 * Runs each file of tests that says how many there are by `tests/property_runs.ts`, one after the other.
 *
 * @module
 */
import { deno, ROOT } from "../../scripts/process.ts";
import { filesBelow } from "../../scripts/check.ts";
import { tally } from "../../scripts/test.ts";
import { TIMES } from "../property_runs.ts";

/** A file that takes longer hangs. */
const FILE_TIMEOUT_MS = 60 * 60_000;

/** Runs the proof; eighty times as many cases unless told otherwise. */
export async function prove([times = "80", ...paths]: string[]): Promise<boolean> {
  const all = (await filesBelow("tests")).filter((file) =>
    file.endsWith("_test.ts") && Deno.readTextFileSync(`${ROOT}/${file}`).includes("/property_runs.ts")
  );
  let good = true;
  for (const file of paths.length > 0 ? all.filter((each) => paths.includes(each)) : all) {
    const began = performance.now();
    const { code, output } = await deno(["test", "-A", "--unstable-net", "--no-check", file], {
      ...{ quiet: true, env: { [TIMES]: times, NO_COLOR: "1" }, timeoutMs: FILE_TIMEOUT_MS },
    });
    const { passed, failed } = tally(output, code);
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    console.log(`${file.padEnd(40)} ${passed} passed, ${failed} failed in ${seconds} s`);
    if (failed > 0) console.log(output.slice(output.indexOf("\n ERRORS \n")));
    good &&= failed === 0;
  }
  return good;
}
