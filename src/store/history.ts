/**
 * What was changed, by whom and why: append-only, one entry for each generation, newest first.
 *
 * Each entry lists every object it touched with its fields before and after, which is enough to go back to any
 * generation.
 *
 * @module
 */
import { type Database } from "./database.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";

/** One commit. */
export interface HistoryEntry {
  readonly generation: number;
  /** Unix milliseconds. */
  readonly at: number;
  readonly via: string;
  readonly by: string;
  readonly reason: string;
}

/** The kinds of object that a commit touches. */
export type ObjectKind = "pool" | "member" | "healthCheck" | "geoRule" | "service" | "zone" | "fallback";

/** What one commit did to one object. */
export interface ObjectChange {
  readonly kind: ObjectKind;
  /** The object's id; the pool's id for a check, the domain for a zone, empty for the fallback. */
  readonly id: string;
  /** Fields as REST has them, parts with their `poolId`; `null` = there was none. */
  readonly before: unknown;
  /** `null` = there is none any more. */
  readonly after: unknown;
}

/** Reads the history. */
export class History {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** The entry of a generation, or `null`. */
  get(generation: number): HistoryEntry | null {
    const row = this.#database.get<HistoryEntry>(
      `SELECT generation, at, via, "by", reason FROM history WHERE generation = ?`,
      generation,
    );
    return row ? { ...row } : null;
  }

  /** A page of entries, the newest first. */
  page({ limit, cursor }: PageRequest): Page<HistoryEntry> {
    const rows = this.#database.all<HistoryEntry>(
      `SELECT generation, at, via, "by", reason FROM history WHERE generation < ? ORDER BY generation DESC LIMIT ?`,
      cursor ? Number(cursor) : Number.MAX_SAFE_INTEGER,
      limit + 1,
    );
    return pageOf(rows.map((row) => ({ ...row })), { limit, keyOf: (entry) => entry.generation });
  }

  /** What a generation touched, one object at a time. */
  *changes(generation: number): Generator<ObjectChange> {
    const rows = this.#database.iterate<
      { kind: ObjectKind; id: string; before: string | null; after: string | null }
    >("SELECT kind, id, before, after FROM history_changes WHERE generation = ?", generation);
    for (const { kind, id, before, after } of rows) {
      yield { kind, id, before: parsed(before), after: parsed(after) };
    }
  }
}

function parsed(json: string | null): unknown {
  return json === null ? null : JSON.parse(json);
}
