/**
 * The tree of commands that a command line is read with, made from the table in `commands.ts`.
 *
 * @module
 */
import { Command } from "commander";
import { VERSION } from "../version.ts";
import type { CommandContext } from "./command_line.ts";
import type { CommandFile } from "./commands.ts";

const FIRST_STEPS = `
Three things to try first:
  pleiades demo                          a whole node, gone with Ctrl-C
  pleiades config init > pleiades.yaml   a commented settings file to start from
  pleiades serve -c pleiades.yaml        the node itself

"pleiades COMMAND --help" shows the options of a command, with examples.`;

/** What a tree is made for. */
export interface CommandTreeOptions extends Pick<CommandContext, "terminal" | "done"> {
  /** The word that a command line begins with: where it is a command's name, the others aren't loaded. */
  readonly word?: string | undefined;
}

/** The tree of commands. Commander's errors are one line each. */
export async function commandTree(
  commands: readonly CommandFile[],
  { terminal, done, word }: CommandTreeOptions,
): Promise<Command> {
  const root = new Tree("pleiades")
    .description("Health-aware DNS global server load balancer")
    .addHelpText("after", FIRST_STEPS)
    .version(VERSION, "-V, --version", "print the version only")
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
      outputError: (text, write) => write(text.trim().replaceAll(/\s*\n\s*/g, " ")),
    })
    // By itself it doesn't wrap beside a long name, and a terminal of 80 columns would break words.
    .configureHelp({ minWidthToWrap: 20 });
  const context: CommandContext = {
    terminal,
    done,
    wholeTree: () => commandTree(commands, { terminal, done }),
  };
  const named = commands.filter(([, names]) => word !== undefined && names.includes(word));
  const files = (named.length > 0 ? named : commands).map(async ([heading, , load]) =>
    [heading, (await load()).register] as const
  );
  for (const [heading, register] of await Promise.all(files)) {
    root.commandsGroup(heading);
    register(root, context);
  }
  return root.commandsGroup("Other:").helpCommand("help [command]", "show the options of a command");
}

/** A command that, called without the subcommand it needs, says so in one line instead of printing its help. */
class Tree extends Command {
  override createCommand(name?: string): Command {
    return new Tree(name);
  }

  override help(context?: unknown): never {
    const words = this.commands.map((command) => command.name()).filter((name) => name !== "help");
    if (isErrorContext(context)) this.error(`error: ${this.name()} needs one of: ${words.join(", ")}`);
    return super.help();
  }
}

function isErrorContext(context: unknown): boolean {
  return typeof context === "object" && context !== null && "error" in context && context.error === true;
}
