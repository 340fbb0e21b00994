/**
 * Which words of a command line are names that a node knows.
 *
 * @module
 */

/** Kinds of names. */
export const NAME_KINDS = ["pool", "member", "service", "zone", "target", "generation"] as const;

/** What a name is of. */
export type NameKind = (typeof NAME_KINDS)[number];

const BY_NOUN: Readonly<Record<string, NameKind>> = {
  "pools": "pool",
  "members": "member",
  "services": "service",
  "health-checks": "pool",
  "zones": "zone",
  "overrides": "target",
};

const BY_COMMAND: Readonly<Record<string, NameKind>> = {
  "drain": "target",
  "up": "target",
  "down": "target",
  "undo": "target",
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

/** What the word behind a command is; `null` = nothing that a node knows. */
export function argumentKind(command: string): NameKind | null {
  const known = BY_COMMAND[command];
  if (known !== undefined) return known;
  const [noun = "", verb = ""] = command.split(" ");
  return ["get", "update", "delete", "set"].includes(verb) ? BY_NOUN[noun] ?? null : null;
}

/** What the value of a flag is; `null` = nothing that a node knows. */
export function flagKind(command: string, flag: string): NameKind | null {
  // Of a new member the target is a host name.
  if (flag === "--target") return command === "overrides list" ? "target" : null;
  return BY_FLAG[flag] ?? null;
}
