/**
 * Health checks: at most one for each pool.
 *
 * @module
 */
import { HEALTH_CHECK_DEFAULTS, type HealthCheck } from "../model/model.ts";
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

  #columns(poolId: string): HealthCheckColumns | undefined {
    return this.#database.get<HealthCheckColumns>(
      `SELECT ${HEALTH_CHECK_COLUMNS} FROM health_checks WHERE pool_id = ?`,
      poolId,
    );
  }
}

/** A row as SQLite gives it. */
export interface HealthCheckColumns extends Omit<HealthCheckRow, "insecureSkipVerify" | "checks"> {
  /** 0 or 1. */
  readonly insecureSkipVerify: number;
  /** JSON. */
  readonly checks: string;
}

/** The select list that yields {@link HealthCheckColumns}. */
export const HEALTH_CHECK_COLUMNS: string =
  "type, port, interval_ms AS intervalMs, timeout_ms AS timeoutMs, rise, fall, " +
  "http_method AS httpMethod, http_path AS httpPath, http_host AS httpHost, " +
  "http_expected_status AS httpExpectedStatus, http_contains AS httpContains, " +
  "insecure_skip_verify AS insecureSkipVerify, require, checks, pool_id AS poolId, revision";

/** The check as the model has it. */
export function healthCheckOf(row: HealthCheckColumns): HealthCheck {
  const { poolId: _, revision: __, ...check } = rowOf(row);
  return check;
}

/** The checks of a calculated check as their column has them: equal ones are equal text. */
export function checksJson({ checks }: Pick<HealthCheck, "checks">): string {
  return checks.length === 0 ? "[]" : JSON.stringify(checks, Object.keys(HEALTH_CHECK_DEFAULTS));
}

function rowOf(row: HealthCheckColumns): HealthCheckRow {
  return { ...row, insecureSkipVerify: row.insecureSkipVerify === 1, checks: JSON.parse(row.checks) };
}
