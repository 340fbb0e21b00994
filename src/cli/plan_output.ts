/**
 * Prints plans and differences as `-o` asks, with the names of what their fields refer to.
 *
 * @module
 */
import { type ApiClient, isJsonObject, type JsonObject } from "./client.ts";
import { CommandFailed } from "./failure.ts";
import { placeOf } from "./object_names.ts";
import { countsOf, type Difference, differenceOf, type ObjectChange, planOf } from "./plan_document.ts";
import {
  countsText,
  type NextStep,
  type PlanLayout,
  planText,
  removals,
  removalText,
  ROWS_MAX,
} from "./plan_view.ts";
import { isTable, type OutputFormat, printObject } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** Where stdout is no terminal its lines have this length. */
const COLUMNS = 80;

/** A command that prints. */
export interface PlanContext {
  /** Asked for names. */
  readonly api: ApiClient;
  /** Where it goes. */
  readonly terminal: Terminal;
}

/** Prints the plan that a dry run is answered with. @throws {CommandFailed} when it is none */
export async function printPlan(
  answer: JsonObject | null,
  { output, next }: { readonly output: OutputFormat; readonly next: NextStep },
  { api, terminal }: PlanContext,
): Promise<void> {
  const plan = planOf(answer);
  if (!isTable(output)) return await printObject({ ...plan }, output, terminal);
  terminal.out(planText(plan, next, await layoutFor(plan, { api, terminal })));
}

/** Prints how much a change has added, changed and removed, and what is gone, unless that was seen before. */
export async function printDone(
  applied: JsonObject,
  { isSeen }: { readonly isSeen: boolean },
  { api, terminal }: PlanContext,
): Promise<void> {
  const objects = countsOf(applied);
  const generation = Number(applied["generation"]);
  const whole = `"pleiades history ${generation} -o json"`;
  const counts = countsText(objects, layoutOf(terminal));
  if (counts !== "") terminal.out(counts);
  if (isSeen || removals(objects) === 0) return;
  const gone = await differenceOfGeneration(generation, api);
  if (gone !== null) terminal.out(removalText(gone, layoutOf(terminal, whole)));
}

/** What a generation changed; it is done, so that it can't be shown is no failure. */
async function differenceOfGeneration(generation: number, api: ApiClient): Promise<Difference | null> {
  try {
    return differenceOf(await api.get(`/diff?from=${generation - 1}&to=${generation}`));
  } catch (error) {
    if (error instanceof CommandFailed) return null;
    throw error;
  }
}

/** What makes a dry run of a single change come true. */
export const WITHOUT_DRY_RUN: NextStep = {
  plain: "without --dry-run",
  forced: "without --dry-run, with --force --reason TEXT",
};

/** How what refers to nothing is printed on this terminal; `whole` is what shows all of it. */
export function layoutOf(
  { columns = COLUMNS, colour }: Pick<Terminal, "columns" | "colour">,
  whole: string = "-o json",
): PlanLayout {
  return { columns, colour, names: new Map(), whole };
}

/** How a difference is printed on this terminal, with the names that its fields refer to. */
export async function layoutFor(
  { changes }: Pick<Difference, "changes">,
  { api, terminal, whole }: PlanContext & { readonly whole?: string },
): Promise<PlanLayout> {
  return { ...layoutOf(terminal, whole), names: await namesIn(changes, api) };
}

/**
 * The names behind the ids that fields of shown objects refer to: those of the changes themselves, and what the API has.
 * What is neither keeps its id.
 */
async function namesIn(
  changes: readonly ObjectChange[],
  api: ApiClient,
): Promise<ReadonlyMap<string, string>> {
  const named = changes.filter(({ kind }) => kind === "pool" || kind === "member");
  const names = new Map(named.map(({ id, name }) => [id, name]));
  const shown = changes.filter(({ action }) => action === "changed").slice(0, ROWS_MAX);
  for (const { before, after } of shown) {
    for (const [field, id] of referencesThatDiffer(before, after)) {
      if (names.has(id)) continue;
      const object = await found(api, `${field === "memberId" ? "/members" : "/pools"}/${id}`);
      if (object !== null) names.set(id, field === "memberId" ? placeOf(object) : String(object["name"]));
    }
  }
  return names;
}

function referencesThatDiffer(before: unknown, after: unknown): [field: string, id: string][] {
  if (!isJsonObject(before) || !isJsonObject(after)) return [];
  return REFERENCES.filter((field) => before[field] !== after[field]).flatMap((field) =>
    [before[field], after[field]].filter((id) => typeof id === "string").map((
      id,
    ): [string, string] => [field, id])
  );
}

const REFERENCES = ["poolId", "fallbackPoolId", "memberId"] as const;

/** What is at a path; a name that can't be had is no reason to show nothing. */
async function found(api: ApiClient, path: string): Promise<JsonObject | null> {
  try {
    return await api.get(path);
  } catch (error) {
    if (error instanceof CommandFailed) return null;
    throw error;
  }
}
