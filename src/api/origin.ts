/**
 * Who wants what a request asks for, as the history and the audit have it, and how secrets are kept out of both.
 *
 * @module
 */
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

/** A text without what may be a token: one that was created, or the one that the request was made with. */
export function secretsTakenOut(c: Context, text: string): string {
  const own = ownToken(c);
  return withoutTokens(own === null ? text : text.replaceAll(own, "…"));
}

/** The token that a request was made with, right or wrong; `null` = none, or one so short that it may be a word. */
export function ownToken(c: Context): string | null {
  const token = bearerToken(c.req.header("authorization"));
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

/** Of the query only what says how the request is meant. */
function requestOf(c: Context): OriginRequest {
  const { method, path } = c.req;
  const flags = ["dryRun", "force"].filter((name) => c.req.query(name) === "true").map((name) =>
    `${name}=true`
  );
  const line = `${method} ${path}${flags.length > 0 ? `?${flags.join("&")}` : ""}`;
  return { from: remoteAddressOf(c), line: secretsTakenOut(c, line), tokenId: credentialOf(c).id };
}
