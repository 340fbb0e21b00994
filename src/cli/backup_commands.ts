/**
 * The command lines of `backup` and `restore`. What they do is in `backup.ts`, which is loaded when one of them runs.
 *
 * @module
 */
import type { Command } from "commander";
import { type CommandContext, examples } from "./command_line.ts";
import type { DatabaseOptions } from "./database_path.ts";

/** Adds the commands. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const command = (name: string, description: string, file: string) =>
    root.command(name)
      .description(description)
      .argument("<file>", file)
      .option("--db <file>", "database file; by default the one that the settings name")
      .option("-c, --config <file>", "settings file; by default /etc/pleiades/config.yaml if it exists");
  command(
    "backup",
    "copy the database to a file, even while a node runs",
    "the copy; an existing file is replaced",
  )
    .addHelpText("after", examples("pleiades backup /srv/backup/pleiades-$(date +%F).db"))
    .action(async (file: string, options: DatabaseOptions) =>
      done(await (await import("./backup.ts")).backup(file, options, terminal))
    );
  command("restore", "replace the database with a backup; stop the node first", "a file that backup wrote")
    .addHelpText(
      "after",
      examples("pleiades restore pleiades-2026-01-31.db --db /var/lib/pleiades/pleiades.db"),
    )
    .action(async (file: string, options: DatabaseOptions) =>
      done(await (await import("./backup.ts")).restore(file, options, terminal))
    );
}
