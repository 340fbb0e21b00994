/**
 * The parts of one pool against each other: members by what they are called and port, geo rules by the member they lead to.
 *
 * @module
 */
import { addressOf, type GeoRule } from "./model.ts";
import type { PoolFile } from "./model_schema.ts";
import type { Path } from "../input/yaml_source.ts";

/** A pool with all its parts, which agree; its fallback by name. */
export interface JoinedPool extends Omit<PoolFile, "geoRules"> {
  /** In their order. */
  readonly geoRules: readonly JoinedRule[];
}

/** A geo rule that leads to a member of its pool. */
export interface JoinedRule extends Omit<GeoRule, "id" | "memberId"> {
  /** Index among the pool's members. */
  readonly member: number;
}

/** Something wrong with a part. */
export interface PartProblem {
  /** Leads to the part. */
  readonly path: Path;
  /** Leads to the other part that it clashes with. */
  readonly other: Path | null;
  /** What is wrong; where there is another part, its place and the fix are still to be added. */
  readonly message: string;
}

/** Joins the parts of a pool: those that agree, and what is wrong with the others. */
export function joinParts(
  pool: PoolFile,
): { readonly pool: JoinedPool; readonly problems: readonly PartProblem[] } {
  const { members, geoRules } = pool;
  const problems: PartProblem[] = [];
  // Most pools are small and have no rules: then there is nothing to build.
  const kept = haveRepeats(members) ? withoutRepeats(members, problems) : members;
  if (geoRules.length === 0) return { pool: { ...pool, members: kept, geoRules: [] }, problems };
  const indexes = new Map<string, number>();
  for (const [i, member] of kept.entries()) {
    if (!indexes.has(addressOf(member))) indexes.set(addressOf(member), i);
  }
  const known = kept.length === 0 ? "it has no members" : `its members are ${someOf([...indexes.keys()])}`;
  const rules = geoRules.flatMap(({ member: address, ...match }, i) => {
    const member = indexes.get(address);
    if (member !== undefined) return [{ ...match, member }];
    const message = `${notInPool(address)} (${known})`;
    problems.push({ path: ["geoRules", i, "member"], other: null, message });
    return [];
  });
  return { pool: { ...pool, members: kept, geoRules: rules }, problems };
}

/** What is wrong with a rule that leads to a member that the pool hasn't got; the fix is to be added. */
export function notInPool(member: string): string {
  return `member ${member} isn't in this pool`;
}

/** Whether some may be the same; up to so many are compared quicker than they are gathered. */
function haveRepeats(members: PoolFile["members"]): boolean {
  return members.length > COMPARED_MAX ||
    members.some((member, i) => {
      for (let before = 0; before < i; before++) if (isSame(member, members[before]!)) return true;
      return false;
    });
}

const COMPARED_MAX = 8;

type PoolMember = PoolFile["members"][number];

function isSame(one: PoolMember, other: PoolMember): boolean {
  return one.port === other.port && addressOf(one) === addressOf(other);
}

function withoutRepeats(members: PoolFile["members"], problems: PartProblem[]): PoolFile["members"] {
  const seen = new Map<string, number>();
  return members.filter((member, i) => {
    const key = `${addressOf(member)} port ${member.port}`;
    const first = seen.get(key);
    if (first === undefined) return seen.set(key, i);
    const message = `member ${key} is in the pool twice`;
    problems.push({ path: ["members", i], other: ["members", first], message });
    return false;
  });
}

/** The first few, so that the message stays a sentence. */
function someOf(words: readonly string[]): string {
  return words.length <= 5
    ? words.join(", ")
    : `${words.slice(0, 5).join(", ")} and ${words.length - 5} more`;
}
