/** @module What a node in a process of its own is told, and what it says. */
import type { SocketAddress } from "../../../src/ip.ts";
import type { Settings } from "../../../src/settings/settings.ts";

/** What it is. */
export interface NodeOrder {
  /** `null` = it has none. */
  readonly discovery: Settings["discovery"] | null;
  /** Its database; `null` = one in memory. */
  readonly database: string | null;
  /** Whether its turns are measured, and its threads watched: that is a twentieth of a processor. */
  readonly isWatched: boolean;
}

/** Where it answers. */
export interface NodeReady {
  readonly discovery: SocketAddress | null;
  readonly dns: SocketAddress;
  readonly api: string;
}

/** The longest turn of the main thread's event loop, milliseconds. */
export interface Turns {
  readonly longestMs: number;
  /** Without the time for which it could have run and others had the processors. */
  readonly ownMs: number;
  /** Processor time of the turn that took most of it: without what it waited for, such as the disk or the collector's threads. */
  readonly busyMs: number;
  /** The first turns that took more than {@linkcode LONG_MS} of their own: when, seconds since the line before, and how long. */
  readonly long: readonly (readonly [atSeconds: number, ownMs: number])[];
}

/** Turns that are told one by one. */
export const LONG_MS = 20;

/** What it is asked, in lines of JSON. */
export type NodeQuestion =
  /** How long turns have been since this was asked before: {@linkcode Turns}. */
  | { readonly kind: "turns" }
  /** How much memory its threads have. */
  | { readonly kind: "memory" }
  /** When a registration took its steps. */
  | StepsQuestion;

/** Of which registration. */
export interface StepsQuestion {
  readonly kind: "steps";
  /** The file that has it; `null` = none. */
  readonly file: string | null;
  readonly id: string;
  readonly port: number;
  /** Steps before this moment don't count, milliseconds since 1970. */
  readonly sinceMs: number;
}
