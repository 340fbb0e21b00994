/**
 * Tokens come and go here, and with each its row in the audit, in one transaction. That is no commit: tokens are no part
 * of the model, so that a rollback brings no revoked one back, and an export or a plan gives none away.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { type Clock, rfc3339 } from "../clock.ts";
import { newId } from "../model/id.ts";
import { type Scope, TOKEN_PREFIX, tokenNameFault } from "../model/token.ts";
import type { Store } from "../store/store.ts";
import { type StoredToken, TOKENS_MAX } from "../store/tokens.ts";
import { auditedChange } from "./audit_trail.ts";
import { ChangeRefused, type Origin, type RefusalKind } from "./edit.ts";

/** What an author says of a token. */
export interface TokenFields {
  /** What it is called; unique among those that aren't revoked. */
  readonly name: string;
  /** What it allows. */
  readonly scope: Scope;
  /** From when on it counts no more, Unix milliseconds; `null` = it has no end. */
  readonly expiresAt: number | null;
}

/** A new token. */
export interface CreatedToken {
  /** As it is kept. */
  readonly stored: StoredToken;
  /** The token itself, which is kept nowhere. */
  readonly secret: string;
  /** Whether there was none before. */
  readonly isFirst: boolean;
}

/** Latest end of a token, milliseconds from now: ten years. Who wants more wants none. */
export const TOKEN_LIFE_MAX_MS = 3_650 * 24 * 3_600_000;

/** What a token is known by. */
export function tokenDigest(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}

/** Creates and revokes tokens. */
export class TokenChanges {
  readonly #store: Store;
  readonly #clock: Pick<Clock, "unixMs">;

  /** The store stays the caller's to close. */
  constructor({ store, clock }: { readonly store: Store; readonly clock: Pick<Clock, "unixMs"> }) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * Creates a token; in a dry run it only says what would come of it.
   *
   * @throws {ChangeRefused} when a field is wrong, the name is taken, or there are too many
   * @throws {StoreBusy} when another process holds the database for too long
   */
  create(
    fields: TokenFields,
    origin: Origin,
    { dryRun = false }: { readonly dryRun?: boolean } = {},
  ): CreatedToken {
    const nowMs = this.#clock.unixMs();
    this.#expectWritable();
    const { name, scope, expiresAt } = fields;
    const secret = `${TOKEN_PREFIX}${randomBytes(32).toString("base64url")}`;
    const { tokens, audit, database } = this.#store;
    const stored: StoredToken = {
      ...{ id: newId(), name, scope, expiresAt, createdAt: nowMs, createdBy: origin.by },
      ...{ lastUsedAt: null, revokedAt: null },
    };
    return database.transact(() => {
      this.#expectFine(fields, nowMs);
      const isFirst = !tokens.isAnyKept();
      tokens.insert({ ...stored, digest: tokenDigest(secret) });
      const until = expiresAt === null ? "without end" : `until ${rfc3339(expiresAt)}`;
      audit.add({ ...audited(origin, "tokens create", nowMs), detail: `${name}: ${scope}, ${until}` });
      return { stored, secret, isFirst };
    }, () => !dryRun);
  }

  /**
   * Revokes a token at once; one that is revoked already stays as it is.
   *
   * @throws {ChangeRefused} when there is none of this id
   * @throws {StoreBusy} when another process holds the database for too long
   */
  revoke(id: string, origin: Origin, { dryRun = false }: { readonly dryRun?: boolean } = {}): StoredToken {
    const nowMs = this.#clock.unixMs();
    this.#expectWritable();
    const { tokens, audit, database } = this.#store;
    return database.transact(() => {
      const token = tokens.get(id) ?? refuse("not-found", "", `No token has the id "${id}"`);
      if (token.revokedAt !== null) return token;
      tokens.revoke(id, nowMs);
      audit.add({ ...audited(origin, "tokens revoke", nowMs), detail: `${token.name}: ${token.scope}` });
      return { ...token, revokedAt: nowMs };
    }, () => !dryRun);
  }

  #expectWritable(): void {
    if (!this.#store.readOnly) return;
    refuse(
      "invalid",
      "",
      "This node has no database to keep tokens in (database.path is none): set database.path and restart it",
    );
  }

  #expectFine({ name, expiresAt }: TokenFields, nowMs: number): void {
    const { tokens } = this.#store;
    const fault = tokenNameFault(name);
    if (fault !== null) refuse("invalid", "/name", fault);
    if (expiresAt !== null && (expiresAt <= nowMs || expiresAt > nowMs + TOKEN_LIFE_MAX_MS)) {
      refuse(
        "invalid",
        "/expiresAt",
        `expiresAt must lie in the future, at most ten years from now, is ${rfc3339(expiresAt)}`,
      );
    }
    const namesake = tokens.byName(name);
    if (namesake !== null) {
      const state = namesake.expiresAt !== null && namesake.expiresAt <= nowMs ? ", which has expired" : "";
      refuse(
        "duplicate",
        "/name",
        `A token is called "${name}" already${state} (choose another name, or revoke it first)`,
      );
    }
    if (tokens.count() >= TOKENS_MAX) {
      refuse("duplicate", "", `There are ${TOKENS_MAX} tokens, which is the most (revoke some first)`);
    }
  }
}

function audited(origin: Origin, what: string, at: number) {
  const record = auditedChange(origin, at);
  return { ...record, request: record.request === "" ? what : record.request };
}

function refuse(kind: RefusalKind, pointer: string, message: string): never {
  throw new ChangeRefused(kind, [{ pointer, message }]);
}
