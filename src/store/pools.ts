/**
 * Pools: their own fields as a row, or whole with members, check and rules. Ordered by name.
 *
 * @module
 */
import type { Pool } from "../model/model.ts";
import { POOL, type RawRow } from "./columns.ts";
import type { Database } from "./database.ts";
import { GEO_RULE_SELECT, geoRuleOf, type GeoRules } from "./geo_rules.ts";
import { HEALTH_CHECK_SELECT, healthCheckOf, type HealthChecks } from "./health_checks.ts";
import { MEMBER_SELECT, memberOf, type Members } from "./members.ts";
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
    return rowOrNull(this.#database.get<RawRow>(`SELECT ${SELECT} FROM pools WHERE id = ?`, id));
  }

  /** The pool of that name, or `null`. */
  byName(name: string): PoolRow | null {
    return rowOrNull(
      this.#database.get<RawRow>(`SELECT ${SELECT} FROM pools WHERE name = ?`, name),
    );
  }

  /** A page of pools by name. */
  page({ limit, cursor }: PageRequest): Page<PoolRow> {
    const rows = this.#database.all<RawRow>(
      `SELECT ${SELECT} FROM pools WHERE name > ? ORDER BY name LIMIT ?`,
      cursor ?? "",
      limit + 1,
    );
    return pageOf(rows.map(rowOf), { limit, keyOf: (pool) => pool.name });
  }

  /** The pools that answer from this one when they are down. */
  fallingBackTo(id: string): PoolRow[] {
    return this.#database.all<RawRow>(`SELECT ${SELECT} FROM pools WHERE fallback_pool_id = ?`, id)
      .map(rowOf);
  }

  /** The pools whose members are discovered: at an address, or at any. */
  discovering(address: string | null): string[] {
    const rows = address === null
      ? this.#database.all<{ id: string }>("SELECT id FROM pools WHERE discover IS NOT NULL")
      : this.#database.all<{ id: string }>("SELECT id FROM pools WHERE discover = ?", address);
    return rows.map(({ id }) => id);
  }

  /** Whether any pool has another that it answers from when it is down. */
  hasChains(): boolean {
    return this.#database.get("SELECT 1 FROM pools WHERE fallback_pool_id IS NOT NULL LIMIT 1") !== undefined;
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
    const members = new Run(this.#inPoolOrder("members", MEMBER_SELECT, "seq"));
    const checks = new Run(this.#inPoolOrder("health_checks", HEALTH_CHECK_SELECT, "pool_id"));
    const rules = new Run(this.#inPoolOrder("geo_rules", GEO_RULE_SELECT, "seq"));
    const pools = this.#database.iterate<RawRow>(`SELECT ${SELECT} FROM pools ORDER BY name`);
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

  /** The same, each as it is when its turn comes: others may commit in between. */
  oneByOne(): Generator<Pool> {
    return this.#wholes("SELECT id FROM pools ORDER BY name");
  }

  /** Every pool that has a health check, with all its parts, each as it is when its turn comes. */
  checked(): Generator<Pool> {
    return this.#wholes("SELECT pool_id AS id FROM health_checks");
  }

  *#wholes(selectIds: string): Generator<Pool> {
    for (const { id } of this.#database.all<{ id: string }>(selectIds)) {
      const pool = this.whole(id);
      if (pool !== null) yield pool;
    }
  }

  /** How many there are. */
  count(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM pools")!.n;
  }

  #inPoolOrder(table: string, columns: string, order: string): IterableIterator<RawRow> {
    const qualified = columns.replaceAll(/(^|, )/g, "$1part.");
    // CROSS JOIN keeps the order of the loops: pools by name outside, their parts by index inside.
    return this.#database.iterate<RawRow>(
      `SELECT ${qualified} FROM pools CROSS JOIN ${table} AS part ON part.pool_id = pools.id ` +
        `ORDER BY pools.name, part.${order}`,
    );
  }
}

const SELECT = `id, ${POOL.select}, revision`;

function rowOf(raw: RawRow): PoolRow {
  return POOL.rowOf(raw);
}

function rowOrNull(raw: RawRow | undefined): PoolRow | null {
  return raw ? rowOf(raw) : null;
}

/** A cursor over rows that come in runs of the same pool. */
class Run {
  readonly #rows: Iterator<RawRow>;
  #next: IteratorResult<RawRow>;

  constructor(rows: Iterator<RawRow>) {
    this.#rows = rows;
    this.#next = rows.next();
  }

  take(poolId: string): RawRow[] {
    const run: RawRow[] = [];
    while (!this.#next.done && this.#next.value["poolId"] === poolId) {
      run.push(this.#next.value);
      this.#next = this.#rows.next();
    }
    return run;
  }

  close(): void {
    this.#rows.return?.();
  }
}
