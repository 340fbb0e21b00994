/**
 * The command line of `completions`, and of what its scripts ask. What they do is in `completions.ts` and
 * `completion_names.ts`, which are loaded when they run.
 *
 * @module
 */
import { Argument, type Command } from "commander";
import { addApiOptions, type CommandContext, examples } from "./command_line.ts";
import type { ClientOptions } from "./client.ts";
import type { Shell } from "./completions.ts";
import { NAME_KINDS, type NameKind } from "./name_kinds.ts";

/** Adds the commands. */
export function register(root: Command, { terminal, done, wholeTree }: CommandContext): void {
  root.command("completions")
    .description("print a completion script for your shell")
    .addArgument(new Argument("<shell>", "which shell").choices(["bash", "zsh", "fish"]))
    .addHelpText(
      "after",
      examples("source <(pleiades completions bash)", "pleiades completions fish | source"),
    )
    .action(async (shell: Shell) =>
      done((await import("./completions.ts")).completions(shell, await wholeTree(), terminal))
    );
  // What the scripts ask for names; it is typed by no one.
  addApiOptions(root.command("__names", { hidden: true }))
    .addArgument(new Argument("<kind>").choices([...NAME_KINDS]))
    .action(async (kind: NameKind, options: ClientOptions) =>
      done(await (await import("./completion_names.ts")).completionNames(kind, options, terminal))
    );
}
