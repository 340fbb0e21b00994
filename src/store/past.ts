/**
 * What lies between two generations, folded from the history: each object once, as it was at the first and as it was at
 * the last.
 *
 * It is in a temporary table, since a change may have touched a million objects. Overrides aren't part of it: they have
 * an end of their own, and none is brought back.
 *
 * @module
 */
import { toEnd } from "../slices.ts";
import type { Database } from "./database.ts";
import type { ObjectKind } from "./history.ts";
import { readParts, type RecordedChange } from "./history_parts.ts";

/** The kinds of object that make the model. */
export type ModelKind = Exclude<ObjectKind, "override">;

/** All of them: parts after what they belong to, and rules after the members that they lead to. */
export const MODEL_KINDS = [
  "pool",
  "member",
  "healthCheck",
  "geoRule",
  "service",
  "zone",
  "fallback",
] as const satisfies readonly ModelKind[];

/** An object that was touched between two generations; the objects are JSON. */
export interface PastChange extends RecordedChange {
  /** Not an override. */
  readonly kind: ModelKind;
}

/** The objects of one connection; there is one at a time, and it is gone when disposed of. */
export class Between implements Disposable {
  readonly #database: Database;
  /** Of which there may be objects: most changes have few kinds, and each is looked for several times. */
  readonly #kinds = new Set<string>();

  /**
   * Reads the history of the generations after `from` up to `to`, all of which must be kept; or takes objects as they are
   * given, each once, of which `before` is what they are to be.
   */
  constructor(
    database: Database,
    what: { readonly from: number; readonly to: number } | Iterable<PastChange>,
  ) {
    this.#database = database;
    database.exec(CREATE_TABLE);
    database.run(EMPTY_TABLE);
    if ("from" in what) toEnd(this.#read(what));
    else for (const change of what) this.#add(change);
  }

  /** Reads the history as the constructor does, in steps between which nothing may be written on the connection. */
  static *inSteps(
    database: Database,
    generations: { readonly from: number; readonly to: number },
  ): Generator<void, Between> {
    using began = new DisposableStack();
    const between = began.use(new Between(database, []));
    yield* between.#read(generations);
    began.move();
    return between;
  }

  *#read({ from, to }: { readonly from: number; readonly to: number }): Generator<void> {
    const database = this.#database;
    let read = from;
    for (const { generation } of database.all<{ generation: number }>(IN_PARTS, from, to)) {
      yield* this.#addRows(read, generation);
      for (const change of readParts(database, generation)) {
        this.#add(change);
        yield;
      }
      read = generation;
    }
    yield* this.#addRows(read, to);
    for (const { kind } of database.all<{ kind: string }>("SELECT DISTINCT kind FROM temp.past")) {
      this.#kinds.add(kind);
    }
  }

  /** How many objects were touched. */
  get size(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM temp.past")!.n;
  }

  /** The objects of a kind by id; what is read may be changed or dropped meanwhile. */
  *of(kind: ModelKind): Generator<PastChange> {
    if (!this.#kinds.has(kind)) return;
    // A zone may be megabytes.
    const limit = kind === "zone" ? 1 : ROWS_AT_ONCE;
    for (let after = "", isFirst = true;; isFirst = false) {
      // The fallback has no id.
      const rows = this.#database.all<PastChange>(isFirst ? FIRST_ROWS : NEXT_ROWS, kind, after, limit);
      for (const row of rows) yield { ...row };
      if (rows.length < limit) return;
      after = rows.at(-1)!.id;
    }
  }

  /** The object, or `null` when it wasn't touched. */
  get(kind: ModelKind, id: string): PastChange | null {
    const row = this.#database.get<PastChange>(`${ROWS} WHERE kind = ? AND id = ?`, kind, id);
    return row ? { ...row } : null;
  }

  /** The last of the places that objects of a kind are to have; 0 = there is none. */
  lastSeq(kind: "member" | "geoRule"): number {
    return this.#database.get<{ seq: number }>(
      "SELECT coalesce(max(before ->> 'seq'), 0) AS seq FROM temp.past WHERE kind = ?",
      kind,
    )!.seq;
  }

  /** The first place that a new object is to have, and that another one has and keeps; `null` = there is none. */
  firstTakenSeq(kind: "member" | "geoRule"): number | null {
    return this.#database.get<{ seq: number | null }>(FIRST_TAKEN[kind])!.seq;
  }

  /** Ids of the new objects that are to have this place, or one behind it, in the order of these. */
  newFromSeq(kind: "member" | "geoRule", seq: number): string[] {
    return this.#database.all<{ id: string }>(NEW_FROM[kind], seq).map(({ id }) => id);
  }

  /** Leaves the object out. */
  drop(kind: ModelKind, id: string): void {
    this.#database.run("DELETE FROM temp.past WHERE kind = ? AND id = ?", kind, id);
  }

  /** Says otherwise what the object was at the first generation. */
  correct(kind: ModelKind, id: string, before: string): void {
    this.#database.run("UPDATE temp.past SET before = ? WHERE kind = ? AND id = ?", before, kind, id);
  }

  /** Leaves nothing in the table, and takes a large one away. */
  [Symbol.dispose](): void {
    // Whoever makes or drops a table has all statements of the connection prepared again, some hundred of them.
    // It is gone already where the transaction was.
    this.#database.exec(CREATE_TABLE);
    if (this.size > ROWS_AT_ONCE) this.#database.exec(DROP_TABLE);
    else this.#database.run(EMPTY_TABLE);
  }

  *#addRows(after: number, until: number): Generator<void> {
    for (let from = after; from < until; from += GENERATIONS_AT_ONCE) {
      this.#database.run(ADD_ROWS, from, Math.min(from + GENERATIONS_AT_ONCE, until));
      yield;
    }
  }

  #add({ kind, id, before, after }: RecordedChange): void {
    this.#kinds.add(kind);
    this.#database.run(ADD, kind, id, before, after);
  }
}

const ROWS_AT_ONCE = 1_000;
const GENERATIONS_AT_ONCE = 16;

const CREATE_TABLE =
  "CREATE TABLE IF NOT EXISTS temp.past (kind TEXT NOT NULL, id TEXT NOT NULL, before TEXT, after TEXT, " +
  "PRIMARY KEY (kind, id)) WITHOUT ROWID";
const DROP_TABLE = "DROP TABLE temp.past";
const EMPTY_TABLE = "DELETE FROM temp.past";

const FOLD = "ON CONFLICT (kind, id) DO UPDATE SET after = excluded.after";
const ADD = `INSERT INTO temp.past (kind, id, before, after) VALUES (?, ?, ?, ?) ${FOLD}`;
const ADD_ROWS = "INSERT INTO temp.past (kind, id, before, after) SELECT kind, id, before, after " +
  "FROM main.history_changes WHERE generation > ? AND generation <= ? AND kind NOT IN ('summary', 'override') " +
  `ORDER BY generation ${FOLD}`;
const IN_PARTS = "SELECT DISTINCT generation FROM history_parts WHERE generation > ? AND generation <= ? " +
  "ORDER BY generation";
const ROWS = "SELECT kind, id, before, after FROM temp.past";
const FIRST_ROWS = `${ROWS} WHERE kind = ? AND id >= ? ORDER BY id LIMIT ?`;
const NEXT_ROWS = `${ROWS} WHERE kind = ? AND id > ? ORDER BY id LIMIT ?`;

const isNew = (table: string) => `NOT EXISTS (SELECT 1 FROM main.${table} AS n WHERE n.id = p.id)`;

function firstTaken(table: string, kind: ModelKind): string {
  return `SELECT min(t.seq) AS seq FROM temp.past AS p CROSS JOIN main.${table} AS t ON t.seq = p.before ->> 'seq' ` +
    `WHERE p.kind = '${kind}' AND ${isNew(table)} AND NOT EXISTS (SELECT 1 FROM temp.past AS q ` +
    `WHERE q.kind = '${kind}' AND q.id = t.id AND (q.before IS NULL OR q.before ->> 'seq' <> t.seq))`;
}

function newFrom(table: string, kind: ModelKind): string {
  return `SELECT p.id FROM temp.past AS p WHERE p.kind = '${kind}' AND p.before ->> 'seq' >= ? AND ${
    isNew(table)
  } ` +
    "ORDER BY p.before ->> 'seq'";
}

const FIRST_TAKEN = {
  member: firstTaken("members", "member"),
  geoRule: firstTaken("geo_rules", "geoRule"),
} as const;
const NEW_FROM = { member: newFrom("members", "member"), geoRule: newFrom("geo_rules", "geoRule") } as const;

/**
 * Takes away whatever was made after the first generation, and moves out of the way the names, addresses and places that
 * objects don't keep; within a transaction that goes on to put each object as it was, then {@linkcode placeMoved}.
 * Only `write.ts` calls it.
 */
export function clearForPast(database: Database): void {
  for (const sql of CLEAR) database.run(sql);
}

/** Puts members and geo rules that were moved out of the way to their places. */
export function placeMoved(database: Database): void {
  for (const sql of PLACE) database.run(sql);
}

/** From the leaves, so that nothing goes along that isn't meant. */
const CLEAR: readonly string[] = [
  deleted("geo_rules", "id", "geoRule"),
  deleted("members", "id", "member"),
  deleted("health_checks", "pool_id", "healthCheck"),
  deleted("services", "id", "service"),
  deleted("pools", "id", "pool"),
  deleted("zones", "domain", "zone"),
  // No name, domain or address begins with a space.
  `UPDATE main.pools SET name = ' ' || id ${where("pools", "pool", "p.before ->> 'name' <> t.name")}`,
  `UPDATE main.services SET domain = ' ' || id ${
    where("services", "service", "p.before ->> 'domain' <> t.domain")
  }`,
  `UPDATE main.members SET ip_address = ' ' || id, target = NULL ${
    where(
      "members",
      "member",
      "(p.before ->> 'ipAddress', p.before ->> 'target', p.before ->> 'port') IS NOT (t.ip_address, t.target, t.port)",
    )
  }`,
  `UPDATE main.members SET seq = -seq ${where("members", "member", "p.before ->> 'seq' <> t.seq")}`,
  `UPDATE main.geo_rules SET seq = -seq ${where("geo_rules", "geoRule", "p.before ->> 'seq' <> t.seq")}`,
];

const PLACE: readonly string[] = [placed("members", "member"), placed("geo_rules", "geoRule")];

function deleted(table: string, key: string, kind: ModelKind): string {
  return `DELETE FROM main.${table} WHERE ${key} IN ` +
    `(SELECT id FROM temp.past WHERE kind = '${kind}' AND before IS NULL)`;
}

function where(table: string, kind: ModelKind, condition: string): string {
  return `WHERE id IN (SELECT t.id FROM temp.past AS p CROSS JOIN main.${table} AS t ON t.id = p.id ` +
    `WHERE p.kind = '${kind}' AND ${condition})`;
}

function placed(table: string, kind: ModelKind): string {
  return `UPDATE main.${table} SET seq = ` +
    `(SELECT p.before ->> 'seq' FROM temp.past AS p WHERE p.kind = '${kind}' AND p.id = ${table}.id) WHERE seq < 0`;
}
