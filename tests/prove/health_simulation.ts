/**
 * A day in the life of clusters, simulated: `deno task prove health_simulation [SEED | mutants [WORDS]]`.
 *
 * Real health, from probe to eligibility, on two to five nodes with one of the policies, while targets, paths, nodes,
 * messages and clocks fail by a seed (`health_simulation/world.ts`). Then the same with deliberate faults in the program
 * (`health_simulation/mutants.ts`), each of which must be found out. All of it takes two
 * minutes on two cores that have other work.
 *
 * @module
 */
import { Broken, SimulatedWorld } from "./health_simulation/world.ts";
import { MUTANTS, survives } from "./health_simulation/mutants.ts";

const HOUR_MS = 3_600_000;
const SEEDS = 24;
/** In which a day may be simulated. */
const DAY_SECONDS_MAX = 60;
/** Simulated between two lines about a seed. */
const TOLD_MS = 6 * HOUR_MS;

/** Runs the proof; of one seed alone when it is given, or of `7+20`, twenty from the seventh on, and then without mutants. */
export async function prove([given, words = ""]: string[]): Promise<boolean> {
  if (given === "mutants") return await mutantsAreCaught(words);
  if (given !== undefined) {
    const [first = 1, count = 1] = given.split("+").map(Number);
    return await simulate(Array.from({ length: count }, (_, i) => first + i), 2 * HOUR_MS, console.log);
  }
  const inPieces = await timed(
    `${SEEDS} h in pieces`,
    () => simulate(Array.from({ length: SEEDS }, (_, i) => i + 1), HOUR_MS, console.log),
  );
  const inOne = await timed("24 h in one", () => simulate([SEEDS + 1], 24 * HOUR_MS, console.log));
  return await mutantsAreCaught("") && inPieces && inOne;
}

/** Whether it is good, and was within the time for a day. */
async function timed(what: string, run: () => Promise<boolean>): Promise<boolean> {
  const startMs = performance.now();
  const isGood = await run();
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`${what} took ${seconds.toFixed(0)} s (at most ${DAY_SECONDS_MAX})`);
  return isGood && seconds <= DAY_SECONDS_MAX;
}

/** Those whose names have these words in them, one on each processor. */
async function mutantsAreCaught(words: string): Promise<boolean> {
  const mutants = MUTANTS.filter(({ name }) => name.includes(words));
  const startMs = performance.now();
  const next = mutants.values();
  let [caught, tried] = [0, 0];
  const catchOnes = async () => {
    for (const mutant of next) {
      const isAlive = await survives(mutant);
      if (!isAlive) caught++;
      const seconds = Math.round((performance.now() - startMs) / 1000);
      console.log(
        `${
          isAlive ? "NOT CAUGHT" : "caught    "
        } ${mutant.name} (${++tried} of ${mutants.length}, ${seconds} s)`,
      );
    }
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, catchOnes));
  const seconds = Math.round((performance.now() - startMs) / 1000);
  console.log(`${caught} of ${mutants.length} mutants caught in ${seconds} s`);
  return caught === mutants.length;
}

/** Whether nothing broke; says what did, and by which seed. @param tell hears how far it has come */
export async function simulate(
  seeds: readonly number[],
  durationMs: number,
  tell: (line: string) => void = () => {},
): Promise<boolean> {
  for (const seed of seeds) {
    const world = new SimulatedWorld(seed);
    let toldMs = 0;
    try {
      await world.run(durationMs, (nowMs) => {
        if (nowMs < Math.min(toldMs + TOLD_MS, durationMs)) return;
        toldMs = nowMs;
        tell(`seed ${seed}: ${(nowMs / HOUR_MS).toFixed(1)} h, right in ${world.checks} looks at a target`);
      });
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      console.error(`seed ${seed}: ${error.message}`);
      return false;
    }
    if (world.checks === 0) throw new Error(`Seed ${seed} checked nothing in ${durationMs} ms`);
  }
  return true;
}
