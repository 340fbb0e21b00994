/**
 * The API against its own description: `deno task prove api [EXAMPLES [SEED]]`.
 *
 * Runs schemathesis (`PLEIADES_TEST_ALL=1 deno task test` brings it) with a hundred cases per operation and phase, drawn by
 * another seed each time: no 5xx, no answer and no status that the document doesn't have.
 *
 * @module
 */
import { fuzzed } from "../api/schemathesis.ts";

/** Runs the proof. */
export async function prove([examples = "100", seed = String(Date.now() % 1e6)]: string[]): Promise<boolean> {
  console.log(`${examples} cases per operation and phase, seed ${seed}`);
  const { code, output, logged } = await fuzzed({ examples: Number(examples), seed: Number(seed) });
  console.log(code === 0 ? output.trim().split("\n").at(-1) : output);
  for (const line of logged) console.log(`logged: ${line}`);
  return code === 0 && logged.length === 0;
}
