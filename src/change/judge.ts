/**
 * The judge of whole models, wherever they come from: what must agree among staged objects, each of which is fine in
 * itself. Of a single edit the same is judged by `faults.ts`, in the same words.
 *
 * @module
 */
import { nearest } from "../input/nearest.ts";
import type { ObjectProblem } from "../model/model_reader.ts";
import { isStandIn } from "../model/salvage.ts";
import type { Staging } from "../store/staging.ts";
import { belowCut, fallbackCircle, ownName, poolMissing } from "./sentences.ts";

/** Judges staged objects against each other, for as long as problems are asked for. */
export function* judgeStaged(staging: Staging): Generator<ObjectProblem> {
  const missing = missingPools(staging);
  for (const { place, pool } of staging.poolsWithoutFallback()) {
    yield { noun: "pool", place, path: ["fallbackPool"], message: missing(pool) };
  }
  for (const { place, names } of staging.fallbackCircles()) {
    yield { noun: "pool", place, path: ["fallbackPool"], message: fallbackCircle(names) };
  }
  for (const { place, pool } of staging.servicesWithoutPool()) {
    yield { noun: "service", place, path: ["pool"], message: missing(pool) };
  }
  for (const { place, domain, pool } of staging.servicesByOwnName()) {
    yield { noun: "service", place, path: ["pool"], message: ownName({ domain, pool }) };
  }
  for (const { place, domain, cut } of staging.servicesBelowCuts()) {
    yield { noun: "service", place, path: ["domain"], message: belowCut({ domain, cut }) };
  }
}

/** Names that a missing one is compared with, of all missing ones together: some 100 ms. */
const COMPARISONS_MAX = 100_000;

/** Says what is wrong with the name of a pool that isn't there, and which one was probably meant. */
function missingPools(staging: Staging): (pool: string) => string {
  let names: readonly string[] | null = null;
  let comparisonsLeft = COMPARISONS_MAX;
  return (pool) => {
    names ??= staging.poolNames(COMPARISONS_MAX).filter((name) => !isStandIn(name));
    comparisonsLeft -= names.length;
    const near = comparisonsLeft > 0 ? nearest(pool, names) : null;
    return poolMissing(pool, near === null ? "define it under pools:" : `did you mean "${near}"?`);
  };
}
