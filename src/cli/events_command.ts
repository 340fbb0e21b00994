/**
 * The command line of `events`. What it does is in `events.ts`, which is loaded when it runs.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { KIND_NAMES } from "../events/event.ts";
import {
  addApiOptions,
  addOutputOption,
  type CommandContext,
  examples,
  milliseconds,
} from "./command_line.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("events")
    .description("what happens inside the node: health, overrides, changes, reloads, failures")
    .option("-f, --follow", "go on with what happens; Ctrl-C ends it")
    .addOption(
      new Option("--kind <kind...>", "only events of this kind; may be given more than once").choices(
        KIND_NAMES,
      ),
    )
    .addOption(
      new Option("--since <id-or-duration>", "from behind this event, or for so long back").argParser(
        beginning,
      ),
    )
    .addOption(
      new Option("--tail <count>", "so many of the last ones (default: 50; with --follow 10)").argParser(
        count,
      )
        .conflicts("since"),
    );
  addOutputOption(addApiOptions(command), ["table", "wide", "json"])
    .addHelpText(
      "after",
      examples(
        "pleiades events",
        "pleiades events --follow --kind health --kind pool",
        "pleiades events --since 10m -o json",
      ),
    )
    .action(async (flags) => done(await (await import("./events.ts")).events(flags, terminal)));
}

/** Where to begin: an id of at least ten digits, or milliseconds back. */
function beginning(text: string): { readonly id: string } | { readonly backMs: number } {
  if (/^\d{10,16}$/.test(text)) return { id: text };
  try {
    return { backMs: milliseconds(text) };
  } catch {
    throw new InvalidArgumentError(
      "It must be the id of an event (-o wide shows them), or a duration such as 10m.",
    );
  }
}

function count(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 10_000) {
    throw new InvalidArgumentError("It must be a whole number 0–10000.");
  }
  return Number(text);
}
