/**
 * `pleiades audit`: who changed what, by which way, from where and why, and what was refused.
 *
 * @module
 */
import { ApiClient, type ClientOptions, type JsonObject } from "./client.ts";
import type { ExitCode } from "./failure.ts";
import { cellText, type Column, isTable, type OutputFormat, printRows, textColumn } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { wallTime } from "./wall_time.ts";

/** What the command line takes. */
export interface AuditOptions extends ClientOptions {
  /** Only what wasn't done. */
  readonly refused?: boolean;
  /** How many. */
  readonly limit: number;
  /** `-o`. */
  readonly output: OutputFormat;
}

const COLUMNS: readonly Column[] = [
  { title: "when", cell: ({ at }) => wallTime(at) },
  { title: "by", cell: ({ by, from, via }) => cellText(by || from || via) },
  { title: "what", cell: whatOf },
  { title: "outcome", cell: outcomeOf },
  { title: "why", cell: ({ reason, detail }) => cellText(reason || detail) },
  { ...textColumn("from"), isWide: true },
  { ...textColumn("via"), isWide: true },
  { ...textColumn("detail"), isWide: true },
  { ...textColumn("id"), isWide: true },
];

/** Prints the last rows of the audit. */
export async function audit(options: AuditOptions, terminal: Terminal): Promise<ExitCode> {
  const { limit, output, refused = false } = options;
  const query = `limit=${Math.min(limit, PAGE_MAX)}${refused ? "&outcome=refused" : ""}`;
  const rows = await new ApiClient(options, terminal).list(`/audit?${query}`, limit);
  if (rows.length === 0 && isTable(output)) {
    terminal.err(refused ? "Nothing was refused" : "Nothing was changed or refused");
  } else await printRows(rows, { columns: COLUMNS, output, fits: true }, terminal);
  return 0;
}

/** Rows of a page of the API. */
const PAGE_MAX = 10_000;

/** `POST pools`: the path's base says nothing. */
function whatOf({ request, via }: JsonObject): string {
  const text = cellText(request).replace("/api/v1/", "");
  return text === "" ? cellText(via) : text;
}

/** `generation 12`, `403`, `401 × 1000`. */
function outcomeOf({ outcome, status, generation, count }: JsonObject): string {
  if (generation !== null && generation !== undefined) return `generation ${generation}`;
  const what = status === null || status === undefined ? cellText(outcome) : String(status);
  return Number(count) > 1 ? `${what} × ${count}` : what;
}
