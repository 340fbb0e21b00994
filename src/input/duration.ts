/**
 * Durations as people write them: a number with its unit, such as `250ms`, `10s`, `5m`, `1h` or `30d`.
 *
 * It stands apart from the schemas because command lines read durations too, and must load fast.
 *
 * @module
 */

/** The form of a duration, for expressions that are asked before {@linkcode parseDuration}. */
export const DURATION = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/;

/** Reads a duration into milliseconds, rounded to whole ones; `null` when the text is none. */
export function parseDuration(text: string): number | null {
  const [, count, unit] = DURATION.exec(text) ?? [];
  const size = UNITS.find(([name]) => name === unit)?.[1];
  return size === undefined ? null : Math.round(Number(count) * size);
}

/** Milliseconds as text in the largest unit that holds them without a fraction. */
export function formatDuration(ms: number): string {
  const [unit, size] = UNITS.find(([, size]) => ms % size === 0 && ms !== 0) ?? ["ms", 1];
  return `${ms / size}${unit}`;
}

const UNITS = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000], ["ms", 1]] as const;
