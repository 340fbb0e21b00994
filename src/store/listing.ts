/**
 * Lists for people who look through them: the part that a screen shows of all rows that match a filter, with the figures that
 * stand beside a name. `Pools.page` and `Services.page` are for programs that read everything.
 *
 * A part is found by the name that it begins at, along the index, so that a screen of the last of a million rows costs what one
 * of the first does. What place that is among all has to be counted, some 20 ms behind a million rows, unless the place of that
 * name is known of the same generation already.
 *
 * @module
 */
import type { Algorithm } from "../model/model.ts";
import type { HistoryEntry } from "./history.ts";
import type { Store } from "./store.ts";

/** Which part of a list. */
export interface ListingRequest {
  /** A part of the names that are wanted, in any case; empty = all. */
  readonly filter: string;
  /** Where it begins. */
  readonly from: ListingFrom;
  /** Rows at most. */
  readonly limit: number;
}

/** Where a part begins: at the first row, so that it has the last one, or by a name. */
export type ListingFrom =
  | { readonly kind: "start" }
  | { readonly kind: "end" }
  | {
    readonly kind: "name";
    /** Of a row, which may be gone by now. */
    readonly name: string;
    /** So many rows before it, or before where it would be; so many behind it where negative. */
    readonly before: number;
    /** What an earlier part has told of it; holds while the generation is the same. */
    readonly known: KnownPlace | null;
  };

/** What was found out of a row. */
export interface KnownPlace {
  /** The row's place, counted from 0. */
  readonly place: number;
  /** How many match. */
  readonly total: number;
  /** Of the model. */
  readonly generation: number;
}

/** A part of a list. */
export interface Listing<Row> {
  /** How many match. */
  readonly total: number;
  /** Place of the first row among those that match. */
  readonly offset: number;
  /** In the order of their names. */
  readonly rows: readonly Row[];
  /** Of the model that this is of. */
  readonly generation: number;
}

/** A pool in a list. */
export interface ListedPool {
  /** Its id. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** How it picks. */
  readonly algorithm: Algorithm;
  /** The generation at which its own fields last changed. */
  readonly revision: number;
  /** How many members it has. */
  readonly members: number;
  /** How many services answer from it. */
  readonly services: number;
  /** One of these; `null` = there is none. */
  readonly service: string | null;
}

/** A service in a list. */
export interface ListedService {
  /** Its id. */
  readonly id: string;
  /** Its domain. */
  readonly domain: string;
  /** The pool that answers; `null` = the static fallback. */
  readonly poolId: string | null;
  /** That pool's name. */
  readonly pool: string | null;
  /** Seconds. */
  readonly ttl: number;
  /** The generation at which it last changed. */
  readonly revision: number;
}

/** Pools by name. */
export function listPools(store: Store, request: ListingRequest): Listing<ListedPool> {
  return partOf<ListedPool>(store, request, {
    rows: POOLS,
    tables: "pools",
    key: "name",
    keyOf: ({ name }) => name,
    ...filterOf(request.filter, ["name"]),
  });
}

/** Services by domain; a filter finds them by their pools' names as well. */
export function listServices(store: Store, request: ListingRequest): Listing<ListedService> {
  return partOf<ListedService>(store, request, {
    rows: SERVICES,
    // Without a filter the pools have no say in how many there are.
    tables: request.filter === "" ? "services" : `services ${WITH_POOL}`,
    key: "domain",
    keyOf: ({ domain }) => domain,
    ...filterOf(request.filter, ["domain", "pools.name"]),
  });
}

/** Commits, the newest first; the name of one is its generation. A filter finds them by author, way and reason. */
export function listHistory(store: Store, request: ListingRequest): Listing<HistoryEntry> {
  return partOf<HistoryEntry>(store, request, {
    rows: `SELECT generation, at, via, "by", reason FROM history`,
    tables: "history",
    key: "generation",
    keyOf: ({ generation }) => generation,
    isDescending: true,
    ...filterOf(request.filter, [`"by"`, "via", "reason"]),
  });
}

/** Pools to choose one from: those without a service first, each part from A to Z whatever the case. */
export function listChoices(store: Store, request: ListingRequest): Listing<ListedPool> {
  const { database } = store;
  const like = likeOf(request.filter) ?? "%";
  const total =
    database.get<{ n: number }>(`SELECT count(*) AS n FROM pools WHERE ${likes("name")}`, like)!.n;
  const { from, limit } = request;
  // There is no index of this order: all of it is sorted, so that counting along it is the lesser part.
  const sorted =
    `WITH sorted AS (SELECT id, name, EXISTS (SELECT 1 FROM services WHERE pool_id = pools.id) AS used
    FROM pools WHERE ${likes("name")}),
    placed AS (SELECT id, row_number() OVER (ORDER BY used, name COLLATE NOCASE, name) - 1 AS place FROM sorted)`;
  const placeOf = (name: string) =>
    database.get<{ place: number }>(
      `${sorted} SELECT place FROM placed WHERE id = (SELECT id FROM pools WHERE name = ?)`,
      like,
      name,
    )?.place ?? 0;
  const wanted = from.kind === "start" ? 0 : from.kind === "end" ? total : placeOf(from.name) - from.before;
  const offset = Math.max(0, Math.min(wanted, total - limit));
  const ids = database.all<{ id: string }>(
    `${sorted} SELECT id FROM placed WHERE place >= ? AND place < ? ORDER BY place`,
    like,
    offset,
    offset + limit,
  );
  const rows = ids.map(({ id }) => ({ ...database.get<ListedPool>(`${POOLS} WHERE id = ?`, id)! }));
  return { total, offset, rows, generation: store.generation() };
}

/** A table, or some, of which a part is read along an index. */
interface Along<Row> {
  /** `SELECT … FROM …` of whole rows. */
  readonly rows: string;
  /** What stands behind `FROM` where rows are counted. */
  readonly tables: string;
  /** What rows are in the order of: a column with an index. */
  readonly key: string;
  /** The same of a row; a number where the column has numbers. */
  readonly keyOf: (row: Row) => string | number;
  /** Whether the largest is the first. */
  readonly isDescending?: boolean;
  /** A condition, and what it is about; `null` = every row matches. */
  readonly where: string | null;
  readonly parameters: readonly string[];
}

function partOf<Row>(store: Store, { from, limit }: ListingRequest, along: Along<Row>): Listing<Row> {
  const generation = store.generation();
  const known = from.kind === "name" && from.known?.generation === generation ? from.known : null;
  const total = known?.total ?? countOf(store, along, null);
  const fromStart = (): Listing<Row> => ({
    ...{ total, generation, offset: 0 },
    rows: rowsOf(store, along, { limit }),
  });
  const fromEnd = (): Listing<Row> => {
    const rows = rowsOf(store, along, { limit, isBack: true });
    return { total, generation, offset: Math.max(0, total - rows.length), rows };
  };
  if (from.kind !== "name") return from.kind === "start" ? fromStart() : fromEnd();
  const key = along.key === "generation" ? Number(from.name) : from.name;
  const before = from.before <= 0
    ? []
    : rowsOf(store, along, { limit: Math.min(from.before, limit), before: key, isBack: true });
  const skip = Math.max(0, -from.before);
  const rows = [...before, ...rowsOf(store, along, { limit: limit - before.length, since: key, skip })];
  // What was there is gone.
  if (rows.length === 0) return fromEnd();
  const offset = known === null
    ? countOf(store, along, along.keyOf(rows[0]!))
    : known.place - before.length + skip;
  return { total, offset, rows, generation };
}

function rowsOf<Row>(
  { database }: Store,
  along: Along<Row>,
  { limit, skip = 0, since, before, isBack = false }: {
    readonly limit: number;
    /** So many are passed over; no more than were gone past faster than they came. */
    readonly skip?: number;
    readonly since?: string | number;
    readonly before?: string | number;
    /** From the end backwards, though what is found is in the order of the list. */
    readonly isBack?: boolean;
  },
): Row[] {
  const { rows, key, isDescending = false } = along;
  const bounds = boundsOf(along, [
    ...since === undefined ? [] : [`${key} ${isDescending ? "<=" : ">="} ?`],
    ...before === undefined ? [] : [isBefore(along)],
  ]);
  const found = database.all<Row & object>(
    `${rows}${bounds} ORDER BY ${key} ${isBack === isDescending ? "ASC" : "DESC"} LIMIT ? OFFSET ?`,
    ...along.parameters,
    ...since === undefined ? [] : [since],
    ...before === undefined ? [] : [before],
    limit,
    skip,
  ).map((row) => ({ ...row }));
  return isBack ? found.reverse() : found;
}

/** How many rows match, or how many of them come before a key. */
function countOf<Row>(
  { database }: Store,
  along: Along<Row>,
  before: string | number | null,
): number {
  return database.get<{ n: number }>(
    `SELECT count(*) AS n FROM ${along.tables}${boundsOf(along, before === null ? [] : [isBefore(along)])}`,
    ...along.parameters,
    ...before === null ? [] : [before],
  )!.n;
}

function isBefore<Row>({ key, isDescending = false }: Along<Row>): string {
  return `${key} ${isDescending ? ">" : "<"} ?`;
}

function boundsOf<Row>({ where }: Along<Row>, bounds: readonly string[]): string {
  const all = where === null ? bounds : [where, ...bounds];
  return all.length === 0 ? "" : ` WHERE ${all.join(" AND ")}`;
}

const WITH_POOL = "LEFT JOIN pools ON pools.id = pool_id";

const POOLS = `SELECT id, name, algorithm, revision,
  (SELECT count(*) FROM members WHERE pool_id = pools.id) AS members,
  (SELECT count(*) FROM services WHERE pool_id = pools.id) AS services,
  (SELECT min(domain) FROM services WHERE pool_id = pools.id) AS service
  FROM pools`;

const SERVICES = `SELECT services.id AS id, domain, pool_id AS poolId, pools.name AS pool, ttl,
  services.revision AS revision FROM services ${WITH_POOL}`;

/** A condition on any of some columns. */
function filterOf(filter: string, columns: readonly string[]): Pick<Along<never>, "where" | "parameters"> {
  const like = likeOf(filter);
  return like === null
    ? { where: null, parameters: [] }
    : { where: `(${columns.map(likes).join(" OR ")})`, parameters: columns.map(() => like) };
}

function likes(column: string): string {
  return `${column} LIKE ? ESCAPE '\\'`;
}

/** `null` = everything matches. `%` and `_` stand for themselves. */
function likeOf(filter: string): string | null {
  return filter === "" ? null : `%${filter.replaceAll(/[\\%_]/g, "\\$&")}%`;
}
