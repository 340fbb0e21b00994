/**
 * Random lives of three nodes that share a log: `deno task prove log lives [SEEDS [FIRST [SECONDS]]]`.
 *
 * Each has edits everywhere, ends of overrides, crashes, lost acknowledgements, partitions, a broker that is wiped or restored,
 * and nodes that lose their databases. At each step no node may go back or have an empty live name, and in the end all have
 * the same. With `SECONDS` it ends when these are over, and says how to go on: so a thousand fit into several runs.
 *
 * @module
 */
import { simulate } from "../../cluster/log_world.ts";

/** Runs it; 1,000 seeds unless told otherwise. */
export async function lives([seeds = "1000", first = "1", seconds = "Infinity"]: string[]): Promise<boolean> {
  const [count, from] = [Number(seeds), Number(first)];
  const untilMs = performance.now() + Number(seconds) * 1_000;
  for (let seed = from; seed < from + count; seed++) {
    await simulate(seed);
    const lived = seed - from + 1;
    const isOver = performance.now() > untilMs && lived < count;
    if (lived % 100 === 0 || lived === count || isOver) {
      console.log(`lives ${from} to ${seed}: nothing wrong`);
    }
    if (!isOver) continue;
    console.log(`go on with: deno task prove log lives ${count - lived} ${seed + 1} ${seconds}`);
    break;
  }
  return true;
}
