/**
 * Weights as they count, in whole numbers: what a drain or a shared name leaves of a member is a fraction of its weight.
 *
 * @module
 */
import type { SteeredMember, SteeredPool } from "./desired.ts";

/** Units that a weight is cut into at most, so that shares come out even: 64 steps of a drain of 1/16. */
const UNITS_MAX = 1024;
const WEIGHT_MAX = 0xffff;

/** What a member of the pool weighs, 1–65535: with round robin all the same, while it drains or shares less than its own. */
export function weigher({ algorithm, members }: SteeredPool): (member: SteeredMember) => number {
  const ownOf = (member: SteeredMember) => algorithm === "round-robin" ? 1 : member.weight;
  if (members.every((member) => member.share === 1)) return ownOf;
  const weights = new Set(members.map((member) => ownOf(member) * member.share));
  const heaviest = [...weights].reduce((most, weight) => Math.max(most, weight), 1);
  const units = unitsOf(weights, Math.max(1, Math.floor(WEIGHT_MAX / heaviest)));
  return (member) => Math.max(1, Math.round(ownOf(member) * member.share * units));
}

/** The fewest units that make all weights whole; where that takes too many, as many as make them nearly so. */
function unitsOf(weights: ReadonlySet<number>, max: number): number {
  const isWhole = (weight: number) => Math.abs(weight - Math.round(weight)) < 1e-6;
  const most = Math.min(UNITS_MAX, max);
  for (let units = 1; units < most; units++) {
    if ([...weights].every((weight) => isWhole(weight * units))) return units;
  }
  return most;
}
