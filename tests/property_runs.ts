/**
 * How often a property is tried: in the suite, which runs many times a day with other cases each time, rather seldom; by
 * `deno task prove properties` many times as often.
 *
 * @module
 */

/** The variable of the environment by which all numbers are multiplied. */
export const TIMES = "PLEIADES_TEST_TIMES";

/** How many cases to try, of so many in the suite. */
export function runs(inSuite: number): number {
  return inSuite * Number(Deno.env.get(TIMES) ?? 1);
}
