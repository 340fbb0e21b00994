/**
 * The command line of `tui`. The terminal UI itself, and Ink with it, are loaded when it runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addApiOptions, type CommandContext, examples } from "../cli/command_line.ts";
import type { TuiFlags } from "./tui.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("tui")
    .description("look at pools and services and change them, in the terminal, straight on the database")
    .option("--db <file>", "database file; by default the one of the settings")
    .option("-c, --config <file>", "settings file that names the database");
  addApiOptions(command)
    .addHelpText(
      "after",
      examples("pleiades tui", "pleiades tui --db /var/lib/pleiades/pleiades.db", "gslbctl -db pleiades.db") +
        "\n\nNo node is needed; one that runs on the same database follows within a second.",
    )
    .action(async (flags: TuiFlags) => done(await (await import("./tui.ts")).tui(flags, terminal)));
}
