/**
 * What the API refused, as failures of a command: its own sentences, and for a guard's refusal what to do next.
 *
 * @module
 */
import { CommandFailed, type ExitCode } from "./failure.ts";

/** An answer of 400 or above, as a failure of the command. */
export class ApiRefusal extends CommandFailed {
  /** Keeps the status beside the sentence. */
  constructor(readonly status: number, message: string, exitCode: Exclude<ExitCode, 0> = 1) {
    super(message, exitCode);
  }
}

/** Why a guard refuses a change, or would. */
export interface Refusal {
  /** Its name, such as `empties-live-name`. */
  readonly guard: string;
  /** What the change would do, in a sentence. */
  readonly message: string;
  /** What it would do it to: domains, pools. */
  readonly names: readonly string[];
}

/** A change that guards refused: exit code 3. */
export class GuardRefusal extends ApiRefusal {
  /**
   * Creates the failure: a line for each guard, and behind the last one what to do next.
   *
   * @param hint how to see what it would do, and how to do it all the same
   */
  constructor(readonly refusals: readonly Refusal[], hint: string = BY_FLAGS) {
    const lines = refusals.map(refusalText).join("\n");
    super(409, `${lines} (${hint})`, 3);
  }

  /** The same refusals with another hint. */
  withHint(hint: string): GuardRefusal {
    return new GuardRefusal(this.refusals, hint);
  }
}

const BY_FLAGS = "see what it moves with --dry-run; do it all the same with --force --reason TEXT";

/** Names of a refusal that are listed; a guard may have found a million. */
const NAMES_SHOWN = 10;

/** A refusal in a line: the sentence, the guard, and those names that the sentence doesn't have. */
export function refusalText({ guard, message, names }: Refusal): string {
  const others = names.filter((name) => !message.includes(name));
  const more = others.length > NAMES_SHOWN ? [`${others.length - NAMES_SHOWN} more`] : [];
  const listed = listOf([...others.slice(0, NAMES_SHOWN), ...more]);
  return plain(`${message} [${guard}]${listed === "" ? "" : `: ${listed}`}`);
}

/** `a`, `a and b`, `a, b and c`. */
function listOf(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** A line stays one: names from outside end here. */
function plain(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, " ");
}
