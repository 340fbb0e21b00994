/**
 * The command lines of `plan`, `history`, `diff` and `rollback`, which `config` has too. What they do is in `apply.ts` and
 * `history.ts`, which are loaded when one of them runs.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { PlanFlags } from "./apply.ts";
import {
  addApiOptions,
  addOutputOption,
  addWriteOptions,
  type CommandContext,
  examples,
  generationNumber,
  milliseconds,
} from "./command_line.ts";
import type { DiffFlags, HistoryFlags, RollbackFlags } from "./history.ts";

/** Adds the commands; `done` gets the exit code of the one that ran. */
export function register(root: Command, context: CommandContext): void {
  addPlan(root, context);
  addHistory(root, context);
}

/** Adds `plan`. */
export function addPlan(parent: Command, { terminal, done }: CommandContext): void {
  const command = parent.command("plan")
    .description("show what a model would change, in objects and in answers, and what guards would refuse")
    .argument("[path]", "model directory, model file or NDJSON; - reads stdin")
    .option("-f, --file <path>", "the same as a flag")
    .addOption(
      new Option("--replay <duration>", "answer the recorded queries of so long again, such as 24h")
        .argParser(recently),
    );
  addOutputOption(addApiOptions(command), ["table", "json", "yaml"])
    .addHelpText("after", EXAMPLES.plan)
    .action(async (path: string | undefined, flags: PlanFlags) =>
      done(await (await import("./apply.ts")).plan(path, flags, terminal))
    );
}

/** Adds `history`, `diff` and `rollback`. */
export function addHistory(parent: Command, { terminal, done }: CommandContext): void {
  const load = () => import("./history.ts");

  const history = parent.command("history")
    .description("show who changed the model, when and why; or what one change did")
    .argument("[generation]", "the change to show", generationNumber)
    .addOption(
      new Option("--limit <n>", "how many, the newest first").argParser(limitNumber).default(20),
    );
  addOutputOption(addApiOptions(history), ["table", "wide", "json", "yaml"])
    .addHelpText("after", EXAMPLES.history)
    .action(async (generation: number | undefined, flags: HistoryFlags) =>
      done(await (await load()).history(generation, flags, terminal))
    );

  const diff = parent.command("diff")
    .description("show the objects that differ between two generations")
    .argument("<from>", "the one before", generationNumber)
    .argument("[to]", "the one after; by default the one in effect", generationNumber);
  addOutputOption(addApiOptions(diff), ["table", "json", "yaml"])
    .addHelpText("after", EXAMPLES.diff)
    .action(async (from: number, to: number | undefined, flags: DiffFlags) =>
      done(await (await load()).diff({ from, to }, flags, terminal))
    );

  const rollback = parent.command("rollback")
    .description("restore the model of a generation; by default the one before the last change of the model")
    .argument("[generation]", "the one to restore", generationNumber);
  addWriteOptions(rollback).option("-y, --yes", "don't ask");
  addOutputOption(addApiOptions(rollback), ["table", "json", "yaml"])
    .addHelpText("after", EXAMPLES.rollback)
    .action(async (generation: number | undefined, flags: RollbackFlags) =>
      done(await (await load()).rollback(generation, flags, terminal))
    );
}

const EXAMPLES = {
  plan: examples(
    "pleiades config plan repo/",
    "pleiades config plan repo/ --replay 24h",
    "pleiades config export | sed s/web/www/ | pleiades config plan -",
  ) + "\n\nExit code 0, also where a guard would refuse it: a plan changes nothing.\n-o json has refusals.",
  history: examples("pleiades config history --limit 5", "pleiades config history 12"),
  diff: examples("pleiades config diff 11 12", "pleiades config diff 11"),
  rollback: examples(
    "pleiades config rollback",
    "pleiades config rollback 11 --dry-run",
    'pleiades config rollback 11 --yes --reason "the new site isn\'t ready"',
  ),
} as const;

/** A span that the API reads for itself; checked here, so that a slip costs no upload. */
function recently(text: string): string {
  if (milliseconds(text) === 0) throw new InvalidArgumentError("It must be longer than 0s.");
  return text;
}

/** The most that the API gives in a page. */
const LIMIT_MAX = 10_000;

function limitNumber(text: string): number {
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > LIMIT_MAX) throw new InvalidArgumentError(`It must be a number 1–${LIMIT_MAX}.`);
  return limit;
}
