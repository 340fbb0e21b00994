/**
 * Zones stay in step whatever happens to services, name servers and the broker:
 * `deno task prove zones [ZONES [SECONDARIES [SECONDS [RATE [NAMES [DELETES]]]]]]`.
 *
 * A real primary and real secondaries; services are processes of their own, and are killed. What happens is in
 * `tests/distribute/kept_in_step.ts`. A thousand zones and three secondaries take ten minutes on two processors.
 *
 * @module
 */
import { keptInStep, type Sample } from "../distribute/kept_in_step.ts";
import { program } from "../programs.ts";

/** The time of the periodic check, within which all must be the same. */
const PERIODIC_MS = 15_000;
/** What the proxy may add to a change, 99 of 100. */
const PROXY_MS = 5;
/** From an event to the answer of a secondary, 99 of 100. */
const ANSWER_MS = 500;

/** Of changes before the faults. */
const CALM_SECONDS_MAX = 40;

/** Runs the proof; 1,000 zones, three secondaries, two minutes of faults, 50 changes a second, 20,000 names in the large zone, 1,000 deletes. */
export async function prove(
  [zones = "1000", secondaries = "3", seconds = "120", rate = "50", names = "20000", deletes = "1000"]:
    string[],
): Promise<boolean> {
  const compiled = program("pleiades");
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const phases = new Phases();
  const calmSeconds = Math.min(CALM_SECONDS_MAX, Number(seconds));
  const seen = await keptInStep({
    ...{ zones: Number(zones), secondaries: Number(secondaries), rate: Number(rate) },
    ...{ calmSeconds, faultSeconds: Number(seconds) },
    ...{ faultEveryMs: 2_000, periodicMs: PERIODIC_MS },
    executable: compiled === null
      ? [Deno.execPath(), "run", "-A", "--unstable-net", "--quiet", main]
      : [compiled],
    ...{ isValidated: true, hasThursday: true, largeNames: Number(names) },
    deletes: Number(deletes),
    onStep: (step) => phases.tell(step),
  });
  phases.tell("all is looked at");
  const { changes, refused, faults, calm, transfers, quietTransfers, equalMs, differing, validated } = seen;
  const needed = calm.changes * Number(secondaries);
  const { thursday, large, lost, orphans } = seen;
  const rows: readonly Row[] = [
    ["changes a second, those of samples among them", (calm.changes / calmSeconds).toFixed(1), true],
    ["changes taken, refused", `${changes}, ${refused.length}`, refused.length === 0],
    ["samples that never arrived", String(lost.length), lost.length === 0],
    [
      "change through the proxy and past it: p99, ms",
      `${p99Of(seen.proxy.throughMs).toFixed(1)}, ${p99Of(seen.proxy.pastMs).toFixed(1)}`,
      p99Of(seen.proxy.throughMs) <= p99Of(seen.proxy.pastMs) + PROXY_MS,
    ],
    ...timesOf("alone", seen.alone),
    ...timesOf("others beside", seen.loaded),
    [
      "transfers for changes × secondaries",
      `${calm.transfers} for ${needed}`,
      calm.transfers <= 1.2 * needed,
    ],
    ...(thursday === null ? [] : [
      [
        "Thursday: transfers for signed zones × secondaries",
        `${thursday.transfers} for ${thursday.zones * Number(secondaries)} in ${
          (thursday.tookMs / 1000).toFixed(0)
        } s`,
        thursday.transfers >= thursday.zones * Number(secondaries) &&
        thursday.transfers <= (thursday.zones + 1.2 * thursday.samples.length) * Number(secondaries),
      ] as const,
      ...timesOf("on Thursday", thursday.samples),
    ]),
    ...(large === null ? [] : [
      [
        `${names} signed names everywhere after, s`,
        (large.tookMs / 1000).toFixed(1),
        Number.isFinite(large.tookMs),
      ] as const,
      ...timesOf("a large zone beside", large.samples),
    ]),
    ["ended", [...faults].map(([name, count]) => `${name} ${count}`).join(", "), faults.size > 0],
    ["transfers in all", String(transfers), true],
    ["the same everywhere after, s", (equalMs / 1000).toFixed(1), equalMs <= PERIODIC_MS],
    ["zones that differ", String(differing.length), differing.length === 0],
    [`records of no zone, after ${deletes} deletes`, String(orphans), orphans === 0],
    ["transfers in a quiet time", String(quietTransfers), quietTransfers === 0],
    [
      "delv: asked, not valid",
      `${validated.asked}, ${validated.failed.length}`,
      validated.failed.length === 0,
    ],
  ];
  const faultsOf = [refused, lost, differing, validated.failed];
  for (const each of faultsOf.flatMap((found) => found.slice(0, 20))) console.log(`fault: ${each}`);
  console.log("where a zone's time goes on a secondary, ms      half below       99 of 100 below");
  for (const { stage, count, p50Ms, p99Ms } of seen.stages) {
    console.log(`  ${stage.padEnd(47)}${String(p50Ms).padEnd(17)}${p99Ms} of ${count}`);
  }
  console.log("processor time for each change, ms");
  for (const [name, ms] of seen.cpuMs) console.log(`  ${name.padEnd(47)}${ms.toFixed(1)}`);
  console.log(`  ${"all".padEnd(47)}${[...seen.cpuMs.values()].reduce((sum, ms) => sum + ms, 0).toFixed(1)}`);
  console.log("calls of the API of all secondaries for each change");
  for (const [type, count] of seen.calls) console.log(`  ${type.padEnd(47)}${count.toFixed(2)}`);
  console.log("where the time of this command goes, s");
  for (const [phase, seconds] of phases.took) console.log(`  ${phase.padEnd(47)}${seconds.toFixed(1)}`);
  console.log("");
  for (const [what, figure, isGood] of rows) {
    console.log(`${what.padEnd(52)}${figure.padEnd(32)}${isGood ? "ok" : "MISSED"}`);
  }
  return rows.every(([, , isGood]) => isGood);
}

/** What is done one after the other; details, which are indented, belong to what goes on. */
class Phases {
  readonly #took: [phase: string, seconds: number][] = [];
  #fromMs = performance.now();

  tell(step: string): void {
    console.log(`${new Date().toISOString().slice(11, 19)} ${step}`);
    if (step.startsWith(" ")) return;
    this.#end();
    this.#took.push([step, 0]);
    this.#fromMs = performance.now();
  }

  get took(): readonly (readonly [phase: string, seconds: number])[] {
    this.#end();
    const all = this.#took.reduce((sum, [, seconds]) => sum + seconds, 0);
    return [...this.#took, ["all", all]];
  }

  #end(): void {
    const last = this.#took.at(-1);
    if (last !== undefined) last[1] = (performance.now() - this.#fromMs) / 1_000;
  }
}

/** What is looked at, what was seen, and whether that is enough. */
type Row = readonly [what: string, figure: string, isGood: boolean];

function p99Of(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1] ?? NaN;
}

function timesOf(when: string, samples: readonly Sample[]): Row[] {
  const row = (what: string, times: readonly number[], limitMs: number): Row => {
    const sorted = times.toSorted((a, b) => a - b);
    const [p50, p99] = [0.5, 0.99].map((share) => sorted[Math.ceil(sorted.length * share) - 1] ?? NaN);
    const figure = `${p50!.toFixed(0)}, ${p99!.toFixed(0)} of ${sorted.length}`;
    return [`${what}, ${when}: p50 and p99, ms`, figure, p99! < limitMs];
  };
  return [
    row("change to event", samples.map(({ toEventMs }) => toEventMs), Infinity),
    row("event to answer", samples.map(({ toAnswerMs }) => toAnswerMs), ANSWER_MS),
  ];
}
