/**
 * What the engine says of its decision while it makes it, so that people can be told why an answer is what it is.
 * References are those of the snapshot (`snapshot/view.ts` reads them); whoever listens knows what they stand for.
 *
 * @module
 */
import type { Reason } from "../balance/client_map.ts";
import type { Candidate } from "../balance/ranking.ts";
import type { Turns, Whom } from "./selection.ts";

/** By what a name is answered. */
export type AnswerSource =
  | "service"
  | "records"
  | "alias"
  | "wildcard-service"
  | "wildcard-records"
  | "fallback"
  | "delegation"
  | "redirect"
  | "nothing";

/** Hears of the steps in the order in which they are taken. Arrays are only valid during the call. */
export interface Trace {
  /** A name — the question's, then those that CNAMEs lead to — and what answers it; entry 0 = it isn't ours. */
  name(name: Uint8Array, entry: number, source: AnswerSource): void;
  /** A pool whose turn it is: how many of the family asked for are up, and how many have to be. */
  pool(pool: number, list: number, up: number, needed: number): void;
  /** The client the decision is made for; only where it depends on that. */
  client(source: "ecs" | "address", address: Uint8Array, bits: number): void;
  /**
   * Which of the list at hand go first: those that rotate (indices of members), among those up or as if all were.
   *
   * @param turns in which order; `null` = they are equals, and each has one turn of a cycle
   */
  leading(list: number, whom: Whom, members: Uint32Array, turns: Turns | null): void;
  /**
   * By what facts of the client the list at hand was decided; `reason.rule.candidate` is a position in `candidates`. They
   * are looked up for it, so without it answers come faster.
   */
  reason?(list: number, candidates: readonly Candidate[], reason: Reason): void;
  /** Too few are up, of all or of those that a geofence leaves: `onAllDown` decides. */
  allDown(pool: number, policy: number): void;
  /** Who is answered, in order (indices of members of the list), by which turn, and for how many seconds. */
  chosen(
    list: number,
    members: Uint32Array,
    turn: { readonly ticket: number; readonly lead: number; readonly cycle: number },
    ttl: number,
  ): void;
  /** The prefix length for which the answer holds. */
  scope(bits: number): void;
}
