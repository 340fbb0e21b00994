/**
 * `pleiades`: reads the command line, loads the one command that was asked for, and turns what it returns or
 * throws into an exit code.
 *
 * Every command is behind a literal `import()`, and pays only for itself. No expected error ever shows a stack;
 * `PLEIADES_DEBUG=1` brings it back.
 *
 * @module
 */
import { basename } from "node:path";
import process from "node:process";
import { type Command, CommanderError } from "commander";
import { withTwoDashes } from "./src/cli/command_line.ts";
import { commandTree } from "./src/cli/command_tree.ts";
import { type CommandFile, COMMANDS } from "./src/cli/commands.ts";
import { CommandFailed, type ExitCode } from "./src/cli/failure.ts";
import { systemTerminal, type Terminal } from "./src/cli/terminal.ts";

/**
 * Runs one command line (without the program's name) and gives the exit code of INTERFACES §1.
 *
 * @param commands all that there are
 */
export async function run(
  args: readonly string[],
  terminal: Terminal,
  commands: readonly CommandFile[] = COMMANDS,
): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const done = (code: ExitCode) => void (exitCode = code);
  const line = withTwoDashes(args);
  try {
    const root = await commandTree(commands, { terminal, done, word: line[0] });
    if (line.length > 0) await root.parseAsync(withoutHelpForNothing(root, line), { from: "user" });
    else root.outputHelp();
    return exitCode;
  } catch (error) {
    return report(error, terminal);
  }
}

/** Without what asks for help where the command that it is about isn't there: that is an error, as without it. */
function withoutHelpForNothing(root: Command, args: readonly string[]): readonly string[] {
  const words = args[0] === "help" ? args.slice(1) : args;
  let at = root;
  for (const word of words) {
    const next = at.commands.find((each) => each.name() === word || each.aliases().includes(word));
    if (next !== undefined) at = next;
    else if (word.startsWith("-") || word === "help" || at.commands.length === 0) return args;
    else return words.filter((each) => each !== "--help" && each !== "-h");
  }
  return args;
}

/** Says what went wrong in a line per problem, and picks the exit code. */
function report(error: unknown, terminal: Terminal): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (terminal.env("PLEIADES_DEBUG") && error instanceof Error) terminal.err(error.stack ?? "");
  if (error instanceof CommandFailed) {
    for (const line of error.message.split("\n")) terminal.err(`error: ${line}`);
    return error.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  terminal.err(`error: ${message.trim().replaceAll(/\s*\n\s*/g, " ")}`);
  return 1;
}

/** The command line that was meant: a program called `gslbctl`, as a link to this one may be, is the terminal UI. */
export function meant(argv0: string, args: readonly string[]): readonly string[] {
  return /^gslbctl(?:\.exe)?$/.test(basename(argv0)) ? ["tui", ...args] : args;
}

if (import.meta.main) Deno.exit(await run(meant(process.argv0, Deno.args), systemTerminal));
