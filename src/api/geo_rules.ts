/**
 * Geo rules: which clients a pool sends to one of its members.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { geoRuleFieldsSchema, idSchema } from "../model/model_schema.ts";
import type { GeoRuleRow } from "../store/geo_rules.ts";
import { newId } from "../model/id.ts";
import { aPage, created, deleted, unlessKnown, updated } from "./answers.ts";
import { Collection } from "./collection.ts";
import { notModified } from "./conditional.ts";
import { linkNext, numberedPageQuery, pageRequest } from "./paging.ts";
import { notFound } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  answered,
  BASE,
  idempotencyKey,
  idParams,
  jsonBody,
  named,
  problems,
  readOfOne,
  type Routes,
  writeQuery,
  writeToOne,
} from "./route.ts";

const path = `${BASE}/geo-rules/{id}`;
const poolPath = `${BASE}/pools/{id}/geo-rules`;

const GeoRuleFieldsSchema = named(geoRuleFieldsSchema).openapi("GeoRuleFields", {
  description: "Exactly one of cidr, country, continent and asn",
});

const GeoRuleSchema = z.object({
  id: idSchema,
  poolId: idSchema.meta({ description: "The pool it belongs to, for its whole life" }),
  ...answered(geoRuleFieldsSchema.shape),
}).openapi("GeoRule");

const routes = {
  list: {
    operationId: "listGeoRules",
    method: "get",
    path: poolPath,
    scope: "read",
    summary: "The geo rules of a pool, in the order of their creation",
    request: { params: idParams, query: numberedPageQuery },
    responses: { ...aPage("rules", GeoRuleSchema), ...problems(400, 404) },
  },
  create: {
    operationId: "createGeoRule",
    method: "post",
    path: poolPath,
    scope: "write",
    summary: "Add a geo rule to a pool",
    description: "Where the node has no database that could decide it, `Pleiades-Remark` says so.",
    request: {
      params: idParams,
      query: writeQuery,
      headers: idempotencyKey,
      body: jsonBody(GeoRuleFieldsSchema),
    },
    responses: { ...created("rule", GeoRuleSchema), ...problems(400, 404, 409, 413, 415, 422) },
  },
  get: {
    operationId: "getGeoRule",
    method: "get",
    path,
    scope: "read",
    summary: "One geo rule",
    middleware: notModified,
    request: readOfOne,
    responses: { ...unlessKnown("rule", GeoRuleSchema), ...problems(404) },
  },
  replace: {
    operationId: "replaceGeoRule",
    method: "put",
    path,
    scope: "write",
    summary: "Replace a geo rule",
    request: { ...writeToOne, body: jsonBody(GeoRuleFieldsSchema) },
    responses: { ...updated("rule", GeoRuleSchema), ...problems(400, 404, 409, 412, 413, 415, 422) },
  },
  delete: {
    operationId: "deleteGeoRule",
    method: "delete",
    path,
    scope: "write",
    summary: "Delete a geo rule",
    request: writeToOne,
    responses: { ...deleted, ...problems(400, 404, 412) },
  },
} satisfies Routes;

/** Geo rules of pools, as the API serves them. */
export const geoRules: Resource = {
  tag: "Geo rules",
  description: "Which clients a pool sends to which of its members.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { store } = parts;
  const collection = new Collection(parts, {
    noun: "geo rule",
    path: `${BASE}/geo-rules`,
    get: (id) => store.geoRules.get(id),
    show: geoRuleOf,
  });

  app.openapi(routes.list, (c) => {
    const { id: poolId } = c.req.valid("param");
    if (!store.pools.get(poolId)) notFound("pool", poolId);
    const page = store.geoRules.page(poolId, pageRequest(c.req.valid("query")));
    return c.json(linkNext(c, page).map(geoRuleOf), 200);
  });

  app.openapi(routes.create, async (c) => {
    const { id: poolId } = c.req.valid("param");
    if (!store.pools.get(poolId)) notFound("pool", poolId);
    const id = newId();
    const fields = c.req.valid("json");
    remark(c, fields);
    const row = { id, poolId, ...fields, seq: 0, revision: 0 };
    return c.json(...await collection.create(c, row, { kind: "createGeoRule", id, poolId, fields }));
  });

  app.openapi(routes.get, (c) => c.json(collection.read(c, c.req.valid("param").id), 200));

  app.openapi(routes.replace, async (c) => {
    const row = collection.found(c.req.valid("param").id);
    const fields = c.req.valid("json");
    remark(c, fields);
    const edit = { kind: "updateGeoRule", id: row.id, fields } as const;
    return c.json(await collection.update(c, { ...row, ...fields }, edit), 200);
  });

  app.openapi(routes.delete, async (c) => {
    await collection.delete(c, { kind: "deleteGeoRule", id: c.req.valid("param").id });
    return c.body(null, 204);
  });

  /** A rule that never matches is stored all the same: the database may come later. */
  function remark(c: Context, fields: z.infer<typeof GeoRuleFieldsSchema>): void {
    const lack = parts.node.lackOfRule(fields);
    if (lack !== null) c.header("Pleiades-Remark", `This rule never matches: ${lack}`);
  }
}

function geoRuleOf(
  { id, poolId, seq: _, revision: __, ...fields }: GeoRuleRow,
): z.infer<typeof GeoRuleSchema> {
  return { id, poolId, ...fields };
}
