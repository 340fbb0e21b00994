/**
 * Who wants what a request asks for, as the history and the audit have it, and how secrets are kept out of both.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Context } from "hono";
import type { Origin, OriginRequest } from "../change/edit.ts";
import { tokenNameFault, withoutTokens } from "../model/token.ts";
import { bearerToken, credentialOf } from "./access.ts";
import { ApiProblem } from "./problem.ts";
import { remoteAddressOf } from "./request_source.ts";
import { TOKEN_AS_REASON } from "./route.ts";

/**
 * Who wants a change: by the name of the token or, where none is asked for, by the name that the request gives.
 *
 * @throws {ApiProblem} 400 when that is no name, or the reason has the token in it
 */
export function originOf(c: Context): Origin {
  const author = authorOf(c);
  if (author.fault !== null) throw new ApiProblem(400, `The header Pleiades-User is wrong: ${author.fault}`);
  const reason = c.req.query("reason") ?? "";
  if (credentialOf(c).kind !== "open" && secretsTakenOut(c, reason) !== reason) {
    throw new ApiProblem(400, TOKEN_AS_REASON);
  }
  return { via: "api", by: author.name, reason, request: requestOf(c) };
}

/** The same of a request that was refused, whatever is wrong with it. */
export function originOfRefused(c: Context): Origin {
  const { name } = authorOf(c);
  return {
    via: "api",
    by: name,
    reason: secretsTakenOut(c, c.req.query("reason") ?? ""),
    request: requestOf(c),
  };
}

/** What is known of a request by its head alone. */
export interface UnreadRequest {
  /** As it was sent. */
  readonly method: string;
  /** Of the URL, as routes are found by it. */
  readonly path: string;
  /** Of the URL. */
  readonly query: URLSearchParams;
  /** The header; `undefined` = there is none. */
  readonly authorization: string | undefined;
  /** Address of the client. */
  readonly from: string;
}

/** The origin of a request that was refused by its head, before anyone asked who sent it. */
export function originOfUnread({ method, path, query, authorization, from }: UnreadRequest): Origin {
  const shown = (text: string) => withoutOwn(text, tokenOf(authorization));
  const line = requestLine(method, path, (name) => query.get(name) ?? undefined);
  return {
    ...{ via: "api", by: "", reason: shown(query.get("reason") ?? "") },
    request: { from, line: shown(line), tokenId: null },
  };
}

/** A text without what may be a token: one that was created, or the one that the request was made with. */
export function secretsTakenOut(c: Context, text: string): string {
  return withoutOwn(text, ownToken(c));
}

/** A text without what may be a token: one that was created, or this one. */
export function withoutOwn(text: string, own: string | null): string {
  return withoutTokens(own === null ? text : text.replaceAll(own, "…"));
}

/** The token that a request was made with, right or wrong; `null` = none, or one so short that it may be a word. */
export function ownToken(c: Context): string | null {
  return tokenOf(c.req.header("authorization"));
}

/** What is sent may end in the history, in exports and in answers; a token of the settings looks like any other word. */
export function refuseOwnToken(c: Context, body: string | Uint8Array): void {
  const token = ownToken(c);
  if (token === null || credentialOf(c).kind === "open") return;
  if (
    !(typeof body === "string" ? body : Buffer.from(body.buffer, body.byteOffset, body.length)).includes(
      token,
    )
  ) {
    return;
  }
  const message = "The body has the token in it that the request is made with (take it out)";
  throw new ApiProblem(400, message, [{ pointer: "", message }]);
}

/** The same of a header. */
export function tokenOf(authorization: string | undefined): string | null {
  const token = bearerToken(authorization);
  return token !== null && token.length >= OWN_TOKEN_MIN ? token : null;
}

const OWN_TOKEN_MIN = 12;

/** The header in which the shell says who typed a command; believed only where no token is asked for. */
const USER_HEADER = "pleiades-user";

function authorOf(c: Context): { readonly name: string; readonly fault: string | null } {
  const { kind, name } = credentialOf(c);
  const claimed = kind === "open" ? c.req.header(USER_HEADER) : undefined;
  if (claimed === undefined) return { name, fault: null };
  const user = decoded(claimed);
  const fault = user === null ? "it must be percent-encoded UTF-8" : tokenNameFault(user);
  return { name: fault === null ? user! : "", fault };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function requestOf(c: Context): OriginRequest {
  const line = requestLine(c.req.method, c.req.path, (name) => c.req.query(name));
  return { from: remoteAddressOf(c), line: secretsTakenOut(c, line), tokenId: credentialOf(c).id };
}

/** Of the query only what says how the request is meant. */
function requestLine(method: string, path: string, query: (name: string) => string | undefined): string {
  const flags = ["dryRun", "force"].filter((name) => query(name) === "true").map((name) => `${name}=true`);
  return `${method} ${path}${flags.length > 0 ? `?${flags.join("&")}` : ""}`;
}
