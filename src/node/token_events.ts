/**
 * Tells of tokens of the API that come and go. It looks at what is kept, so that one that another process created or
 * revoked in the file is told of too; the audit has the author.
 *
 * @module
 */
import type { NodeEvent } from "../events/event.ts";
import type { StoredToken } from "../store/tokens.ts";
import type { Start } from "./part.ts";

/** How often it looks: one number is read. */
export const TOKEN_LOOK_MS = 1_000;

/** Tells what differs from the tokens of the start, and from one look to the next. */
export const tokenEvents: Start = ({ store: { tokens, readOnly }, events, clock, log }) => {
  if (readOnly) return null;
  const ending = new AbortController();
  const { signal } = ending;
  const follow = async () => {
    let mark = tokens.mark();
    let before = byId(tokens.all());
    while (!signal.aborted) {
      await clock.sleep(TOKEN_LOOK_MS, signal);
      if (signal.aborted || tokens.mark() === mark) continue;
      mark = tokens.mark();
      const now = byId(tokens.all());
      for (const event of differences(before, now)) events.emit(event);
      before = now;
    }
  };
  const following = follow().catch((error) => log.error("Tokens can't be followed any more", { error }));
  return {
    name: "tokens as events",
    [Symbol.asyncDispose]: () => {
      ending.abort();
      return following;
    },
  };
};

type TokensById = ReadonlyMap<string, StoredToken>;

function byId(tokens: readonly StoredToken[]): TokensById {
  return new Map(tokens.map((token) => [token.id, token]));
}

function* differences(before: TokensById, now: TokensById): Generator<NodeEvent> {
  for (const [id, token] of now) {
    const known = before.get(id);
    if (known === undefined) yield eventOf("created", token);
    if (token.revokedAt !== null && (known === undefined || known.revokedAt === null)) {
      yield eventOf("revoked", token);
    }
  }
  for (const [id, token] of before) {
    // Revoked ones are forgotten at some time; a row that was deleted by hand is no token any more, either.
    if (!now.has(id) && token.revokedAt === null) yield eventOf("revoked", token);
  }
}

function eventOf(change: "created" | "revoked", { id: tokenId, name, scope }: StoredToken): NodeEvent {
  return { kind: "token", change, tokenId, name, scope };
}
