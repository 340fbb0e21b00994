/**
 * The OpenAPI 3.1 document, generated from the declarations that validate requests. It needs no running node.
 *
 * @module
 */
import { OpenAPIHono, type RouteConfig, z } from "@hono/zod-openapi";
import { PlanSchema } from "./plan.ts";
import type { OpenApiDocument } from "./reference.ts";
import type { Resource } from "./resource.ts";
import { acceptsIdempotencyKey, json, problems, type Route } from "./route.ts";
import { RESOURCES } from "./routes.ts";

/** What the document is of. */
export interface OpenApiOptions {
  /** Of the program. */
  readonly version: string;
  /** Whether the node asks for a token. */
  readonly secured: boolean;
  /** What is served; everything when left out. */
  readonly resources?: readonly Resource[];
}

/** Generates the document. */
export function openApiDocument(
  { version, secured, resources = RESOURCES }: OpenApiOptions,
): OpenApiDocument {
  const generator = new OpenAPIHono();
  const registry = generator.openAPIRegistry;
  for (const { tag, routes } of resources) {
    for (const route of routes) registry.registerPath(operationOf(route, { tag, secured }));
  }
  registry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description:
      "A token of `api.tokens` in the settings, which may do everything, or one of `/tokens` with its scope",
  });
  for (const [name, schema] of resources.flatMap(({ schemas = {} }) => Object.entries(schemas))) {
    registry.registerComponent("schemas", name, schema);
  }
  const document = generator.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Pleiades REST API",
      version,
      description: DESCRIPTION,
      license: { name: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    tags: resources.map(({ tag, description }) => ({ name: tag, description })),
    ...(secured && { security: [{ bearer: [] }] }),
  });
  // The generator leaves undefined members behind, which JSON hasn't.
  return JSON.parse(JSON.stringify(document));
}

/** A route as OpenAPI knows it: what the generator doesn't know it would copy into the document. */
function operationOf(
  { scope, isOpenOnLoopback, bodyBytesMax: _, ...route }: Route,
  { tag, secured }: { readonly tag: string; readonly secured: boolean },
): RouteConfig {
  const { operationId, description, ...rest } = withKeyRefused(
    acceptsDryRun(route) ? withPlan(route) : route,
  );
  const needed = scope === "open"
    ? "Asks for no token."
    : `Needs the scope \`${scope}\`${isOpenOnLoopback ? ", but none on a loopback address" : ""}.`;
  const security = securityOf(scope, { isOpenOnLoopback, secured });
  return {
    ...{ operationId, tags: [tag], ...(security && { security }) },
    description: description === undefined ? needed : `${description} ${needed}`,
    ...rest,
  };
}

/** OpenAPI 3.1 lets the requirement of a bearer token name what it must allow; `undefined` = as for the whole document. */
function securityOf(
  scope: Route["scope"],
  { isOpenOnLoopback = false, secured }: {
    readonly isOpenOnLoopback?: boolean | undefined;
    readonly secured: boolean;
  },
): Record<string, string[]>[] | undefined {
  if (scope === "open") return [];
  if (isOpenOnLoopback) return [{}, { bearer: [scope] }];
  return secured ? [{ bearer: [scope] }] : undefined;
}

/** A route that an `Idempotency-Key` counts for, with what it answers when that was used for something else. */
function withKeyRefused<Write extends Pick<Route, "request" | "responses">>(route: Write): Write {
  return acceptsIdempotencyKey(route)
    ? { ...route, responses: { ...problems(422), ...route.responses } }
    : route;
}

/** Whether a dry run of a route answers with a plan. */
function acceptsDryRun({ request }: Omit<Route, "scope">): boolean {
  const query = request?.query;
  return query instanceof z.ZodObject && "force" in query.shape;
}

/** A write, with what a dry run of it answers. */
function withPlan<Write extends Pick<Route, "method" | "responses">>(route: Write): Write {
  const { 200: now, ...others } = route.responses;
  const isCreate = route.method === "post" && "201" in others;
  if (!now || isCreate || !("content" in now)) {
    const content = json(PlanSchema);
    return {
      ...route,
      responses: { 200: { description: "What would differ (dry run)", content }, ...others },
    };
  }
  const { schema } = now.content!["application/json"] as { readonly schema: z.ZodType };
  const content = json(z.union([schema, PlanSchema]));
  const description = `${now.description}; of a dry run, what would differ`;
  return { ...route, responses: { 200: { ...now, description, content }, ...others } };
}

const DESCRIPTION = `
Everything Pleiades answers from can be read and changed here. JSON in camelCase, UTF-8.

- A change is in the next DNS answer when the call returns. Should a DNS worker take longer than 5 s, the call returns all the same and says \`Pleiades-Settled: false\`.
- Errors are \`application/problem+json\` (RFC 9457). \`errors\` names every wrong field by its JSON pointer. A refused request has changed nothing.
- \`?dryRun=true\` on a write checks everything, changes nothing, and answers with the plan: what would differ, in objects and in answers. \`?reason=\` is kept in the history.
- Guards refuse (409, \`guards\`) what would leave a name without addresses, or move or delete more than the settings allow. \`?force=true&reason=\` makes it all the same.
- \`ETag\` is an object's revision. A write with \`If-Match\` is refused (412) when the object has changed; a read with \`If-None-Match\` saves the body (304).
- Writes accept an \`Idempotency-Key\`, whole applies included: sent again within ten minutes, the same request gets the first answer again, and another one with that key is refused (422).
- Collections are arrays, paged by \`limit\` and \`cursor\`; follow \`Link: <…>; rel="next"\`.
- Where the node has tokens, send \`Authorization: Bearer TOKEN\`. Each operation says which scope it needs: read, operate, write, admin, each with those before it.
- \`Host\` and \`Origin\` are checked, and bodies must name their media type, so that no web page elsewhere can drive an API on a loopback address.

Serving a name takes three calls:

\`\`\`sh
api=http://127.0.0.1:8080/api/v1
pool=$(curl -s --json '{"name": "web"}' $api/pools | jq -r .id)
curl --json '{"ipAddress": "192.0.2.10", "port": 443}' $api/pools/$pool/members
curl --json '{"domain": "www.example.com", "poolId": "'$pool'"}' $api/services
\`\`\`
`.trim();
