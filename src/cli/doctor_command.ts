/**
 * The command line of `doctor`. What it does is in `doctor.ts`, which is loaded when it runs.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { addApiOptions, addOutputOption, type CommandContext, examples } from "./command_line.ts";
import type { DoctorFlags } from "./doctor.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("doctor")
    .description(
      "what is wrong with this machine's set-up, and what to do about it; exit code 1 if anything is",
    )
    .option("-c, --config <file>", "settings file; by default those of the service, where it is installed")
    .option(
      "--unit <file>",
      "systemd unit that starts the node; by default pleiades.service, where it is installed",
    )
    .option("--db <file>", "database file, as serve takes it")
    .addOption(
      new Option("--dns <addr:port>", "address for DNS, as serve takes it; may be repeated")
        .argParser((address, before: string[] = []) => [...before, address]),
    );
  addOutputOption(addApiOptions(command), ["table", "json", "yaml"])
    .addHelpText(
      "after",
      examples("pleiades doctor", "pleiades doctor -c pleiades.yaml", "pleiades doctor -o json") +
        "\n\nNo node need run; one that does is asked for what it finds itself. Nothing is\nchanged.",
    )
    .action(async (flags: DoctorFlags) => done(await (await import("./doctor.ts")).doctor(flags, terminal)));
}
