/**
 * `pleiades failback`: lets a member be answered again that waits for an operator's word.
 *
 * @module
 */
import { parseTarget } from "../config/override.ts";
import { ApiClient, type ClientOptions, type JsonObject, writeQuery } from "./client.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import { type OutputFormat, printObject, printRows, textColumn } from "./table.ts";
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

const COLUMNS = ["ipAddress", "port", "health.state", "health.standing", "health.why"].map(textColumn);

/** Fails a member back, and prints what it is like then. */
export async function failBack(
  reference: string,
  options: FailBackOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const { reason = "", dryRun = false, output } = options;
  const api = new ApiClient(options, terminal);
  const path = `/members/${await memberId(api, reference)}/failback${writeQuery({ dryRun })}`;
  const member = await api.send("POST", path, { json: { reason } });
  if (member !== null && output === "table") {
    await printRows([member], { columns: COLUMNS, output }, terminal);
  } else if (member !== null) await printObject(member, output, terminal);
  if (dryRun) terminal.err("failed back: member (dry run: nothing was changed)");
  return 0;
}

async function memberId(api: ApiClient, reference: string): Promise<string> {
  const target = targetOf(reference);
  if (target.kind !== "member") throw notAMember(reference);
  if ("id" in target) return target.id;
  const pools = await api.list("/pools");
  const pool = pools.find(({ id, name }) => id === target.pool || name === target.pool);
  if (pool === undefined) {
    throw new CommandFailed(`No pool is called "${target.pool}" ("pleiades pools list" shows them)`);
  }
  const { host, port } = target;
  const members = (await api.list(`/pools/${pool["id"]}/members`)).filter((member) =>
    (member["ipAddress"] ?? member["target"]) === host && (port === null || member["port"] === port)
  );
  const [first, ...others] = members;
  if (first === undefined) {
    throw new CommandFailed(
      `The pool ${target.pool} has no such member as "${reference}" ("pleiades members list --pool ` +
        `${target.pool}" shows them)`,
    );
  }
  if (others.length > 0) {
    throw new CommandFailed(`"${reference}" is ${members.length} members: ${portsOf(members)}; add the port`);
  }
  return String(first["id"]);
}

function targetOf(reference: string): ReturnType<typeof parseTarget> {
  try {
    return parseTarget(reference);
  } catch {
    throw notAMember(reference);
  }
}

function notAMember(reference: string): CommandFailed {
  return wrongUsage(`Cannot read the member "${reference}": give its id, or POOL/ADDRESS[:PORT]`);
}

function portsOf(members: readonly JsonObject[]): string {
  return members.map(({ port }) => `port ${port}`).join(", ");
}
