/**
 * Under fire: `deno task prove fire [PART]`.
 *
 * | part | what |
 * | --- | --- |
 * | `crowd` | as many silent connections as there may be descriptors, and 1,000 that don't read, beside UDP |
 * | `rate` | 100,000 queries a second from one network against a rate, with one worker and with two |
 * | `swap` | other certificates while 200 handshakes a second are made |
 *
 * Each has a node of its own, and what it measures is compared with the same node a moment before.
 *
 * @module
 */
import { raiseDescriptorLimit } from "../../src/node/descriptors.ts";
import { connectionsWithin, crowd } from "./fire/crowd.ts";
import { rate } from "./fire/rate.ts";
import { swap } from "./fire/swap.ts";
import { type Line, printLines } from "./fire/verdict.ts";

const onStep = (line: string) => console.log(`  ${line}`);

const PARTS: Readonly<Record<string, () => Promise<Line[]>>> = {
  crowd: () => {
    const descriptors = raiseDescriptorLimit()?.hard ?? 1024;
    const slow = 1_000;
    const silent = connectionsWithin(descriptors - slow, 20_000);
    onStep(`${descriptors} descriptors a process: ${silent} silent connections and ${slow} that don't read`);
    return crowd({ silent, slow, rounds: 5, seconds: 3, perSecond: 20_000, onStep });
  },
  rate: () => rate({ workers: [1, 2], perSecond: 100_000, seconds: 10, onStep }),
  swap: () => swap({ swaps: 20, perSecond: 200, restMs: 1_000, onStep }),
};

/** Runs all parts, or one. */
export async function prove([only]: string[]): Promise<boolean> {
  let isGood = true;
  for (const [name, part] of Object.entries(PARTS)) {
    if (only !== undefined && only !== name) continue;
    console.log(name);
    isGood = printLines(await part()) && isGood;
  }
  return isGood;
}
