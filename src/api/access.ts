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

/**
 * Gives what the bearer of an `Authorization` may do.
 *
 * @throws {ApiProblem} 401 when it is missing or isn't known
 */
export type Authenticate = (authorization: string | undefined) => ReadonlySet<Scope>;

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
  authenticate: Authenticate,
  neededFor: (c: Context) => Scope | "open",
): MiddlewareHandler {
  return async (c, next) => {
    const scope = neededFor(c);
    if (scope !== "open") requireOf(authenticate(c.req.header("authorization")), scope);
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

/** Knows bearer tokens (RFC 6750 §2.1), each of which may do everything; where there are none, none is asked for. */
export function tokensOfSettings(tokens: readonly string[]): Authenticate {
  const digests = tokens.map(digest);
  return (authorization) => {
    if (digests.length > 0) checkToken(authorization, digests);
    return EVERYTHING;
  };
}

const EVERYTHING: ReadonlySet<Scope> = new Set(SCOPES);

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
