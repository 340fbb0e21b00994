/**
 * A plan as the API gives it: what a change would do to objects and answers, and what guards say to it.
 *
 * @module
 */
import type { Refusal } from "./api_refusal.ts";
import { isJsonObject, type JsonObject } from "./client.ts";
import { CommandFailed } from "./failure.ts";

/** How many objects of a kind a change touches. */
export interface ObjectCounts {
  /** New ones. */
  readonly created: number;
  /** Those with other fields. */
  readonly changed: number;
  /** Those that go, with what goes along. */
  readonly deleted: number;
}

/** The counts of each kind that is touched. */
export type CountsByKind = Readonly<Record<string, ObjectCounts>>;

/** What happens to one object. */
export interface ObjectChange {
  /** `pool`, `member`, `healthCheck`, … */
  readonly kind: string;
  /** Its id; of a zone the domain. */
  readonly id: string;
  /** What it is called: `web`, `web/192.0.2.10:443`, `www.example.com`. */
  readonly name: string;
  /** What happens. */
  readonly action: "created" | "changed" | "deleted";
  /** What it goes along with, such as `pool web`; `null` = it is meant itself. */
  readonly with: string | null;
  /** Its fields before; `null` = there was none. */
  readonly before: unknown;
  /** Its fields after; `null` = there is none any more. */
  readonly after: unknown;
}

/** Objects that differ between two states of the model. */
export interface Difference {
  /** How many, all of them. */
  readonly objects: CountsByKind;
  /** The first thousand. */
  readonly changes: readonly ObjectChange[];
  /** Whether there are more. */
  readonly truncated: boolean;
}

/** With what answers begin. */
export interface AddressShare {
  /** An address, or the name that a CNAME leads to. */
  readonly address: string;
  /** Of the answers, 0–1; 0 = it only comes behind others. What is lacking to 1 are answers that hold nothing. */
  readonly share: number;
}

/** What some clients are answered, before and after. */
export interface AnswerDifference {
  /** The name that is asked for. */
  readonly name: string;
  /** `A` or `AAAA`. */
  readonly type: string;
  /** `everyone`, `DE`, `198.51.100.0/24`, `others`. */
  readonly clients: string;
  /** Their part of the name's clients, 0–1. */
  readonly share: number;
  /** What they are answered today. */
  readonly before: readonly AddressShare[];
  /** What they would be. */
  readonly after: readonly AddressShare[];
}

/** What recorded queries would have been answered. */
export interface Replay {
  /** RFC 3339. */
  readonly from: string;
  /** RFC 3339. */
  readonly to: string;
  /** How many there were. */
  readonly queries: number;
  /** Their part with another answer, 0–1. */
  readonly share: number;
  /** How far that may be off, 0–1. */
  readonly errorBar: number;
  /** Answers with each address, before and after. */
  readonly members: readonly { readonly address: string; readonly before: number; readonly after: number }[];
}

/** What a change would do. */
export interface Plan extends Difference {
  /** The generation that it was made for. */
  readonly generation: number;
  /** Whether anything would differ. */
  readonly changed: boolean;
  /** What clients would be answered. */
  readonly answers: {
    /** Names whose answers differ. */
    readonly services: number;
    /** Part of all answers that differ, 0–1. */
    readonly movedShare: number;
    /** The first thousand. */
    readonly differences: readonly AnswerDifference[];
    /** Whether there are more. */
    readonly truncated: boolean;
  };
  /** What guards would refuse without force. */
  readonly refusals: readonly Refusal[];
  /** `null` = it wasn't asked for, or nothing is recorded. */
  readonly replay?: Replay | null;
}

/** Reads a plan. @throws {CommandFailed} when it is something else, as from a node of an older version */
export function planOf(answer: JsonObject | null): Plan {
  if (answer !== null && isPlan(answer)) return answer;
  throw new CommandFailed('The node sent no plan (is it of an older version? "pleiades status" shows that)');
}

/** Reads a difference of two generations. @throws {CommandFailed} when it is something else */
export function differenceOf(answer: JsonObject): Difference {
  if (isDifference(answer)) return answer;
  throw new CommandFailed("The node sent no difference of generations (is it of an older version?)");
}

/** The changes of an entry of the history. @throws {CommandFailed} when it has none, as from a node of an older version */
export function changesOf({ changes }: JsonObject): readonly ObjectChange[] {
  if (areChanges(changes)) return changes;
  throw new CommandFailed("The node sent no changes of the generation (is it of an older version?)");
}

/** The counts of an answer; empty where it has none. */
export function countsOf({ objects }: JsonObject): CountsByKind {
  return isCounts(objects) ? objects : {};
}

// What is checked is what a program of another version might not send; the fields inside are the API's own.

function isPlan(value: JsonObject): value is JsonObject & Plan {
  const { generation, changed, answers, refusals } = value;
  return typeof generation === "number" && typeof changed === "boolean" && Array.isArray(refusals) &&
    isJsonObject(answers) && Array.isArray(answers["differences"]) && isDifference(value);
}

function isDifference(value: JsonObject): value is JsonObject & Difference {
  return isCounts(value["objects"]) && areChanges(value["changes"]);
}

function areChanges(value: unknown): value is readonly ObjectChange[] {
  return Array.isArray(value) &&
    value.every((change) =>
      isJsonObject(change) && typeof change["name"] === "string" && isAction(change["action"])
    );
}

function isAction(value: unknown): boolean {
  return value === "created" || value === "changed" || value === "deleted";
}

function isCounts(value: unknown): value is CountsByKind {
  return isJsonObject(value) &&
    Object.values(value).every((counts) =>
      isJsonObject(counts) &&
      ["created", "changed", "deleted"].every((each) => typeof counts[each] === "number")
    );
}
