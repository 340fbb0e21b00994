/**
 * What the API is made of: a resource is a file of this folder, and a line in `routes.ts`. Everything that stands around
 * its handlers (document, token, limits, idempotency) reads what its routes declare.
 *
 * @module
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { ApiParts } from "./ports.ts";
import type { OpenApiDocument } from "./reference.ts";
import type { Route } from "./route.ts";

/** One kind of thing with its routes. */
export interface Resource {
  /** Its heading in the document. */
  readonly tag: string;
  /** A sentence below that. */
  readonly description: string;
  /** In the order of the document. */
  readonly routes: readonly Route[];
  /** Schemas of the document that no route carries, by name. */
  readonly schemas?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Gives each of its routes a handler. */
  readonly serve: (app: OpenAPIHono, parts: ResourceParts) => void;
}

/** What handlers work with. */
export interface ResourceParts extends ApiParts {
  /** The OpenAPI document of all resources that are served. */
  readonly describe: () => OpenApiDocument;
}

/** Every route of the resources, in their order. */
export function routesOf(resources: readonly Resource[]): Route[] {
  return resources.flatMap(({ routes }) => routes);
}
