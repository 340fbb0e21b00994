/**
 * Changes, their authors and reasons: one entry for each generation, newest first. Entries are never changed; the oldest
 * are forgotten when there are more, or larger ones, than the limits allow, so the history has no gaps but at its begin.
 *
 * An entry has every object it touched with its fields before and after, which is enough to go back to the generation
 * before: as rows or, where there are more than {@linkcode RECORDED_MAX}, in compressed parts (`history_parts.ts`), beside
 * which it says how many of each kind were created, changed and deleted. An older release kept only that.
 *
 * @module
 */
import { targetOf } from "../model/override.ts";
import type { Database } from "./database.ts";
import { readParts } from "./history_parts.ts";
import { poolsOfRegion } from "./overrides.ts";
import { Between, MODEL_KINDS, type PastChange } from "./past.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";
import type { ChangeCounts } from "./replacement.ts";
import { EVERYTHING, type Touched, TOUCHED_MAX, TouchedList } from "./touched.ts";

/** Objects that one change may touch and still be recorded one by one: some 5 MB. */
export const RECORDED_MAX = 10_000;

/** How much history is kept. */
export interface HistoryLimits {
  /** Generations, at least 1. */
  readonly keep: number;
  /** Bytes of objects before and after, as they are stored; the last generation is kept whatever it has. */
  readonly maxBytes: number;
}

/** What is kept by default; the settings have the same defaults. */
export const HISTORY_LIMITS: HistoryLimits = { keep: 10_000, maxBytes: 256 * 1024 * 1024 };

/** Stands for a kind where an entry has counts instead of objects; only for the files of `src/store/`. */
export const SUMMARY = "summary";

/** One commit. */
export interface HistoryEntry {
  /** Which one; the first is 1. */
  readonly generation: number;
  /** Unix milliseconds. */
  readonly at: number;
  /** The way it came, as in `Origin`. */
  readonly via: string;
  /** Who wanted it; empty when unknown. */
  readonly by: string;
  /** Why; may be empty. */
  readonly reason: string;
}

/** The kinds of object that a commit touches. */
export type ObjectKind =
  | "pool"
  | "member"
  | "healthCheck"
  | "geoRule"
  | "service"
  | "zone"
  | "fallback"
  | "override";

/** What one commit did to one object. */
export interface ObjectChange {
  /** What it is. */
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

  /** The connection stays its opener's to close. */
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

  /** The entry of a generation in JSON, to be compared; `null` when there is none. */
  textOf(generation: number): string | null {
    const row = this.#database.get<{ text: string }>(
      `SELECT json_array(at, via, "by", reason) AS text FROM history WHERE generation = ?`,
      generation,
    );
    return row?.text ?? null;
  }

  /** The oldest generation that isn't forgotten; 0 = there is none. */
  oldest(): number {
    return this.#database.get<{ generation: number }>(
      "SELECT coalesce(min(generation), 0) AS generation FROM history",
    )!.generation;
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

  /** What a generation touched, one object at a time. Don't commit before it has been read to the end. */
  *changes(generation: number): Generator<ObjectChange> {
    yield* this.listed(generation);
    for (const { kind, id, before, after } of readParts(this.#database, generation)) {
      yield { kind, id, before: parsed(before), after: parsed(after) };
    }
  }

  /** The same without what is in parts: for those who only want it of a change of some objects. */
  *listed(generation: number): Generator<ObjectChange> {
    const rows = this.#database.iterate<
      { kind: ObjectKind; id: string; before: string | null; after: string | null }
    >(
      "SELECT kind, id, before, after FROM history_changes WHERE generation = ? AND kind <> ?",
      generation,
      SUMMARY,
    );
    for (const { kind, id, before, after } of rows) {
      yield { kind, id, before: parsed(before), after: parsed(after) };
    }
  }

  /** Whether the model at a generation, 0 being the empty one, can be told from what is kept. */
  reach(generation: number): Reach {
    const { now } = this.#database.get<{ now: number }>("SELECT generation AS now FROM meta")!;
    if (generation > now) return { kind: "future", now };
    if (this.#countAfter(generation) < now - generation) return { kind: "forgotten", oldest: this.oldest() };
    const counted = this.#database.get<{ generation: number }>(COUNTED, generation, SUMMARY);
    return counted ? { kind: "counted", generation: counted.generation } : { kind: "kept" };
  }

  /** The last generation that changed the model, and not only overrides; `null` = none that is kept. */
  lastOfModel(): number | null {
    return this.#database.get<{ generation: number }>(LAST_OF_MODEL)?.generation ?? null;
  }

  /** The last generation that touched an object and lists it; `null` = none that is kept. */
  lastOf({ kind, id }: Pick<ObjectChange, "kind" | "id">): number | null {
    return this.#database.get<{ generation: number | null }>(
      "SELECT max(generation) AS generation FROM history_changes WHERE kind = ? AND id = ?",
      kind,
      id,
    )!.generation;
  }

  /** Whether the generations after this one touched at most so many objects; costs no more than counting to there. */
  hasAtMostAfter(generation: number, count: number): boolean {
    const isBeyond = this.#database.get(
      "SELECT 1 FROM history_changes WHERE generation > ? LIMIT 1 OFFSET ?",
      generation,
      count,
    );
    return !isBeyond && !this.#database.get("SELECT 1 FROM history_parts WHERE generation > ?", generation);
  }

  /** What lies between two generations, both within reach; the caller disposes of it. */
  between(generations: { readonly from: number; readonly to: number }): Between {
    return new Between(this.#database, generations);
  }

  /** The same in steps, between which nothing may be written on the connection: for one of its own. */
  betweenInSteps(generations: { readonly from: number; readonly to: number }): Generator<void, Between> {
    return Between.inSteps(this.#database, generations);
  }

  /** Objects that are to be made what `before` says, each once; the caller disposes of it. */
  given(changes: Iterable<PastChange>): Between {
    return new Between(this.#database, changes);
  }

  /**
   * The domains that services had before the generations after this one: what may have to be taken away. Only where
   * `touchedSince` lists what was touched.
   */
  formerDomains(generation: number): string[] {
    return this.#database.all<{ domain: string }>(
      "SELECT DISTINCT before ->> 'domain' AS domain FROM history_changes " +
        "WHERE generation > ? AND kind = 'service' AND before IS NOT NULL",
      generation,
    ).map(({ domain }) => domain);
  }

  /** How many objects of each kind a generation created, changed and deleted; kinds without any are left out. */
  counts(generation: number): ChangeCounts {
    const rows = this.#database.all<{ kind: ObjectKind; created: number; changed: number; deleted: number }>(
      "SELECT kind, count(*) FILTER (WHERE before IS NULL) AS created, " +
        "count(*) FILTER (WHERE before IS NOT NULL AND after IS NOT NULL) AS changed, " +
        "count(*) FILTER (WHERE after IS NULL) AS deleted " +
        "FROM history_changes WHERE generation = ? AND kind <> ? GROUP BY kind",
      generation,
      SUMMARY,
    );
    const counts: Partial<Record<ObjectKind, ChangeCounts[ObjectKind]>> = { ...this.summary(generation) };
    for (const { kind, ...count } of rows) counts[kind] = count;
    const kinds = [...MODEL_KINDS, "override"] as const;
    return Object.fromEntries(kinds.filter((kind) => counts[kind]).map((kind) => [kind, counts[kind]]));
  }

  /** How much a generation touched of what isn't listed; `null` = everything is. */
  summary(generation: number): ChangeCounts | null {
    const row = this.#database.get<{ after: string }>(
      "SELECT after FROM history_changes WHERE generation = ? AND kind = ?",
      generation,
      SUMMARY,
    );
    return row ? JSON.parse(row.after) : null;
  }

  /**
   * What the generations after this one touched, all together; costs no more than a list may be long. Where one of them
   * is forgotten it may have been anything.
   */
  touchedSince(generation: number): Touched {
    if (!this.#hasAllSince(generation)) return EVERYTHING;
    const rows = this.#database.all<TouchedRow>(
      "SELECT kind, id, coalesce(after, before) ->> 'poolId' AS poolId, " +
        "CASE kind WHEN 'override' THEN coalesce(after, before) ->> 'target' END AS target FROM history_changes " +
        "WHERE generation > ? LIMIT ?",
      generation,
      TOUCHED_MAX + 1,
    );
    if (rows.length > TOUCHED_MAX) return EVERYTHING;
    const touched = new TouchedList();
    for (const { kind, id, poolId, target } of rows) {
      if (kind === SUMMARY) return EVERYTHING;
      if (kind === "service") touched.service(id);
      else if (kind === "zone") touched.zone(id);
      else if (kind === "fallback") touched.fallback();
      else if (kind === "override") this.#touchCovered(touched, { poolId, target: target! });
      else touched.pool(poolId ?? id);
    }
    return touched.list();
  }

  #hasAllSince(generation: number): boolean {
    const { now } = this.#database.get<{ now: number }>("SELECT generation AS now FROM meta")!;
    return now - generation <= TOUCHED_MAX && this.#countAfter(generation) >= now - generation;
  }

  #countAfter(generation: number): number {
    return this.#database.get<{ count: number }>(
      "SELECT count(*) AS count FROM history WHERE generation > ?",
      generation,
    )!.count;
  }

  #touchCovered(
    touched: TouchedList,
    { poolId, target }: { readonly poolId: string | null; readonly target: string },
  ): void {
    const covered = targetOf({ target });
    if (poolId !== null) touched.pool(poolId);
    else if (covered.kind === "region") {
      for (const id of poolsOfRegion(this.#database, covered.name)) touched.pool(id);
    }
  }
}

/** Whether the model at a generation can be told. */
export type Reach =
  | { readonly kind: "kept" }
  /** There is none of that number yet; `now` is the last one. */
  | { readonly kind: "future"; readonly now: number }
  /** A generation after it is forgotten; `oldest` is the first that isn't. */
  | { readonly kind: "forgotten"; readonly oldest: number }
  /** An older release kept only counts of this generation, which came after it. */
  | { readonly kind: "counted"; readonly generation: number };

/** The latest, since nothing before it can be told. */
const COUNTED =
  "SELECT generation FROM history_changes AS c WHERE generation > ? AND kind = ? AND NOT EXISTS " +
  "(SELECT 1 FROM history_parts AS p WHERE p.generation = c.generation) ORDER BY generation DESC LIMIT 1";
const LAST_OF_MODEL =
  "SELECT generation FROM history_changes WHERE kind <> 'override' ORDER BY generation DESC LIMIT 1";

/** A row of what was changed, as far as a follower cares. */
interface TouchedRow {
  readonly kind: ObjectKind | typeof SUMMARY;
  readonly id: string;
  readonly poolId: string | null;
  /** Of an override. */
  readonly target: string | null;
}

function parsed(json: string | null): unknown {
  return json === null ? null : JSON.parse(json);
}
