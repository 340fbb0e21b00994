/**
 * The REST API: what stands around every route, and the routes themselves.
 *
 * A request passes, in this order: the count and log of requests, the checks that keep foreign web pages out, the
 * bearer token, the body's type and size, the memory of idempotent writes, the validation that its route
 * declares, and the handler. Handlers return what is asked for and throw everything else (`problem.ts`). Writes go
 * through `change/` alone, so whatever is refused has changed nothing.
 *
 * @module
 */
import { type Hook, OpenAPIHono } from "@hono/zod-openapi";
import { type Context, type Env, Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { EXPOSITION_CONTENT_TYPE } from "../telemetry/metrics.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Scope } from "../model/token.ts";
import { type Access, refuseForeignPages, requireScope } from "./access.ts";
import { ANSWER_HEADERS } from "./http_answer.ts";
import { rememberAnswers } from "./idempotency.ts";
import { readJsonBody } from "./json_body.ts";
import { METRICS_PATH } from "./node.ts";
import { openApiDocument } from "./openapi.ts";
import { refuseOwnToken, secretsTakenOut } from "./origin.ts";
import type { ApiParts } from "./ports.ts";
import { ApiProblem, invalidFields, invalidParameters, problemResponse } from "./problem.ts";
import type { OpenApiDocument } from "./reference.ts";
import { tellOfRefusals } from "./refusals.ts";
import { laterAnswerOf } from "./request_source.ts";
import { type Resource, routesOf } from "./resource.ts";
import { acceptsIdempotencyKey, type Route } from "./route.ts";
import { RouteTable } from "./route_table.ts";
import { RESOURCES } from "./routes.ts";
import { answerPlans } from "./write.ts";

/** Largest JSON body, bytes; the largest sensible object has a few KiB. */
export const BODY_BYTES_MAX = 1 << 20;

/** Builds the API as an application that answers requests, with no socket yet (`server.ts` has one). */
export function createApi(parts: ApiParts, resources: readonly Resource[] = RESOURCES): OpenAPIHono {
  const app = new OpenAPIHono({ defaultHook: refuseInvalid });
  const table = new RouteTable(routesOf(resources));
  const { auth, clock, credentials, version } = parts;
  app.onError((error, c) => failed(error, c, parts));
  app.notFound((c) => failed(noRoute(c, table), c, parts));
  app.use(observeRequest(parts, table));
  app.use(tellOfRefusals(parts, (c) => table.find(c.req.method, c.req.path)));
  app.use(refuseForeignPages(auth));
  app.use(requireScope(credentials, (c) => scopeOf(c.req, { table, auth })));
  app.use(limitBody(table));
  app.use(requireBodyType(table));
  app.use(answerPlans);
  app.use(rememberAnswers(clock, (c) => keyedRoute(c, table)));
  const documents = new Map<boolean, OpenApiDocument>();
  const describe = () => {
    const secured = !credentials.isOpen;
    const document = documents.get(secured) ?? openApiDocument({ version, secured, resources });
    documents.set(secured, document);
    return document;
  };
  for (const { serve } of resources) serve(app, { ...parts, describe });
  return app;
}

/** Serves nothing but `/metrics`, for a listener of its own (`metrics.listenAddr`); it asks for no token. */
export function createMetricsApp({ expose, access, log }: MetricsParts): Hono {
  const app = new Hono();
  app.onError((error, c) => failed(error, c, { log }));
  app.notFound((c) => failed(new ApiProblem(404, `Nothing is at ${c.req.path} (see /metrics)`), c, { log }));
  app.use(refuseForeignPages(access));
  app.get(
    METRICS_PATH,
    async (c) => c.text(await expose(), 200, { "content-type": EXPOSITION_CONTENT_TYPE }),
  );
  return app;
}

/** What `createMetricsApp` works with. */
export interface MetricsParts {
  /** Gives the exposition. */
  readonly expose: () => Promise<string>;
  /** Whether the listener is on a loopback address: then foreign `Host` names are refused here too. */
  readonly access: Pick<Access, "loopback" | "hostnames">;
  /** Gets failures. */
  readonly log: Logger;
}

/** What declared schemas refuse; an id that can't be one is an object that isn't there. */
const refuseInvalid: Hook<unknown, Env, string, unknown> = (result, c) => {
  if (result.success) return;
  if (result.target === "param") throw new ApiProblem(404, `Nothing is at ${c.req.path}`);
  if (result.target === "json") throw invalidFields(result.error.issues);
  throw invalidParameters(result.error.issues);
};

function failed(error: Error, c: Context, { log }: Pick<ApiParts, "log">): Response {
  const { method } = c.req;
  const shown = (text: string) => secretsTakenOut(c, text);
  const instance = shown(c.req.path);
  return problemResponse(error, {
    instance,
    shown,
    unforeseen: (error) => log.error("Request failed", { method, path: instance, error }),
  });
}

function noRoute(c: Context, table: RouteTable): ApiProblem {
  const { method, path } = c.req;
  const methods = table.methods(path);
  if (methods.length === 0) return new ApiProblem(404, `Nothing is at ${path} (see /docs/api)`);
  const allow = methods.join(", ");
  return new ApiProblem(405, `${method} isn't possible at ${path} (possible: ${allow})`, [], { allow });
}

/**
 * What a token must be allowed to do for a request. A method that a path hasn't needs what the path's first route does;
 * an unknown path needs to be allowed to read, so that without a token no one learns which there are.
 */
export function scopeOf(
  { method, path }: { readonly method: string; readonly path: string },
  { table, auth: { loopback } }: { readonly table: RouteTable; readonly auth: Pick<Access, "loopback"> },
): Scope | "open" {
  const route = table.find(method, path) ?? table.at(path)[0];
  if (!route) return "read";
  return loopback && route.isOpenOnLoopback ? "open" : route.scope;
}

/** Methods that are counted under their own name; a client may send any word. */
const KNOWN_METHODS: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
]);

/** Under what a method is counted. */
export function countedMethod(method: string): string {
  return KNOWN_METHODS.has(method) ? method : "other";
}

/** Counts every request, and gives its answer the headers that all answers have. */
function observeRequest({ observe, clock, log }: ApiParts, table: RouteTable): MiddlewareHandler {
  return async (c, next) => {
    const startMs = clock.monotonicMs();
    await next();
    const method = countedMethod(c.req.method);
    const path = secretsTakenOut(c, c.req.path);
    const route = table.find(c.req.method, c.req.path)?.path ?? "unknown";
    const answered = ({ status }: { readonly status: number }) => {
      const durationMs = clock.monotonicMs() - startMs;
      observe?.({ method, route, status, durationMs });
      log.debug("Request", { method: c.req.method, path, status, durationMs });
    };
    const later = laterAnswerOf(c);
    if (later !== null) return void later.then(({ answer }) => answered(answer));
    // Not by the context, which makes another response for each of them.
    for (const [name, value] of Object.entries(ANSWER_HEADERS)) c.res.headers.set(name, value);
    answered(c.res);
  };
}

/** Refuses bodies of a media type that the route doesn't declare, or any (415), and JSON that can't be read (400). */
function requireBodyType(table: RouteTable): MiddlewareHandler {
  return async (c, next) => {
    const route = table.find(c.req.method, c.req.path);
    const content = route?.request?.body?.content;
    if (content) await checkBodyType(c, Object.keys(content), route.bodyBytesMax === "counted");
    else if (route?.method === "post" && c.req.raw.body !== null) {
      throw new ApiProblem(415, "This call takes no body (its parameters are in the URL)");
    }
    await next();
  };
}

/** @param isStream whether the handler reads the body, so that nothing of it is read here */
async function checkBodyType(c: Context, possible: readonly string[], isStream: boolean): Promise<void> {
  const type = (c.req.header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  const encoding = c.req.header("content-encoding") ?? "identity";
  if (!possible.includes(type) || encoding !== "identity") {
    const given = encoding !== "identity"
      ? `Content-Encoding ${encoding}`
      : `Content-Type ${type || "missing"}`;
    throw new ApiProblem(415, `${given} can't be read here (send ${possible.join(" or ")}, not compressed)`);
  }
  if (isStream || !/[/+]json$/.test(type)) return;
  const text = await c.req.text();
  const value = readJsonBody(text);
  refuseOwnToken(c, text);
  // Or it would be read a second time to be checked by its schema.
  c.req.json = <T>() => Promise.resolve(value as T);
}

/** Refuses bodies that are too large (413). */
function limitBody(table: RouteTable): MiddlewareHandler {
  return (c, next) => {
    const { bodyBytesMax: maxSize = BODY_BYTES_MAX } = table.find(c.req.method, c.req.path) ?? {};
    if (maxSize === "counted") return next();
    const onError = () => {
      throw new ApiProblem(
        413,
        `The body has more than ${maxSize} bytes, which is the most that is read here`,
      );
    };
    return bodyLimit({ maxSize, onError })(c, next);
  };
}

/** The route of a request for which an `Idempotency-Key` counts. */
function keyedRoute({ req: { method, path } }: Context, table: RouteTable): Route | undefined {
  const route = table.find(method, path);
  return route !== undefined && acceptsIdempotencyKey(route) ? route : undefined;
}
