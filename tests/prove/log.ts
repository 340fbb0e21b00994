/**
 * The cluster's log: `deno task prove log [PART [ARG…]]`.
 *
 * - `lives [SEEDS [FIRST [SECONDS]]]`: random lives of three nodes in one process;
 * - `mutants [WORDS]`: the same with deliberate faults in the program, each of which they must find out;
 * - `writers [EDITS]`: three real nodes with a writer each;
 * - `away [SECONDS]`: edits on three real nodes while there is no server;
 * - `models [SERVICES…]`: large models reach three real nodes, and one that comes later.
 *
 * Without a part all of them run.
 *
 * @module
 */
import { away } from "./log/away.ts";
import { lives } from "./log/lives.ts";
import { models } from "./log/models.ts";
import { mutants } from "./log/mutants.ts";
import { writers } from "./log/writers.ts";

const PARTS: Readonly<Record<string, (args: string[]) => Promise<boolean>>> = {
  lives,
  mutants,
  writers,
  away,
  models,
};

/** Runs it. */
export async function prove([part, ...args]: string[]): Promise<boolean> {
  if (part !== undefined) {
    const run = PARTS[part];
    if (run === undefined) {
      throw new RangeError(`There is no part "${part}": ${Object.keys(PARTS).join(", ")}`);
    }
    return await run(args);
  }
  let isGood = true;
  for (const run of Object.values(PARTS)) isGood = await run([]) && isGood;
  return isGood;
}
