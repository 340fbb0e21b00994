/**
 * `pleiades failback`: lets a member be answered again that waits for an operator's word.
 *
 * @module
 */
import { ApiClient, type ClientOptions, writeQuery } from "./client.ts";
import { type ExitCode, wrongUsage } from "./failure.ts";
import { ObjectNames, placeOf } from "./object_names.ts";
import { type Column, fieldAt, type OutputFormat, printObject, printRows, textColumn } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** What the command takes beside the member. */
export interface FailBackOptions extends ClientOptions {
  /** For the node's log. */
  readonly reason?: string;
  /** Check it, change nothing. */
  readonly dryRun?: boolean;
  /** `-o`. */
  readonly output: OutputFormat;
}

const COLUMNS: readonly Column[] = [
  { title: "member", cell: placeOf },
  { title: "health", cell: textColumn("health.state").cell },
  { title: "eligible", cell: (row) => fieldAt(row, "health.eligible") === false ? "no" : "yes" },
  { title: "why", cell: textColumn("health.why").cell },
];

/** Fails a member back, and prints what it is like then. */
export async function failBack(
  reference: string,
  options: FailBackOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const { reason = "", dryRun = false, output } = options;
  const api = new ApiClient(options, terminal);
  if (/^(pool|region):/.test(reference)) {
    throw wrongUsage(`Cannot read the member "${reference}": give its id, or POOL/ADDRESS[:PORT]`);
  }
  const id = await new ObjectNames(api).memberId(reference, null);
  const path = `/members/${id}/failback${writeQuery({ dryRun })}`;
  const member = await api.send("POST", path, { json: { reason } });
  if (member !== null && output === "table") {
    await printRows([member], { columns: COLUMNS, output }, terminal);
  } else if (member !== null) await printObject(member, output, terminal);
  if (dryRun) terminal.err("failed back: member (dry run: nothing was changed)");
  return 0;
}
