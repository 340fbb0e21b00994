/**
 * The parts of one pool against each other: members by what they are called and port, geo rules by the member they lead to.
 *
 * @module
 */
import { addressOf, type GeoRule } from "./model.ts";
import type { PoolFile } from "./model_schema.ts";
import type { Path } from "../input/yaml_source.ts";

/** A pool's parts that agree, and what is wrong with the others. */
export interface PoolParts {
  /** Each address or host name with a port once. */
  readonly members: PoolFile["members"];
  /** Each with the index of its member among `members`. */
  readonly geoRules: readonly (Omit<GeoRule, "id" | "memberId"> & { readonly member: number })[];
  /** By the path within the pool. */
  readonly problems: readonly PartProblem[];
}

/** Something wrong with a part. */
export interface PartProblem {
  /** Leads to the part. */
  readonly path: Path;
  /** Leads to the other part that it clashes with. */
  readonly other: Path | null;
  /** What is wrong; where there is another part, {@linkcode repeated} adds its place and the mend. */
  readonly message: string;
}

/** Joins the parts of a pool. */
export function joinParts({ members, geoRules }: PoolFile): PoolParts {
  // Most pools are small and have no rules: then there is nothing to build.
  const problems: PartProblem[] = [];
  const kept = members.length < 2 ? members : withoutRepeats(members, problems);
  if (geoRules.length === 0) return { members: kept, geoRules: [], problems };
  const indexes = new Map<string, number>();
  for (const [i, member] of kept.entries()) {
    if (!indexes.has(addressOf(member))) indexes.set(addressOf(member), i);
  }
  const known = kept.length === 0 ? "it has no members" : `its members are ${someOf([...indexes.keys()])}`;
  const rules = geoRules.flatMap(({ member: address, ...match }, i) => {
    const member = indexes.get(address);
    if (member !== undefined) return [{ ...match, member }];
    const message = `member ${address} isn't in this pool (${known})`;
    problems.push({ path: ["geoRules", i, "member"], other: null, message });
    return [];
  });
  return { members: kept, geoRules: rules, problems };
}

/** The sentence on a part that is there twice, with the place of the first. */
export function repeated(message: string, first: string): string {
  return `${message} (also at ${first}); keep one`;
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
