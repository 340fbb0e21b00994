/**
 * How results are printed: as an aligned table for eyes, as JSON or YAML for programs.
 *
 * @module
 */
import { isJsonObject, type JsonObject } from "./client.ts";
import type { Terminal } from "./terminal.ts";

/** The values of `-o`; `wide` is a table with all columns, however long its lines are. */
export type OutputFormat = "table" | "wide" | "json" | "yaml";

/** A column of a table: the name it is headed with, and what a row has there. */
export interface Column {
  /** The head. */
  readonly title: string;
  /** Text of the cell; empty is shown as `-`. */
  readonly cell: (row: JsonObject) => string;
  /** Whether only a wide table has it. */
  readonly isWide?: boolean;
}

/** The column of a field; a dot leads into an object (`health.state`). */
export function textColumn(path: string): Column {
  return { title: path, cell: (row) => cellText(fieldAt(row, path)) };
}

/** How rows are printed. */
export interface RowsLayout {
  /** Of the table. */
  readonly columns: readonly Column[];
  /** `-o`. */
  readonly output: OutputFormat;
  /** Whether a line ends where the terminal's does; a wide table's never. */
  readonly fits?: boolean;
}

/** Prints rows: as a table with those columns, or whole as JSON or YAML. */
export async function printRows(
  rows: readonly JsonObject[],
  { columns, output, fits = false }: RowsLayout,
  terminal: Terminal,
): Promise<void> {
  if (!isTable(output)) return await printValue(rows, output, terminal);
  const isWide = output === "wide";
  const shown = columns.filter((column) => isWide || column.isWide !== true);
  const titles = shown.map(({ title }) => title);
  const width = fits && !isWide ? terminal.columns ?? Infinity : Infinity;
  terminal.out(tableOf([titles, ...rows.map((row) => cellsOf(row, shown))], terminal, width));
}

/** Whether it is printed for eyes. */
export function isTable(output: OutputFormat): output is "table" | "wide" {
  return output === "table" || output === "wide";
}

/** Prints one object: a line per field, or whole as JSON or YAML. */
export async function printObject(
  object: JsonObject,
  output: OutputFormat,
  terminal: Terminal,
): Promise<void> {
  if (!isTable(output)) return await printValue(object, output, terminal);
  terminal.out(tableOf(fieldLines(object, ""), terminal));
}

async function printValue(value: unknown, output: "json" | "yaml", terminal: Terminal): Promise<void> {
  if (output === "json") return terminal.out(JSON.stringify(value, null, 2));
  terminal.out((await import("yaml")).stringify(value).trimEnd());
}

function cellsOf(row: JsonObject, columns: readonly Column[]): string[] {
  return columns.map(({ cell }) => cell(row));
}

function fieldLines(object: JsonObject, prefix: string): string[][] {
  return Object.entries(object).flatMap(([name, value]) =>
    isJsonObject(value) ? fieldLines(value, `${prefix}${name}.`) : [[`${prefix}${name}`, cellText(value)]]
  );
}

/** Pads every column but the last to its widest cell, two spaces apart; what doesn't fit is cut. */
function tableOf(
  lines: readonly (readonly string[])[],
  { colour }: Pick<Terminal, "colour">,
  width = Infinity,
): string {
  const widths: number[] = [];
  for (const line of lines) {
    line.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, shown(cell).length));
  }
  narrow(widths, width);
  return lines.map((line) =>
    line.map((cell, i) => {
      const fitting = cut(shown(cell), widths[i]!);
      const padded = i === line.length - 1 ? fitting : fitting.padEnd(widths[i]!);
      return colour ? painted(cell, padded) : padded;
    }).join("  ").trimEnd()
  ).join("\n");
}

/** Takes from the widest columns what is too much, so that those which are short stay whole. */
function narrow(widths: number[], width: number): void {
  let excess = widths.reduce((sum, each) => sum + each, 0) + 2 * (widths.length - 1) - width;
  for (; excess > 0; excess--) {
    const widest = Math.max(...widths);
    if (widest <= COLUMN_MIN) return;
    widths[widths.lastIndexOf(widest)]!--;
  }
}

/** No column is made narrower for the sake of others. */
const COLUMN_MIN = 12;

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

const shown = (cell: string): string => cell === "" ? "-" : cell;

/** SGR colours: what is healthy is green, what is not is red; everything else stays as the terminal has it. */
function painted(cell: string, padded: string): string {
  const code = { healthy: 32, ready: 32, ok: 32, unhealthy: 31, failed: 31 }[cell];
  return code === undefined ? padded : `\x1b[${code}m${padded}\x1b[0m`;
}

/** What is at a path of names with dots between; `undefined` when nothing is. */
export function fieldAt(row: JsonObject, path: string): unknown {
  return path.split(".").reduce<unknown>(
    (value, name) => isJsonObject(value) ? value[name] : undefined,
    row,
  );
}

/** One line of text for any value; control characters are taken out, since names from outside end here. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.replaceAll(/\p{Cc}/gu, " ");
}
