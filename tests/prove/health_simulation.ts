/**
 * A day in the life of clusters, simulated: `deno task prove health_simulation [SEED | mutants [WORDS]]`.
 *
 * Real health, from probe to eligibility, on two to five nodes with one of the policies, while targets, paths, nodes,
 * messages and clocks fail by a seed (`health_simulation/world.ts`). Then the same with deliberate faults in the program
 * (`health_simulation/mutants.ts`), each of which must be found out.
 *
 * @module
 */
import { Broken, SimulatedWorld } from "./health_simulation/world.ts";
import { MUTANTS, survives } from "./health_simulation/mutants.ts";

const HOUR_MS = 3_600_000;
const SEEDS = 24;

/** Runs the proof; of one seed alone when it is given, or of `7+20`, twenty from the seventh on, and then without mutants. */
export async function prove([given, words = ""]: string[]): Promise<boolean> {
  if (given === "mutants") return await mutantsAreCaught(words);
  if (given !== undefined) {
    const [first = 1, count = 1] = given.split("+").map(Number);
    return await simulate(Array.from({ length: count }, (_, i) => first + i), 2 * HOUR_MS);
  }
  const startMs = performance.now();
  const seeds = Array.from({ length: SEEDS }, (_, i) => i + 1);
  const good = await simulate(seeds, HOUR_MS) && await simulate([SEEDS + 1], 24 * HOUR_MS);
  console.log(
    `${SEEDS} h in pieces and 24 h in one took ${Math.round((performance.now() - startMs) / 1000)} s`,
  );
  return await mutantsAreCaught("") && good;
}

/** Those whose names have these words in them, one on each processor. */
async function mutantsAreCaught(words: string): Promise<boolean> {
  const mutants = MUTANTS.filter(({ name }) => name.includes(words));
  const startMs = performance.now();
  const next = mutants.values();
  let caught = 0;
  const catchOnes = async () => {
    for (const mutant of next) {
      const isAlive = await survives(mutant);
      console.log(`${isAlive ? "NOT CAUGHT" : "caught    "} ${mutant.name}`);
      if (!isAlive) caught++;
    }
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, catchOnes));
  const seconds = Math.round((performance.now() - startMs) / 1000);
  console.log(`${caught} of ${mutants.length} mutants caught in ${seconds} s`);
  return caught === mutants.length;
}

/** Whether nothing broke; says what did, and by which seed. */
export async function simulate(seeds: readonly number[], durationMs: number): Promise<boolean> {
  for (const seed of seeds) {
    const world = new SimulatedWorld(seed);
    try {
      await world.run(durationMs);
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      console.error(`seed ${seed}: ${error.message}`);
      return false;
    }
    if (world.checks === 0) throw new Error(`Seed ${seed} checked nothing in ${durationMs} ms`);
  }
  return true;
}
