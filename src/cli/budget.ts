/**
 * `pleiades budget`: how long a fault is seen in answers, by the settings and by what the last ones took.
 *
 * @module
 */
import { ApiClient, type ClientOptions, isJsonObject, type JsonObject } from "./client.ts";
import type { ExitCode } from "./failure.ts";
import { type Column, fieldAt, type OutputFormat, printObject, printRows, textColumn } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** Prints the budget of the service that answers a name. */
export async function budget(
  name: string,
  options: ClientOptions & { readonly output: OutputFormat },
  terminal: Terminal,
): Promise<ExitCode> {
  const api = new ApiClient(options, terminal);
  const found = await api.get(`/budget?${new URLSearchParams({ name })}`);
  if (options.output === "table") await printBudget(found, terminal);
  else await printObject(found, options.output, terminal);
  return 0;
}

async function printBudget(found: JsonObject, terminal: Terminal): Promise<void> {
  const pools = objects(found["pools"]);
  const service = found["service"] === null ? "the static fallback" : `the service ${text(found["service"])}`;
  terminal.out(`${text(found["name"])}: ${service}, TTL ${text(found["ttl"])} s\n`);
  for (const pool of pools) {
    terminal.out(`pool ${text(pool["pool"])}: ${pool["check"] === null ? NO_CHECK : text(pool["check"])}`);
  }
  const rows = pools.flatMap(rowsOf);
  if (rows.length > 0) {
    terminal.out("");
    await printRows(rows, { columns: COLUMNS, output: "table" }, terminal);
  }
  for (const pool of pools) {
    if (pool["failback"] !== null) {
      terminal.out(`\npool ${text(pool["pool"])} takes members back ${text(pool["failback"])}`);
    }
  }
  const holdMs = found["flipGuardHoldMs"];
  if (rows.length > 0 && typeof holdMs === "number") {
    terminal.out(
      `\nwhen very many targets go down at once, the flip guard adds ${seconds(holdMs)} at most`,
    );
  }
  const failovers = objects(found["failovers"]);
  terminal.out(failovers.length === 0 ? "\nno member has failed over since the node started" : "");
  if (failovers.length > 0) await printRows(failovers, { columns: PAST, output: "table" }, terminal);
}

const NO_CHECK = "no health check, so a fault is never seen";

/** What can happen to a member of a pool, a row each. */
function rowsOf(pool: JsonObject): JsonObject[] {
  const rows = [
    {
      event: "refuses",
      seen: fieldAt(pool, "refusing.detection"),
      gone: fieldAt(pool, "refusing.lastCachedAnswer"),
    },
    {
      event: "hangs",
      seen: fieldAt(pool, "hanging.detection"),
      gone: fieldAt(pool, "hanging.lastCachedAnswer"),
    },
    { event: "recovers", seen: pool["back"], gone: null },
  ];
  return rows.filter(({ seen }) => isJsonObject(seen)).map((row) => ({ pool: pool["pool"], ...row }));
}

const COLUMNS: readonly Column[] = [
  textColumn("pool"),
  { title: "a member", cell: ({ event }) => text(event) },
  { title: "answers show it after", cell: ({ seen }) => typicalAndWorst(seen) },
  { title: "the last cache after", cell: ({ gone }) => typicalAndWorst(gone) },
];

const PAST: readonly Column[] = [
  textColumn("at"),
  textColumn("pool"),
  textColumn("member"),
  { title: "went", cell: ({ direction }) => text(direction) },
  {
    title: "seen within",
    cell: ({ detectedMs }) => typeof detectedMs === "number" ? seconds(detectedMs) : "",
  },
  { title: "held", cell: ({ heldMs }) => Number(heldMs) >= HELD_MS_MIN ? seconds(Number(heldMs)) : "" },
  { title: "by", cell: ({ check }) => text(check) },
];

/** Less than this is the way from the verdict to the answers, and no hold. */
const HELD_MS_MIN = 500;

function typicalAndWorst(span: unknown): string {
  if (!isJsonObject(span)) return "";
  return `${seconds(Number(span["typicalMs"]))}, at worst ${seconds(Number(span["worstMs"]))}`;
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(2))} s`;
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

/** Names from outside end here: no control characters. */
function text(value: unknown): string {
  return String(value ?? "").replaceAll(/\p{Cc}/gu, " ");
}
