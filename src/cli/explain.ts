/**
 * `pleiades explain`: why the next answer is what it is, to be read by a person who was woken up.
 *
 * @module
 */
import { ApiClient, type ClientOptions, isJsonObject, type JsonObject } from "./client.ts";
import type { ExitCode } from "./failure.ts";
import { type Column, fieldAt, type OutputFormat, printObject, printRows, textColumn } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** The flags of `pleiades explain`. */
export interface ExplainFlags extends ClientOptions {
  /** Record type. */
  readonly type: string;
  /** Who sends the query; absent = this machine. */
  readonly client?: string;
  /** Client subnet that the query carries. */
  readonly ecs?: string;
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Prints the account; 1 when the name isn't answered here. */
export async function explain(name: string, flags: ExplainFlags, terminal: Terminal): Promise<ExitCode> {
  const { type, client, ecs, output } = flags;
  const query = new URLSearchParams({ name, type, ...(client && { client }), ...(ecs && { ecs }) });
  const account = await new ApiClient(flags, terminal).get(`/explain?${query}`);
  const isOurs = fieldAt(account, "answer.rcode") !== "REFUSED";
  if (output !== "table") await printObject(account, output, terminal);
  else if (isOurs) await printAccount(account, terminal);
  if (!isOurs) terminal.err(`error: ${text(objects(account["steps"])[0]?.["text"])}`);
  return isOurs ? 0 : 1;
}

async function printAccount(account: JsonObject, terminal: Terminal): Promise<void> {
  const question = `${text(fieldAt(account, "question.name"))} ${text(fieldAt(account, "question.type"))}`;
  terminal.out(`${question} at ${text(account["at"])}, generation ${text(account["generation"])}\n`);
  for (const step of objects(account["steps"])) terminal.out(`- ${text(step["text"])}`);
  const candidates = objects(account["candidates"]);
  if (candidates.length > 0) {
    terminal.out("");
    await printRows(candidates, { columns: columnsFor(candidates), output: "table" }, terminal);
  }
  const rotation = account["rotation"];
  if (isJsonObject(rotation)) terminal.out(`\nthe next answers begin with ${nextTurns(rotation)}`);
  terminal.out(`\n${String(fieldAt(account, "answer.text") ?? "").trimEnd()}`);
}

/** Columns that have nothing to say are left out. */
function columnsFor(candidates: readonly JsonObject[]): readonly Column[] {
  const columns: readonly Column[] = [
    textColumn("rank"),
    { title: "pool", cell: ({ pool }) => text(pool) },
    { title: "member", cell: memberCell },
    { title: "health", cell: (row) => text(fieldAt(row, "health.state")) },
    { title: "km", cell: ({ distanceKm }) => text(distanceKm) },
    { title: "outcome", cell: ({ outcome, rank }) => rank === null ? text(outcome) : "answered" },
    { title: "why", cell: ({ reason }) => text(reason) },
  ];
  return columns.filter(({ title, cell }) => title === "rank" || candidates.some((row) => cell(row) !== ""));
}

/** Members by name have their address behind it. */
function memberCell({ member, address }: JsonObject): string {
  const isShown = typeof address !== "string" || text(member).includes(address);
  return isShown ? text(member) : `${text(member)} (${address})`;
}

function nextTurns({ next }: JsonObject): string {
  return Array.isArray(next) ? next.map(text).join(", ") : "";
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

/** Names from outside end here: no control characters. */
function text(value: unknown): string {
  return String(value ?? "").replaceAll(/\p{Cc}/gu, " ");
}
