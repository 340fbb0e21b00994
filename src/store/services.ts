/**
 * Services, ordered by domain.
 *
 * Beside its domain a service keeps the domain with its labels reversed (`www.example.com` → `com.example.www`):
 * there all names below `example.com` are one range, which is how a new zone cut finds the services it would hide
 * without looking at the others.
 *
 * @module
 */
import type { Service } from "../model/model.ts";
import { type RawRow, SERVICE } from "./columns.ts";
import type { Database } from "./database.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";

/** A service and when it last changed. */
export interface ServiceRow extends Service {
  /** The generation at which the row last changed. */
  readonly revision: number;
}

/** Reads services. */
export class Services {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** The service of that id, or `null`. */
  get(id: string): ServiceRow | null {
    return rowOrNull(this.#database.get<RawRow>(`SELECT ${SELECT} FROM services WHERE id = ?`, id));
  }

  /** The service of exactly that domain (lower-case, no final dot), or `null`. */
  byDomain(domain: string): ServiceRow | null {
    return rowOrNull(this.#database.get<RawRow>(`SELECT ${SELECT} FROM services WHERE domain = ?`, domain));
  }

  /** A page of services by domain. */
  page({ limit, cursor }: PageRequest): Page<ServiceRow> {
    const rows = this.#database.all<RawRow>(
      `SELECT ${SELECT} FROM services WHERE domain > ? ORDER BY domain LIMIT ?`,
      cursor ?? "",
      limit + 1,
    );
    return pageOf(rows.map(rowOf), { limit, keyOf: (service) => service.domain });
  }

  /** Some of the services that answer from a pool, at most `limit`. */
  someOf(poolId: string, limit: number): ServiceRow[] {
    return this.#database.all<RawRow>(
      `SELECT ${SELECT} FROM services WHERE pool_id = ? LIMIT ?`,
      poolId,
      limit,
    )
      .map(rowOf);
  }

  /** The services that answer from a pool, or from none, one by one. */
  *of(poolId: string | null): Generator<ServiceRow> {
    // The index is of services with a pool, so that "IS ?" would read all of them.
    const rows = poolId === null
      ? this.#database.iterate<RawRow>(`SELECT ${SELECT} FROM services WHERE pool_id IS NULL`)
      : this.#database.iterate<RawRow>(`SELECT ${SELECT} FROM services WHERE pool_id = ?`, poolId);
    for (const row of rows) yield rowOf(row);
  }

  /** The services strictly below a domain, one by one. */
  *below(domain: string): Generator<ServiceRow> {
    const rows = this.#database.iterate<RawRow>(
      `SELECT ${SELECT} FROM services WHERE reversed_domain > ? AND reversed_domain < ?`,
      ...namesBelow(domain),
    );
    for (const row of rows) yield rowOf(row);
  }

  /** Every service, by domain, one at a time. Don't commit before it has been read to the end. */
  *each(): Generator<Service> {
    const services = this.#database.iterate<RawRow>(`SELECT ${SELECT} FROM services ORDER BY domain`);
    for (const raw of services) {
      const { revision: _, ...service } = rowOf(raw);
      yield service;
    }
  }

  /** How many there are. */
  count(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM services")!.n;
  }

  /** How many there are; `max` = so many or more. It costs what it counts. */
  countUpTo(max: number): number {
    const sql = "SELECT count(*) AS n FROM (SELECT 1 FROM services LIMIT ?)";
    return this.#database.get<{ n: number }>(sql, max)!.n;
  }

  /** How many answer from a pool. */
  countOf(poolId: string): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM services WHERE pool_id = ?", poolId)!
      .n;
  }
}

/** The labels of a domain from the last to the first. */
export function reversedDomain(domain: string): string {
  return domain.split(".").reverse().join(".");
}

/** Between these two, both left out, are the reversed domains of all names strictly below a domain. */
export function namesBelow(domain: string): readonly [after: string, before: string] {
  const parent = reversedDomain(domain);
  // "/" follows "." in ASCII: the range is everything that begins with the parent and a dot.
  return [`${parent}.`, `${parent}/`];
}

const SELECT = `id, ${SERVICE.select}, revision`;

function rowOf(raw: RawRow): ServiceRow {
  return SERVICE.rowOf(raw);
}

function rowOrNull(raw: RawRow | undefined): ServiceRow | null {
  return raw ? rowOf(raw) : null;
}
