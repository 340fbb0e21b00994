/**
 * Every problem of a model, up to the number at which no more of them helps.
 *
 * @module
 */
import { type FileProblem, sortProblems } from "../input/yaml_source.ts";

/** No reader wants more, and a million broken lines must not fill the memory with sentences. */
const PROBLEMS_MAX = 1000;

/** Collects problems in any order. */
export class ProblemList {
  readonly #problems: FileProblem[] = [];

  /** From then on no problem is looked for: each costs a guess and a place. */
  get isFull(): boolean {
    return this.#problems.length >= PROBLEMS_MAX;
  }

  /** How many there are. */
  get size(): number {
    return this.#problems.length;
  }

  /** Adds a problem; a full list stays as it is. */
  add(problem: FileProblem): void {
    if (!this.isFull) this.#problems.push(problem);
  }

  /** All of them in printing order; of a full list the last one says so. */
  sorted(): FileProblem[] {
    const sorted = sortProblems(this.#problems);
    if (!this.isFull) return sorted;
    const message = `no more than ${PROBLEMS_MAX} problems are shown (fix these first)`;
    return [...sorted, { file: sorted.at(-1)!.file, line: 0, column: 0, message }];
  }
}
