/**
 * Where zones hand names over to other servers, whether they are stored or staged.
 *
 * Only the deepest zone around a name is asked: it is authoritative for itself, even where a zone above delegates it or
 * names within it (RFC 1034 §4.2).
 *
 * @module
 */
import type { Database } from "./database.ts";

/** Asks two tables: the zones by their `domain`, and the cuts as pairs of the zone's domain and the name. */
export class ZoneCuts {
  readonly #database: Database;
  readonly #isZone: string;
  readonly #isCut: string;
  readonly #anyCut: string;

  /** The connection stays its opener's to close. */
  constructor(database: Database, tables: { readonly zones: string; readonly cuts: string }) {
    this.#database = database;
    this.#isZone = `SELECT 1 FROM ${tables.zones} WHERE domain = ?`;
    this.#isCut = `SELECT 1 FROM ${tables.cuts} WHERE zone_domain = ? AND cut = ?`;
    this.#anyCut = `SELECT 1 FROM ${tables.cuts} LIMIT 1`;
  }

  /** Whether there are none at all. */
  get isEmpty(): boolean {
    return this.#database.get(this.#anyCut) === undefined;
  }

  /** The deepest zone that a name lies in (its own name included), or `null`. */
  enclosing(name: string): string | null {
    for (let at: string | null = name; at !== null; at = parentOf(at)) {
      if (this.#database.get(this.#isZone, at)) return at;
    }
    return null;
  }

  /** The zone cut that a name lies strictly below, in the deepest zone around it, or `null`. */
  above(name: string): string | null {
    const zone = this.enclosing(name);
    for (let at = parentOf(name); zone !== null && at !== null && at !== zone; at = parentOf(at)) {
      if (this.#database.get(this.#isCut, zone, at)) return at;
    }
    return null;
  }
}

/** The name one label up, or `null` at the last label. */
function parentOf(name: string): string | null {
  const dot = name.indexOf(".");
  return dot < 0 ? null : name.slice(dot + 1);
}
