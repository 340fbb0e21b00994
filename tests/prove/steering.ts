/**
 * Answers against an oracle that reads only the docs: `deno task prove steering [MODELS [FIRST_SEED]]`.
 *
 * Random models (every algorithm, geo rules, geofences, tiers, weights, `minHealthy`, `onAllDown`, chains of pools, both
 * families, members that are disabled, forced up or down, or sick) and random clients and subnets. What the product
 * answers must be what the oracle says: which members, in which order, by which turns, for how many seconds; the scope
 * must hold for every address in it; the explained answer must be the answer, byte by byte, and its sentences true.
 * A smaller part is asked of a real `serve` on the wire.
 *
 * @module
 */
import { compareModels, type Disagreement } from "./steering/compare.ts";
import { compareOnWire } from "./steering/wire.ts";

/** Models asked of a real node: each is applied over REST. */
const WIRE_SHARE = 100;

/** Runs the proof; 5,000 models unless told otherwise. */
export async function prove([models = "5000", first = "1"]: string[]): Promise<boolean> {
  const range = { first: Number(first), count: Number(models) };
  const inProcess = compareModels(range);
  console.log(`models             ${models} from seed ${first}`);
  console.log(`questions          ${inProcess.questions}, ${inProcess.answers} answers`);
  console.log(
    `scopes             ${inProcess.scopes} held against ${inProcess.neighbours} addresses in them`,
  );
  console.log(
    `could be wider     ${inProcess.narrow} (by the oracle, at every address where something known begins or ends)`,
  );
  tell(inProcess.disagreements);
  const wire = await compareOnWire({ first: range.first, count: Math.ceil(range.count / WIRE_SHARE) });
  console.log(
    `on the wire        ${wire.models} models, ${wire.questions} questions, ${wire.explained} explained`,
  );
  tell(wire.disagreements);
  return inProcess.disagreements.length === 0 && wire.disagreements.length === 0;
}

function tell(disagreements: readonly Disagreement[]): void {
  console.log(`disagreements      ${disagreements.length}`);
  const bySeed = [...new Map(disagreements.map((one) => [one.seed, one])).values()];
  for (const { seed, what } of bySeed.slice(0, 20)) console.log(`  seed ${seed}: ${what}`);
}
