/**
 * The API's description of itself: the OpenAPI document, and a page to read it on.
 *
 * @module
 */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { OpenApiDocument } from "./reference.ts";
import type { Route } from "./route.ts";
import { PAGE_POLICY, PAGE_STYLE, referencePage } from "./reference_page.ts";

const tags = ["Documentation"];

const routes = {
  openapi: createRoute({
    operationId: "getOpenApi",
    tags,
    method: "get",
    path: "/openapi.json",
    security: [],
    summary: "This API as an OpenAPI 3.1 document",
    responses: {
      200: { description: "The document", content: { "application/json": { schema: { type: "object" } } } },
    },
  }),
  page: createRoute({
    operationId: "getDocs",
    tags,
    method: "get",
    path: "/docs/api",
    security: [],
    summary: "This API as a page to read",
    responses: { 200: { description: "The page", content: { "text/html": { schema: z.string() } } } },
  }),
  root: createRoute({
    operationId: "getRoot",
    tags,
    method: "get",
    path: "/",
    security: [],
    summary: "Leads to this page",
    responses: {
      302: {
        description: "The page is at Location",
        headers: { Location: { description: "/docs/api", schema: { type: "string" } } },
      },
    },
  }),
  style: createRoute({
    operationId: "getDocsStyle",
    tags,
    method: "get",
    path: "/docs/api.css",
    security: [],
    summary: "Style sheet of the page",
    responses: { 200: { description: "The style sheet", content: { "text/css": { schema: z.string() } } } },
  }),
};

/** The routes of the description. */
export const documentationRoutes: readonly Route[] = Object.values(routes);

/** Serves the description; `describe` is called once, when somebody first asks. */
export function serveDocumentation(app: OpenAPIHono, describe: () => OpenApiDocument): void {
  let document: OpenApiDocument | null = null;
  const described = () => document ??= describe();

  app.get(
    routes.openapi.path,
    (c) => c.body(JSON.stringify(described()), 200, { "content-type": "application/json" }),
  );
  app.openapi(routes.page, (c) => {
    c.header("Content-Security-Policy", PAGE_POLICY);
    return c.html(
      referencePage(described(), { styleHref: "/docs/api.css", documentHref: "/openapi.json" }),
      200,
    );
  });
  app.openapi(routes.root, (c) => c.redirect(routes.page.path, 302));
  app.openapi(routes.style, (c) => c.text(PAGE_STYLE, 200, { "content-type": "text/css" }));
}
