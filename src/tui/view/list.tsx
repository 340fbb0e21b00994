/**
 * Rows of a list, and lines where a list would be.
 *
 * @module
 */
import { Box } from "ink";
import type { ReactElement } from "react";
import type { ListState } from "../list.ts";
import { fit, harmless } from "../screen_text.ts";
import type { Column } from "./columns.ts";
import { Line, type Tone } from "./line.tsx";

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
export function List<Item>({ title, list, columns, width, height, empty }: ListLayout<Item>): ReactElement {
  const widths = widthsOf(columns, width - 2);
  const head = columns.map((column, i) => fit(column.title, widths[i]!)).join(" ");
  const rows = Array.from({ length: height }, (_, i) => {
    const at = list.top + i;
    const item = list.rows[at - list.offset];
    const isMarked = at === list.cursor;
    if (item === undefined) {
      const text = i === 0 && list.isRead && list.total === 0 ? ` ${empty}` : at < list.total ? " …" : "";
      return <Line key={i} width={width} text={text} />;
    }
    const text = columns.map((column, c) => fit(harmless(column.cell(item)), widths[c]!)).join(" ");
    const tone = columns.reduce<Tone>((found, column) => column.tone?.(item) ?? found, "plain");
    return (
      <Line key={i} width={width} text={`${isMarked ? ">" : " "} ${text}`} tone={tone} inverse={isMarked} />
    );
  });
  return (
    <Box flexDirection="column">
      <Line width={width} text={title} bold />
      <Line width={width} text={`  ${head}`} dim />
      {rows}
    </Box>
  );
}

/** Lines where a list would be. */
export function Lines(
  { title, lines, width, height }: {
    readonly title: string;
    readonly lines: readonly string[];
    readonly width: number;
    readonly height: number;
  },
): ReactElement {
  return (
    <Box flexDirection="column">
      <Line width={width} text={title} bold />
      <Line width={width} text="" />
      {Array.from({ length: height }, (_, i) => <Line key={i} width={width} text={lines[i] ?? ""} />)}
    </Box>
  );
}

/** Columns with a width have it; the others share what is left by their weights. */
function widthsOf<Item>(columns: readonly Column<Item>[], width: number): number[] {
  const fixed = columns.reduce((sum, column) => sum + (column.width ?? 0), 0) + columns.length - 1;
  const shares = columns.reduce((sum, column) => sum + (column.share ?? 0), 0);
  const rest = Math.max(0, width - fixed);
  return columns.map((column) => column.width ?? Math.floor(rest * (column.share ?? 0) / shares));
}
