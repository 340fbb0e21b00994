/**
 * The one record that all servers of a name share: the port by which an agent reads and writes it.
 *
 * Upstream a write is blind, and of a hundred addresses that joined at once eighty were lost. Here whoever writes says
 * what they have read, and where that isn't there any more nothing is written.
 *
 * @module
 */

/** Types that are read and written: addresses, and the text of a block. */
export type RecordType = "A" | "AAAA" | "TXT";

/** What stood at a name when it was read. */
export interface RecordSet {
  /** Canonical addresses, or texts without quotes; empty = there is no such set. In the provider's order. */
  readonly values: readonly string[];
  /** Seconds; 0 = there is no such set. */
  readonly ttl: number;
  /** What the provider knows this state by, where values and TTL aren't enough. */
  readonly version?: string;
}

/** How a set is written. */
export interface WriteTerms {
  /** Seconds. */
  readonly ttl: number;
  /** Whether to wait until the change is live everywhere. */
  readonly wait: boolean;
  /** What was read, and must still be there. */
  readonly expected: RecordSet;
}

/** `changed` = what was expected isn't there any more, and nothing was written. */
export type WriteResult = "written" | "changed";

/**
 * Records at a provider. All names are complete, with or without a final dot.
 *
 * Each call ends by itself: a provider that says nothing fails it, as an aborted signal does.
 */
export interface RecordManager {
  /** Reads a set from where it is written, never from a cache. */
  read(fqdn: string, type: RecordType, signal: AbortSignal): Promise<RecordSet>;
  /** Replaces a set by another. @throws {RangeError} when that is empty */
  write(
    fqdn: string,
    type: RecordType,
    values: readonly string[],
    terms: WriteTerms,
    signal: AbortSignal,
  ): Promise<WriteResult>;
  /** Removes a set; nothing happens where there is none. */
  delete(fqdn: string, type: RecordType, expected: RecordSet, signal: AbortSignal): Promise<WriteResult>;
  /** Finds out whether a set could be written, as far as that can be without writing. @throws {RecordsRefused} */
  check?(fqdn: string, type: RecordType, signal: AbortSignal): Promise<void>;
}

/** What stands at a name that has nothing of a type. */
export const NO_RECORDS: RecordSet = { values: [], ttl: 0 };

/** Refuses what would take a name out of DNS. @throws {RangeError} */
export function refuseEmpty(fqdn: string, values: readonly string[]): void {
  if (values.length === 0) throw new RangeError(`Refused to write an empty set at ${fqdn}`);
}

/** Whether two lists hold the same values, in any order. */
export function sameValues(a: readonly string[], b: readonly string[]): boolean {
  const inA = new Set(a);
  return inA.size === new Set(b).size && b.every((value) => inA.has(value));
}

/**
 * The provider says that something is set up wrongly, or forbids what is asked: trying again is of no use until that is
 * fixed. The message names the key of the settings.
 */
export class RecordsRefused extends Error {
  /** As shown in front of the message. */
  override readonly name = "RecordsRefused";
}
