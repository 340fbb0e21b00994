/**
 * Rows of a list, and lines where a list would be.
 *
 * @module
 */
import type { ListState } from "../list.ts";
import { fit, harmless } from "../screen_text.ts";
import type { Column } from "./columns.ts";
import { filledTo, type Line, lineOf, type Tone } from "./line.ts";

/** How a list is drawn. */
export interface ListLayout<Item> {
  /** The line above it. */
  readonly title: string;
  /** Its window is drawn. */
  readonly list: ListState<Item>;
  /** From left to right. */
  readonly columns: readonly Column<Item>[];
  /** Cells. */
  readonly width: number;
  /** Rows, without title and head. */
  readonly height: number;
  /** Stands where there are no rows. */
  readonly empty: string;
}

/** A list: its title, its head and its rows. */
export function listLines<Item>({ title, list, columns, width, height, empty }: ListLayout<Item>): Line[] {
  const widths = widthsOf(columns, width - 2);
  const head = columns.map((column, i) => fit(column.title, widths[i]!)).join(" ");
  const rows = Array.from({ length: height }, (_, i): Line => {
    const at = list.top + i;
    const item = list.rows[at - list.offset];
    const isMarked = at === list.cursor;
    if (item === undefined) {
      const text = i === 0 && list.isRead && list.total === 0 ? ` ${empty}` : at < list.total ? " …" : "";
      return lineOf(text, width);
    }
    const text = columns.map((column, c) => fit(harmless(column.cell(item)), widths[c]!)).join(" ");
    const tone = columns.reduce<Tone>((found, column) => column.tone?.(item) ?? found, "plain");
    return lineOf(`${isMarked ? ">" : " "} ${text}`, width, { tone, inverse: isMarked });
  });
  return [lineOf(title, width, { bold: true }), lineOf(`  ${head}`, width, { dim: true }), ...rows];
}

/** Above a list: its name, the place of the mark, and what it is filtered by. */
export function listTitle(
  name: string,
  { cursor, total, filter, isRead }: ListState<unknown>,
  isFiltering: boolean,
): string {
  const place = !isRead ? "reading …" : total === 0 ? "none" : `${cursor + 1} of ${total}`;
  const filtered = isFiltering
    ? `  filter: ${harmless(filter)}▏`
    : filter === ""
    ? ""
    : `  filter: ${harmless(filter)}`;
  return ` ${name}  ${place}${filtered}`;
}

/** Lines where a list would be, from one of them on; the title says so where there are more than fit. */
export function textInstead(
  { title, lines, top = 0, width, height }: {
    readonly title: string;
    readonly lines: readonly string[];
    readonly top?: number;
    readonly width: number;
    readonly height: number;
  },
): Line[] {
  const place = placeWords({ top, height, count: lines.length });
  return [
    lineOf(place === "" ? title : `${title}  ${place}`, width, { bold: true }),
    lineOf("", width),
    ...filledTo(lines.slice(top, top + height).map((line) => lineOf(line, width)), height, width),
  ];
}

/** Which lines of a text are shown; empty = all. */
export function placeWords(
  { top, height, count }: { readonly top: number; readonly height: number; readonly count: number },
): string {
  if (count <= height) return "";
  return `${top + 1}–${Math.min(top + height, count)} of ${count} lines: ↓ and ↑ show the others`;
}

/** Columns with a width have it; the others share what is left by their weights. */
function widthsOf<Item>(columns: readonly Column<Item>[], width: number): number[] {
  const fixed = columns.reduce((sum, column) => sum + (column.width ?? 0), 0) + columns.length - 1;
  const shares = columns.reduce((sum, column) => sum + (column.share ?? 0), 0);
  const rest = Math.max(0, width - fixed);
  return columns.map((column) => column.width ?? Math.floor(rest * (column.share ?? 0) / shares));
}
