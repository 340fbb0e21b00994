/**
 * Services: the domains that are answered from pools.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { ServiceFields } from "../change/edit.ts";
import { idSchema, serviceFieldsSchema } from "../model/model_schema.ts";
import { newId } from "../model/id.ts";
import type { ServiceRow } from "../store/services.ts";
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

const path = `${BASE}/services/{id}`;

const ServiceFieldsSchema = named(serviceFieldsSchema).openapi("ServiceFields");

const ServicePatchSchema = patchSchemaOf(serviceFieldsSchema).openapi("ServicePatch");

const ServiceSchema = z.object({ id: idSchema, ...answered(serviceFieldsSchema.shape) }).openapi("Service");

const routes = {
  list: {
    operationId: "listServices",
    method: "get",
    path: `${BASE}/services`,
    scope: "read",
    summary: "All services, by domain",
    request: { query: pageQuery },
    responses: { ...aPage("services", ServiceSchema), ...problems(400) },
  },
  create: {
    operationId: "createService",
    method: "post",
    path: `${BASE}/services`,
    scope: "write",
    summary: "Create a service",
    request: { query: writeQuery, headers: idempotencyKey, body: jsonBody(ServiceFieldsSchema) },
    responses: { ...created("service", ServiceSchema), ...problems(400, 409, 413, 415, 422) },
  },
  get: {
    operationId: "getService",
    method: "get",
    path,
    scope: "read",
    summary: "One service",
    middleware: notModified,
    request: readOfOne,
    responses: { ...unlessKnown("service", ServiceSchema), ...problems(404) },
  },
  replace: {
    operationId: "replaceService",
    method: "put",
    path,
    scope: "write",
    summary: "Replace a service's fields",
    description: "Fields that are left out get their defaults.",
    request: { ...writeToOne, body: jsonBody(ServiceFieldsSchema) },
    responses: { ...updated("service", ServiceSchema), ...problems(400, 404, 409, 412, 413, 415, 422) },
  },
  patch: {
    operationId: "patchService",
    method: "patch",
    path,
    scope: "write",
    summary: "Change some of a service's fields",
    description: "A merge patch (RFC 7396): fields that are left out stay, `null` puts a default back.",
    request: { ...writeToOne, body: patchBody(ServicePatchSchema) },
    responses: { ...updated("service", ServiceSchema), ...problems(400, 404, 409, 412, 413, 415, 422) },
  },
  delete: {
    operationId: "deleteService",
    method: "delete",
    path,
    scope: "write",
    summary: "Delete a service",
    request: writeToOne,
    responses: { ...deleted, ...problems(400, 404, 412) },
  },
} satisfies Routes;

/** Services, as the API serves them. */
export const services: Resource = {
  tag: "Services",
  description: "A domain that is answered from a pool.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { store } = parts;
  const collection = new Collection(parts, {
    noun: "service",
    path: `${BASE}/services`,
    get: (id) => store.services.get(id),
    show: serviceOf,
  });

  app.openapi(routes.list, (c) => {
    const page = store.services.page(pageRequest(c.req.valid("query")));
    return c.json(linkNext(c, page).map(serviceOf), 200);
  });

  app.openapi(routes.create, async (c) => {
    const id = newId();
    const fields = c.req.valid("json");
    const row = { id, ...fields, revision: 0 };
    return c.json(...await collection.create(c, row, { kind: "createService", id, fields }));
  });

  app.openapi(routes.get, (c) => c.json(collection.read(c, c.req.valid("param").id), 200));

  app.openapi(routes.replace, async (c) => {
    const row = collection.found(c.req.valid("param").id);
    return c.json(await update(c, row, c.req.valid("json")), 200);
  });

  app.openapi(routes.patch, async (c) => {
    const row = collection.found(c.req.valid("param").id);
    const fields = patched(serviceFieldsSchema, { stored: row, patch: c.req.valid("json") });
    return c.json(await update(c, row, fields), 200);
  });

  app.openapi(routes.delete, async (c) => {
    await collection.delete(c, { kind: "deleteService", id: c.req.valid("param").id });
    return c.body(null, 204);
  });

  function update(c: Context, row: ServiceRow, fields: ServiceFields): Promise<Service> {
    return collection.update(c, { ...row, ...fields }, { kind: "updateService", id: row.id, fields });
  }
}

type Service = z.infer<typeof ServiceSchema>;

function serviceOf({ revision: _, ...service }: ServiceRow): Service {
  return service;
}
