/**
 * The command line of `explain`. What it does is in `explain.ts`, which is loaded when it runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addApiOptions, addOutputOption, examples, type Surroundings } from "./command_line.ts";
import type { ExplainFlags } from "./explain.ts";

/** Adds the command; `done` gets its exit code. */
export function addExplainCommands(root: Command, { terminal, done }: Surroundings): void {
  const command = root.command("explain <name>")
    .description("why the next answer is what it is: every member, kept or dropped, and why")
    .option("--type <type>", "record type", "A")
    .option("--client <ip>", "who sends the query; else 127.0.0.1")
    .option("--ecs <prefix>", "client subnet that the query carries, such as 198.51.100.0/24");
  addOutputOption(addApiOptions(command), ["table", "json", "yaml"])
    .addHelpText("after", EXAMPLES)
    .action(async (name: string, flags: ExplainFlags) =>
      done(await (await import("./explain.ts")).explain(name, flags, terminal))
    );
}

const EXAMPLES = `${
  examples(
    "pleiades explain www.example.com",
    "pleiades explain www.example.com --client 198.51.100.7",
    "pleiades explain www.example.com --type AAAA --client 192.0.2.53 --ecs 203.0.113.0/24",
  )
}

Nothing is counted and no turn is taken. The exit code is 1 when the name isn't answered here.`;
