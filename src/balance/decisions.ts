/**
 * What clients are answered: each different decision of a map once, so that it has a number that says whether two
 * clients get the same. Found again by a hash of its numbers: to make a text of hundreds of members would take longer
 * than to sort them.
 *
 * @module
 */
import type { State } from "./fence.ts";
import type { Schedule } from "./weighted.ts";

/** Who is answered, in which order. */
export interface Decision {
  /** Indices of members (`Candidate.index`) in order; the first `lead` rotate. */
  readonly order: Uint32Array;
  /** How many at the head are equals. */
  readonly lead: number;
  /** Where the groups of equals behind the head end; `null` = all differ. */
  readonly ends: Uint32Array | null;
  /** The equals' turns where their weights differ. */
  readonly schedule: Schedule | null;
  /** With a geofence: whether enough are up. Without, what can be answered is judged for all clients alike. */
  readonly state: State;
  /** What is left of the equals while some of them drain: their share of the answers; the others go past them. */
  readonly left: number;
}

/** What makes a decision another one; the rest of it follows. */
export type DecisionKey = Pick<Decision, "order" | "lead" | "ends" | "state">;

/** Different decisions that a map may hold, … */
const DECISIONS_MAX = 65_536;
/** … and members and turns in all of them together. */
const SIZE_MAX = 1 << 20;

/** The decisions of one map, by number. */
export class Decisions {
  #decisions: Decision[] = [];
  /** By hash: one more than the number of the decision added last that has it. */
  readonly #last = new Map<number, number>();
  /** By number: likewise the one added before with the same hash; 0 = there is none. */
  #before: number[] = [];
  #size = 0;

  /** Whether there should be no more: memory has a bound. */
  get isFull(): boolean {
    return this.#decisions.length >= DECISIONS_MAX || this.#size > SIZE_MAX;
  }

  /** The decision of a number. */
  at(number: number): Decision {
    return this.#decisions[number]!;
  }

  /** The number of a decision, or −1. @param hash its own (`hashOf`) */
  find(key: DecisionKey, hash: number): number {
    let next = this.#last.get(hash) ?? 0;
    while (next !== 0 && !isSame(this.#decisions[next - 1]!, key)) next = this.#before[next - 1]!;
    return next - 1;
  }

  /** Takes one that isn't here yet. @param hash its own (`hashOf`) @returns its number */
  add(decision: Decision, hash: number): number {
    this.#before.push(this.#last.get(hash) ?? 0);
    this.#size += decision.order.length + (decision.schedule ? decision.schedule.size : 0);
    const count = this.#decisions.push(decision);
    this.#last.set(hash, count);
    return count - 1;
  }

  /** Forgets all; numbers begin again. */
  clear(): void {
    this.#decisions = [];
    this.#before = [];
    this.#last.clear();
    this.#size = 0;
  }
}

/** Whether both say the same of everything that makes a decision another one. */
export function isSame(a: DecisionKey, b: DecisionKey): boolean {
  return a.lead === b.lead && a.state === b.state && areEqual(a.order, b.order) &&
    (a.ends === b.ends || (a.ends !== null && b.ends !== null && areEqual(a.ends, b.ends)));
}

function areEqual(a: Uint32Array, b: Uint32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** FNV-1a over words, the same for decisions that are. */
export function hashOf({ order, lead, ends, state }: DecisionKey): number {
  let hash = Math.imul(0x811c9dc5 ^ lead, 0x01000193);
  hash = Math.imul(hash ^ state, 0x01000193);
  for (let i = 0; i < order.length; i++) hash = Math.imul(hash ^ order[i]!, 0x01000193);
  if (ends !== null) { for (let i = 0; i < ends.length; i++) hash = Math.imul(hash ^ ends[i]!, 0x01000193); }
  return hash;
}
