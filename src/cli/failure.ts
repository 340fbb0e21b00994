/**
 * How a command says that it did not work: one sentence for people, one exit code for scripts.
 *
 * @module
 */

/**
 * 0 done · 1 what was asked about is bad, or the work failed · 2 wrong usage · 3 refused by a guard, or made for a
 * model that has changed since.
 */
export type ExitCode = 0 | 1 | 2 | 3;

/** An expected failure: `main.ts` prints the message without a stack and ends with `exitCode`. */
export class CommandFailed extends Error {
  /** The class's name, whatever a bundler makes of it. */
  override readonly name: string = "CommandFailed";

  /**
   * Creates the failure.
   *
   * @param message what failed, the value, the fix; a further line stands for a further problem
   * @param exitCode 2 for wrong usage, 3 for a guard's refusal and for a model that isn't what the author saw any more
   */
  constructor(message: string, readonly exitCode: Exclude<ExitCode, 0> = 1, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The failure of someone who called the command wrongly. */
export function wrongUsage(message: string): CommandFailed {
  return new CommandFailed(message, 2);
}
