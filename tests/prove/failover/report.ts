/**
 * What `prove failover` says: which bounds were missed, and the tables of `docs/failover.md`.
 *
 * @module
 */
import type { Flapping, FlappingTrial } from "./flapping.ts";
import type { Scenario } from "./scenarios.ts";
import type { Trial } from "./trial.ts";

/** All trials of one scenario. */
export interface Row {
  readonly scenario: Scenario;
  readonly slackMs: number;
  readonly trials: readonly Trial[];
}

/** A backend that flapped. */
export interface FlappingRow {
  readonly flapping: Flapping;
  readonly trial: FlappingTrial;
}

/** Under what all was measured. */
export interface Circumstances {
  readonly rounds: number;
  readonly slackMs: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly rise: number;
  readonly fall: number;
  readonly holdMs: number;
  /** Load average of the last minute, at the start and at the end. */
  readonly load: readonly [number, number];
}

/** Every bound that a scenario missed, in words. */
export function missesOf({ scenario, slackMs, trials }: Row): string[] {
  const { name, says } = scenario;
  return trials.flatMap((trial, i) => {
    const { leaveMs, returnMs, bounds, wrong, flips, lost, lateMs, said } = trial;
    const misses: readonly (readonly [boolean, string])[] = [
      [leaveMs > bounds.leaveMs + slackMs, `left after ${seconds(leaveMs)}`],
      [leaveMs < bounds.holdMs, `left after ${seconds(leaveMs)}, while the flip guard had to hold it`],
      [returnMs > bounds.returnMs + slackMs, `came back after ${seconds(returnMs)}`],
      [wrong > 0, `${wrong} answers named it after the deadline`],
      [flips !== 2, `the answers changed ${flips} times instead of twice`],
      [lost > 0, `${lost} questions were not answered with an address`],
      [!said.every((phrase) => says.test(phrase)), `the node said ${said.join(", ")}`],
    ];
    return misses.filter(([isMissed]) => isMissed).map(([, text]) =>
      `${name}, round ${i + 1}: ${text} (the prober itself was late by up to ${seconds(lateMs)})`
    );
  });
}

/** Every bound that flapping missed, in words. */
export function missesOfFlapping({ flapping, trial }: FlappingRow): string[] {
  const { rise, fall, slackMs } = flapping.terms;
  const misses: readonly (readonly [boolean, string])[] = [
    [trial.flips > trial.flipsMax, `the answers changed ${trial.flips} times, at most ${trial.flipsMax}`],
    [trial.settledMs > trial.settledMsMax + slackMs, `settled after ${seconds(trial.settledMs)}`],
    [!trial.isBack, "it never came back"],
    [trial.lost > 0, `${trial.lost} questions were not answered with an address`],
  ];
  return misses.filter(([isMissed]) => isMissed).map(([, text]) =>
    `flapping, rise ${rise}, fall ${fall}: ${text}`
  );
}

/** Both tables in Markdown, with what they were measured under. */
export function tables(
  rows: readonly Row[],
  flappings: readonly FlappingRow[],
  { rounds, slackMs, intervalMs, timeoutMs, rise, fall, holdMs, load }: Circumstances,
): string {
  const date = new Date().toISOString().slice(0, 10);
  const lateMs = Math.max(...rows.flatMap(({ trials }) => trials.map((trial) => trial.lateMs)));
  const average = load.map((figure) => figure.toFixed(1)).join(" at the start and ");
  return [
    `Measured on ${date} with ${navigator.hardwareConcurrency} cores that did other work as well (load average ` +
    `${average} at the end, and the prober itself was late by up to ${
      seconds(lateMs)
    }), ${rounds} rounds each. Checks every ${seconds(intervalMs)}, timeout ` +
    `${seconds(timeoutMs)}, fall ${fall}, rise ${rise}; the flip guard holds for ${seconds(holdMs)}; slack ` +
    `${seconds(slackMs)}.`,
    "",
    "| fault | what happens | leaves after: median, longest | at most | back after: median, longest | at most | " +
    "wrong after the deadline | flips each | questions (lost) | the node says |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ...rows.map(lineOf),
    "",
    "| flapping | flips | at most | settled after | at most | questions (lost) |",
    "| --- | --- | --- | --- | --- | --- |",
    ...flappings.map(lineOfFlapping),
    "",
  ].join("\n");
}

function lineOf({ scenario: { name, what }, trials }: Row): string {
  const { bounds } = trials[0]!;
  const sum = (of: (trial: Trial) => number) => trials.reduce((total, trial) => total + of(trial), 0);
  const both = (of: (trial: Trial) => number) => {
    const sorted = trials.map(of).sort((a, b) => a - b);
    return `${seconds(sorted[sorted.length >> 1]!)}, ${seconds(sorted.at(-1)!)}`;
  };
  return row([
    name,
    what,
    both(({ leaveMs }) => leaveMs),
    seconds(bounds.leaveMs),
    both(({ returnMs }) => returnMs),
    seconds(bounds.returnMs),
    `${sum(({ wrong }) => wrong)}`,
    [...new Set(trials.map(({ flips }) => flips))].join(", "),
    `${sum(({ asked }) => asked)} (${sum(({ lost }) => lost)})`,
    [...new Set(trials.flatMap(({ said }) => said))].map((phrase) => `\`${phrase}\``).join(", "),
  ]);
}

function lineOfFlapping({ flapping: { terms, phaseMs, times }, trial }: FlappingRow): string {
  return row([
    `${seconds(phaseMs)} down, ${
      seconds(phaseMs)
    } up, ${times} times; rise ${terms.rise}, fall ${terms.fall}`,
    `${trial.flips}`,
    `${trial.flipsMax}`,
    seconds(trial.settledMs),
    seconds(trial.settledMsMax),
    `${trial.asked} (${trial.lost})`,
  ]);
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 10) / 100} s`;
}
