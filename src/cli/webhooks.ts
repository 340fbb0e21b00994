/**
 * `pleiades webhooks`: how receivers of events are, and a test of them.
 *
 * @module
 */
import { ApiClient, type ClientOptions, isJsonObject, type JsonObject } from "./client.ts";
import { CommandFailed, type ExitCode } from "./failure.ts";
import { type Column, isTable, type OutputFormat, printRows, textColumn } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { wallTimeOfSecond } from "./wall_time.ts";

/** Flags of both commands. */
export interface WebhookFlags extends ClientOptions {
  /** `-o`. */
  readonly output: OutputFormat;
}

const timeColumn = (title: string, field: string): Column => ({
  title,
  cell: (row) => row[field] === null ? "" : wallTimeOfSecond(row[field]),
});

const EVENTS: Column = {
  title: "events",
  cell: ({ events }) => Array.isArray(events) ? events.join(",") : "all",
};

const LIST: readonly Column[] = [
  textColumn("number"),
  textColumn("host"),
  { ...EVENTS, isWide: true },
  timeColumn("last delivery", "lastDelivery"),
  textColumn("waiting"),
  { ...timeColumn("failing since", "failingSince"), isWide: true },
  textColumn("failure"),
];

const TEST: readonly Column[] = [
  textColumn("number"),
  textColumn("host"),
  { title: "result", cell: ({ delivered, failure }) => delivered === true ? "ok" : String(failure) },
  { title: "took", cell: ({ durationMs }) => `${String(durationMs)} ms` },
];

/** Prints how each webhook is. */
export async function listWebhooks(
  { output, ...options }: WebhookFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const rows = await new ApiClient(options, terminal).list("/webhooks");
  if (isTable(output) && rows.length === 0) {
    terminal.err("There is no webhook (see notify.webhooks in the settings)");
  } else await printRows(rows, { columns: LIST, output, fits: true }, terminal);
  return 0;
}

/** Posts a test event to webhooks; 1 when one of them didn't take it. */
export async function testWebhooks(
  receiver: string | undefined,
  { output, ...options }: WebhookFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const query = receiver === undefined ? "" : `?${new URLSearchParams({ receiver })}`;
  const response = await new ApiClient(options, terminal).request("POST", `/webhooks/test${query}`);
  const results: unknown = await response.json();
  if (!Array.isArray(results)) throw new CommandFailed("The API sent no list of results");
  const rows: JsonObject[] = results.filter(isJsonObject);
  await printRows(rows, { columns: TEST, output, fits: true }, terminal);
  return rows.every(({ delivered }) => delivered === true) ? 0 : 1;
}
