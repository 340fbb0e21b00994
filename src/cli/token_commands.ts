/**
 * The command lines of `tokens`. What they do is in `tokens.ts`, and in `offline_tokens.ts` where they work on a database
 * without a node; either is loaded when one of them runs.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { SCOPES } from "../model/token.ts";
import {
  addApiOptions,
  addOutputOption,
  type CommandContext,
  examples,
  milliseconds,
} from "./command_line.ts";
import type { TokenOptions } from "./tokens.ts";

const EXAMPLES = {
  all: examples(
    "pleiades tokens create anna --scope admin --expire-in 90d",
    "pleiades tokens list",
    "pleiades tokens revoke anna",
  ),
  create: examples(
    "pleiades tokens create ci-deploy --scope write --expire-in 90d",
    "sudo -u pleiades pleiades tokens create anna --scope admin --db /var/lib/pleiades/pleiades.db",
    "export PLEIADES_API_TOKEN=$(pleiades tokens create --scope operate --expire-in 12h)",
  ),
  revoke: examples('pleiades tokens revoke ci-deploy --reason "was in a log"'),
} as const;

/** Adds the commands. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const group = root.command("tokens").description(
    "who may do what: create, list and revoke tokens of the API",
  )
    .addHelpText("after", EXAMPLES.all);
  const add = (command: Command) =>
    addOutputOption(addApiOptions(command), ["table", "wide", "json", "yaml"])
      .option("--db <file>", "work on this database file, without a node")
      .option("-c, --config <file>", "the same on the one that this settings file names");
  const tokensOf = async (options: TokenOptions) => (await import("./tokens.ts")).tokensOf(options, terminal);

  add(group.command("list").description("all of them, without the secrets"))
    .action(async (options: TokenOptions) => done(await (await tokensOf(options)).list()));
  add(group.command("get <name>").description("one token, by its name or id"))
    .action(async (name: string, options: TokenOptions) => done(await (await tokensOf(options)).get(name)));
  add(
    group.command("create [name]").description(
      "create a token and print it, this once; its name is yours by default",
    )
      .addOption(
        new Option("--scope <scope>", "what it allows, each with those before it (required)").choices(SCOPES)
          .makeOptionMandatory(),
      )
      .addOption(
        new Option(
          "--expire-in <duration>",
          "how long it counts, such as 12h or 90d; by default until it is revoked",
        )
          .argParser((text) => (milliseconds(text), text)),
      )
      .option("--reason <text>", "why, for the audit")
      .option("--dry-run", "check it, create none"),
  ).addHelpText("after", EXAMPLES.create)
    .action(async (name: string | undefined, options: TokenOptions) =>
      done(await (await tokensOf(options)).create(name))
    );
  add(
    group.command("revoke <name>").aliases(["delete"]).description("end a token now, by its name or id")
      .option("--reason <text>", "why, for the audit")
      .option("--dry-run", "check it, revoke none"),
  ).addHelpText("after", EXAMPLES.revoke)
    .action(async (name: string, options: TokenOptions) =>
      done(await (await tokensOf(options)).revoke(name))
    );
}
