/**
 * The command line of `balstat`. What it does is in `balstat.ts`, which is loaded when it runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addOutputOption, type CommandContext, examples } from "../cli/command_line.ts";
import type { BalstatFlags } from "./balstat.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("balstat")
    .description("show the backends and clients of this host's DNS balancer")
    .requiredOption("-s, --sockets <dir>", "directory of the servers' sockets");
  addOutputOption(command, ["table", "json", "prometheus"])
    .addHelpText(
      "after",
      examples(
        "pleiades balstat -s /run/pleiades",
        "pleiades balstat -s /run/pleiades -o json",
        "pleiades balstat -s /run/pleiades -o prometheus",
      ),
    )
    .action(async (flags: BalstatFlags) =>
      done(await (await import("./balstat.ts")).balstat(flags, terminal))
    );
}
