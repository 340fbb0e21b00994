/**
 * The command lines of `explain` and `budget`. What they do is in `explain.ts` and `budget.ts`, which are loaded when they
 * run.
 *
 * @module
 */
import type { Command } from "commander";
import { addApiOptions, addOutputOption, type CommandContext, examples } from "./command_line.ts";
import type { ExplainFlags } from "./explain.ts";

/** Adds the commands; `done` gets the exit code of the one that ran. */
export function register(root: Command, context: CommandContext): void {
  addExplain(root, context);
  addBudget(root, context);
}

function addExplain(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("explain <name>")
    .description("why the next answer is what it is: every member, kept or dropped, and why")
    .option("--type <type>", "record type", "A")
    .option("--client <ip>", "address that sends the query; by default 127.0.0.1")
    .option("--ecs <prefix>", "client subnet that the query carries, such as 198.51.100.0/24");
  addOutputOption(addApiOptions(command), ["table", "json", "yaml"])
    .addHelpText("after", EXAMPLES)
    .action(async (name: string, flags: ExplainFlags) =>
      done(await (await import("./explain.ts")).explain(name, flags, terminal))
    );
}

function addBudget(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("budget <name>")
    .description(
      "how long a fault is seen in answers: by the settings, and as measured in the last failovers",
    );
  addOutputOption(addApiOptions(command), ["table", "json", "yaml"])
    .addHelpText(
      "after",
      examples("pleiades budget www.example.com", "pleiades budget www.example.com -o json"),
    )
    .action(async (name: string, options) =>
      done(await (await import("./budget.ts")).budget(name, options, terminal))
    );
}

const EXAMPLES = `${
  examples(
    "pleiades explain www.example.com",
    "pleiades explain www.example.com --client 198.51.100.7",
    "pleiades explain www.example.com --type AAAA --client 192.0.2.53 --ecs 203.0.113.0/24",
  )
}

This is a dry run: nothing is counted, and the rotation doesn't move. The exit
code is 1 if this node doesn't serve the name.`;
