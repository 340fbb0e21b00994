/**
 * Zones stay in step whatever happens to services, name servers and the broker:
 * `deno task prove zones [ZONES [SECONDARIES [SECONDS [RATE]]]]`.
 *
 * A real primary and real secondaries; services are processes of their own, and are killed. What happens is in
 * `tests/distribute/kept_in_step.ts`.
 *
 * @module
 */
import { keptInStep } from "../distribute/kept_in_step.ts";
import { program } from "../programs.ts";

/** The time of the periodic check, within which all must be the same. */
const PERIODIC_MS = 15_000;

/** Runs the proof; 1,000 zones, three secondaries, two minutes of faults and 50 changes a second unless told otherwise. */
export async function prove(
  [zones = "1000", secondaries = "3", seconds = "120", rate = "50"]: string[],
): Promise<boolean> {
  const compiled = program("pleiades");
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const seen = await keptInStep({
    ...{ zones: Number(zones), secondaries: Number(secondaries), rate: Number(rate) },
    ...{ calmSeconds: Math.min(30, Number(seconds)), faultSeconds: Number(seconds) },
    ...{ faultEveryMs: 2_000, periodicMs: PERIODIC_MS },
    executable: compiled === null
      ? [Deno.execPath(), "run", "-A", "--unstable-net", "--quiet", main]
      : [compiled],
    isValidated: true,
    onStep: (step) => console.log(`${new Date().toISOString().slice(11, 19)} ${step}`),
  });
  const { changes, refused, faults, calm, transfers, quietTransfers, equalMs, differing, validated } = seen;
  const needed = calm.changes * Number(secondaries);
  const percentiles = (sample: readonly number[]) => {
    const sorted = [...sample].sort((a, b) => a - b);
    return [0.5, 0.99].map((share) => sorted[Math.ceil(sorted.length * share) - 1] ?? NaN) as [
      number,
      number,
    ];
  };
  const times = (what: string, sample: readonly number[]) => {
    const [p50, p99] = percentiles(sample);
    return [
      `${what}: p50 and p99, ms`,
      `${p50.toFixed(0)}, ${p99.toFixed(0)} of ${sample.length}`,
      p99 < 500,
    ] as const;
  };
  const rows: readonly (readonly [string, string, boolean])[] = [
    ["changes taken, refused", `${changes}, ${refused.length}`, refused.length === 0],
    times("change to answer, alone", seen.aloneMs),
    times("change to answer, others beside", seen.loadedMs),
    [
      "transfers for changes × secondaries",
      `${calm.transfers} for ${needed}`,
      calm.transfers <= 1.2 * needed,
    ],
    ["ended", [...faults].map(([name, count]) => `${name} ${count}`).join(", "), faults.size > 0],
    ["transfers in all", String(transfers), true],
    ["the same everywhere after, s", (equalMs / 1000).toFixed(1), differing.length === 0],
    ["zones that differ", String(differing.length), differing.length === 0],
    ["transfers in a quiet time", String(quietTransfers), quietTransfers === 0],
    [
      "delv: asked, not valid",
      `${validated.asked}, ${validated.failed.length}`,
      validated.failed.length === 0,
    ],
  ];
  for (const each of [...refused.slice(0, 20), ...differing.slice(0, 20), ...validated.failed]) {
    console.log(`fault: ${each}`);
  }
  for (const [what, figure, isGood] of rows) {
    console.log(`${what.padEnd(44)}${figure.padEnd(24)}${isGood ? "ok" : "MISSED"}`);
  }
  return rows.every(([, , isGood]) => isGood);
}
