/**
 * The command line of `pleiades config`. What the commands do is in `config.ts`, which is loaded when one runs.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { addApiOptions, addOutputOption, type CommandContext, examples } from "./command_line.ts";
import type { ApplyFlags, ExportFlags } from "./config.ts";

/** Adds the group `config`; `done` gets the exit code of the command that ran. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const config = root.command("config").description("files: settings and the model");
  const load = () => import("./config.ts");

  config.command("validate")
    .description("show every problem of settings files and models, with line, column and fix")
    .argument("<paths...>", "settings file, model directory, model file or NDJSON; - reads stdin")
    .addHelpText("after", EXAMPLES.validate)
    .action(async (paths: string[]) => done(await (await load()).validate(paths, terminal)));

  config.command("init")
    .description("print a commented settings file to start from")
    .option("--all", "include rarely used keys")
    .addHelpText("after", EXAMPLES.init)
    .action(async (flags: { all?: boolean }) => done((await load()).init(flags, terminal)));

  config.command("schema")
    .description("print the JSON Schema of the settings file")
    .option("--model", "for model files instead")
    .addHelpText("after", EXAMPLES.schema)
    .action(async (flags: { model?: boolean }) => done((await load()).schema(flags, terminal)));

  addOutputOption(addApiOptions(config.command("export")), ["yaml", "ndjson", "json"])
    .description("print the model of a running node as canonical text")
    .addHelpText("after", EXAMPLES.export)
    .action(async (flags: ExportFlags) => done(await (await load()).exportConfig(flags, terminal)));

  addOutputOption(addApiOptions(config.command("apply")), ["table", "json", "yaml"])
    .description("check a model and apply it to a running node, in one transaction")
    .argument("[path]", "model directory, model file or NDJSON; - reads stdin")
    .option("-f, --file <path>", "the same as a flag")
    .option("--reason <text>", "kept in the history")
    // Known, so that whoever relies on it hears that there is nothing to force yet.
    .addOption(new Option("--force").hideHelp())
    .option("--dry-run", "show what would change, and change nothing")
    .addHelpText("after", EXAMPLES.apply)
    .action(async (path: string | undefined, flags: ApplyFlags) =>
      done(await (await load()).apply(path, flags, terminal))
    );
}

const EXAMPLES = {
  validate: examples(
    "pleiades config validate pleiades.yaml",
    "pleiades config validate repo/",
    "pleiades config validate pleiades.yaml repo/",
    "pleiades config export | pleiades config validate -",
  ),
  init: examples("pleiades config init > pleiades.yaml"),
  schema: examples("pleiades config schema > pleiades.schema.json", "pleiades config schema --model"),
  export: examples(
    "pleiades config export > model.yaml",
    "pleiades config export -o ndjson | gzip > model.gz",
  ),
  apply: examples(
    `pleiades config apply repo/ --reason "new site"`,
    "pleiades config apply bulk.ndjson --dry-run",
    "pleiades config export | sed s/192.0.2.10/192.0.2.20/ | pleiades config apply -",
  ),
} as const;
