/**
 * The command lines of `discovery`. What they do is in `discovery.ts`, which is loaded when one of them runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addApiOptions, addOutputOption, type CommandContext, examples } from "./command_line.ts";

/** Adds the commands. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const discovery = root.command("discovery").description("services that announce themselves");
  const lookup = discovery.command("lookup <address>").description(
    "the instances at service.job.env.product.zone; exit code 1 if there is none",
  );
  addOutputOption(addApiOptions(lookup), ["table", "json", "yaml"])
    .addHelpText("after", examples("pleiades discovery lookup http.web.prod.shop.gg"))
    .action(async (address, options) =>
      done(await (await import("./discovery.ts")).lookup(address, options, terminal))
    );
  const watch = discovery.command("watch <address>").description("the same, now and after every change");
  addOutputOption(addApiOptions(watch), ["table", "json"])
    .option("--changes <count>", "end after so many states", (text) => Number.parseInt(text, 10))
    .addHelpText("after", examples("pleiades discovery watch http.web.prod.shop.gg -o json"))
    .action(async (address, options) =>
      done(await (await import("./discovery.ts")).watch(address, options, terminal))
    );
  const registration = discovery.command("register <file>").description(
    "register all that FILE says, in place of what its provider had registered",
  );
  addApiOptions(registration)
    .option("--provider <name>", "who registers; by default the name of the file")
    .option("--directory <path>", "write it there, where a node or Consul reads it, instead of asking a node")
    .option("--zone <zone>", "with --directory: the zone of the registrations", "gg")
    .option("--reload-command <command>", "run this when it is done: words, without a shell")
    .addHelpText("after", examples("pleiades discovery register chef.json"))
    .action(async (file, options) =>
      done(await (await import("./discovery.ts")).registerFile(file, options, terminal))
    );
}
