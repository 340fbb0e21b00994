/**
 * Who is known by which token: those of the settings, which may do everything, and those that were created.
 *
 * Where no token was ever set or created, a loopback API asks for none; from the first one on it asks for ever, also when
 * the last one is revoked or has expired. A token that was created is looked up by its digest, in memory; another process
 * may create and revoke some at any time (`tokens --db`), which each request notices by a number in the database.
 *
 * **Guessing.** What has 32 random characters can't be guessed, so such a token always works, however many wrong ones its
 * network sends: an attacker behind the same proxy locks its owner out of nothing. A shorter one of the settings might be
 * guessed; it is looked at only as often as `LoginLimiter` allows, right or wrong.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../clock.ts";
import { clientNetwork } from "../ip.ts";
import { scopesOf } from "../model/token.ts";
import { StoreBusy } from "../store/database.ts";
import type { Store } from "../store/store.ts";
import type { KnownToken } from "../store/tokens.ts";
import type { Logger } from "../telemetry/log.ts";
import {
  type Access,
  bearerToken,
  type Credential,
  type Credentials,
  type LoginAttempt,
  type TokenExcess,
  TooManyWrongTokens,
} from "./access.ts";
import { LoginLimiter } from "./login_limiter.ts";
import { ApiProblem } from "./problem.ts";

/** What tokens are known from. */
export interface KnownTokensOptions {
  /** Has those of the settings. */
  readonly access: Pick<Access, "tokens" | "loopback">;
  /** Has those that were created. */
  readonly store: Pick<Store, "tokens">;
  /** Dates uses and ends. */
  readonly clock: Clock;
  /** Hears when uses can't be kept. */
  readonly log: Logger;
}

/**
 * How soon it is noticed by what lasts that a token expires, or is revoked by another process, milliseconds; a request
 * notices it at once.
 */
const LOOK_INTERVAL_MS = 250;
/** Looks until uses are written: a minute, so that a busy token isn't a busy disk. */
const LOOKS_A_WRITE = 240;
/** A text of so many characters can't be guessed, unless a person chose it. */
const UNGUESSABLE_LENGTH = 32;
/** Characters of a token by which wrong ones are counted together: the prefix and 36 bits. */
const BEGINNING_LENGTH = 11;

const EVERYTHING = scopesOf("admin");
const OPEN: Credential = { kind: "open", id: null, name: "", scopes: EVERYTHING };

/** Whoever gets as far as here may do everything: others decide who may connect. */
export const EVERYONE: Credentials = {
  authenticate: () => OPEN,
  excess: () => null,
  isOpen: true,
  isStillValid: () => true,
  endInvalid: () => {},
  lastUse: () => null,
  onRevoked: () => ({ [Symbol.dispose]: () => {} }),
};
const OF_SETTINGS: Credential = { kind: "settings", id: null, name: "settings token", scopes: EVERYTHING };

/** Knows the bearer tokens of a node (RFC 6750 §2.1). */
export class KnownTokens implements Credentials {
  readonly #options: KnownTokensOptions;
  readonly #ofSettings: readonly { readonly digest: Uint8Array; readonly isGuessable: boolean }[];
  readonly #limiter: LoginLimiter;
  #mark = NaN;
  #byDigest = new Map<string, KnownToken>();
  #byId = new Map<string, KnownToken>();
  /** When tokens were used, by their ids, as far as it isn't kept yet. */
  #uses = new Map<string, number>();
  readonly #waiting = new Set<Waiting>();

  /** Knows those of this moment. */
  constructor(options: KnownTokensOptions) {
    this.#options = options;
    this.#ofSettings = options.access.tokens.map((token) => ({
      digest: digestOf(token),
      isGuessable: token.length < UNGUESSABLE_LENGTH,
    }));
    this.#limiter = new LoginLimiter(options.clock);
    this.#refresh();
  }

  /** Whether no token is asked for. */
  get isOpen(): boolean {
    this.#refresh();
    return this.#isOpenNow;
  }

  /** Gives what the bearer of an `Authorization` may do. @throws {ApiProblem} 401, or 429 for too many wrong ones */
  authenticate({ authorization, from }: LoginAttempt): Credential {
    if (this.isOpen) return OPEN;
    const token = bearerToken(authorization);
    if (token === null) {
      throw new ApiProblem(401, "A token is needed (send Authorization: Bearer TOKEN)", [], {
        "www-authenticate": REALM,
      });
    }
    const excess = this.excess({ authorization, from });
    if (excess !== null) throw new TooManyWrongTokens(excess);
    const digest = digestOf(token);
    const known = this.#byDigest.get(keyOf(digest));
    if (known) return this.#entered(known);
    if (this.#isOfSettings(digest)) return OF_SETTINGS;
    this.#limiter.count(alikeOf(token, from));
    throw invalidToken("is not known");
  }

  /** Whether an attempt isn't looked at, since too many wrong tokens came from there; `null` = `authenticate` judges it. */
  excess({ authorization, from }: LoginAttempt): TokenExcess | null {
    const token = bearerToken(authorization);
    if (token === null) return null;
    const alike = alikeOf(token, from);
    const waitMs = this.#limiter.waitMs(alike);
    if (waitMs === 0 || this.isOpen) return null;
    const digest = digestOf(token);
    if (this.#byDigest.has(keyOf(digest))) return null;
    if (this.#ofSettings.some((each) => !each.isGuessable && timingSafeEqual(digest, each.digest))) {
      return null;
    }
    return { retryAfterSeconds: Math.ceil(waitMs / 1000), holdMs: this.#limiter.refusalWaitMs(alike[0]) };
  }

  /** Whether it would be let in again at this moment. */
  isStillValid(credential: Credential): boolean {
    this.#refresh();
    return this.#isValid(credential);
  }

  /** Calls `end` once, within half a second of the end of its validity, unless the result is disposed of before. */
  onRevoked(credential: Credential, end: () => void): Disposable {
    const waiting = { credential, end };
    this.#waiting.add(waiting);
    return { [Symbol.dispose]: () => void this.#waiting.delete(waiting) };
  }

  /** Ends what lasts and was let in with what counts no more, of which this process has just heard. */
  endInvalid(): void {
    if (this.#waiting.size === 0) return;
    this.#refresh();
    for (const waiting of this.#waiting) {
      if (this.#isValid(waiting.credential)) continue;
      this.#waiting.delete(waiting);
      try {
        waiting.end();
      } catch (error) {
        this.#options.log.error("What a revoked token was used for can't be ended", { error });
      }
    }
  }

  /** When a token was used last, Unix milliseconds, as far as that isn't kept yet. */
  lastUse(id: string): number | null {
    return this.#uses.get(id) ?? null;
  }

  /** Follows what becomes of tokens, and keeps their uses, until the result is disposed of. */
  follow(): AsyncDisposable {
    const ending = new AbortController();
    const following = this.#follow(ending.signal);
    return {
      [Symbol.asyncDispose]: async () => {
        ending.abort();
        await following;
        this.#keepUses();
      },
    };
  }

  /** Of the tokens as they were read last. */
  #isValid({ kind, id }: Credential): boolean {
    if (kind === "settings" || kind === "none") return true;
    if (kind === "open") return this.#isOpenNow;
    const known = this.#byId.get(id ?? "");
    return known !== undefined && this.#counts(known);
  }

  get #isOpenNow(): boolean {
    return this.#options.access.loopback && this.#ofSettings.length === 0 && this.#byId.size === 0;
  }

  /** What no longer counts was no guess: it is refused as often as it comes. */
  #entered(known: KnownToken): Credential {
    const { id, name, scope, revokedAt } = known;
    if (!this.#counts(known)) {
      throw invalidToken(`"${name}" ${revokedAt === null ? "has expired" : "was revoked"}`);
    }
    this.#uses.set(id, this.#options.clock.unixMs());
    return { kind: "token", id, name, scopes: scopesOf(scope) };
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for (let look = 1; !signal.aborted; look++) {
      await this.#options.clock.sleep(LOOK_INTERVAL_MS, signal);
      if (signal.aborted) return;
      this.endInvalid();
      if (look % LOOKS_A_WRITE === 0) this.#keepUses();
    }
  }

  #keepUses(): void {
    if (this.#uses.size === 0) return;
    try {
      this.#options.store.tokens.noteUsed(this.#uses);
      this.#uses = new Map();
    } catch (error) {
      if (error instanceof StoreBusy) return; // once more in a minute
      this.#options.log.error("When tokens were used can't be kept", { error });
    }
  }

  #refresh(): void {
    const { tokens } = this.#options.store;
    const mark = tokens.mark();
    if (mark === this.#mark) return;
    const all = tokens.all();
    this.#byDigest = new Map(all.map((token) => [keyOf(token.digest), token]));
    this.#byId = new Map(all.map((token) => [token.id, token]));
    this.#mark = mark;
  }

  #counts({ expiresAt, revokedAt }: KnownToken): boolean {
    return revokedAt === null && (expiresAt === null || expiresAt > this.#options.clock.unixMs());
  }

  /** Every token is compared, so that the time doesn't say which one came close. */
  #isOfSettings(given: Uint8Array): boolean {
    return this.#ofSettings.filter(({ digest }) => timingSafeEqual(given, digest)).length > 0;
  }
}

/** By what wrong tokens are counted together. */
function alikeOf(token: string, from: string): readonly [network: string, beginning: string] {
  return [`from ${clientNetwork(from)}`, `token ${token.slice(0, BEGINNING_LENGTH)}`];
}

interface Waiting {
  readonly credential: Credential;
  readonly end: () => void;
}

const REALM = `Bearer realm="pleiades"`;

function invalidToken(state: string): ApiProblem {
  return new ApiProblem(401, `The token ${state}`, [], {
    "www-authenticate": `${REALM}, error="invalid_token"`,
  });
}

/** Digests have one length whatever the token's, as a comparison in constant time needs. */
function digestOf(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

function keyOf(digest: Uint8Array): string {
  return digest.toHex();
}
