/**
 * Who may talk to the API: bearer tokens with what they may do, and two checks that keep web pages out of a loopback API.
 *
 * A browser on the operator's machine can reach `127.0.0.1`. Two ways lead from a foreign page to it, and each has
 * its own lock: a cross-site request carries the page's `Origin`, which isn't ours; a rebound DNS name makes the
 * page same-origin, but then the browser sends that name as `Host`, which isn't ours either.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import { isLoopback, parseIp } from "../ip.ts";
import type { Scope } from "../model/token.ts";
import { ApiProblem } from "./problem.ts";
import { holdBack, remoteAddressOf } from "./request_source.ts";

/** Who is let in. */
export interface Access {
  /** Bearer tokens of the settings, of which each opens everything. */
  readonly tokens: readonly string[];
  /** Whether the API listens on a loopback address: then foreign `Host` names are refused. */
  readonly loopback: boolean;
  /** Host names besides `localhost` and the loopback addresses that clients may use; lower-case. */
  readonly hostnames?: readonly string[];
}

/** What a request was let in with. */
export interface Credential {
  /**
   * `open` = no token is asked for; `settings` = one of `api.tokens`; `token` = one that was created; `none` = it wasn't
   * let in, or asked for what is open to everyone.
   */
  readonly kind: "open" | "settings" | "token" | "none";
  /** The token's id; `null` where it has none. */
  readonly id: string | null;
  /** The token's name; empty where there is none. */
  readonly name: string;
  /** What it allows. */
  readonly scopes: ReadonlySet<Scope>;
}

/**
 * Knows who may do what. What lasts longer than a request (a stream of events) asks to be told when its credential ends:
 *
 * @example
 * ```ts
 * using ending = credentials.onRevoked(credentialOf(c), () => stream.abort());
 * ```
 */
export interface Credentials {
  /**
   * Gives what the bearer of an `Authorization` may do.
   *
   * @throws {ApiProblem} 401 when it is missing or isn't known, 429 when too many wrong ones came from there
   */
  authenticate(attempt: LoginAttempt): Credential;
  /** Whether an attempt isn't looked at, since too many wrong tokens came from there; `null` = `authenticate` judges it. */
  excess(attempt: LoginAttempt): TokenExcess | null;
  /** Whether no token is asked for. */
  readonly isOpen: boolean;
  /** Whether it would be let in again at this moment. */
  isStillValid(credential: Credential): boolean;
  /** Ends what lasts and was let in with what counts no more: to be called when this process creates or revokes a token. */
  endInvalid(): void;
  /** When a token was used last, Unix milliseconds, as far as that isn't kept yet. */
  lastUse(id: string): number | null;
  /** Calls `end` once, within half a second of the end of its validity, unless the result is disposed of before. */
  onRevoked(credential: Credential, end: () => void): Disposable;
}

/** A request that wants to be let in. */
export interface LoginAttempt {
  /** The header; `undefined` = there is none. */
  readonly authorization: string | undefined;
  /** Address of the client; empty when unknown. */
  readonly from: string;
}

/** What a request was let in with. */
export function credentialOf(c: Context): Credential {
  return c.get(CREDENTIAL) ?? NO_CREDENTIAL;
}

const NO_CREDENTIAL: Credential = { kind: "none", id: null, name: "", scopes: new Set() };

const CREDENTIAL = "credential";

/** Refuses requests that a web page elsewhere may have caused (403). */
export function refuseForeignPages(access: Pick<Access, "loopback" | "hostnames">): MiddlewareHandler {
  return async (c, next) => {
    const host = c.req.header("host") ?? new URL(c.req.url).host;
    if (access.loopback && !isOwnHost(host, access.hostnames ?? [])) {
      throw new ApiProblem(403, `Host ${JSON.stringify(host)} is not this node (use localhost or 127.0.0.1)`);
    }
    const origin = c.req.header("origin");
    if (origin !== undefined && URL.parse(origin)?.host !== host.toLowerCase()) {
      throw new ApiProblem(403, `Origin ${JSON.stringify(origin)} is not this node`);
    }
    await next();
  };
}

/** Asks for the scope that a request needs, except where it is `open`: 401 without a token, 403 without the scope. */
export function requireScope(
  credentials: Pick<Credentials, "authenticate">,
  neededFor: (c: Context) => Scope | "open",
): MiddlewareHandler {
  return async (c, next) => {
    const scope = neededFor(c);
    if (scope !== "open") {
      const credential = await authenticated(c, credentials);
      c.set(CREDENTIAL, credential);
      requireOf(credential.scopes, scope);
    }
    await next();
  };
}

async function authenticated(
  c: Context,
  credentials: Pick<Credentials, "authenticate">,
): Promise<Credential> {
  try {
    return credentials.authenticate({
      authorization: c.req.header("authorization"),
      from: remoteAddressOf(c),
    });
  } catch (error) {
    if (error instanceof TooManyWrongTokens) await holdBack(c, error.holdMs);
    throw error;
  }
}

/** Too many wrong tokens came from somewhere. */
export interface TokenExcess {
  /** When another one is looked at, seconds. */
  readonly retryAfterSeconds: number;
  /** For how long the answer is to be held back, milliseconds. */
  readonly holdMs: number;
}

/** What its sender is told. */
export function excessDetail({ retryAfterSeconds }: TokenExcess): string {
  return `Too many wrong tokens came from here (try again in ${retryAfterSeconds} s)`;
}

/** A token that isn't looked at, since too many wrong ones came from there. */
export class TooManyWrongTokens extends ApiProblem {
  /** How long the answer is to be held back, milliseconds. */
  readonly holdMs: number;

  /** Creates the refusal. */
  constructor(excess: TokenExcess) {
    super(429, excessDetail(excess), [], { "retry-after": String(excess.retryAfterSeconds) });
    this.holdMs = excess.holdMs;
  }
}

function requireOf(granted: ReadonlySet<Scope>, scope: Scope): void {
  if (granted.has(scope)) return;
  throw new ApiProblem(
    403,
    `The token lacks the scope ${scope} (it has ${[...granted].join(", ") || "none"})`,
    [],
    {
      "www-authenticate": `Bearer realm="pleiades", error="insufficient_scope", scope="${scope}"`,
    },
  );
}

/** The token of an `Authorization`; `null` = it has none. */
export function bearerToken(authorization: string | undefined): string | null {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1] ?? null;
}

function isOwnHost(host: string, hostnames: readonly string[]): boolean {
  const name = host.toLowerCase().replace(/:\d+$/, "");
  if (name === "localhost" || hostnames.includes(name)) return true;
  const address = parseIp(name.replace(/^\[(.*)\]$/, "$1"));
  return address !== null && isLoopback(address);
}
