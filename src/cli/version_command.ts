/**
 * The command line of `version`. What it does is in `version.ts`, which is loaded when it runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addOutputOption, type CommandContext } from "./command_line.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  addOutputOption(root.command("version"), ["text", "json"])
    .description("show the version and its platform")
    .action(async (options: { output: "text" | "json" }) =>
      done((await import("./version.ts")).version(options, terminal))
    );
}
