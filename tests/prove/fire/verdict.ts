/**
 * What a proof says, line by line.
 *
 * @module
 */

/** Something that was measured, and whether it was good enough. */
export interface Line {
  readonly what: string;
  readonly figure: string;
  readonly isMet: boolean;
}

/** Prints them. @returns whether all are met */
export function printLines(lines: readonly Line[]): boolean {
  for (const { what, figure, isMet } of lines) {
    console.log(`${what.padEnd(60)}${figure.padStart(28)}  ${isMet ? "ok" : "MISSED"}`);
  }
  return lines.every(({ isMet }) => isMet);
}

/** A line of something that may be so much at most. */
export function atMost(what: string, value: number, max: number, unit = ""): Line {
  return { what, figure: `${figureOf(value)} of ${figureOf(max)} ${unit}`.trimEnd(), isMet: value <= max };
}

/** A line of something that must be so. */
export function equals(what: string, value: number, wanted: number): Line {
  return { what, figure: `${figureOf(value)} = ${figureOf(wanted)}`, isMet: value === wanted };
}

/** With two decimals where it isn't whole. */
export function figureOf(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}

/** The middle one of the figures, the upper one of two. */
export function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[figures.length >> 1] ?? NaN;
}
