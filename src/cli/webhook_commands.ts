/**
 * The command lines of `webhooks`. What they do is in `webhooks.ts`, which is loaded when one of them runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addApiOptions, addOutputOption, type CommandContext, examples } from "./command_line.ts";

/** Adds the commands. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const webhooks = root.command("webhooks").description(
    "receivers that are told what happens (notify.webhooks)",
  );
  const list = webhooks.command("list").description(
    "how each is: host, last delivery, what waits, what is wrong",
  );
  addOutputOption(addApiOptions(list), ["table", "wide", "json", "yaml"])
    .addHelpText("after", examples("pleiades webhooks list"))
    .action(async (options) => done(await (await import("./webhooks.ts")).listWebhooks(options, terminal)));
  const test = webhooks.command("test [receiver]")
    .description(
      "post a test event to all of them, or to one by its number or host; exit code 1 if one didn't take it",
    );
  addOutputOption(addApiOptions(test), ["table", "wide", "json", "yaml"])
    .addHelpText("after", examples("pleiades webhooks test", "pleiades webhooks test hooks.example.com"))
    .action(async (receiver: string | undefined, options) =>
      done(await (await import("./webhooks.ts")).testWebhooks(receiver, options, terminal))
    );
}
