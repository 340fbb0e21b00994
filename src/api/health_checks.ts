/**
 * The health check of a pool: at most one, so it has the pool's path and no id.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { healthCheckSchema } from "../model/model_schema.ts";
import type { HealthCheckRow } from "../store/health_checks.ts";
import { deleted, unlessKnown, updated } from "./answers.ts";
import { etagOf, ifRevision, notModified } from "./conditional.ts";
import { ApiProblem, notFound } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  answered,
  BASE,
  createHeaders,
  json,
  jsonBody,
  named,
  problems,
  readOfOne,
  type Routes,
  writeToOne,
} from "./route.ts";
import { write } from "./write.ts";

const path = `${BASE}/pools/{id}/health-check`;

const HealthCheckFieldsSchema = named(healthCheckSchema).openapi("HealthCheckFields");

const HealthCheckSchema = z.object(answered(healthCheckSchema.shape)).openapi("HealthCheck");

const routes = {
  get: {
    operationId: "getHealthCheck",
    method: "get",
    path,
    scope: "read",
    summary: "How the members of a pool are probed",
    middleware: notModified,
    request: readOfOne,
    responses: { ...unlessKnown("check", HealthCheckSchema), ...problems(404) },
  },
  replace: {
    operationId: "replaceHealthCheck",
    method: "put",
    path,
    scope: "write",
    summary: "Set or replace a pool's health check",
    description: "Fields that are left out get their defaults.",
    request: { ...writeToOne, body: jsonBody(HealthCheckFieldsSchema) },
    responses: {
      ...updated("check", HealthCheckSchema),
      201: {
        description: "The check of a pool that had none",
        headers: createHeaders,
        content: json(HealthCheckSchema),
      },
      ...problems(400, 404, 412, 413, 415),
    },
  },
  delete: {
    operationId: "deleteHealthCheck",
    method: "delete",
    path,
    scope: "write",
    summary: "Stop probing the members of a pool",
    description: "All of them count as healthy then.",
    request: writeToOne,
    responses: { ...deleted, ...problems(400, 404, 412) },
  },
} satisfies Routes;

/** Health checks of pools, as the API serves them. */
export const healthChecks: Resource = {
  tag: "Health checks",
  description: "How the members of a pool are probed.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { store } = parts;

  app.openapi(routes.get, (c) => {
    const row = found(c.req.valid("param").id);
    return c.json(checkOf(row), 200, { ETag: etagOf(row.revision) });
  });

  app.openapi(routes.replace, async (c) => {
    const { id: poolId } = c.req.valid("param");
    if (!store.pools.get(poolId)) notFound("pool", poolId);
    const before = store.healthChecks.get(poolId);
    const fields = c.req.valid("json");
    const demanded = ifRevision(c, before?.revision ?? null);
    const written = write(c, parts, { kind: "putHealthCheck", poolId, fields, ...demanded });
    if (written.dryRun) return c.json(fields, 200);
    const row = found(poolId);
    await written.settled();
    const ETag = etagOf(row.revision);
    if (before) return c.json(checkOf(row), 200, { ETag });
    return c.json(checkOf(row), 201, { ETag, Location: `${BASE}/pools/${poolId}/health-check` });
  });

  app.openapi(routes.delete, async (c) => {
    const { poolId, revision } = found(c.req.valid("param").id);
    await write(c, parts, { kind: "deleteHealthCheck", poolId, ...ifRevision(c, revision) }).settled();
    return c.body(null, 204);
  });

  function found(poolId: string): HealthCheckRow {
    const row = store.healthChecks.get(poolId);
    if (row) return row;
    if (!store.pools.get(poolId)) notFound("pool", poolId);
    throw new ApiProblem(404, `The pool has no health check (its members count as healthy)`);
  }
}

function checkOf({ revision: _, poolId: __, ...check }: HealthCheckRow): z.infer<typeof HealthCheckSchema> {
  return check;
}
