/**
 * Overrides, in the order of their creation.
 *
 * @module
 */
import { OverrideIndex } from "../desired/overridden.ts";
import { formatTarget, type Override, type OverrideTarget, targetOf } from "../model/override.ts";
import type { Database } from "./database.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";

/** An override and where it belongs. */
export interface OverrideRow extends Override {
  /** The pool that it covers, or that its member belongs to; `null` = it covers a region. */
  readonly poolId: string | null;
  /** The generation that it was made in. */
  readonly revision: number;
}

/** Reads overrides. */
export class Overrides {
  readonly #database: Database;
  #index: { readonly version: string; readonly index: OverrideIndex<OverrideRow> } | null = null;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** The override of that id, or `null`. */
  get(id: string): OverrideRow | null {
    const row = this.#database.get<OverrideColumns>(`SELECT ${COLUMNS} FROM overrides WHERE id = ?`, id);
    return row ? rowOf(row) : null;
  }

  /** A page of them. */
  page({ limit, cursor }: PageRequest): Page<OverrideRow> {
    const rows = this.#database.all<OverrideColumns>(
      `SELECT ${COLUMNS} FROM overrides WHERE seq > ? ORDER BY seq LIMIT ?`,
      Number(cursor ?? 0),
      limit + 1,
    );
    const { items, next } = pageOf(rows, { limit, keyOf: (row) => row.seq });
    return { items: items.map(rowOf), next };
  }

  /** All of them. */
  all(): OverrideRow[] {
    return this.#database.all<OverrideColumns>(`SELECT ${COLUMNS} FROM overrides ORDER BY seq`).map(rowOf);
  }

  /** Those of a pool and of its members; not those of regions. */
  ofPool(poolId: string): OverrideRow[] {
    return this.#database.all<OverrideColumns>(
      `SELECT ${COLUMNS} FROM overrides WHERE pool_id = ? ORDER BY seq`,
      poolId,
    ).map(rowOf);
  }

  /** Those of one target. */
  of(target: string): OverrideRow[] {
    return this.#database.all<OverrideColumns>(
      `SELECT ${COLUMNS} FROM overrides WHERE target = ? ORDER BY seq`,
      target,
    ).map(rowOf);
  }

  /** How many there are. */
  count(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM overrides")!.n;
  }

  /** All of them by what they cover; made again only when there are others than before. */
  index(): OverrideIndex<OverrideRow> {
    const { version } = this.#database.get<{ version: string }>(VERSION)!;
    if (this.#index?.version !== version) this.#index = { version, index: new OverrideIndex(this.all()) };
    return this.#index.index;
  }

  /** What people call a target: `region:fra`, `pool:web`, `member:web/192.0.2.1:443`. */
  nameOf(override: Pick<Override, "target">): string {
    const target = targetOf(override);
    if (target.kind === "region") return formatTarget(target);
    const named = target.kind === "pool" ? POOL_NAME : MEMBER_NAME;
    const row = this.#database.get<{ name: string; host: string; port: number }>(named, target.id);
    if (!row) return override.target;
    const host = row.host.includes(":") ? `[${row.host}]` : row.host;
    return target.kind === "pool" ? `pool:${row.name}` : `member:${row.name}/${host}:${row.port}`;
  }

  /** The pools that an override covers a member of. */
  poolsCoveredBy(override: Pick<OverrideRow, "target" | "poolId">): string[] {
    const target = targetOf(override);
    if (target.kind === "region") return poolsOfRegion(this.#database, target.name);
    return override.poolId === null ? [] : [override.poolId];
  }

  /** The pool that a target belongs to, `null` for a region; `undefined` = there is no such target. */
  poolOf(target: OverrideTarget): string | null | undefined {
    switch (target.kind) {
      case "member":
        return this.#database.get<{ poolId: string }>(
          "SELECT pool_id AS poolId FROM members WHERE id = ?",
          target.id,
        )?.poolId;
      case "pool":
        return this.#database.get<{ id: string }>("SELECT id FROM pools WHERE id = ?", target.id)?.id;
      case "region":
        return this.#database.get(
            "SELECT 1 FROM members WHERE region = ? AND region <> '' LIMIT 1",
            target.name,
          )
          ? null
          : undefined;
    }
  }

  /** The regions that members stand in, by name. */
  regions(): string[] {
    return this.#database.all<{ region: string }>(
      "SELECT DISTINCT region FROM members WHERE region <> '' ORDER BY region",
    ).map(({ region }) => region);
  }
}

/** The pools that have a member in a region; only for the files of `src/store/`. */
export function poolsOfRegion(database: Database, region: string): string[] {
  return database.all<{ poolId: string }>(
    "SELECT DISTINCT pool_id AS poolId FROM members WHERE region = ? AND region <> ''",
    region,
  ).map(({ poolId }) => poolId);
}

/** Equal texts mean equal overrides: one that goes takes its number along, one that comes has a higher one. */
const VERSION =
  "SELECT count(*) || ' ' || coalesce(max(seq), 0) || ' ' || coalesce(max(revision), 0) AS version " +
  "FROM overrides";
const POOL_NAME = "SELECT name, '' AS host, 0 AS port FROM pools WHERE id = ?";
const MEMBER_NAME = "SELECT pools.name, coalesce(ip_address, target) AS host, port FROM members " +
  "JOIN pools ON pools.id = pool_id WHERE members.id = ?";

interface OverrideColumns extends OverrideRow {
  /** The order of creation. */
  readonly seq: number;
}

const COLUMNS = "id, target, state, reason, owner, starts_at AS startsAt, expires_at AS expiresAt, " +
  "drain_ms AS drainMs, created_at AS createdAt, pool_id AS poolId, revision, seq";

function rowOf({ seq: _, ...row }: OverrideColumns): OverrideRow {
  return { ...row };
}
