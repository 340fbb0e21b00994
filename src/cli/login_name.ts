/**
 * Who typed a command: the owner of an override unless another is named.
 *
 * @module
 */
import { TOKEN_NAME_MAX } from "../model/token.ts";
import { CommandFailed, wrongUsage } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** What the operating system knows of who runs the process. */
export interface ProcessUser {
  /** Number of the user; `null` where users have none. */
  readonly uid: number | null;
  /** The text of `/etc/passwd`; `null` = it can't be read. */
  readonly users: () => string | null;
}

/**
 * The name of who is logged in, behind `sudo` of the person and not of root. Containers, cron and units have no
 * environment that says so: there it is the name of the process's user, or `uid:1000` where that has none.
 *
 * @throws {CommandFailed} exit code 2, where nothing is known
 */
export function loginName({ env }: Pick<Terminal, "env">, { uid, users }: ProcessUser): string {
  const name = env("SUDO_USER") ?? env("USER") ?? env("LOGNAME") ?? env("USERNAME");
  if (name !== undefined && name !== "") return name;
  if (uid === null) throw wrongUsage("Cannot tell who you are (--owner NAME)");
  return nameOf(uid, users() ?? "") ?? `uid:${uid}`;
}

/**
 * The same as a name that stands beside a change: without spaces, and `null` where nothing is known. It is what the
 * environment says, so it says who it was among those who may do it anyway.
 */
export function authorName(terminal: Pick<Terminal, "env">): string | null {
  try {
    const name = loginName(terminal, { uid: Deno.uid(), users: readUsers });
    return name.replaceAll(/[\p{C}\p{Z}]+/gu, "-").slice(0, TOKEN_NAME_MAX);
  } catch (error) {
    if (error instanceof CommandFailed) return null;
    throw error;
  }
}

/** The text of `/etc/passwd`. */
export function readUsers(): string | null {
  try {
    return Deno.readTextFileSync("/etc/passwd");
  } catch {
    // Minimal containers have none: the number says it, too.
    return null;
  }
}

/** passwd(5): name, password, uid, …, separated by colons. */
function nameOf(uid: number, users: string): string | null {
  const fields = users.split("\n").map((line) => line.split(":")).find((each) => each[2] === String(uid));
  return fields?.[0] || null;
}
