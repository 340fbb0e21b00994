/**
 * What the commands of overrides do: clients of `/overrides`, with a table that can be read at three in the morning.
 *
 * @module
 */
import { isId } from "../model/id.ts";
import type { OverrideState } from "../model/override.ts";
import { ApiClient, type ClientOptions, type JsonObject, type WriteFlags, writeQuery } from "./client.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import { loginName, readUsers } from "./login_name.ts";
import { ObjectNames } from "./object_names.ts";
import { printPlan, WITHOUT_DRY_RUN } from "./plan_output.ts";
import { span } from "./span.ts";
import { type Column, isTable, type OutputFormat, printObject, printRows, textColumn } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { wallTime } from "./wall_time.ts";

/** What ending an override takes beside what it is about. */
export interface WriteOptions extends ClientOptions, WriteFlags {
  /** `-o`: what has ended, as the API knew it. */
  readonly output: OutputFormat;
}

/** A new override, as it was typed. */
export interface NewOverride extends ClientOptions, WriteFlags {
  /** What it covers. */
  readonly target: string;
  /** What it does. */
  readonly state: OverrideState;
  /** How long, as `30m`. */
  readonly for: string;
  /** Why. */
  readonly reason: string;
  /** How long the draining takes, as `10m`. */
  readonly over?: string;
  /** When it begins: `03:00`, or RFC 3339. */
  readonly at?: string;
  /** Who answers for it; absent = who is logged in. */
  readonly owner?: string;
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Makes an override and prints it. */
export async function createOverride(request: NewOverride, terminal: Terminal): Promise<ExitCode> {
  const { state, reason, over, at, output, dryRun = false } = request;
  const api = new ApiClient(request, terminal);
  const target = await targetOf(api, request.target);
  const json = {
    target,
    state,
    reason,
    owner: request.owner ?? loginName(terminal, { uid: Deno.uid(), users: readUsers }),
    for: request.for,
    ...(at !== undefined && { startsAt: startOf(at, new Date()) }),
    ...(over !== undefined && { drain: over }),
  };
  const made = await api.send("POST", `/overrides${writeQuery(request)}`, { json });
  if (dryRun) await printPlan(made, { output, next: WITHOUT_DRY_RUN }, { api, terminal });
  else if (made !== null) await print([made], { output, one: true }, terminal);
  return 0;
}

/** Prints all overrides, or those of one target. */
export async function listOverrides(
  options: ClientOptions & { readonly output: OutputFormat; readonly target?: string },
  terminal: Terminal,
): Promise<ExitCode> {
  const { target, output } = options;
  const api = new ApiClient(options, terminal);
  const path = target === undefined ? "/overrides" : pathOf(await targetOf(api, target));
  await print(await api.list(path), { output }, terminal);
  return 0;
}

/** Prints one override. */
export async function getOverride(
  reference: string,
  options: ClientOptions & { readonly output: OutputFormat },
  terminal: Terminal,
): Promise<ExitCode> {
  await printObject(await found(new ApiClient(options, terminal), reference), options.output, terminal);
  return 0;
}

/** Ends one override. */
export async function deleteOverride(
  reference: string,
  options: WriteOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const api = new ApiClient(options, terminal);
  const override = await found(api, reference);
  await end(api, override, options, terminal);
  if (!isTable(options.output) && options.dryRun !== true) {
    await printObject(override, options.output, terminal);
  }
  return 0;
}

/** Ends every override of a target. */
export async function undo(target: string, options: WriteOptions, terminal: Terminal): Promise<ExitCode> {
  const api = new ApiClient(options, terminal);
  const those = await api.list(pathOf(await targetOf(api, target)));
  if (those.length === 0) throw nothingOn(target);
  for (const override of those) await end(api, override, options, terminal);
  if (!isTable(options.output) && options.dryRun !== true) await print(those, options, terminal);
  return 0;
}

async function end(
  api: ApiClient,
  override: JsonObject,
  options: WriteOptions,
  terminal: Terminal,
): Promise<void> {
  const answer = await api.send("DELETE", `/overrides/${override["id"]}${writeQuery(options)}`);
  if (options.dryRun === true) {
    return await printPlan(answer, { output: options.output, next: WITHOUT_DRY_RUN }, { api, terminal });
  }
  const { state, targetName, owner, reason } = override;
  terminal.err(`ended: ${state} of ${targetName} by ${owner}: ${reason}`);
}

async function found(api: ApiClient, reference: string): Promise<JsonObject> {
  if (isId(reference)) return await api.get(`/overrides/${reference}`);
  const [first, ...others] = await api.list(pathOf(await targetOf(api, reference)));
  if (first === undefined) throw nothingOn(reference);
  if (others.length === 0) return first;
  const ids = [first, ...others].map(({ id, state }) => `${id} (${state})`).join(", ");
  throw new CommandFailed(`${others.length + 1} overrides are on "${reference}": ${ids}; give the id`);
}

/** A target as the API reads it: an address alone is the one member that has it. */
async function targetOf(api: ApiClient, text: string): Promise<string> {
  if (/^(region|pool|member):|\//.test(text) || isId(text) || !/[.:]/.test(text)) return text;
  return `member:${await new ObjectNames(api).memberId(text, null)}`;
}

function nothingOn(target: string): CommandFailed {
  return new CommandFailed(
    `Nothing overrides "${target}" ("pleiades overrides list" shows what is overridden)`,
  );
}

function pathOf(target: string): string {
  return `/overrides?${new URLSearchParams({ target })}`;
}

/** A start as the API has it: `03:00` is the next time that the clock on the wall shows it. */
function startOf(text: string, now: Date): string {
  const [, hours, minutes] = /^(\d\d?):(\d\d)$/.exec(text) ?? [];
  const start = hours === undefined ? new Date(text) : new Date(now);
  if (hours !== undefined) {
    start.setHours(Number(hours), Number(minutes), 0, 0);
    if (start <= now) start.setDate(start.getDate() + 1);
  }
  if (Number.isNaN(start.getTime()) || Number(hours ?? 0) > 23 || Number(minutes ?? 0) > 59) {
    throw wrongUsage(`Cannot read --at "${text}": give a time such as 03:00 or 2026-02-01T03:00:00Z`);
  }
  return start.toISOString();
}

async function print(
  rows: readonly JsonObject[],
  { output, one = false }: { readonly output: OutputFormat; readonly one?: boolean },
  terminal: Terminal,
): Promise<void> {
  if (one && !isTable(output)) return await printObject(rows[0]!, output, terminal);
  if (isTable(output) && rows.length === 0) return terminal.err("Nothing is overridden");
  await printRows(rows, { columns: columnsAt(new Date()), output, fits: true }, terminal);
}

function columnsAt(now: Date): readonly Column[] {
  return [
    { title: "target", cell: ({ targetName }) => plain(targetName) },
    { title: "state", cell: stateWords },
    { title: "left", cell: ({ expiresAt }) => leftOf(expiresAt, now) },
    { title: "by", cell: ({ owner }) => plain(owner) },
    { title: "why", cell: ({ reason }) => plain(reason) },
    { title: "since", cell: ({ startsAt }) => wallTime(startsAt), isWide: true },
    { title: "until", cell: ({ expiresAt }) => wallTime(expiresAt), isWide: true },
    { ...textColumn("id"), isWide: true },
  ];
}

function stateWords({ state, phase }: JsonObject): string {
  if (phase === "planned") return `${state}, planned`;
  if (phase === "draining") return "draining";
  return state === "drain" ? "drained" : String(state);
}

function leftOf(expiresAt: unknown, now: Date): string {
  return span(Math.max(0, Date.parse(String(expiresAt)) - now.getTime()) / 1000);
}

/** Names from outside end here: no control characters. */
function plain(value: unknown): string {
  return String(value ?? "").replaceAll(/\p{Cc}/gu, " ");
}
