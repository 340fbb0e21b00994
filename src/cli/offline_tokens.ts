/**
 * Tokens in a database file, with no node or beside one: how the first one is created where the API is open to no one yet,
 * and the way back in where the last one was lost. A running node goes by what is written at its next request.
 *
 * @module
 */
import { TokenChanges } from "../change/token_changes.ts";
import { ChangeRefused } from "../change/edit.ts";
import { rfc3339, systemClock } from "../clock.ts";
import { parseDuration } from "../input/duration.ts";
import { type Scope, SCOPES } from "../model/token.ts";
import { SCHEMA_VERSION } from "../store/schema.ts";
import { inspect, Store } from "../store/store.ts";
import type { StoredToken } from "../store/tokens.ts";
import type { JsonObject } from "./client.ts";
import { databasePath } from "./database_path.ts";
import { CommandFailed } from "./failure.ts";
import { authorName } from "./login_name.ts";
import type { Terminal } from "./terminal.ts";
import type { TokenKeeper, TokenOptions } from "./tokens.ts";

/** Tokens of the file that the options name. @throws {CommandFailed} when it isn't this program's to write */
export function offlineTokens(options: TokenOptions, terminal: Terminal): TokenKeeper {
  const path = databasePath(options);
  const { dryRun = false, reason = "" } = options;
  const origin = { via: "cli", by: authorName(terminal) ?? "", reason };
  const within = <Result>(work: (store: Store) => Result): Promise<Result> => {
    const isNew = expectOwn(path);
    using store = Store.open(path);
    if (isNew) terminal.err(`note: made the database ${path}; it must belong to the user of the node`);
    try {
      return Promise.resolve(work(store));
    } catch (error) {
      if (!(error instanceof ChangeRefused)) throw error;
      throw new CommandFailed(error.message, 1, { cause: error });
    }
  };
  const changes = (store: Store) => new TokenChanges({ store, clock: systemClock });
  return {
    list: () => within((store) => store.tokens.all().map(({ digest: _, ...token }) => shown(token))),
    create: ({ name, scope, expiresIn }) =>
      within((store) => {
        const expiresAt = expiresIn === null ? null : systemClock.unixMs() + parseDuration(expiresIn)!;
        const made = changes(store).create({ name, scope: scopeOf(scope), expiresAt }, origin, { dryRun });
        if (made.isFirst && !dryRun) {
          terminal.err("note: this is the first token: from now on the API asks for one, on loopback, too");
        }
        return { ...shown(made.stored), ...(!dryRun && { token: made.secret }) };
      }),
    revoke: (id) => within((store) => void changes(store).revoke(id, origin, { dryRun })),
  };
}

/** Whether the file is yet to be made. One of an older program is its node's to bring up to date, which may be running. */
function expectOwn(path: string): boolean {
  const inspection = inspect(path, "name the database with --db FILE");
  if (inspection !== null && inspection.version < SCHEMA_VERSION) {
    throw new CommandFailed(
      `${path} is a database of an older version: start the node of this version once, which brings it up to date`,
    );
  }
  return inspection === null;
}

function scopeOf(text: string): Scope {
  const scope = SCOPES.find((each) => each === text);
  if (scope === undefined) throw new CommandFailed(`No scope is called "${text}" (${SCOPES.join(", ")})`);
  return scope;
}

function shown(token: StoredToken): JsonObject {
  const { id, name, scope, createdAt, createdBy, expiresAt, lastUsedAt, revokedAt } = token;
  const isOver = expiresAt !== null && expiresAt <= systemClock.unixMs();
  const time = (unixMs: number | null) => unixMs === null ? null : rfc3339(unixMs);
  return {
    ...{ id, name, scope, state: revokedAt !== null ? "revoked" : isOver ? "expired" : "valid" },
    ...{ createdAt: rfc3339(createdAt), createdBy, expiresAt: time(expiresAt) },
    ...{ lastUsedAt: time(lastUsedAt), revokedAt: time(revokedAt) },
  };
}
