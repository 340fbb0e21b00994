/**
 * What a setting of the answering side costs, as a ratio: every round times each setting once, in turn, and compares it
 * with the first of the same round, so that what else the machine does meanwhile falls on all of them alike.
 *
 * @module
 */

/** One of the settings that are compared. */
export interface TimedCase {
  /** For people. */
  readonly name: string;
  /** Does a round of work. @returns nanoseconds an answer */
  readonly time: () => number;
}

/** Prints a line for each case; the first is what the others are compared with. */
export function printPairedRounds(cases: readonly TimedCase[], args: readonly string[]): void {
  const rounds = Number(args[args.indexOf("--rounds") + 1] ?? 15) || 15;
  const times = cases.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const [i, { time }] of cases.entries()) {
      const ns = time();
      // The first round only warms up.
      if (round >= 0) times[i]!.push(ns);
    }
  }
  console.log(
    `${"setting".padEnd(34)} ns/answer  ratio to ${cases[0]!.name} (median of ${rounds} paired rounds)`,
  );
  for (const [i, { name }] of cases.entries()) {
    const ratio = median(times[i]!.map((ns, round) => ns / times[0]![round]!));
    console.log(`${name.padEnd(34)} ${median(times[i]!).toFixed(0).padStart(9)}  ${ratio.toFixed(3)}`);
  }
}

/** The middle one of the figures, the upper one of two. */
export function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[figures.length >> 1]!;
}
