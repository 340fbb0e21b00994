/**
 * The command line of `failback`. What it does is in `failback.ts`, which is loaded when it runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addApiOptions, addOutputOption, type CommandContext, examples } from "./command_line.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("failback <member>")
    .description("answer a healthy member again that waits for failback (failback: manual)")
    .option("--reason <text>", "why, for the node's log")
    .option("--dry-run", "check it, change nothing");
  addOutputOption(addApiOptions(command), ["table", "json", "yaml"])
    .addHelpText(
      "after",
      examples(
        'pleiades failback web/192.0.2.10 --reason "checked by hand"',
        "pleiades failback web/[2001:db8::10]:443",
        "pleiades failback 9f86d081884c7d659a2feaa0c55ad015",
      ),
    )
    .action(async (member: string, options) =>
      done(await (await import("./failback.ts")).failBack(member, options, terminal))
    );
}
