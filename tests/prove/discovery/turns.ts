/** @module What a node in a process of its own is told, and what it says. */
import type { SocketAddress } from "../../../src/ip.ts";
import type { Settings } from "../../../src/settings/settings.ts";
import type { Stretch } from "../machine/processor.ts";

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

/** Turns of the main thread's event loop. */
export interface Turns {
  /** The longest, milliseconds. */
  readonly longestMs: number;
  /** Processor time of the one that took most of it, milliseconds: without what it waited for, such as the disk or the collector's threads. */
  readonly busyMs: number;
  /** Those that took more than {@linkcode LONG_MS}; the first {@linkcode LONG_MAX} of them. */
  readonly long: readonly Stretch[];
}

/** Turns that are told one by one, milliseconds, whatever they waited for. */
export const LONG_MS = 10;
/** There are some hundred in ten minutes. */
export const LONG_MAX = 20_000;

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
