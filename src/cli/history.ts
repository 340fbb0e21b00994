/**
 * `pleiades config history`, `diff` and `rollback`: what was changed, what differs between generations, and the way back.
 *
 * @module
 */
import { ApiRefusal, GuardRefusal } from "./api_refusal.ts";
import { ApiClient, type ClientOptions, type JsonObject, type WriteFlags, writeQuery } from "./client.ts";
import { CommandFailed, type ExitCode } from "./failure.ts";
import { patientClient } from "./model_sending.ts";
import {
  changesOf,
  type Difference,
  differenceOf,
  type ObjectChange,
  type ObjectCounts,
  planOf,
} from "./plan_document.ts";
import { layoutFor, type PlanContext, printDone, printPlan } from "./plan_output.ts";
import { differenceText, type NextStep, planText } from "./plan_view.ts";
import {
  cellText,
  type Column,
  isTable,
  type OutputFormat,
  printObject,
  printRows,
  textColumn,
} from "./table.ts";
import { isYes, type Terminal } from "./terminal.ts";
import { wallTime } from "./wall_time.ts";

/** Flags of `config history`. */
export interface HistoryFlags extends ClientOptions {
  /** `--limit`: how many. */
  readonly limit: number;
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Flags of `config diff`. */
export interface DiffFlags extends ClientOptions {
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Flags of `config rollback`. */
export interface RollbackFlags extends ClientOptions, WriteFlags {
  /** `--yes`: nothing is asked. */
  readonly yes?: boolean;
  /** `-o`. */
  readonly output: OutputFormat;
}

const COLUMNS: readonly Column[] = [
  textColumn("generation"),
  { title: "when", cell: ({ at }) => wallTime(at) },
  textColumn("via"),
  textColumn("by"),
  textColumn("reason"),
];

/** The last generations, the newest first; or what one of them changed. */
export async function history(
  generation: number | undefined,
  flags: HistoryFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const api = new ApiClient(flags, terminal);
  if (generation !== undefined) return await showGeneration(generation, flags, { api, terminal });
  const rows = await api.list(`/history?limit=${flags.limit}`, flags.limit);
  if (isTable(flags.output) && rows.length === 0) terminal.err("Nothing was ever changed");
  else await printRows(rows, { columns: COLUMNS, output: flags.output, fits: true }, terminal);
  return 0;
}

async function showGeneration(
  generation: number,
  { output }: HistoryFlags,
  { api, terminal }: PlanContext,
): Promise<ExitCode> {
  const entry = await api.get(`/history/${generation}`);
  if (!isTable(output)) {
    await printObject(entry, output, terminal);
    return 0;
  }
  const [via, by, reason] = ["via", "by", "reason"].map((field) => cellText(entry[field]));
  const author = by === "" ? via : `${via}, by ${by}`;
  const head = `generation ${generation}  ${wallTime(entry["at"])}  ${author}`;
  terminal.out(reason === "" ? head : `${head}: ${reason}`);
  const { objects, changes, truncated } = differenceOf(
    await api.get(`/diff?from=${generation - 1}&to=${generation}`),
  );
  const overrides = overridesOf(entry);
  await printDifference({
    objects: { ...objects, ...(overrides.length > 0 && { override: counted(overrides) }) },
    changes: [...changes, ...overrides],
    truncated,
  }, { api, terminal });
  return 0;
}

/** The overrides that a generation touched: they are no part of the model, so that no difference has them. */
function overridesOf(entry: JsonObject): ObjectChange[] {
  return changesOf(entry).filter(({ kind }) => kind === "override");
}

function counted(changes: readonly ObjectChange[]): ObjectCounts {
  const counts = { created: 0, changed: 0, deleted: 0 };
  for (const { action } of changes) counts[action]++;
  return counts;
}

async function printDifference(difference: Difference, context: PlanContext): Promise<void> {
  const text = differenceText(difference, await layoutFor(difference, context));
  context.terminal.out(text === "" ? "Nothing differs" : text);
}

/** The objects that differ between two generations; the second is the one in effect unless it is given. */
export async function diff(
  { from, to }: { readonly from: number; readonly to: number | undefined },
  flags: DiffFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const api = patientClient(flags, terminal);
  const until = to ?? await generationNow(api);
  const answer = await api.get(`/diff?from=${from}&to=${until}`);
  if (!isTable(flags.output)) await printObject(answer, flags.output, terminal);
  else await printDifference(differenceOf(answer), { api, terminal });
  return 0;
}

/** The generation in effect; 0 = nothing was ever changed. */
async function generationNow(api: ApiClient): Promise<number> {
  const [newest] = await api.list("/history?limit=1", 1);
  return Number(newest?.["generation"] ?? 0);
}

/**
 * Restores a generation, or undoes the last change of the model; on a terminal it shows what that does, and asks.
 *
 * @returns 1 when the answer isn't yes
 * @throws {CommandFailed} exit code 3 when a guard refuses it
 */
export async function rollback(
  generation: number | undefined,
  flags: RollbackFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const api = patientClient(flags, terminal);
  let onGeneration: number | null = null;
  if (flags.dryRun === true) {
    const answer = await send(generation, { ...flags, dryRun: true }, api);
    await printPlan(answer, { output: flags.output, next: nextStep(generation) }, { api, terminal });
    return 0;
  }
  if (terminal.ask !== undefined && flags.yes !== true) {
    const plan = planOf(await send(generation, { ...flags, dryRun: true }, api));
    if (plan.refusals.length > 0 && flags.force !== true) throw new GuardRefusal(plan.refusals);
    const layout = await layoutFor(plan, { api, terminal, whole: "--dry-run -o json" });
    if (plan.changed) terminal.err(planText(plan, null, layout));
    if (plan.changed && !isYes(terminal.ask("Roll back? [y/N] "))) {
      terminal.err("nothing was changed");
      return 1;
    }
    onGeneration = plan.generation;
  }
  const done = await send(generation, { ...flags, onGeneration }, api);
  await printRolledBack(done ?? {}, { ...flags, isSeen: onGeneration !== null }, { api, terminal });
  return 0;
}

function nextStep(generation: number | undefined): NextStep {
  const plain = generation === undefined
    ? "pleiades config rollback"
    : `pleiades config rollback ${generation}`;
  return { plain, forced: `${plain} --force --reason TEXT` };
}

async function send(
  generation: number | undefined,
  flags: WriteFlags & { readonly onGeneration?: number | null },
  api: ApiClient,
): Promise<JsonObject | null> {
  const { onGeneration = null } = flags;
  const query = new URLSearchParams(writeQuery(flags));
  if (generation !== undefined) query.set("to", String(generation));
  const ifMatch = onGeneration === null ? null : `"${onGeneration}"`;
  try {
    return await api.send("POST", query.size === 0 ? "/rollback" : `/rollback?${query}`, {
      ifMatch,
    });
  } catch (error) {
    if (error instanceof ApiRefusal && error.status === 412 && onGeneration !== null) {
      throw new CommandFailed(
        "The model was changed since it was shown: nothing was rolled back (try again)",
        3,
        { cause: error },
      );
    }
    throw error;
  }
}

async function printRolledBack(
  done: JsonObject,
  { output, isSeen }: RollbackFlags & { readonly isSeen: boolean },
  context: PlanContext,
): Promise<void> {
  if (!isTable(output)) return await printObject(done, output, context.terminal);
  const { generation, changed, to } = done;
  const what = changed ? `generation ${generation}` : `nothing changed, still generation ${generation}`;
  context.terminal.out(`ok: the model is that of generation ${to} (${what})`);
  await printDone(done, { isSeen }, context);
}
