/**
 * Lists for people who look through them: the part that a screen shows of all rows that match a filter, from any place on,
 * with the figures that stand beside a name. `Pools.page` and `Services.page` are for programs that read everything.
 *
 * A place is counted along the index of names: rows before it are skipped without being read, which takes some 20 ms behind
 * a million of them.
 *
 * @module
 */
import type { Algorithm } from "../model/model.ts";
import type { Store } from "./store.ts";

/** Which part of a list. */
export interface ListingRequest {
  /** A part of the names that are wanted, in any case; empty = all. */
  readonly filter: string;
  /** The first row, counted from 0. */
  readonly offset: number;
  /** Rows at most. */
  readonly limit: number;
  /** A name instead of a place: the part begins so many rows before it, or before where it would be. */
  readonly around?: { readonly name: string; readonly before: number };
}

/** A part of a list. */
export interface Listing<Row> {
  /** How many match. */
  readonly total: number;
  /** Place of the first row among those that match. */
  readonly offset: number;
  /** In the order of their names. */
  readonly rows: readonly Row[];
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
export function listPools({ database }: Store, request: ListingRequest): Listing<ListedPool> {
  const like = likeOf(request.filter);
  const count = (sql: string, ...parameters: string[]) =>
    database.get<{ n: number }>(`SELECT count(*) AS n FROM pools ${sql}`, ...parameters)!.n;
  const total = like === null ? count("") : count(`WHERE ${NAME_LIKE}`, like);
  const offset = offsetOf(
    request,
    total,
    (name) =>
      like === null ? count("WHERE name < ?", name) : count(`WHERE name < ? AND ${NAME_LIKE}`, name, like),
  );
  const rows = like === null
    ? database.all<ListedPool>(`${POOLS} ORDER BY name LIMIT ? OFFSET ?`, request.limit, offset)
    : database.all<ListedPool>(
      `${POOLS} WHERE ${NAME_LIKE} ORDER BY name LIMIT ? OFFSET ?`,
      like,
      request.limit,
      offset,
    );
  return { total, offset, rows: rows.map((row) => ({ ...row })) };
}

/** Services by domain; a filter finds them by their pools' names as well. */
export function listServices({ database }: Store, request: ListingRequest): Listing<ListedService> {
  const like = likeOf(request.filter);
  const count = (sql: string, ...parameters: string[]) =>
    database.get<{ n: number }>(`SELECT count(*) AS n FROM services ${sql}`, ...parameters)!.n;
  const total = like === null ? count("") : count(`${WITH_POOL} WHERE ${SERVICE_LIKE}`, like, like);
  const offset = offsetOf(
    request,
    total,
    (domain) =>
      like === null
        ? count("WHERE domain < ?", domain)
        : count(`${WITH_POOL} WHERE domain < ? AND ${SERVICE_LIKE}`, domain, like, like),
  );
  const rows = like === null
    ? database.all<ListedService>(`${SERVICES} ORDER BY domain LIMIT ? OFFSET ?`, request.limit, offset)
    : database.all<ListedService>(
      `${SERVICES} WHERE ${SERVICE_LIKE} ORDER BY domain LIMIT ? OFFSET ?`,
      like,
      like,
      request.limit,
      offset,
    );
  return { total, offset, rows: rows.map((row) => ({ ...row })) };
}

/** Pools to choose one from: those without a service first, each part from A to Z whatever the case. */
export function listChoices({ database }: Store, request: ListingRequest): Listing<ListedPool> {
  const like = likeOf(request.filter) ?? "%";
  const total = database.get<{ n: number }>(`SELECT count(*) AS n FROM pools WHERE ${NAME_LIKE}`, like)!.n;
  const offset = Math.min(request.offset, Math.max(0, total - 1));
  const rows = database.all<ListedPool>(
    `${POOLS} WHERE ${NAME_LIKE} ORDER BY services > 0, name COLLATE NOCASE, name LIMIT ? OFFSET ?`,
    like,
    request.limit,
    offset,
  );
  return { total, offset, rows: rows.map((row) => ({ ...row })) };
}

const POOLS = `SELECT id, name, algorithm, revision,
  (SELECT count(*) FROM members WHERE pool_id = pools.id) AS members,
  (SELECT count(*) FROM services WHERE pool_id = pools.id) AS services,
  (SELECT min(domain) FROM services WHERE pool_id = pools.id) AS service
  FROM pools`;

const SERVICES = `SELECT services.id AS id, domain, pool_id AS poolId, pools.name AS pool, ttl,
  services.revision AS revision FROM services LEFT JOIN pools ON pools.id = pool_id`;

const WITH_POOL = "LEFT JOIN pools ON pools.id = pool_id";
const NAME_LIKE = "name LIKE ? ESCAPE '\\'";
const SERVICE_LIKE = "(domain LIKE ? ESCAPE '\\' OR pools.name LIKE ? ESCAPE '\\')";

/** Where a part begins: at its place, or so far before a name; never behind the last row. */
function offsetOf(
  { offset, around }: ListingRequest,
  total: number,
  placeOf: (name: string) => number,
): number {
  const wanted = around === undefined ? offset : placeOf(around.name) - around.before;
  return Math.max(0, Math.min(wanted, total - 1));
}

/** `null` = everything matches. `%` and `_` stand for themselves. */
function likeOf(filter: string): string | null {
  return filter === "" ? null : `%${filter.replaceAll(/[\\%_]/g, "\\$&")}%`;
}
