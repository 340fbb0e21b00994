/**
 * Records in memory: for tests, and for programs that bring their own provider and want to see what an agent does.
 *
 * @module
 */
import {
  NO_RECORDS,
  type RecordManager,
  type RecordSet,
  type RecordType,
  refuseEmpty,
  sameValues,
  type WriteResult,
  type WriteTerms,
} from "../../src/agent/records.ts";

/** Keeps the order in which values were written. */
export class MemoryRecords implements RecordManager {
  readonly #sets = new Map<string, RecordSet>();

  /** What stands at a name now. */
  at(fqdn: string, type: RecordType): RecordSet {
    return this.#sets.get(keyOf(fqdn, type)) ?? NO_RECORDS;
  }

  /** Puts a set there, whatever was there before; an empty one removes it. */
  put(fqdn: string, type: RecordType, { values, ttl }: RecordSet): void {
    if (values.length === 0) this.#sets.delete(keyOf(fqdn, type));
    else this.#sets.set(keyOf(fqdn, type), { values: [...values], ttl });
  }

  read(fqdn: string, type: RecordType): Promise<RecordSet> {
    return Promise.resolve(this.at(fqdn, type));
  }

  async write(
    fqdn: string,
    type: RecordType,
    values: readonly string[],
    { ttl, expected }: WriteTerms,
  ): Promise<WriteResult> {
    refuseEmpty(fqdn, values);
    return await this.#replace(fqdn, type, { values, ttl }, expected);
  }

  delete(fqdn: string, type: RecordType, expected: RecordSet): Promise<WriteResult> {
    return this.#replace(fqdn, type, NO_RECORDS, expected);
  }

  #replace(fqdn: string, type: RecordType, next: RecordSet, expected: RecordSet): Promise<WriteResult> {
    if (!sameValues(this.at(fqdn, type).values, expected.values)) return Promise.resolve("changed");
    this.put(fqdn, type, next);
    return Promise.resolve("written");
  }
}

function keyOf(fqdn: string, type: RecordType): string {
  return `${fqdn.toLowerCase().replace(/\.$/, "")} ${type}`;
}
