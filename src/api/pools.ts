/**
 * Pools: their own fields. Members, health check and geo rules have routes of their own.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { PoolFields } from "../change/edit.ts";
import { idSchema, poolFieldsSchema } from "../model/model_schema.ts";
import { newId } from "../model/id.ts";
import { inSlices } from "../slices.ts";
import type { PoolRow } from "../store/pools.ts";
import { aPage, created, deleted, unlessKnown, updated } from "./answers.ts";
import { Collection } from "./collection.ts";
import { notModified } from "./conditional.ts";
import { patched, patchSchemaOf } from "./merge_patch.ts";
import { linkNext, pageQuery, pageRequest } from "./paging.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  answered,
  BASE,
  idempotencyKey,
  jsonBody,
  named,
  patchBody,
  problems,
  readOfOne,
  type Routes,
  writeQuery,
  writeToOne,
} from "./route.ts";

const path = `${BASE}/pools/{id}`;

const PoolFieldsSchema = named(poolFieldsSchema).openapi("PoolFields");

const PoolPatchSchema = patchSchemaOf(poolFieldsSchema).openapi("PoolPatch");

const PoolSchema = z.object({ id: idSchema, ...answered(poolFieldsSchema.shape) }).openapi("Pool");

const PoolStateSchema = z.object({
  poolId: idSchema,
  members: z.int().min(0).meta({ description: "Members that are enabled, or forced up" }),
  healthy: z.int().min(0).meta({ description: "Those of them that are eligible" }),
  answersWhenDown: z.string().meta({
    description: "What is answered when too few are left",
    examples: ["answering all", "answering the last healthy", "fallback spare", "NODATA"],
  }),
}).openapi("PoolState");

const routes = {
  states: {
    operationId: "listPoolStates",
    method: "get",
    path: `${BASE}/pool-states`,
    scope: "read",
    summary: "How many members of each pool are eligible at this moment, by the pool's name",
    request: { query: pageQuery },
    responses: { ...aPage("states", PoolStateSchema), ...problems(400) },
  },
  list: {
    operationId: "listPools",
    method: "get",
    path: `${BASE}/pools`,
    scope: "read",
    summary: "All pools, by name",
    request: { query: pageQuery },
    responses: { ...aPage("pools", PoolSchema), ...problems(400) },
  },
  create: {
    operationId: "createPool",
    method: "post",
    path: `${BASE}/pools`,
    scope: "write",
    summary: "Create a pool",
    request: { query: writeQuery, headers: idempotencyKey, body: jsonBody(PoolFieldsSchema) },
    responses: { ...created("pool", PoolSchema), ...problems(400, 409, 413, 415, 422) },
  },
  get: {
    operationId: "getPool",
    method: "get",
    path,
    scope: "read",
    summary: "One pool",
    middleware: notModified,
    request: readOfOne,
    responses: { ...unlessKnown("pool", PoolSchema), ...problems(404) },
  },
  replace: {
    operationId: "replacePool",
    method: "put",
    path,
    scope: "write",
    summary: "Replace a pool's fields",
    description: "Fields that are left out get their defaults. Members, check and rules stay.",
    request: { ...writeToOne, body: jsonBody(PoolFieldsSchema) },
    responses: { ...updated("pool", PoolSchema), ...problems(400, 404, 409, 412, 413, 415, 422) },
  },
  patch: {
    operationId: "patchPool",
    method: "patch",
    path,
    scope: "write",
    summary: "Change some of a pool's fields",
    description: "A merge patch (RFC 7396): fields that are left out stay, `null` puts a default back.",
    request: { ...writeToOne, body: patchBody(PoolPatchSchema) },
    responses: { ...updated("pool", PoolSchema), ...problems(400, 404, 409, 412, 413, 415, 422) },
  },
  delete: {
    operationId: "deletePool",
    method: "delete",
    path,
    scope: "write",
    summary: "Delete a pool with its members, check and rules",
    description: "Services of the pool stay without one: their `poolId` becomes null.",
    request: writeToOne,
    responses: { ...deleted, ...problems(400, 404, 409, 412, 422) },
  },
} satisfies Routes;

/** Pools, as the API serves them. */
export const pools: Resource = {
  tag: "Pools",
  description: "A set of interchangeable members, and how one of them is chosen.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { store, node, clock } = parts;
  const collection = new Collection(parts, {
    noun: "pool",
    path: `${BASE}/pools`,
    get: (id) => store.pools.get(id),
    show: poolOf,
  });

  app.openapi(routes.states, async (c) => {
    const page = store.pools.page(pageRequest(c.req.valid("query")));
    const states = await inSlices(statesOf(linkNext(c, page)), { clock, signal: ENDLESS });
    return c.json(states, 200);
  });

  app.openapi(routes.list, (c) => {
    const page = store.pools.page(pageRequest(c.req.valid("query")));
    return c.json(linkNext(c, page).map(poolOf), 200);
  });

  app.openapi(routes.create, async (c) => {
    const id = newId();
    const fields = c.req.valid("json");
    const row = { id, ...fields, revision: 0 };
    return c.json(...await collection.create(c, row, { kind: "createPool", id, fields }));
  });

  app.openapi(routes.get, (c) => c.json(collection.read(c, c.req.valid("param").id), 200));

  app.openapi(routes.replace, async (c) => {
    const row = collection.found(c.req.valid("param").id);
    return c.json(await update(c, row, c.req.valid("json")), 200);
  });

  app.openapi(routes.patch, async (c) => {
    const row = collection.found(c.req.valid("param").id);
    const fields = patched(poolFieldsSchema, { stored: row, patch: c.req.valid("json") });
    return c.json(await update(c, row, fields), 200);
  });

  app.openapi(routes.delete, async (c) => {
    await collection.delete(c, { kind: "deletePool", id: c.req.valid("param").id });
    return c.body(null, 204);
  });

  function update(c: Context, row: PoolRow, fields: PoolFields): Promise<Pool> {
    return collection.update(c, { ...row, ...fields }, { kind: "updatePool", id: row.id, fields });
  }

  /** Between two pools everything may change: each is told as it is then. */
  function* statesOf(rows: readonly PoolRow[]): Generator<void, z.infer<typeof PoolStateSchema>[]> {
    const states = [];
    for (const { id } of rows) {
      states.push(stateOf(id));
      yield;
    }
    return states;
  }

  function stateOf(poolId: string): z.infer<typeof PoolStateSchema> {
    const state = node.poolState(poolId);
    if (state === null) return { poolId, members: 0, healthy: 0, answersWhenDown: "NODATA" };
    const { members, eligible, answersWhenDown } = state;
    return { poolId, members, healthy: eligible, answersWhenDown };
  }
}

/** A page is at most some seconds of slices, and nothing is held meanwhile. */
const ENDLESS = new AbortController().signal;

type Pool = z.infer<typeof PoolSchema>;

function poolOf({ revision: _, ...pool }: PoolRow): Pool {
  return pool;
}
