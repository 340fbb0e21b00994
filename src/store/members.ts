/**
 * Members of pools, in the order of their creation.
 *
 * @module
 */
import type { Member } from "../model/model.ts";
import { MEMBER, type RawRow } from "./columns.ts";
import type { Database } from "./database.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";

/** A member and where it belongs. */
export interface MemberRow extends Member {
  /** The pool it belongs to. */
  readonly poolId: string;
  /** Its place in the order of creation, which is that of rotation; unique among the members of all pools. */
  readonly seq: number;
  /** The generation at which the row last changed. */
  readonly revision: number;
}

/** Reads members. */
export class Members {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** The member of that id, or `null`. */
  get(id: string): MemberRow | null {
    const row = this.#database.get<RawRow>(`SELECT ${MEMBER_SELECT} FROM members WHERE id = ?`, id);
    return row ? rowOf(row) : null;
  }

  /** The member of a pool with that address or host name, and port; or `null`. */
  at(
    { poolId, ipAddress, target, port }: Pick<MemberRow, "poolId" | "ipAddress" | "target" | "port">,
  ): MemberRow | null {
    const row = this.#database.get<RawRow>(
      `SELECT ${MEMBER_SELECT} FROM members WHERE pool_id = ? AND ip_address IS ? AND target IS ? AND port = ?`,
      poolId,
      ipAddress,
      target,
      port,
    );
    return row ? rowOf(row) : null;
  }

  /** A page of a pool's members; empty when there is no such pool. */
  page(poolId: string, { limit, cursor }: PageRequest): Page<MemberRow> {
    const rows = this.#database.all<RawRow>(
      `SELECT ${MEMBER_SELECT} FROM members WHERE pool_id = ? AND seq > ? ORDER BY seq LIMIT ?`,
      poolId,
      Number(cursor ?? 0),
      limit + 1,
    );
    return pageOf(rows.map(rowOf), { limit, keyOf: (row) => row.seq });
  }

  /** All members of a pool. */
  of(poolId: string): Member[] {
    return this.rowsOf(poolId).map(({ poolId: _, seq: __, revision: ___, ...member }) => member);
  }

  /** All members of a pool as rows. */
  rowsOf(poolId: string): MemberRow[] {
    return this.#database.all<RawRow>(
      `SELECT ${MEMBER_SELECT} FROM members WHERE pool_id = ? ORDER BY seq`,
      poolId,
    ).map(rowOf);
  }

  /** The id of the member that has that place, or `null`. */
  idAt(seq: number): string | null {
    return this.#database.get<{ id: string }>("SELECT id FROM members WHERE seq = ?", seq)?.id ?? null;
  }

  /** How many a pool has. */
  countOf(poolId: string): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM members WHERE pool_id = ?", poolId)!
      .n;
  }

  /** How many there are in all pools. */
  count(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM members")!.n;
  }
}

/** The select list of {@link memberOf}. */
export const MEMBER_SELECT: string = `id, ${MEMBER.select}, pool_id AS poolId, revision, seq`;

/** The member as the model has it. */
export function memberOf(raw: RawRow): Member {
  const { poolId: _, seq: __, revision: ___, ...member } = rowOf(raw);
  return member;
}

function rowOf(raw: RawRow): MemberRow {
  return MEMBER.rowOf(raw);
}
