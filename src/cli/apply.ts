/**
 * `pleiades config plan` and `config apply`: what a model would change, and the change. On a terminal an apply that removes
 * something shows that first, and asks.
 *
 * @module
 */
import { countOf } from "../input/count.ts";
import { ApiRefusal, GuardRefusal } from "./api_refusal.ts";
import {
  type ApiClient,
  type ClientOptions,
  type JsonObject,
  type WriteFlags,
  writeQuery,
} from "./client.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import { patientClient, sendModel } from "./model_sending.ts";
import { kept, type ModelProblems, type ModelUpload, openModel } from "./model_upload.ts";
import { STDIN } from "../model/model_files.ts";
import { planOf } from "./plan_document.ts";
import { layoutOf, printDone, printPlan } from "./plan_output.ts";
import { type NextStep, questionText, removals } from "./plan_view.ts";
import { isTable, type OutputFormat, printObject } from "./table.ts";
import { isYes, type Terminal } from "./terminal.ts";

/** Which model, and where it goes. */
export interface ModelFlags extends ClientOptions {
  /** `-f`, another way to give the path. */
  readonly file?: string;
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Flags of `config plan`. */
export interface PlanFlags extends ModelFlags {
  /** `--replay`, as it was typed: how far back recorded queries are answered again. */
  readonly replay?: string;
}

/** Flags of `config apply`. */
export interface ApplyFlags extends ModelFlags, WriteFlags {
  /** `--yes`: nothing is asked. */
  readonly yes?: boolean;
  /** `--cluster`: the model is published as well. */
  readonly cluster?: boolean;
  /** `--if-generation`: over no other one. */
  readonly ifGeneration?: number;
}

/** A command at work. */
interface Work {
  readonly path: string;
  readonly api: ApiClient;
  readonly terminal: Terminal;
}

/**
 * Shows what a model would change: objects, answers, and what guards say.
 *
 * @returns 1 after printing every problem; 0 also where a guard would refuse it, since nothing is refused yet
 * @throws {CommandFailed} when the API doesn't plan it
 */
export async function plan(
  word: string | undefined,
  flags: PlanFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const path = pathOf(word, flags);
  const model = await openModel(path);
  if ("problems" in model) return printProblems(model, terminal);
  const work = { path, api: patientClient(flags, terminal), terminal };
  const planned = await sendForPlan(model, flags, work);
  if ("problems" in planned) return printProblems(planned, terminal);
  await printPlan(planned.answer, { output: flags.output, next: nextStep(path) }, work);
  const { changed, replay } = planOf(planned.answer);
  if (flags.replay !== undefined && changed && !replay) {
    terminal.err("no recorded queries to replay (the setting queries.sketch records them)");
  }
  return 0;
}

/**
 * Hands a model to a running node. One file of NDJSON is judged there, line by line; every other model here first.
 *
 * @returns 1 after printing every problem, and when the answer to the question isn't yes
 * @throws {CommandFailed} when the API refuses it; exit code 3 when a guard does
 */
export async function apply(
  word: string | undefined,
  flags: ApplyFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const path = pathOf(word, flags);
  const model = await openModel(path);
  if ("problems" in model) return printProblems(model, terminal);
  const work = { path, api: patientClient(flags, terminal), terminal };
  const isAttended = terminal.ask !== undefined || (path === STDIN && terminal.status !== undefined);
  if (!isAttended || flags.yes === true || flags.dryRun === true) {
    const sent = await sendForGood(model, { ...flags, onGeneration: flags.ifGeneration }, work);
    return await report(sent, flags, work);
  }
  const models = kept(model);
  const planned = await sendForPlan(models.first, { onGeneration: flags.ifGeneration }, work);
  if ("problems" in planned) return printProblems(planned, terminal);
  const shown = planOf(planned.answer);
  const { refusals, objects, generation } = shown;
  if (refusals.length > 0 && flags.force !== true) throw new GuardRefusal(refusals, hintFor(path));
  const asks = removals(objects) > 0;
  if (asks) {
    const whole = `${nextStep(path).plain.replace("apply", "plan")} -o json`;
    terminal.err(questionText(shown, layoutOf(terminal, whole)));
    if (terminal.ask === undefined) {
      throw wrongUsage(
        "Nothing was applied: the model comes from stdin, so nothing can be asked (--yes applies it)",
      );
    }
    if (!isYes(terminal.ask("Apply? [y/N] "))) {
      terminal.err("nothing was applied");
      return 1;
    }
  }
  const applied = await sendForGood(models.again(), { ...flags, onGeneration: generation }, work);
  return await report(applied, { ...flags, isSeen: asks }, work);
}

function pathOf(word: string | undefined, { file }: ModelFlags): string {
  const path = word ?? file;
  if (path === undefined) throw wrongUsage("Which model? (its path, or - for stdin)");
  if (file !== undefined && file !== path) {
    throw wrongUsage(`"${path}" and --file ${file} differ: give one of them`);
  }
  return path;
}

function printProblems({ problems }: ModelProblems, terminal: Terminal): ExitCode {
  for (const problem of problems) terminal.out(problem);
  return 1;
}

/** What makes the plan of a model come true. */
function nextStep(path: string): NextStep {
  const plain = `pleiades config apply ${inShell(path)}`;
  return { plain, forced: `${plain} --force --reason TEXT` };
}

function hintFor(path: string): string {
  const line = `pleiades config plan ${inShell(path)}`;
  return `see it with "${line}"; apply it all the same with --force --reason TEXT`;
}

/** A path as one types it. */
function inShell(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

async function sendForPlan(
  model: ModelUpload,
  { replay, onGeneration }: { readonly replay?: string; readonly onGeneration?: number | undefined },
  work: Work,
) {
  const query = replay === undefined ? "" : `?${new URLSearchParams({ replay })}`;
  try {
    return await sendModel(model, {
      to: `/plan${query}`,
      onGeneration,
      path: work.path,
      waiting: "planning…",
      interrupted: "interrupted: nothing was changed",
    }, work);
  } catch (error) {
    throw explained(error, onGeneration, work);
  }
}

async function sendForGood(
  model: ModelUpload,
  flags: WriteFlags & { readonly onGeneration?: number | undefined; readonly cluster?: boolean },
  work: Work,
) {
  const query = writeQuery(flags);
  const published = flags.cluster === true ? `${query === "" ? "?" : "&"}cluster=true` : "";
  try {
    return await sendModel(model, {
      to: `/apply${query}${published}`,
      onGeneration: flags.onGeneration,
      path: work.path,
      waiting: flags.dryRun === true ? "planning…" : "committing…",
      interrupted:
        `interrupted: the node undoes what it hasn't committed ("pleiades history" shows what it has)`,
    }, work);
  } catch (error) {
    throw explained(error, flags.onGeneration, work);
  }
}

/** What to do about a refusal; of a model that isn't any more what the author saw exit code 3, as of guards. */
function explained(error: unknown, onGeneration: number | undefined, { path }: Work): unknown {
  if (error instanceof GuardRefusal) return error.withHint(hintFor(path));
  if (!(error instanceof ApiRefusal && error.status === 412 && onGeneration !== undefined)) return error;
  const message = "The model was changed since it was planned: nothing was applied (plan it again)";
  return new CommandFailed(message, 3, { cause: error });
}

/** Prints what came of it. */
async function report(
  sent: { readonly answer: JsonObject } | ModelProblems,
  { output, dryRun = false, isSeen = false }: ApplyFlags & { readonly isSeen?: boolean },
  work: Work,
): Promise<ExitCode> {
  const { terminal } = work;
  if ("problems" in sent) return printProblems(sent, terminal);
  const applied = sent.answer;
  if (dryRun) {
    await printPlan(applied, { output, next: nextStep(work.path) }, work);
    return 0;
  }
  if (!isTable(output)) {
    await printObject(applied, output, terminal);
    return 0;
  }
  const { generation, changed, pools, members, services, zones } = applied;
  const what = [
    countOf(Number(pools), "pool"),
    countOf(Number(members), "member"),
    countOf(Number(services), "service"),
    countOf(Number(zones), "zone"),
  ].join(", ");
  const done = changed ? `generation ${generation}` : `nothing changed, still generation ${generation}`;
  terminal.out(`ok: ${what} (${done})`);
  await printDone(applied, { isSeen }, work);
  return 0;
}
