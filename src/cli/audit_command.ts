/**
 * The command line of `audit`. What it does is in `audit.ts`, which is loaded when it runs.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { addApiOptions, addOutputOption, type CommandContext, examples } from "./command_line.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("audit")
    .description("who changed what, and what was refused, the newest first")
    .option("--refused", "only what was refused")
    .addOption(
      new Option("-n, --limit <n>", "how many").default(20).argParser((text) => {
        if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError("It must be a whole number from 1.");
        return Number(text);
      }),
    );
  addOutputOption(addApiOptions(command), ["table", "wide", "json", "yaml"])
    .addHelpText("after", examples("pleiades audit", "pleiades audit --refused -n 100 -o wide"))
    .action(async (options) => done(await (await import("./audit.ts")).audit(options, terminal)));
}
