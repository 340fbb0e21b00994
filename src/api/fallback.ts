/**
 * The static fallback: there is one, so it has a path and no id. The model's takes the place of the settings' one.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { fallbackRevision } from "../change/history_json.ts";
import type { Fallback } from "../model/model.ts";
import { fallbackSchema } from "../model/model_schema.ts";
import { deleted, unlessKnown, updated } from "./answers.ts";
import { etagOf, ifRevision, notModified } from "./conditional.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  answered,
  BASE,
  conditionalWrite,
  ifNoneMatch,
  jsonBody,
  named,
  problems,
  type Routes,
  writeQuery,
} from "./route.ts";
import { write } from "./write.ts";

const path = `${BASE}/fallback` as const;

const FallbackFieldsSchema = named(fallbackSchema).openapi("FallbackFields");

const FallbackSchema = z.object({
  source: z.enum(["model", "settings"]).meta({
    description: "Where it comes from: the model, or else the settings",
  }),
  ...answered(fallbackSchema.shape),
}).openapi("Fallback");

const request = { query: writeQuery, headers: conditionalWrite };

const routes = {
  get: {
    operationId: "getFallback",
    method: "get",
    path,
    scope: "read",
    summary: "The static fallback in effect",
    middleware: notModified,
    request: { headers: ifNoneMatch },
    responses: { ...unlessKnown("fallback", FallbackSchema), ...problems(404) },
  },
  replace: {
    operationId: "replaceFallback",
    method: "put",
    path,
    scope: "write",
    summary: "Set or replace the model's static fallback",
    description: "It replaces the settings' `loadbalancer` and `health`, also at the next start. Fields " +
      "that are left out get their defaults.",
    request: { ...request, body: jsonBody(FallbackFieldsSchema) },
    responses: { ...updated("fallback", FallbackSchema), ...problems(400, 412, 413, 415) },
  },
  delete: {
    operationId: "deleteFallback",
    method: "delete",
    path,
    scope: "write",
    summary: "Delete the model's static fallback",
    description: "That of the settings takes effect again, if there is one.",
    request,
    responses: { ...deleted, ...problems(400, 404, 412) },
  },
} satisfies Routes;

/** The static fallback, as the API serves it. */
export const fallback: Resource = {
  tag: "Fallback",
  description: "What is answered for names that nothing else answers: the model's, else the settings'.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { store, node } = parts;

  app.openapi(routes.get, (c) => {
    const fallback = effective();
    if (fallback === null) {
      throw none("There is no static fallback: names that nothing else answers don't exist");
    }
    return c.json(answerOf(fallback), 200, { ETag: etagOf(fallbackRevision(fallback)) });
  });

  app.openapi(routes.replace, async (c) => {
    const fallback = c.req.valid("json");
    const before = effective();
    const demanded = storedRevision(ifRevision(c, before && fallbackRevision(before)));
    const written = write(c, parts, { kind: "putFallback", fallback, ...demanded });
    if (written.dryRun) return c.json({ source: "model" as const, ...fallback }, 200);
    await written.settled();
    return c.json({ source: "model" as const, ...fallback }, 200, {
      ETag: etagOf(fallbackRevision(fallback)),
    });
  });

  app.openapi(routes.delete, async (c) => {
    const stored = store.fallback();
    if (stored === null) {
      throw none("The model has no static fallback; that of the settings is changed there");
    }
    const demanded = ifRevision(c, fallbackRevision(stored));
    await write(c, parts, { kind: "putFallback", fallback: null, ...demanded }).settled();
    return c.body(null, 204);
  });

  function effective(): Fallback | null {
    return store.fallback() ?? node.settingsFallback();
  }

  /** Who saw the fallback of the settings demands that the model still has none. */
  function storedRevision(demanded: ReturnType<typeof ifRevision>): ReturnType<typeof ifRevision> {
    return demanded.ifRevision === undefined ? {} : { ifRevision: fallbackRevision(store.fallback()) };
  }

  function answerOf(fallback: Fallback): z.infer<typeof FallbackSchema> {
    return { source: store.fallback() === null ? "settings" : "model", ...fallback };
  }
}

function none(detail: string): ApiProblem {
  return new ApiProblem(404, detail);
}
