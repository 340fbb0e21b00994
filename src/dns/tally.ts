/**
 * Sums of what the workers count. Lanes wrap at 2³²; called at least once in the time that takes (a quarter of
 * an hour at a million answers per second), the sums here don't.
 *
 * @module
 */
import { LANE_SIZE, LANES, type LiveBoard } from "../snapshot/live.ts";

/** Totals over all lanes of a board. */
export class Tally {
  readonly #totals = new Float64Array(LANE_SIZE);
  readonly #seen = new Uint32Array(LANES * LANE_SIZE);

  /** Adds what was counted since the last call. */
  update(board: LiveBoard): void {
    for (let index = 0; index < LANES; index++) {
      const lane = board.lane(index);
      const seen = this.#seen.subarray(index * LANE_SIZE, (index + 1) * LANE_SIZE);
      for (let counter = 0; counter < LANE_SIZE; counter++) {
        const now = lane[counter]!;
        this.#totals[counter]! += (now - seen[counter]!) >>> 0;
        seen[counter] = now;
      }
    }
  }

  /** The total of one counter, by `COUNTER`. */
  total(counter: number): number {
    return this.#totals[counter]!;
  }
}
