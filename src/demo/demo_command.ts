/**
 * The command line of `demo`. What it does is in `demo.ts`, which is loaded when it runs.
 *
 * @module
 */
import type { Command } from "commander";
import { type CommandContext, examples } from "../cli/command_line.ts";
import type { DemoFlags } from "./demo.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  root.command("demo")
    .description("run a node with sample backends that come and go, narrated live; leaves nothing behind")
    .option("--dns <addr:port>", "address for DNS; by default a free port on loopback")
    .option("--api <addr:port>", "address for the API; by default a free port on loopback")
    .option("--once", "stop and start a backend once, then exit; exit code 1 if the answers were late")
    .addHelpText("after", examples("pleiades demo", "pleiades demo --once"))
    .action(async (flags: DemoFlags) => done(await (await import("./demo.ts")).demo(flags, terminal)));
}
