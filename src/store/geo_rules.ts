/**
 * Geo rules of pools, in the order of their creation.
 *
 * @module
 */
import type { GeoRule } from "../model/model.ts";
import { GEO_RULE, type RawRow } from "./columns.ts";
import type { Database } from "./database.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";

/** A rule and where it belongs. */
export interface GeoRuleRow extends GeoRule {
  /** The pool it belongs to. */
  readonly poolId: string;
  /** Its place in the order of creation; unique among the rules of all pools. */
  readonly seq: number;
  /** The generation at which the row last changed. */
  readonly revision: number;
}

/** Reads geo rules. */
export class GeoRules {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** The rule of that id, or `null`. */
  get(id: string): GeoRuleRow | null {
    const row = this.#database.get<RawRow>(
      `SELECT ${GEO_RULE_SELECT} FROM geo_rules WHERE id = ?`,
      id,
    );
    return row ? rowOf(row) : null;
  }

  /** A page of a pool's rules; empty when there is no such pool. */
  page(poolId: string, { limit, cursor }: PageRequest): Page<GeoRuleRow> {
    const rows = this.#database.all<RawRow>(
      `SELECT ${GEO_RULE_SELECT} FROM geo_rules WHERE pool_id = ? AND seq > ? ORDER BY seq LIMIT ?`,
      poolId,
      Number(cursor ?? 0),
      limit + 1,
    );
    return pageOf(rows.map(rowOf), { limit, keyOf: (row) => row.seq });
  }

  /** All rules of a pool as the model has them. */
  of(poolId: string): GeoRule[] {
    return this.#select("pool_id", poolId).map(geoRuleOf);
  }

  /** All rules of a pool as rows. */
  rowsOf(poolId: string): GeoRuleRow[] {
    return this.#select("pool_id", poolId).map(rowOf);
  }

  /** The id of the rule that has that place, or `null`. */
  idAt(seq: number): string | null {
    return this.#database.get<{ id: string }>("SELECT id FROM geo_rules WHERE seq = ?", seq)?.id ?? null;
  }

  /** How many a pool has. */
  countOf(poolId: string): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM geo_rules WHERE pool_id = ?", poolId)!
      .n;
  }

  /** The rules that send clients to a member. */
  towards(memberId: string): GeoRuleRow[] {
    return this.#select("member_id", memberId).map(rowOf);
  }

  #select(column: "pool_id" | "member_id", id: string): RawRow[] {
    return this.#database.all<RawRow>(
      `SELECT ${GEO_RULE_SELECT} FROM geo_rules WHERE ${column} = ? ORDER BY seq`,
      id,
    );
  }
}

/** The select list of {@link geoRuleOf}. */
export const GEO_RULE_SELECT: string = `id, ${GEO_RULE.select}, pool_id AS poolId, revision, seq`;

/** The rule as the model has it. */
export function geoRuleOf(raw: RawRow): GeoRule {
  const { poolId: _, seq: __, revision: ___, ...rule } = rowOf(raw);
  return rule;
}

function rowOf(raw: RawRow): GeoRuleRow {
  return GEO_RULE.rowOf(raw);
}
