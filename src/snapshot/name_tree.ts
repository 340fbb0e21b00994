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
      this.#records.publish(parent + ENTRY.children, this.#records.get(parent + ENTRY.children) + 1);
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

  /** Puts the suffix of a hashed name into a zone. */
  write(
    name: Uint8Array,
    label: number,
    { former, zone, cut }: { readonly former: number; readonly zone: number; readonly cut: number },
  ): number {
    const entry = former || this.#note(name, label);
    this.#records.publish(entry + ENTRY.cut, cut);
    this.#records.publish(entry + ENTRY.zone, zone);
    return entry;
  }

  /** The entry of a name, which need not exist: made, with those above it, where there was none. 0 = it is the root. */
  note(name: Uint8Array): number {
    this.table.hash(name);
    return this.#note(name, 0);
  }

  #note(name: Uint8Array, label: number): number {
    const known = this.table.findFrom(name, label);
    const start = this.table.startOf(label);
    if (known !== 0) return known;
    const parent = name[start] === 0 ? 0 : this.#noteAbove(name, label + 1);
    const entry = this.#records.reserve(ENTRY.size);
    this.#records.set(entry + ENTRY.nameAt, this.#heap.append(name, start));
    this.#records.set(entry + ENTRY.nameLength, name.length - start);
    if (parent !== 0) {
      // Readers don't go by these, so they needn't be held back: a name that is left over stays where it belongs.
      this.#records.set(entry + ENTRY.next, this.#records.get(parent + ENTRY.first));
      this.#records.set(parent + ENTRY.first, entry);
    }
    this.table.add(label, entry);
    return entry;
  }

  /** The same, but the root has an entry only where it is a zone's apex. */
  #noteAbove(name: Uint8Array, label: number): number {
    return name[this.table.startOf(label)] === 0 ? this.table.findFrom(name, label) : this.#note(name, label);
  }

  /** The entries directly below one, whether they exist or not. */
  *below(entry: number): Generator<number> {
    for (let at = this.#records.get(entry + ENTRY.first); at !== 0; at = this.#records.get(at + ENTRY.next)) {
      yield at;
    }
  }

  /**
   * Has the names above the hashed one exist where no declared zone encloses them: they are noted without a zone, since
   * zones of services come and go above them. Whoever reads finds the zone further up, if there is one; so neither a
   * service above nor one below ever has to look for the other.
   */
  joinAbove(name: Uint8Array): void {
    for (let label = 1; name[this.table.startOf(label)] !== 0; label++) {
      const entry = this.#note(name, label);
      const wasThere = this.isThere(entry);
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
    if (this.#records.get(entry + ENTRY.children) === 0) this.leave(entry, isNeeded);
    // A wildcard with names below it is still there, and may have been all that the name above it was an apex for.
    else if (zone !== 0) this.#forgetAbove(entry, isNeeded);
  }

  /** Has the name above one know that this one isn't there any more, and go as well where nothing needs it. */
  leave(entry: number, isNeeded: (entry: number, zone: number) => boolean): void {
    const parent = this.#parentOf(entry);
    if (parent === 0) return;
    this.#records.publish(parent + ENTRY.children, this.#records.get(parent + ENTRY.children) - 1);
    this.forget(parent, isNeeded);
  }

  #forgetAbove(entry: number, isNeeded: (entry: number, zone: number) => boolean): void {
    const parent = this.#parentOf(entry);
    if (parent !== 0) this.forget(parent, isNeeded);
  }

  /** 0 = there is none. */
  #parentOf(entry: number): number {
    const name = this.nameOf(entry);
    return name.length === 1 ? 0 : this.table.find(name.subarray(name[0]! + 1));
  }

  /** The wire name of an entry. */
  nameOf(entry: number): Uint8Array {
    return this.#heap.read(
      this.#records.get(entry + ENTRY.nameAt),
      this.#records.get(entry + ENTRY.nameLength),
    );
  }
}
