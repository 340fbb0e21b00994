/**
 * What the main thread and the thread of Git say to each other: calls with a number, and their answers.
 *
 * @module
 */
import type { FileProblem } from "../input/yaml_source.ts";
import type { CommitFacts, SignatureTerms } from "./git_work.ts";
import type { RepositoryFault, RepositoryOptions } from "./repository.ts";

/** From the main thread. */
export type Call =
  | { readonly kind: "open"; readonly options: RepositoryOptions }
  | { readonly kind: "fetch"; readonly known: string | null }
  | { readonly kind: "descends"; readonly commit: string; readonly ancestor: string }
  | { readonly kind: "look"; readonly commit: string; readonly terms: SignatureTerms | null }
  | { readonly kind: "read"; readonly commit: string; readonly prefix: string }
  /** More of the lines of the model that was read; answered with the next part. */
  | { readonly kind: "next" }
  /** Gives the repository up; the thread ends. */
  | { readonly kind: "close" };

/** What each is answered with. */
export interface Answers {
  /** Nothing. */
  readonly open: null;
  /** The head. */
  readonly fetch: string;
  /** Whether. */
  readonly descends: "yes" | "no" | "unknown";
  /** What was found out. */
  readonly look: CommitFacts;
  /** Every problem; none = `next` gives the model. */
  readonly read: readonly FileProblem[];
  /** Whole lines; `null` = there are no more. */
  readonly next: Uint8Array | null;
  /** Nothing. */
  readonly close: null;
}

/** A call with its number; `abort` ends the fetch that is under way, and isn't answered. */
export type ToThread =
  | { readonly number: number; readonly call: Call }
  | { readonly abort: true };

/** An answer, by the number of its call. */
export type FromThread =
  | { readonly number: number; readonly answer: Answers[keyof Answers] }
  | { readonly number: number; readonly failure: ThreadFailure };

/** An error on its way. */
export interface ThreadFailure {
  /** Of the error. */
  readonly message: string;
  /** Of a `RepositoryError`; `null` = it was none. */
  readonly fault: RepositoryFault | null;
}
