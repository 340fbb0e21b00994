/**
 * Pools: their own fields as a row, or whole with members, check and rules. Ordered by name.
 *
 * @module
 */
import type { Pool } from "../model/model.ts";
import type { Database } from "./database.ts";
import { GEO_RULE_COLUMNS, type GeoRuleColumns, geoRuleOf, type GeoRules } from "./geo_rules.ts";
import {
  HEALTH_CHECK_COLUMNS,
  type HealthCheckColumns,
  healthCheckOf,
  type HealthChecks,
} from "./health_checks.ts";
import { MEMBER_COLUMNS, type MemberColumns, memberOf, type Members } from "./members.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";

/** A pool's own fields. */
export interface PoolRow extends Omit<Pool, "members" | "healthCheck" | "geoRules"> {
  /** The generation at which the row last changed; its parts have their own. */
  readonly revision: number;
}

/** Reads pools. */
export class Pools {
  readonly #database: Database;
  readonly #parts: {
    readonly members: Members;
    readonly healthChecks: HealthChecks;
    readonly geoRules: GeoRules;
  };

  /** The connection stays its opener's to close. */
  constructor(
    database: Database,
    parts: { readonly members: Members; readonly healthChecks: HealthChecks; readonly geoRules: GeoRules },
  ) {
    this.#database = database;
    this.#parts = parts;
  }

  /** The pool of that id, or `null`. */
  get(id: string): PoolRow | null {
    return rowOrNull(this.#database.get<PoolColumns>(`SELECT ${POOL_COLUMNS} FROM pools WHERE id = ?`, id));
  }

  /** The pool of that name, or `null`. */
  byName(name: string): PoolRow | null {
    return rowOrNull(
      this.#database.get<PoolColumns>(`SELECT ${POOL_COLUMNS} FROM pools WHERE name = ?`, name),
    );
  }

  /** A page of pools by name. */
  page({ limit, cursor }: PageRequest): Page<PoolRow> {
    const rows = this.#database.all<PoolColumns>(
      `SELECT ${POOL_COLUMNS} FROM pools WHERE name > ? ORDER BY name LIMIT ?`,
      cursor ?? "",
      limit + 1,
    );
    return pageOf(rows.map(rowOf), { limit, keyOf: (pool) => pool.name });
  }

  /** The pools that answer from this one when they are down. */
  fallingBackTo(id: string): PoolRow[] {
    return this.#database.all<PoolColumns>(`SELECT ${POOL_COLUMNS} FROM pools WHERE fallback_pool_id = ?`, id)
      .map(rowOf);
  }

  /** The pool with all its parts, or `null`. */
  whole(id: string): Pool | null {
    const row = this.get(id);
    if (!row) return null;
    const { revision: _, ...fields } = row;
    return {
      ...fields,
      members: this.#parts.members.of(id),
      healthCheck: this.#parts.healthChecks.checkOf(id),
      geoRules: this.#parts.geoRules.of(id),
    };
  }

  /**
   * Every pool with all its parts, by name. Four cursors in the same order run side by side, so memory holds one
   * pool at a time. Don't commit before it has been read to the end.
   */
  *each(): Generator<Pool> {
    const members = new Run(this.#inPoolOrder<MemberColumns>("members", MEMBER_COLUMNS, "seq"));
    const checks = new Run(
      this.#inPoolOrder<HealthCheckColumns>("health_checks", HEALTH_CHECK_COLUMNS, "pool_id"),
    );
    const rules = new Run(this.#inPoolOrder<GeoRuleColumns>("geo_rules", GEO_RULE_COLUMNS, "seq"));
    const pools = this.#database.iterate<PoolColumns>(`SELECT ${POOL_COLUMNS} FROM pools ORDER BY name`);
    try {
      for (const row of pools) {
        const { revision: _, ...fields } = rowOf(row);
        yield {
          ...fields,
          members: members.take(fields.id).map(memberOf),
          healthCheck: checks.take(fields.id).map(healthCheckOf)[0] ?? null,
          geoRules: rules.take(fields.id).map(geoRuleOf),
        };
      }
    } finally {
      for (const run of [members, checks, rules]) run.close();
    }
  }

  /** Every pool that has a health check, with all its parts. */
  *checked(): Generator<Pool> {
    const ids = this.#database.all<{ id: string }>("SELECT pool_id AS id FROM health_checks");
    for (const { id } of ids) yield this.whole(id)!;
  }

  /** How many there are. */
  count(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM pools")!.n;
  }

  #inPoolOrder<Row extends { poolId: string }>(
    table: string,
    columns: string,
    order: string,
  ): IterableIterator<Row> {
    const qualified = columns.replaceAll(/(^|, )/g, "$1part.");
    // CROSS JOIN keeps the order of the loops: pools by name outside, their parts by index inside.
    return this.#database.iterate<Row>(
      `SELECT ${qualified} FROM pools CROSS JOIN ${table} AS part ON part.pool_id = pools.id ` +
        `ORDER BY pools.name, part.${order}`,
    );
  }
}

const POOL_COLUMNS = "id, name, algorithm, max_answers AS maxAnswers, on_all_down AS onAllDown, " +
  "fallback_pool_id AS fallbackPoolId, min_healthy AS minHealthy, failback, " +
  "failback_delay_ms AS failbackDelayMs, geofence, flatten, revision";

/** A row as SQLite gives it. */
interface PoolColumns extends Omit<PoolRow, "geofence" | "flatten"> {
  readonly geofence: number;
  readonly flatten: number;
}

function rowOf(row: PoolColumns): PoolRow {
  return { ...row, geofence: row.geofence === 1, flatten: row.flatten === 1 };
}

function rowOrNull(row: PoolColumns | undefined): PoolRow | null {
  return row ? rowOf(row) : null;
}

/** A cursor over rows that come in runs of the same pool. */
class Run<Row extends { poolId: string }> {
  readonly #rows: Iterator<Row>;
  #next: IteratorResult<Row>;

  constructor(rows: Iterator<Row>) {
    this.#rows = rows;
    this.#next = rows.next();
  }

  take(poolId: string): Row[] {
    const run: Row[] = [];
    while (!this.#next.done && this.#next.value.poolId === poolId) {
      run.push(this.#next.value);
      this.#next = this.#rows.next();
    }
    return run;
  }

  close(): void {
    this.#rows.return?.();
  }
}
