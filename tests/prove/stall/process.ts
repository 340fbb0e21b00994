/**
 * What the measuring processes of `prove stall` have in common: they say one line when they measure, and their
 * samples as one line of JSON when they are asked to stop.
 *
 * Times are milliseconds since 1970 with fractions: the clock that all processes of a machine share.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";

/** A value, and when it was measured. */
export type TimedSample = readonly [atMs: number, value: number];

/** Milliseconds since 1970, with fractions. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Says `ready`, measures until a line comes in, prints what came of it and ends the process. */
export async function measureUntilAsked(
  ready: string,
  measure: (signal: AbortSignal) => Promise<readonly TimedSample[]>,
): Promise<never> {
  const ending = new AbortController();
  const measuring = measure(ending.signal);
  console.log(ready);
  for await (const _ of createInterface({ input: process.stdin })) break;
  ending.abort();
  console.log(JSON.stringify(await measuring));
  Deno.exit(0);
}
