/**
 * Many changes of which some may not fit the model by now: what no author wanted as a whole isn't left out as a whole either.
 *
 * @module
 */
import type { RecordedChange } from "../store/history_parts.ts";
import { ChangeRefused } from "./edit.ts";

/** Changes that only make sense together. */
export type Piece = readonly RecordedChange[];

/** One that doesn't fit. */
export interface Misfit {
  /** It. */
  readonly piece: Piece;
  /** For people. */
  readonly why: string;
}

/** What fits of many changes, put one after the other. */
export class Fitting {
  readonly #put: (changes: readonly RecordedChange[]) => readonly RecordedChange[];
  readonly #changes = new Map<string, RecordedChange>();

  /**
   * Nothing was put yet.
   *
   * @param put puts changes as a whole, and gives what is otherwise by that; it throws `ChangeRefused` when they don't fit
   */
  constructor(put: (changes: readonly RecordedChange[]) => readonly RecordedChange[]) {
    this.#put = put;
  }

  /** What was made, each object once. */
  changes(): readonly RecordedChange[] {
    return [...this.#changes.values()].filter(({ before, after }) => before !== after);
  }

  /** Puts pieces in their order, also those that fit only when later ones are there. @returns those that don't fit, and why */
  put(pieces: readonly Piece[]): readonly Misfit[] {
    for (let left = pieces;;) {
      const misfits = this.#putSome(left);
      if (misfits.length === 0 || misfits.length === left.length) return misfits;
      left = misfits.map(({ piece }) => piece);
    }
  }

  /** Together where they fit, and else by halves: of many most do. */
  #putSome(pieces: readonly Piece[]): readonly Misfit[] {
    if (pieces.length === 0) return [];
    try {
      this.#note(this.#put(pieces.flat()));
      return [];
    } catch (refusal) {
      if (!(refusal instanceof ChangeRefused)) throw refusal;
      if (pieces.length === 1) return [{ piece: pieces[0]!, why: refusal.message }];
    }
    const half = Math.ceil(pieces.length / 2);
    return [...this.#putSome(pieces.slice(0, half)), ...this.#putSome(pieces.slice(half))];
  }

  #note(made: readonly RecordedChange[]): void {
    for (const { kind, id, before, after } of made) {
      const key = `${kind} ${id}`;
      const first = this.#changes.get(key);
      this.#changes.set(key, { kind, id, before: first === undefined ? before : first.before, after });
    }
  }
}
