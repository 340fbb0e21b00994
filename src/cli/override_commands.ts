/**
 * The commands of overrides: `drain`, `up`, `down` and `undo`, which are typed in a hurry, and `overrides …`. What they
 * do is in `overrides.ts`, which is loaded when one of them runs.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { OVERRIDE_STATES, type OverrideState, TARGET_FORMS } from "../model/override.ts";
import {
  addApiOptions,
  addOutputOption,
  addWriteOptions,
  type CommandContext,
  examples,
  milliseconds,
} from "./command_line.ts";

const FORMS = `\n\nTARGET is\n${TARGET_FORMS};\nan address alone is the one member that has it.`;

const EXAMPLES = {
  drain: examples(
    'pleiades drain region:fra --for 2h --over 10m --reason "kernel upgrade"',
    'pleiades drain web/192.0.2.1:443 --at 03:00 --for 1h --reason "new disk"',
  ) + FORMS,
  down: examples(
    'pleiades down web/192.0.2.1:443 --for 30m --reason "disk is failing"',
    'pleiades down pool:web --for 30m --reason "under attack" --dry-run',
  ) + FORMS,
  up: examples('pleiades up pool:web --for 15m --reason "the checks are wrong, not the servers"') + FORMS,
  undo: examples("pleiades undo region:fra", "pleiades undo 192.0.2.1") + FORMS,
  create: examples('pleiades overrides create pool:web --state up --for 15m --reason "wrong checks"') + FORMS,
  delete: examples("pleiades overrides delete pool:web", "pleiades overrides delete 192.0.2.1") + FORMS,
  all: examples("pleiades overrides list -o wide", "pleiades overrides get pool:web"),
} as const;

/** What each verb does, for the help. */
const MEANINGS: Readonly<Record<OverrideState, string>> = {
  drain: "drain a member, pool or region for a while: answer it less and less, then not at all",
  up: "answer a member, pool or region for a while, whatever its checks say",
  down: "don't answer a member, pool or region for a while",
};

/** Adds the commands; `done` gets the exit code of the one that ran. */
export function register(root: Command, context: CommandContext): void {
  for (const state of ["drain", "up", "down"] as const) addVerb(root, state, context);
  addUndo(root, context);
  addNoun(root, context);
}

function addVerb(root: Command, state: OverrideState, { terminal, done }: CommandContext): void {
  const command = root.command(`${state} <target>`).description(MEANINGS[state]);
  addCreateOptions(command, { drains: state === "drain", help: EXAMPLES[state] })
    .action(async (target: string, options) =>
      done(await (await import("./overrides.ts")).createOverride({ ...options, target, state }, terminal))
    );
}

function addUndo(root: Command, { terminal, done }: CommandContext): void {
  const command = root.command("undo <target>").description("end every override of exactly this target, now");
  addOutput(addWriteOptions(command)).addHelpText("after", EXAMPLES.undo)
    .action(async (target: string, options) =>
      done(await (await import("./overrides.ts")).undo(target, options, terminal))
    );
}

function addNoun(root: Command, { terminal, done }: CommandContext): void {
  const group = root.command("overrides")
    .description("what is forced up, down or drained, until when, who did it, and why")
    .addHelpText("after", EXAMPLES.all);
  const list = group.command("list").description("all of them").option(
    "--target <target>",
    "only those of exactly this target",
  );
  addOutput(list).action(async (options) =>
    done(await (await import("./overrides.ts")).listOverrides(options, terminal))
  );
  addOutput(group.command("get <id>").description("one override, by its id or target"))
    .action(async (reference: string, options) =>
      done(await (await import("./overrides.ts")).getOverride(reference, options, terminal))
    );
  const create = group.command("create <target>").description("force a target up or down, or drain it")
    .addOption(
      new Option("--state <state>", "what it does (required)").choices(OVERRIDE_STATES).makeOptionMandatory(),
    );
  addCreateOptions(create, { drains: true, help: EXAMPLES.create }).action(async (target: string, options) =>
    done(await (await import("./overrides.ts")).createOverride({ ...options, target }, terminal))
  );
  const remove = group.command("delete <id>").description("end an override now, by its id or target");
  addOutput(addWriteOptions(remove)).addHelpText("after", EXAMPLES.delete).action(async (
    reference: string,
    options,
  ) => done(await (await import("./overrides.ts")).deleteOverride(reference, options, terminal)));
}

function addCreateOptions(
  command: Command,
  { drains, help }: { readonly drains: boolean; readonly help: string },
): Command {
  command
    .addOption(
      new Option("--for <duration>", "how long, such as 30m; it ends by itself (required)").argParser(
        durationText,
      )
        .makeOptionMandatory(),
    );
  addWriteOptions(command, { needsReason: true });
  if (drains) {
    command.addOption(
      new Option("--over <duration>", "how long the drain takes; by default 5m, or half of --for")
        .argParser(durationText),
    );
  }
  command
    .option("--at <time>", "when it begins, such as 03:00 or 2026-02-01T03:00:00Z; by default now")
    .option("--owner <name>", "who can be asked about it (default: your login name)");
  return addOutput(command).addHelpText("after", help);
}

function addOutput(command: Command): Command {
  return addOutputOption(addApiOptions(command), ["table", "wide", "json", "yaml"]);
}

/** A duration that the API reads for itself; checked here, so that a slip costs no request. */
function durationText(text: string): string {
  if (milliseconds(text) === 0) throw new InvalidArgumentError("It must be longer than 0s.");
  return text;
}
