/**
 * The command line of `status`. What it does is in `status.ts`, which is loaded when it runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addApiOptions, addOutputOption, type CommandContext, examples } from "./command_line.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("status").description(
    "show the state of the node; exit code 1 if it doesn't answer",
  );
  addOutputOption(addApiOptions(command), ["table", "json", "yaml"])
    .addHelpText(
      "after",
      examples("pleiades status", "pleiades status -o json --api http://ns1.example.org:8080"),
    )
    .action(async (options) => done(await (await import("./status.ts")).status(options, terminal)));
}
