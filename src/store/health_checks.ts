/**
 * Health checks: at most one for each pool.
 *
 * @module
 */
import type { HealthCheck } from "../model/model.ts";
import { HEALTH_CHECK, type RawRow } from "./columns.ts";
import type { Database } from "./database.ts";

/** A check and where it belongs. */
export interface HealthCheckRow extends HealthCheck {
  /** The pool it belongs to. */
  readonly poolId: string;
  /** The generation at which the row last changed. */
  readonly revision: number;
}

/** Reads health checks. */
export class HealthChecks {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** The check of a pool, or `null`. */
  get(poolId: string): HealthCheckRow | null {
    const row = this.#columns(poolId);
    return row ? rowOf(row) : null;
  }

  /** The check of a pool as the model has it, or `null`. */
  checkOf(poolId: string): HealthCheck | null {
    const row = this.#columns(poolId);
    return row ? healthCheckOf(row) : null;
  }

  #columns(poolId: string): RawRow | undefined {
    return this.#database.get<RawRow>(
      `SELECT ${HEALTH_CHECK_SELECT} FROM health_checks WHERE pool_id = ?`,
      poolId,
    );
  }
}

/** The select list of {@link healthCheckOf}. */
export const HEALTH_CHECK_SELECT: string = `${HEALTH_CHECK.select}, pool_id AS poolId, revision`;

/** The check as the model has it. */
export function healthCheckOf(raw: RawRow): HealthCheck {
  const { poolId: _, revision: __, ...check } = rowOf(raw);
  return check;
}

function rowOf(raw: RawRow): HealthCheckRow {
  return HEALTH_CHECK.rowOf(raw);
}
