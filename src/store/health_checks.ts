/**
 * Health checks: at most one for each pool.
 *
 * @module
 */
import type { HealthCheck } from "../config/model.ts";
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
    const row = this.#database.get<HealthCheckColumns>(
      `SELECT ${HEALTH_CHECK_COLUMNS} FROM health_checks WHERE pool_id = ?`,
      poolId,
    );
    return row ? { ...row, insecureSkipVerify: row.insecureSkipVerify === 1 } : null;
  }

  /** The check of a pool as the model has it, or `null`. */
  checkOf(poolId: string): HealthCheck | null {
    const row = this.get(poolId);
    if (!row) return null;
    const { poolId: _, revision: __, ...check } = row;
    return check;
  }
}

/** A row as SQLite gives it. */
export interface HealthCheckColumns extends Omit<HealthCheckRow, "insecureSkipVerify"> {
  /** 0 or 1. */
  readonly insecureSkipVerify: number;
}

/** The select list that yields {@link HealthCheckColumns}. */
export const HEALTH_CHECK_COLUMNS: string =
  "type, port, interval_ms AS intervalMs, timeout_ms AS timeoutMs, rise, fall, " +
  "http_method AS httpMethod, http_path AS httpPath, http_host AS httpHost, " +
  "http_expected_status AS httpExpectedStatus, http_contains AS httpContains, " +
  "insecure_skip_verify AS insecureSkipVerify, pool_id AS poolId, revision";

/** The check as the model has it. */
export function healthCheckOf({ poolId: _, revision: __, ...row }: HealthCheckColumns): HealthCheck {
  return { ...row, insecureSkipVerify: row.insecureSkipVerify === 1 };
}
