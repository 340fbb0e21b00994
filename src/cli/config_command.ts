/**
 * The command line of `pleiades config`. What the commands do is in `config.ts`, `apply.ts` and `history.ts`, which
 * are loaded when one runs.
 *
 * @module
 */
import type { Command } from "commander";
import type { ApplyFlags } from "./apply.ts";
import { addHistory, addPlan } from "./change_commands.ts";
import {
  addApiOptions,
  addOutputOption,
  addWriteOptions,
  type CommandContext,
  examples,
  generationNumber,
} from "./command_line.ts";
import type { ExportFlags } from "./config.ts";

/** Adds the group `config`; `done` gets the exit code of the command that ran. */
export function register(root: Command, context: CommandContext): void {
  const { terminal, done } = context;
  const config = root.command("config").description(
    "files: settings and the model; what it was and would be",
  );
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
    .option("--generation <generation>", "as it was then; by default as it is", generationNumber)
    .addHelpText("after", EXAMPLES.export)
    .action(async (flags: ExportFlags) => done(await (await load()).exportConfig(flags, terminal)));

  addPlan(config, context);

  const apply = config.command("apply")
    .description("check a model and apply it to a running node, in one transaction")
    .argument("[path]", "model directory, model file or NDJSON; - reads stdin")
    .option("-f, --file <path>", "the same as a flag");
  addWriteOptions(apply).option("-y, --yes", "don't ask, on a terminal, before something is removed")
    .option("--cluster", "publish it as the cluster's document as well")
    .option(
      "--if-generation <generation>",
      "only over this generation, such as the one that a plan was made for",
      generationNumber,
    );
  addOutputOption(addApiOptions(apply), ["table", "json", "yaml"])
    .addHelpText("after", EXAMPLES.apply)
    .action(async (path: string | undefined, flags: ApplyFlags) =>
      done(await (await import("./apply.ts")).apply(path, flags, terminal))
    );

  addHistory(config, context);
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
    "pleiades config export --generation 11 > before.yaml",
  ),
  apply: examples(
    `pleiades config apply repo/ --reason "new site"`,
    "pleiades config apply bulk.ndjson --dry-run",
    "pleiades config export | sed s/web/www/ | pleiades config apply -",
  ),
} as const;
