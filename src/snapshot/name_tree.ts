/**
 * Names that exist, with those above them: an entry counts the names directly below it, so that a name goes when nothing
 * needs it any more and the names above it go along.
 *
 * @module
 */
import { ENTRY } from "./layout.ts";
import type { Bytes, Words } from "./memory.ts";
import type { NameTable } from "./name_table.ts";

/** Writes entries. */
export class NameTree {
  /** Finds them. */
  readonly table: NameTable;
  readonly #records: Words;
  readonly #heap: Bytes;

  /** Has no name yet. */
  constructor(table: NameTable, { records, heap }: { readonly records: Words; readonly heap: Bytes }) {
    this.table = table;
    this.#records = records;
    this.#heap = heap;
  }

  /** The entry of a name inside a zone; makes it, and the empty non-terminals above it, where missing. */
  ensure(name: Uint8Array): number {
    this.table.hash(name);
    return this.#ensureFrom(name, 0);
  }

  /** The same for the suffix of a hashed name that begins with the given label. */
  #ensureFrom(name: Uint8Array, label: number): number {
    const former = this.table.findFrom(name, label);
    if (this.isAlive(former)) return former;
    const parent = this.#ensureFrom(name, label + 1);
    if (!this.isThere(former)) {
      this.#records.set(parent + ENTRY.children, this.#records.get(parent + ENTRY.children) + 1);
    }
    const zone = this.#records.get(parent + ENTRY.zone);
    return this.write(name, label, { former, zone, cut: this.#records.get(parent + ENTRY.cut) });
  }

  /** Whether the name is in a zone, and its entry says in which. */
  isAlive(entry: number): boolean {
    return entry !== 0 && this.#records.get(entry + ENTRY.zone) !== 0;
  }

  /** Whether there is the name, or one below it; that is when its parent counts it. */
  isThere(entry: number): boolean {
    return this.isAlive(entry) || (entry !== 0 && this.#records.get(entry + ENTRY.children) !== 0);
  }

  /** Writes the entry of a suffix of a hashed name, or gives one that was taken away its zone back. */
  write(
    name: Uint8Array,
    label: number,
    { former, zone, cut }: { readonly former: number; readonly zone: number; readonly cut: number },
  ): number {
    if (former !== 0) {
      this.#records.publish(former + ENTRY.zone, zone);
      return former;
    }
    const start = this.table.startOf(label);
    const entry = this.#records.reserve(ENTRY.size);
    this.#records.set(entry + ENTRY.nameAt, this.#heap.append(name, start));
    this.#records.set(entry + ENTRY.nameLength, name.length - start);
    this.#records.set(entry + ENTRY.zone, zone);
    this.#records.set(entry + ENTRY.cut, cut);
    this.table.add(label, entry);
    return entry;
  }

  /**
   * Has the names above the hashed one exist where no declared zone encloses them: they are noted without a zone, since
   * zones of services come and go above them. Whoever reads finds the zone further up, if there is one; so neither a
   * service above nor one below ever has to look for the other.
   */
  joinAbove(name: Uint8Array): void {
    for (let label = 1; name[this.table.startOf(label)] !== 0; label++) {
      const known = this.table.findFrom(name, label);
      const wasThere = this.isThere(known);
      const entry = known || this.write(name, label, { former: 0, zone: 0, cut: 0 });
      this.#records.publish(entry + ENTRY.children, this.#records.get(entry + ENTRY.children) + 1);
      if (wasThere) return;
    }
  }

  /**
   * Takes a name out of its zone when nothing needs it there, and away when no name is below it; then its parent's.
   *
   * @param isNeeded whether a name has to stay in its zone
   */
  forget(entry: number, isNeeded: (entry: number, zone: number) => boolean): void {
    const zone = this.#records.get(entry + ENTRY.zone);
    if (zone !== 0) {
      if (isNeeded(entry, zone)) return;
      this.#records.publish(entry + ENTRY.zone, 0);
      // Of a service's own zone nothing is left; in a declared one, nothing was there.
      this.#records.publish(entry + ENTRY.rrset, 0);
    }
    if (this.#records.get(entry + ENTRY.children) !== 0) return;
    const name = this.nameOf(entry);
    const parent = this.table.find(name.subarray(name[0]! + 1));
    if (parent === 0) return;
    this.#records.publish(parent + ENTRY.children, this.#records.get(parent + ENTRY.children) - 1);
    this.forget(parent, isNeeded);
  }

  /** The wire name of an entry. */
  nameOf(entry: number): Uint8Array {
    return this.#heap.read(
      this.#records.get(entry + ENTRY.nameAt),
      this.#records.get(entry + ENTRY.nameLength),
    );
  }
}
