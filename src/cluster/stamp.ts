/**
 * Which of two states of the cluster's model is the later one, by the nodes' own count.
 *
 * A server's sequences begin again when its store was lost, and clocks differ: neither can say what is older. A stamp is written
 * into what it is about, and so survives both.
 *
 * @module
 */
import { z } from "zod";

/** Counts up with each entry of a log, and with each log that takes the place of another. */
export interface Stamp {
  /** Of the log: 1 for the first, one more for each that takes the place of one that was lost. */
  readonly term: number;
  /** Of the entry in the log, from 1 on; 0 = before the first. */
  readonly seq: number;
}

/** Its shape where it is read. */
export const STAMP: z.ZodType<Stamp> = z.object({ term: z.int().min(0), seq: z.int().min(0) });

/** Below 0 when `a` is older than `b`, 0 when they are the same. */
export function compareStamps(a: Stamp, b: Stamp): number {
  return a.term - b.term || a.seq - b.seq;
}
