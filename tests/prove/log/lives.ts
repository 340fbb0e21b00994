/**
 * Random lives of three nodes that share a log: `deno task prove log lives [SEEDS [FIRST]]`.
 *
 * Each has edits everywhere, ends of overrides, crashes, lost acknowledgements, partitions, a broker that is wiped or restored,
 * and nodes that lose their databases. At each step no node may go back or have an empty live name, and in the end all have
 * the same.
 *
 * @module
 */
import { simulate } from "../../cluster/log_world.ts";

/** Runs it; 1,000 seeds unless told otherwise. */
export async function lives([seeds = "1000", first = "1"]: string[]): Promise<boolean> {
  const [count, from] = [Number(seeds), Number(first)];
  for (let seed = from; seed < from + count; seed++) {
    await simulate(seed);
    if ((seed - from + 1) % 100 === 0) console.log(`${seed - from + 1} lives`);
  }
  return true;
}
