/**
 * Where a change is looked at before it is kept: by what it does to objects and to answers.
 *
 * A guard is asked inside the committing transaction, when all is written and judged, so nothing can come between what it
 * saw and what is kept, and there is no way in that goes around it. What it finds is also what a plan shows. Who stands
 * guard is made above (`plan/`); here is what the path of changes asks of it.
 *
 * @module
 */
import type { ChangeCounts } from "../store/replacement.ts";
import type { Store } from "../store/store.ts";
import type { Touched } from "../store/touched.ts";
import type { Origin } from "./edit.ts";

/** A change that could be kept. */
export interface Proposal {
  /** Who wants it. */
  readonly origin: Origin;
  /** The model as it would be: it reads the open transaction, and only while the guard is asked. */
  readonly store: Store;
  /** The model as it is, where another connection reads it; `null` = it follows from what the history lists. */
  readonly before: Store | null;
  /** The generation that it would be; the history lists it already. */
  readonly generation: number;
  /** How many objects of each kind it creates, changes and deletes, with what goes along with others. */
  readonly counts: ChangeCounts;
  /** What it touches, however much that is. */
  readonly touched: Touched;
  /** Whether a person is to see all that differs; otherwise only refusals count. */
  readonly isPlan: boolean;
  /** How far back recorded queries are to be answered once more, milliseconds; 0 = not at all. */
  readonly replayMs: number;
  /** Throws when whoever wants it has given it up meanwhile; called again and again in what may take long. */
  readonly expectWanted: () => void;
}

/** Looks at changes. */
export interface Guard {
  /** What a change would do to answers, and whether that is to be refused. */
  examine(proposal: Proposal): Examination;
  /** What a guard on another thread has to know to find the same; can be sent. */
  portable(): unknown;
}

/** What a guard found. */
export interface Examination {
  /** Why it is to be refused unless it is forced; none = it may be kept. */
  readonly refusals: readonly GuardRefusal[];
  /** What clients would get. */
  readonly answers: AnswersForeseen;
  /** What recorded queries would get; `null` = it wasn't asked for, or nothing is recorded. */
  readonly replay: Replay | null;
}

/** What would become of queries that were recorded. */
export interface Replay {
  /** From when, RFC 3339. */
  readonly from: string;
  /** Until when, RFC 3339. */
  readonly to: string;
  /** How many there were, of all names. */
  readonly queries: number;
  /** How many of them would be answered otherwise. */
  readonly different: number;
  /** The same as a share of all, 0–1. */
  readonly share: number;
  /**
   * How far the share may be off, since some queries stand for others: two standard deviations, and at least what may be missed
   * altogether.
   */
  readonly errorBar: number;
  /** With what answers to the names that are reached begin, 0–1 of them, those first that differ most. */
  readonly members: readonly { readonly address: string; readonly before: number; readonly after: number }[];
}

/** The guards by name. */
export const GUARD_NAMES = ["empties-live-name", "moved-share", "deleted-share"] as const;

/** One of `GUARD_NAMES`. */
export type GuardName = (typeof GUARD_NAMES)[number];

/** Why a guard refuses a change. */
export interface GuardRefusal {
  /** Which one. */
  readonly guard: GuardName;
  /** What the change would do, with its figure and the limit. */
  readonly message: string;
  /** What is hit: domain names, or objects by name; some of them where they are many. */
  readonly names: readonly string[];
}

/** What clients would get instead of what they get. */
export interface AnswersForeseen {
  /** Names of which some client's answers differ. */
  readonly services: number;
  /** Share of all answers that would be others, 0–1. */
  readonly movedShare: number;
  /** What differs, the most first; at most `DIFFERENCES_MAX`. */
  readonly differences: readonly AnswerDifference[];
  /** Whether there is more. */
  readonly truncated: boolean;
}

/** A plan shows so many differences of answers, and as many of objects. */
export const DIFFERENCES_MAX = 1_000;

/** What some clients would get for a name instead of what they get. */
export interface AnswerDifference {
  /** The name, as it is asked for. */
  readonly name: string;
  /** The record type. */
  readonly type: "A" | "AAAA";
  /** Whose: `everyone`, a country (`DE`), a prefix, or `others`. */
  readonly clients: string;
  /** Their share of the name's clients, 0–1. */
  readonly share: number;
  /** What they get, the most frequent first; none = no address. */
  readonly before: readonly AnswerShare[];
  /** What they would get. */
  readonly after: readonly AnswerShare[];
  /** Share of their answers that would be others, 0–1. */
  readonly moved: number;
}

/** How often an answer begins with an address. */
export interface AnswerShare {
  /** The address, or the name that is answered in its place. */
  readonly address: string;
  /** 0–1; those of all addresses are 1 together. */
  readonly share: number;
}

/** Where there is no guard. */
export const NOTHING_FORESEEN: Examination = {
  refusals: [],
  replay: null,
  answers: { services: 0, movedShare: 0, differences: [], truncated: false },
};
