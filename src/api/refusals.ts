/**
 * Tells the audit of requests that were refused: for lack of a token or a scope, of foreign pages, and of every write that
 * a field, a guard, a condition or a limit stopped. Whatever was meant as a secret is taken out before.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import { AUDIT } from "../change/audit_trail.ts";
import { ChangeRefused } from "../change/edit.ts";
import { originOfRefused, secretsTakenOut } from "./origin.ts";
import type { ApiParts } from "./ports.ts";
import { ApiProblem } from "./problem.ts";
import type { Route } from "./route.ts";

/** Looks at each answer, and tells of those that refuse something. */
export function tellOfRefusals(
  { ports }: Pick<ApiParts, "ports">,
  routeOf: (c: Context) => Route | undefined,
): MiddlewareHandler {
  return async (c, next) => {
    await next();
    const { status } = c.res;
    if (status < 400 || !(NOT_LET_IN.has(status) || isWrite(c, routeOf(c)))) return;
    const outcome = status >= 500 ? "failed" : "refused";
    const detail = secretsTakenOut(c, reasonOf(c.error));
    ports.find(AUDIT)?.note({ origin: originOfRefused(c), outcome, status, detail });
  };
}

const NOT_LET_IN: ReadonlySet<number> = new Set([401, 403, 429]);

/** A dry run asks what would happen; that it may not be is its answer. */
function isWrite(c: Context, route: Route | undefined): boolean {
  if (route === undefined || route.method === "get" || c.req.query("dryRun") === "true") return false;
  return route.scope !== "open" && route.scope !== "read";
}

function reasonOf(error: Error | undefined): string {
  if (error instanceof ApiProblem) return error.detail;
  if (error instanceof ChangeRefused) return error.message;
  return "";
}
