/**
 * The rules of a round: what follows from what was read and probed. Nothing here waits, reads or writes.
 *
 * @module
 */
import type { Rng } from "../clock.ts";

/** After how many failures in a row something is done about a peer. */
export interface Limits {
  /** At this one a peer is removed, if it is in this server's region and can be destroyed. */
  readonly minimumFailures: number;
  /** Behind this one it is removed in any case; not above the minimum = never. */
  readonly maximumFailures: number;
}

/** Failures in a row by address. */
export type FailureCounts = ReadonlyMap<string, number>;

/** Which are probed: all but this server, each once. */
export function peersOf(values: readonly string[], self: string): string[] {
  return [...new Set(values)].filter((address) => address !== self);
}

/** The counts after a round: each that failed has one more, and all others are forgotten. */
export function counted(counts: FailureCounts, failed: readonly string[]): FailureCounts {
  return new Map(failed.map((address) => [address, (counts.get(address) ?? 0) + 1]));
}

/** Those that have failed often enough for something to be done. */
export function badOf(counts: FailureCounts, { minimumFailures }: Limits): string[] {
  return [...counts].filter(([, count]) => count >= minimumFailures).map(([address]) => address);
}

/** What a quick look found. */
export interface Look {
  /** Whether this server's address is in the set. */
  readonly isPresent: boolean;
  /** Peers about which something is to be done. */
  readonly bad: readonly string[];
  /** From the beginning of the round, milliseconds. */
  readonly elapsedMs: number;
  /** Between rounds, milliseconds. */
  readonly intervalMs: number;
}

/** Whether the round is over, without a second read. */
export function isQuiet({ isPresent, bad, elapsedMs, intervalMs }: Look): boolean {
  return isPresent && bad.length === 0 && elapsedMs < intervalMs / 16;
}

/** Which to remove: the bad ones of this region, and of all regions those that are bad for too long. */
export function removalsOf(
  { bad, inRegion, counts, limits }: {
    readonly bad: readonly string[];
    readonly inRegion: readonly string[];
    readonly counts: FailureCounts;
    readonly limits: Limits;
  },
): string[] {
  return bad.filter((address) => inRegion.includes(address) || isOverdue(address, counts, limits));
}

/** What remains to be removed although it couldn't be destroyed. */
export function removableUndestroyed(
  remove: readonly string[],
  counts: FailureCounts,
  limits: Limits,
): string[] {
  return remove.filter((address) => (counts.get(address) ?? 0) > limits.maximumFailures);
}

function isOverdue(address: string, counts: FailureCounts, limits: Limits): boolean {
  const { minimumFailures, maximumFailures } = limits;
  return maximumFailures > minimumFailures && (counts.get(address) ?? 0) > maximumFailures;
}

/**
 * The set as it should be: what was read last, in its order, without what is removed; and this server's own address,
 * which is never removed, and added only where `mayAdd`.
 */
export function nextValues(
  values: readonly string[],
  { self, remove, mayAdd }: {
    readonly self: string;
    readonly remove: readonly string[];
    readonly mayAdd: boolean;
  },
): string[] {
  const kept = values.filter((address) => address === self || !remove.includes(address));
  return kept.includes(self) || !mayAdd ? kept : [...kept, self];
}

/** Milliseconds until the next round: 0.75–1.25 of the interval, drawn by each process for itself. */
export function pauseMs(intervalMs: number, rng: Rng): number {
  return 0.75 * intervalMs + (intervalMs / 512) * (rng() % 256);
}
