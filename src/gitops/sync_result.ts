/**
 * What comes of one look at a repository.
 *
 * @module
 */
import type { GuardRefusal } from "../change/guard.ts";
import type { FileProblem } from "../input/yaml_source.ts";

/** What became of a sync. */
export type SyncResult = Applied | Unchanged | Halted;

/** The model is that of the commit now. */
export interface Applied {
  /** Tells results apart. */
  readonly kind: "applied";
  /** Id of the commit. */
  readonly commit: string;
  /** Who signed it; empty = that wasn't asked for. */
  readonly signer: string;
  /** Of the model now. */
  readonly generation: number;
  /** Whether anything differs from before. */
  readonly changed: boolean;
  /** Whether it was applied before, and was changed by another way since. */
  readonly isRestored: boolean;
}

/** The branch has no other commit than the one that is applied. */
export interface Unchanged {
  /** Tells results apart. */
  readonly kind: "unchanged";
  /** Id of the commit. */
  readonly commit: string;
}

/** All stays as it is, since something is wrong with the commit, or since it couldn't be had, or not now. */
export type Halted = Halt & { readonly kind: "refused" } | Halt & { readonly kind: "failed" };

/** Why all stays as it is. */
export interface Halt {
  /** What it was that refused it, or failed. */
  readonly step: SyncStep;
  /** Id of the commit; `null` = it isn't known. */
  readonly commit: string | null;
  /** What is wrong, and what to do; one sentence without a final stop. */
  readonly message: string;
  /** What is wrong with the model; empty = that isn't it. */
  readonly problems: readonly FileProblem[];
  /** What guards refused; empty = they didn't. */
  readonly guards: readonly GuardRefusal[];
}

/** The steps, in their order. */
export type SyncStep = "fetch" | "ancestry" | "verify" | "read" | "apply";
