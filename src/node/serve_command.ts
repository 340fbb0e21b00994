/**
 * The command line of `serve`. The node itself is in `serve.ts`, which is loaded when it runs.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type CommandContext, examples } from "../cli/command_line.ts";
import type { ServeFlags } from "./serve.ts";
import { ServeSignals } from "./signals.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  root.command("serve")
    .description("run a node: answer DNS, check health, serve the API")
    .option("-c, --config <file>", "settings file; by default /etc/pleiades/config.yaml if it exists")
    .option("--db <file>", "database file, or none for no database")
    .addOption(
      new Option("--dns <addr:port>", "address for DNS; may be repeated; port 0 = any free port")
        .argParser((address, before: string[] = []) => [...before, address]),
    )
    .option("--api <addr:port>", "address for the API; port 0 = any free port")
    .option("--replace", "take over from the node that runs on the same database, without losing a query")
    .addOption(new Option("--workers <n>", "threads that answer DNS").argParser(workers))
    .addHelpText(
      "after",
      examples(
        "pleiades serve",
        "pleiades serve -c pleiades.yaml",
        "pleiades serve --replace",
        "pleiades serve --db none --dns 127.0.0.1:5353 --dns [::1]:5353 --api 127.0.0.1:8080",
      ) + "\n\nSIGHUP reloads the settings; SIGTERM stops after pending answers.",
    )
    .action(async (flags: ServeFlags) => {
      using signals = new ServeSignals(); // before the program itself is loaded, so that none comes too early
      done(await (await import("./serve.ts")).serve(flags, { terminal, signals }));
    });
}

function workers(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) {
    throw new InvalidArgumentError("It must be a whole number from 1 to 999.");
  }
  return Number(text);
}
