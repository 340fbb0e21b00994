/**
 * Tokens of the API: what one may be allowed to do, what its text looks like, and how it is kept out of everything that
 * is written down.
 *
 * A token is `plei_` and 32 random bytes in base64url. So many bits can't be guessed, however fast a digest is worked out:
 * what is kept is its plain SHA-256, and a slow key derivation, which makes up for passwords that people choose, would
 * only slow the API down.
 *
 * @module
 */

/** What a token may be allowed to do; each scope has what those before it have. */
export const SCOPES = [
  /** Look at everything. */
  "read",
  /** Steer for a while: overrides, failback. */
  "operate",
  /** Change the model. */
  "write",
  /** Say who may do what. */
  "admin",
] as const;

/** One of `SCOPES`. */
export type Scope = (typeof SCOPES)[number];

/** A scope with all those that it has in it. */
export function scopesOf(scope: Scope): ReadonlySet<Scope> {
  return new Set(SCOPES.slice(0, SCOPES.indexOf(scope) + 1));
}

/** What every token begins with, so that people and scanners know one when they see it. */
export const TOKEN_PREFIX = "plei_";

/** Longest name of a token, characters. */
export const TOKEN_NAME_MAX = 64;

/** The whole of a token has 43 characters behind the prefix; a part of it is as little meant to be read. */
const TOKEN = /plei_[A-Za-z0-9_-]{16,}/;

/** Whether a text has a token in it, or most of one. */
export function holdsToken(text: string): boolean {
  return TOKEN.test(text);
}

/** The text with nothing but the prefix of the tokens in it. */
export function withoutTokens(text: string): string {
  return text.replaceAll(new RegExp(TOKEN, "g"), `${TOKEN_PREFIX}…`);
}

/** What is wrong with a name that people give to a token or to themselves; `null` = nothing. */
export function tokenNameFault(name: string): string | null {
  if (holdsToken(name)) return "name must not be a token: it is shown to everyone who may read";
  if (name.trim() !== name || name === "" || name.length > TOKEN_NAME_MAX || /[\p{C}\p{Z}]/u.test(name)) {
    return `name must have 1–${TOKEN_NAME_MAX} visible characters and no spaces, is ${
      JSON.stringify(name.slice(0, TOKEN_NAME_MAX))
    }`;
  }
  return null;
}
