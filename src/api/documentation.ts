/**
 * The API's description of itself: the OpenAPI document, and a page to read it on.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Resource, ResourceParts } from "./resource.ts";
import type { Routes } from "./route.ts";
import { PAGE_POLICY, PAGE_STYLE, referencePage } from "./reference_page.ts";

const routes = {
  openapi: {
    operationId: "getOpenApi",
    method: "get",
    path: "/openapi.json",
    scope: "open",
    summary: "This API as an OpenAPI 3.1 document",
    responses: {
      200: { description: "The document", content: { "application/json": { schema: { type: "object" } } } },
    },
  },
  page: {
    operationId: "getDocs",
    method: "get",
    path: "/docs/api",
    scope: "open",
    summary: "This API as a page to read",
    responses: { 200: { description: "The page", content: { "text/html": { schema: z.string() } } } },
  },
  root: {
    operationId: "getRoot",
    method: "get",
    path: "/",
    scope: "open",
    summary: "Leads to this page",
    responses: {
      302: {
        description: "The page is at Location",
        headers: { Location: { description: "/docs/api", schema: { type: "string" } } },
      },
    },
  },
  style: {
    operationId: "getDocsStyle",
    method: "get",
    path: "/docs/api.css",
    scope: "open",
    summary: "Style sheet of the page",
    responses: { 200: { description: "The style sheet", content: { "text/css": { schema: z.string() } } } },
  },
} satisfies Routes;

/** What the API serves of itself. */
export const documentation: Resource = {
  tag: "Documentation",
  description: "This description.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, { describe }: ResourceParts): void {
  app.get(
    routes.openapi.path,
    (c) => c.body(JSON.stringify(describe()), 200, { "content-type": "application/json" }),
  );
  app.openapi(routes.page, (c) => {
    c.header("Content-Security-Policy", PAGE_POLICY);
    return c.html(
      referencePage(describe(), { styleHref: "/docs/api.css", documentHref: "/openapi.json" }),
      200,
    );
  });
  app.openapi(routes.root, (c) => c.redirect(routes.page.path, 302));
  app.openapi(routes.style, (c) => c.text(PAGE_STYLE, 200, { "content-type": "text/css" }));
}
