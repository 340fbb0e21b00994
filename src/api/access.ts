/**
 * Who may talk to the API: bearer tokens with what they may do, and two checks that keep web pages out of a loopback API.
 *
 * A browser on the operator's machine can reach `127.0.0.1`. Two ways lead from a foreign page to it, and each has
 * its own lock: a cross-site request carries the page's `Origin`, which isn't ours; a rebound DNS name makes the
 * page same-origin, but then the browser sends that name as `Host`, which isn't ours either.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { isLoopback, parseIp } from "../ip.ts";
import { ApiProblem } from "./problem.ts";

/** Who is let in. */
export interface Access {
  /** Bearer tokens of which each opens everything; empty = no login is needed. */
  readonly tokens: readonly string[];
  /** Whether the API listens on a loopback address: then foreign `Host` names are refused. */
  readonly loopback: boolean;
  /** Host names besides `localhost` and the loopback addresses that clients may use; lower-case. */
  readonly hostnames?: readonly string[];
}

/** What a token may be allowed to do. */
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

/** What a request was let in with. */
export interface Credential {
  /** `open` = no token was asked for; `settings` = one of `api.tokens`; `token` = one that was created. */
  readonly kind: "open" | "settings" | "token";
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
   * @throws {ApiProblem} 401 when it is missing or isn't known
   */
  authenticate(attempt: LoginAttempt): Credential;
  /** Whether it would be let in again at this moment. */
  isStillValid(credential: Credential): boolean;
  /** Calls `end` once, within a second of the end of its validity, unless the result is disposed of before. */
  onRevoked(credential: Credential, end: () => void): Disposable;
}

/** A request that wants to be let in. */
export interface LoginAttempt {
  /** The header; `undefined` = there is none. */
  readonly authorization: string | undefined;
}

/** What a request was let in with; routes that are open to everyone have the same for all. */
export function credentialOf(c: Context): Credential {
  return c.get(CREDENTIAL) ?? OPEN;
}

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
      const credential = credentials.authenticate({ authorization: c.req.header("authorization") });
      c.set(CREDENTIAL, credential);
      requireOf(credential.scopes, scope);
    }
    await next();
  };
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

const EVERYTHING: ReadonlySet<Scope> = new Set(SCOPES);
const OPEN: Credential = { kind: "open", id: null, name: "", scopes: EVERYTHING };
const OF_SETTINGS: Credential = { kind: "settings", id: null, name: "settings token", scopes: EVERYTHING };

/** Knows the bearer tokens of the settings (RFC 6750 §2.1), each of which may do everything; where there are none, none is asked for. */
export function credentialsOfSettings({ tokens }: Pick<Access, "tokens">): Credentials {
  const digests = tokens.map(digest);
  return {
    authenticate: ({ authorization }) => {
      if (digests.length === 0) return OPEN;
      checkToken(authorization, digests);
      return OF_SETTINGS;
    },
    // They change with a restart only, which ends every connection.
    isStillValid: () => true,
    onRevoked: () => ({ [Symbol.dispose]: () => {} }),
  };
}

function checkToken(authorization: string | undefined, digests: readonly Uint8Array[]): void {
  const token = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  if (token === undefined) {
    throw unauthorized("A token is needed (send Authorization: Bearer TOKEN)", `Bearer realm="pleiades"`);
  }
  const given = digest(token);
  // Every token is compared, so that the time doesn't say which one came close.
  const matches = digests.filter((expected) => timingSafeEqual(given, expected));
  if (matches.length === 0) {
    throw unauthorized("The token is not known", `Bearer realm="pleiades", error="invalid_token"`);
  }
}

function unauthorized(detail: string, challenge: string): ApiProblem {
  return new ApiProblem(401, detail, [], { "www-authenticate": challenge });
}

/** Digests have one length whatever the token's, as a comparison in constant time needs. */
function digest(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

function isOwnHost(host: string, hostnames: readonly string[]): boolean {
  const name = host.toLowerCase().replace(/:\d+$/, "");
  if (name === "localhost" || hostnames.includes(name)) return true;
  const address = parseIp(name.replace(/^\[(.*)\]$/, "$1"));
  return address !== null && isLoopback(address);
}
