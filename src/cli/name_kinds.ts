/**
 * Which words of a command line are names that a node knows.
 *
 * @module
 */

/** Kinds of names. */
export const NAME_KINDS = [
  ...["pool", "member", "geo-rule", "service", "zone", "target", "override", "token", "generation"] as const,
] as const;

/** What a name is of. */
export type NameKind = (typeof NAME_KINDS)[number];

const BY_NOUN: Readonly<Record<string, NameKind>> = {
  "pools": "pool",
  "members": "member",
  "services": "service",
  "health-checks": "pool",
  "geo-rules": "geo-rule",
  "zones": "zone",
  "overrides": "override",
  "tokens": "token",
};

const BY_COMMAND: Readonly<Record<string, NameKind>> = {
  "drain": "target",
  "up": "target",
  "down": "target",
  "undo": "override",
  "failback": "member",
  "explain": "service",
  "budget": "service",
  "query": "service",
  "overrides create": "target",
  "history": "generation",
  "diff": "generation",
  "rollback": "generation",
  "config history": "generation",
  "config diff": "generation",
  "config rollback": "generation",
};

const BY_FLAG: Readonly<Record<string, NameKind>> = {
  "--pool": "pool",
  "--fallback-pool": "pool",
  "--member": "member",
  "--generation": "generation",
};

/** What the word behind a command is, by its place there from 0 on; `null` = nothing that a node knows. */
export function argumentKind(command: string, place: number): NameKind | null {
  const known = BY_COMMAND[command];
  if (known === "generation") return known;
  if (place > 0) return null;
  if (known !== undefined) return known;
  const [noun = "", verb = ""] = command.split(" ");
  return OF_OLD_ONES.includes(verb) ? BY_NOUN[noun] ?? null : null;
}

/** Verbs whose word is the name of something that is there. */
const OF_OLD_ONES = ["get", "update", "delete", "set", "put", "revoke"];

/** What the value of a flag is; `null` = nothing that a node knows. */
export function flagKind(command: string, flag: string): NameKind | null {
  // Of a new member the target is a host name.
  if (flag === "--target") return command === "overrides list" ? "target" : null;
  return BY_FLAG[flag] ?? null;
}
