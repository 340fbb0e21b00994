/**
 * Tokens of the API. They are no part of the model: no commit changes them, no export and no plan has them, and going
 * back to an earlier generation brings none back. A token is kept as its SHA-256 alone.
 *
 * Rows that don't count any more stay for a while, so that people see what became of a token. One row stays whatever
 * happens: where a token was ever created, the API never opens again by itself.
 *
 * @module
 */
import type { Scope } from "../model/token.ts";
import type { Database } from "./database.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";

/** A token without its secret. Times are Unix milliseconds. */
export interface StoredToken {
  /** 32 lower-case hex digits. */
  readonly id: string;
  /** Unique among tokens that aren't revoked. */
  readonly name: string;
  /** What it allows. */
  readonly scope: Scope;
  /** When it was created. */
  readonly createdAt: number;
  /** Who created it; empty when unknown. */
  readonly createdBy: string;
  /** From when on it counts no more; `null` = it has no end. */
  readonly expiresAt: number | null;
  /** When it was used last, to the minute; `null` = never. */
  readonly lastUsedAt: number | null;
  /** When it was revoked; `null` = it isn't. */
  readonly revokedAt: number | null;
}

/** What a token is known by. */
export interface KnownToken extends StoredToken {
  /** SHA-256 of its text, 32 bytes. */
  readonly digest: Uint8Array;
}

/** Tokens that count at the same time. */
export const TOKENS_MAX = 10_000;

/** Revoked ones that are kept. */
const REVOKED_MAX = 1_000;

/** Reads tokens; those of `change/` write them. */
export class Tokens {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** Another number whenever a token was created, revoked or written by hand, by whatever process; a use changes nothing. */
  mark(): number {
    return this.#database.get<{ mark: number }>("SELECT tokens_mark AS mark FROM meta")!.mark;
  }

  /** All of them; there are some 11,000 at most. */
  all(): KnownToken[] {
    return this.#database.all<KnownToken>(`SELECT ${COLUMNS}, digest FROM tokens ORDER BY seq`);
  }

  /** A page of them in the order of their creation. */
  page({ limit, cursor }: PageRequest): Page<StoredToken> {
    const rows = this.#database.all<StoredToken & { readonly seq: number }>(
      `SELECT ${COLUMNS}, seq FROM tokens WHERE seq > ? ORDER BY seq LIMIT ?`,
      Number(cursor ?? 0),
      limit + 1,
    );
    const { items, next } = pageOf(rows, { limit, keyOf: ({ seq }) => seq });
    return { items: items.map(({ seq: _, ...token }) => token), next };
  }

  /** The token of an id, or `null`. */
  get(id: string): StoredToken | null {
    const row = this.#database.get<StoredToken>(`SELECT ${COLUMNS} FROM tokens WHERE id = ?`, id);
    return row ? { ...row } : null;
  }

  /** The token of a name that isn't revoked, or `null`. */
  byName(name: string): StoredToken | null {
    const row = this.#database.get<StoredToken>(
      `SELECT ${COLUMNS} FROM tokens WHERE name = ? AND revoked_at IS NULL`,
      name,
    );
    return row ? { ...row } : null;
  }

  /** How many aren't revoked. */
  count(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM tokens WHERE revoked_at IS NULL")!.n;
  }

  /** Whether a token was ever created. */
  isAnyKept(): boolean {
    return this.#database.get("SELECT 1 FROM tokens LIMIT 1") !== undefined;
  }

  /** Whether one that counts at this moment allows everything. */
  hasAdmin(nowMs: number): boolean {
    return this.adminUntil() > nowMs;
  }

  /** When the last one expires that allows everything and isn't revoked, Unix milliseconds; `Infinity` = one has no end. */
  adminUntil(): number {
    const rows = this.#database.all<{ readonly expiresAt: number | null }>(
      "SELECT expires_at AS expiresAt FROM tokens WHERE scope = 'admin' AND revoked_at IS NULL " +
        "ORDER BY expires_at IS NULL DESC, expires_at DESC LIMIT 1",
    );
    return rows.length === 0 ? -Infinity : rows[0]!.expiresAt ?? Infinity;
  }

  /** Writes a new one, and forgets revoked ones that are too many. Only for `change/`, within a transaction. */
  insert({ id, name, scope, digest, createdAt, createdBy, expiresAt }: KnownToken): void {
    this.#database.run(
      "INSERT INTO tokens (id, name, scope, digest, created_at, created_by, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
      id,
      name,
      scope,
      digest,
      createdAt,
      createdBy,
      expiresAt,
    );
    this.#database.run(FORGET, REVOKED_MAX);
  }

  /** Says that one counts no more. Only for `change/`, within a transaction. */
  revoke(id: string, atMs: number): void {
    this.#database.run("UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", atMs, id);
  }

  /**
   * Keeps when tokens were used, by their ids; of two times the later one counts. Waits for no one.
   *
   * @throws {StoreBusy} when another process holds the database; nothing is written
   */
  noteUsed(uses: ReadonlyMap<string, number>): void {
    this.#database.transactNow(() => {
      for (const [id, atMs] of uses) {
        this.#database.run(
          "UPDATE tokens SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE id = ?",
          atMs,
          id,
        );
      }
    });
  }
}

const COLUMNS = "id, name, scope, created_at AS createdAt, created_by AS createdBy, " +
  "expires_at AS expiresAt, last_used_at AS lastUsedAt, revoked_at AS revokedAt";

const FORGET = "DELETE FROM tokens WHERE seq IN " +
  "(SELECT seq FROM tokens WHERE revoked_at IS NOT NULL ORDER BY revoked_at DESC, seq DESC LIMIT -1 OFFSET ?)";
