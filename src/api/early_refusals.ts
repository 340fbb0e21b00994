/**
 * Refuses by its head alone what comes from where too many wrong tokens came from: no body is read, no application is
 * asked, and nothing is made that only a request needs which is answered. Such requests come as fast as their sender
 * likes, on the thread on which right ones are answered, so each must cost as little as can be.
 *
 * What is told of them is the same as of others: an answer, a count, a line in the log at debug and an attempt in the audit.
 *
 * @module
 */
import { AUDIT } from "../change/audit_trail.ts";
import { excessDetail } from "./access.ts";
import { countedMethod, scopeOf } from "./api.ts";
import { ANSWER_HEADERS } from "./http_answer.ts";
import type { App, ShortAnswer } from "./http_connection.ts";
import { originOfUnread, tokenOf, withoutOwn } from "./origin.ts";
import type { ApiParts } from "./ports.ts";
import { PROBLEM_TYPE, problemDocument } from "./problem.ts";
import { type Resource, routesOf } from "./resource.ts";
import { RouteTable } from "./route_table.ts";
import { RESOURCES } from "./routes.ts";

const STATUS = 429;

/** Makes what refuses requests before the application of `createApi` is asked. */
export function earlyRefusals(
  { auth, credentials, ports, observe, log }: ApiParts,
  resources: readonly Resource[] = RESOURCES,
): Required<App>["refuse"] {
  const table = new RouteTable(routesOf(resources));
  return ({ method, url, headers }, { remoteAddress: from }): ShortAnswer | null => {
    const authorization = headers.get("authorization") ?? undefined;
    const excess = credentials.excess({ authorization, from });
    if (excess === null) return null;
    const { pathname: path, searchParams: query } = new URL(url);
    if (scopeOf({ method, path }, { table, auth }) === "open") return null;
    const { holdMs, retryAfterSeconds } = excess;
    const detail = excessDetail(excess);
    const instance = withoutOwn(path, tokenOf(authorization));
    const origin = originOfUnread({ method, path, query, authorization, from });
    ports.find(AUDIT)?.note({ origin, outcome: "refused", status: STATUS, detail });
    const route = table.find(method, path)?.path ?? "unknown";
    observe?.({ method: countedMethod(method), route, status: STATUS, durationMs: holdMs });
    log.debug("Request", { method, path: instance, status: STATUS, durationMs: holdMs });
    return {
      status: STATUS,
      headers: {
        ...ANSWER_HEADERS,
        "content-type": PROBLEM_TYPE,
        "retry-after": String(retryAfterSeconds),
      },
      body: JSON.stringify(problemDocument({ status: STATUS, detail }, instance)),
      holdMs,
    };
  };
}
