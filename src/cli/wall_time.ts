/**
 * Times as the clock on the wall shows them.
 *
 * @module
 */

/** Local time to the minute: `2026-02-01 03:00`. */
export function wallTime(value: unknown): string {
  const at = new Date(String(value));
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** The same to the second: `2026-02-01 03:00:07`. */
export function wallTimeOfSecond(value: unknown): string {
  return `${wallTime(value)}:${String(new Date(String(value)).getSeconds()).padStart(2, "0")}`;
}
