/**
 * Which members of a list may be answered now. That is a pure function of the list and its health bits, so all workers
 * agree. For a small list it is looked at anew each time; for a large or weighted one it is derived once per change
 * of health, by each worker on its own at the first query that needs it.
 *
 * @module
 */
import { rotate } from "../balance/round_robin.ts";
import { smoothSchedule } from "../balance/weighted.ts";
import { ALGORITHMS } from "../config/model.ts";
import { LIST, NO_LIST_ID, SMALL_LIST_MAX } from "../snapshot/layout.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { SnapshotView } from "../snapshot/view.ts";

/** Most addresses one answer can carry: 64 KiB of AAAA records. */
export const CHOSEN_MAX = 2340;

const WEIGHTED = ALGORITHMS.indexOf("weighted-round-robin");

/** Chooses members of the lists of one snapshot. */
export class Selection {
  /** Indices of the members chosen last, in order of preference. */
  readonly chosen = new Uint32Array(CHOSEN_MAX);
  readonly #records: Uint32Array;
  readonly #board: LiveBoard;
  /** Health generation for which a list was derived last; 0 = never. */
  readonly #derivedAt: Uint32Array;
  /** The list record it was derived from: a change of members makes another one with the same id. */
  readonly #derivedFrom: Uint32Array;
  /** Eligible members of each list. */
  readonly #counts: Uint32Array;
  /** Their indices; a list's part begins at `LIST.base`. */
  readonly #eligible: Uint32Array;
  /** Indices of the eligible members of the small list looked at last. */
  readonly #few = new Uint32Array(SMALL_LIST_MAX);
  #fewCount = 0;
  /** Cycle of a weighted list, by list id. */
  readonly #schedules = new Map<number, Uint16Array>();

  /** Derives nothing yet; that is done per list, when it is asked for. */
  constructor(view: SnapshotView, board: LiveBoard) {
    this.#records = view.records;
    this.#board = board;
    this.#derivedAt = new Uint32Array(view.listsMax);
    this.#derivedFrom = new Uint32Array(view.listsMax);
    this.#counts = new Uint32Array(view.listsMax);
    this.#eligible = new Uint32Array(view.listMembersMax);
  }

  /** How many members of the list are up. */
  eligible(list: number): number {
    const id = this.#records[list + LIST.id]!;
    if (id === NO_LIST_ID) return this.#glance(list);
    if (this.#derivedAt[id] !== this.#board.healthGeneration || this.#derivedFrom[id] !== list) {
      this.#derive(list, id);
    }
    return this.#counts[id]!;
  }

  /**
   * Chooses among the members that are up, of which there must be at least one; right after `eligible` of this list.
   *
   * @param max 0 = all
   * @returns how many are in `chosen`
   */
  chooseEligible(list: number, cursor: number, max: number): number {
    const id = this.#records[list + LIST.id]!;
    if (id === NO_LIST_ID) return this.#chooseFew(cursor, max);
    const base = this.#records[list + LIST.base]!;
    const count = this.#counts[id]!;
    if (count === 1) {
      this.chosen[0] = this.#eligible[base]!;
      return 1;
    }
    const ticket = Atomics.add(this.#board.tickets, cursor, 1);
    const schedule = this.#records[list + LIST.algorithm] === WEIGHTED ? this.#schedules.get(id) : undefined;
    const turn = schedule ? schedule[ticket % schedule.length]! : ticket;
    return rotate(this.#eligible, base, count, turn, limit(max), this.chosen);
  }

  /** Chooses among all members of the list, up or not. */
  chooseAll(list: number, cursor: number, max: number): number {
    const count = this.#records[list + LIST.count]!;
    const n = Math.min(count, limit(max));
    const ticket = Atomics.add(this.#board.tickets, cursor, 1);
    for (let i = 0; i < n; i++) this.chosen[i] = (ticket + i) % count;
    return n;
  }

  /** Chooses among those members that went down last (all of a list that was never up count as such). */
  chooseLastHealthy(list: number, cursor: number, max: number): number {
    const count = this.#records[list + LIST.count]!;
    let latest = 0;
    let found = 0;
    for (let i = 0; i < count; i++) {
      const downAt = this.#board.downAt[this.#slot(list, i)]!;
      if (downAt > latest) {
        latest = downAt;
        found = 0;
      }
      if (downAt === latest) found++;
    }
    const n = Math.min(found, limit(max));
    let skip = Atomics.add(this.#board.tickets, cursor, 1) % found;
    for (let i = 0, chosen = 0; chosen < n; i = (i + 1) % count) {
      if (this.#board.downAt[this.#slot(list, i)] !== latest) continue;
      if (skip > 0) skip--;
      else this.chosen[chosen++] = i;
    }
    return n;
  }

  #glance(list: number): number {
    const count = this.#records[list + LIST.count]!;
    let found = 0;
    for (let i = 0; i < count; i++) if (this.#board.isUp(this.#slot(list, i))) this.#few[found++] = i;
    return this.#fewCount = found;
  }

  #chooseFew(cursor: number, max: number): number {
    if (this.#fewCount === 1) {
      this.chosen[0] = this.#few[0]!;
      return 1;
    }
    const ticket = Atomics.add(this.#board.tickets, cursor, 1);
    return rotate(this.#few, 0, this.#fewCount, ticket, limit(max), this.chosen);
  }

  #derive(list: number, id: number): void {
    const generation = this.#board.healthGeneration;
    const base = this.#records[list + LIST.base]!;
    const count = this.#records[list + LIST.count]!;
    let eligible = 0;
    for (let i = 0; i < count; i++) {
      if (this.#board.isUp(this.#slot(list, i))) this.#eligible[base + eligible++] = i;
    }
    this.#counts[id] = eligible;
    if (this.#records[list + LIST.algorithm] === WEIGHTED && eligible > 1) {
      this.#schedules.set(id, smoothSchedule(this.#weights(list, base, eligible)));
    }
    this.#derivedAt[id] = generation;
    this.#derivedFrom[id] = list;
  }

  #weights(list: number, base: number, eligible: number): number[] {
    const weights: number[] = [];
    for (let i = 0; i < eligible; i++) {
      const member = list + LIST.members + this.#eligible[base + i]! * LIST.memberSize;
      weights.push(this.#records[member + LIST.memberRank]! & 0xffff);
    }
    return weights;
  }

  #slot(list: number, index: number): number {
    return this.#records[list + LIST.members + index * LIST.memberSize + LIST.memberSlot]!;
  }
}

function limit(max: number): number {
  return max === 0 ? CHOSEN_MAX : max;
}
