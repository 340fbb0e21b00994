/**
 * The audit: every change and every attempt that was refused, with who, by which way, from where and why. The newest are
 * kept, a number of changes and as many refusals: however many attempts are refused, they push no change out.
 *
 * A change is written within its own transaction, so there is none without its row; refusals are written a moment later
 * (`change/audit_trail.ts`).
 *
 * @module
 */
import type { Database } from "./database.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";

/** What became of it: `failed` = of an error inside. */
export const AUDIT_OUTCOMES = ["done", "refused", "failed"] as const;

/** One of `AUDIT_OUTCOMES`. */
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number];

/** A row without its number. */
export interface AuditRecord {
  /** Unix milliseconds; of several that are alike, the last one. */
  readonly at: number;
  /** What became of it. */
  readonly outcome: AuditOutcome;
  /** Name of the token, signer or user; empty when unknown. */
  readonly by: string;
  /** Id of the token; `null` = it was none that has one. */
  readonly tokenId: string | null;
  /** The way it came, as in `Origin`. */
  readonly via: string;
  /** Address of the client; empty = it came from inside, or from the machine itself. */
  readonly from: string;
  /** What was asked for: `POST /api/v1/pools`, `tokens create`; without secrets. */
  readonly request: string;
  /** Of the answer; `null` = there was none. */
  readonly status: number | null;
  /** What was refused and why, or which token it is about; may be empty. */
  readonly detail: string;
  /** What the author gave as the reason; may be empty. */
  readonly reason: string;
  /** The generation that it made; `null` = none. */
  readonly generation: number | null;
  /** How many attempts that were alike it stands for. */
  readonly count: number;
}

/** A row. */
export interface AuditRow extends AuditRecord {
  /** Ascends. */
  readonly id: number;
}

/** How much is kept. */
export interface AuditLimits {
  /** Changes, and as many refusals. */
  readonly keep: number;
  /** Of either, milliseconds. */
  readonly maxAgeMs: number;
}

/** Rows that are deleted in one transaction: some milliseconds. */
const ROWS_A_STEP = 1_000;

/** Reads and writes the audit. */
export class Audit {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** Adds a row; within a transaction it is kept or undone with it. */
  add(record: AuditRecord): void {
    const { at, outcome, by, tokenId, via, from, request, status, detail, reason, generation, count } =
      record;
    this.#database.run(
      INSERT,
      ...[at, outcome, by, tokenId, via, from, request, status, detail, reason, generation, count],
    );
  }

  /**
   * Adds rows, and deletes some of those that are too many or too old. Waits for no one.
   *
   * @throws {StoreBusy} when another process holds the database; nothing is written
   */
  addNow(
    records: readonly AuditRecord[],
    { keep, maxAgeMs, nowMs }: AuditLimits & { readonly nowMs: number },
  ): void {
    this.#database.transactNow(() => {
      for (const record of records) this.add(record);
      for (const sign of ["=", "<>"]) {
        this.#database.run(trim(sign), nowMs - maxAgeMs, keep, ROWS_A_STEP);
      }
    });
  }

  /** A page, the newest first; of one outcome, or of all. */
  page({ limit, cursor }: PageRequest, outcome: AuditOutcome | null): Page<AuditRow> {
    const rows = this.#database.all<AuditRow>(
      `SELECT ${COLUMNS} FROM audit WHERE id < ? AND (? IS NULL OR outcome = ?) ORDER BY id DESC LIMIT ?`,
      cursor ? Number(cursor) : Number.MAX_SAFE_INTEGER,
      outcome,
      outcome,
      limit + 1,
    );
    return pageOf(rows.map((row) => ({ ...row })), { limit, keyOf: ({ id }) => id });
  }
}

const COLUMNS =
  `id, at, outcome, "by", token_id AS tokenId, via, source AS "from", request, status, detail, ` +
  "reason, generation, count";

const INSERT =
  `INSERT INTO audit (at, outcome, "by", token_id, via, source, request, status, detail, reason, ` +
  "generation, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/** Deletes changes (`=`) or what isn't one (`<>`): what is too old, and what is too many, the oldest first. */
function trim(sign: string): string {
  return `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE outcome ${sign} 'done' AND (at < ? OR id <= ` +
    `coalesce((SELECT id FROM audit WHERE outcome ${sign} 'done' ORDER BY id DESC LIMIT 1 OFFSET ?), -1)) ` +
    "ORDER BY id LIMIT ?)";
}
