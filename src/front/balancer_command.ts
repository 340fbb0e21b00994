/**
 * The command line of `balancer`. The balancer is in `run_balancer.ts`, which is loaded when it runs.
 *
 * @module
 */
import type { Command } from "commander";
import { type CommandContext, examples } from "../cli/command_line.ts";
import { CommandFailed } from "../cli/failure.ts";
import type { BalancerFlags } from "./run_balancer.ts";

/** Adds the command. Wrong usage ends with 1, as mname-balancer's does and its supervisors expect. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  root.command("balancer")
    .description("put one DNS socket in front of many DNS servers on this host")
    .option("-b, --address <ip>", "address to listen on, UDP and TCP", "0.0.0.0")
    .option("-p, --port <port>", "port to listen on", "53")
    .option("-l, --level <level>", "trace, debug, info, warn, error or fatal (LOG_LEVEL wins)", "info")
    .option("-s, --sockets <dir>", "directory of the servers' sockets (required)")
    .configureOutput({ outputError: () => {} })
    .exitOverride((error) => {
      if (error.exitCode === 0) throw error;
      throw new CommandFailed(error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " "), 1);
    })
    .addHelpText(
      "after",
      examples(
        "pleiades balancer -s /run/pleiades",
        "pleiades balancer -b 192.0.2.53 -p 53 -l warn -s /run/pleiades",
      ) + "\n\nWhatever is in the directory is a server's socket, unless it begins with a dot.",
    )
    .action(async (flags: BalancerFlags) =>
      done(await (await import("./run_balancer.ts")).runBalancer(flags, terminal))
    );
}
