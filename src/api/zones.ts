/**
 * Zones of static records, as zone-file text (RFC 1035 §5, media type `text/dns` of RFC 4027).
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { zoneSchema } from "../model/model_schema.ts";
import type { ZoneRow } from "../store/zones.ts";
import { aPage, deleted } from "./answers.ts";
import { etagOf, ifRevision, notModified } from "./conditional.ts";
import { linkNext, pageQuery, pageRequest } from "./paging.ts";
import { ApiProblem, invalidFields } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  BASE,
  conditionalWrite,
  createHeaders,
  etagHeader,
  ifNoneMatch,
  problems,
  type Routes,
  updateHeaders,
  writeQuery,
} from "./route.ts";
import { write } from "./write.ts";

/** Largest zone file, bytes: some 400,000 records. */
export const ZONE_BYTES_MAX = 16 << 20;

const path = `${BASE}/zones/{domain}`;
const ZONE_TYPE = "text/dns";

const ZoneSchema = z.object({ domain: zoneSchema.shape.domain }).openapi("Zone");

const domainParams = z.object({
  domain: z.string().meta({ description: "Apex of the zone", examples: ["example.com"] }),
});

const zoneText = {
  [ZONE_TYPE]: {
    schema: zoneSchema.shape.text.meta({
      examples: ["@ 3600 IN SOA ns1 hostmaster 1 7200 900 1209600 300\n@ IN NS ns1\nns1 IN A 192.0.2.53\n"],
    }),
  },
};

const routes = {
  list: {
    operationId: "listZones",
    method: "get",
    path: `${BASE}/zones`,
    scope: "read",
    summary: "All zones, by domain",
    description: "Zones of the settings file are not among them.",
    request: { query: pageQuery },
    responses: { ...aPage("zones", ZoneSchema), ...problems(400) },
  },
  get: {
    operationId: "getZone",
    method: "get",
    path,
    scope: "read",
    summary: "The zone file of a zone, as it was written",
    middleware: notModified,
    request: { params: domainParams, headers: ifNoneMatch },
    responses: {
      200: { description: "The zone file", headers: etagHeader, content: zoneText },
      304: { description: "The zone still has the ETag of If-None-Match" },
      ...problems(404),
    },
  },
  replace: {
    operationId: "replaceZone",
    method: "put",
    path,
    scope: "write",
    bodyBytesMax: ZONE_BYTES_MAX,
    summary: "Create or replace a zone",
    request: {
      params: domainParams,
      query: writeQuery,
      headers: conditionalWrite,
      body: { required: true, content: zoneText },
    },
    responses: {
      201: { description: "It is new", headers: createHeaders },
      204: { description: "It is replaced, or would be (dry run)", headers: updateHeaders },
      ...problems(400, 409, 412, 413, 415),
    },
  },
  delete: {
    operationId: "deleteZone",
    method: "delete",
    path,
    scope: "write",
    summary: "Delete a zone",
    description: "Services inside it stay, each as a zone of its own.",
    request: { params: domainParams, query: writeQuery, headers: conditionalWrite },
    responses: { ...deleted, ...problems(400, 404, 412) },
  },
} satisfies Routes;

/** Zones, as the API serves them. */
export const zones: Resource = {
  tag: "Zones",
  description: "Static records, as zone files.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { store } = parts;

  app.openapi(routes.list, (c) => {
    const page = store.zones.page(pageRequest(c.req.valid("query")));
    return c.json(linkNext(c, page).map(({ domain }) => ({ domain })), 200);
  });

  app.openapi(routes.get, (c) => {
    const row = found(c.req.valid("param").domain);
    return c.body(row.text, 200, {
      "content-type": `${ZONE_TYPE}; charset=utf-8`,
      ETag: etagOf(row.revision),
    });
  });

  app.openapi(routes.replace, async (c) => {
    const parsed = zoneSchema.safeParse({ domain: c.req.valid("param").domain, text: await c.req.text() });
    if (!parsed.success) throw invalidFields(parsed.error.issues);
    const { domain, text } = parsed.data;
    const before = store.zones.get(domain);
    const demanded = ifRevision(c, before?.revision ?? null);
    const written = write(c, parts, { kind: "putZone", domain, text, ...demanded });
    if (written.dryRun) return c.body(null, 204);
    const ETag = etagOf(found(domain).revision);
    await written.settled();
    if (before) return c.body(null, 204, { ETag });
    return c.body(null, 201, { ETag, Location: `${BASE}/zones/${domain}` });
  });

  app.openapi(routes.delete, async (c) => {
    const { domain, revision } = found(c.req.valid("param").domain);
    await write(c, parts, { kind: "deleteZone", domain, ...ifRevision(c, revision) }).settled();
    return c.body(null, 204);
  });

  function found(domain: string): ZoneRow {
    const canonical = zoneSchema.shape.domain.safeParse(domain);
    const row = canonical.success ? store.zones.get(canonical.data) : null;
    if (!row) throw new ApiProblem(404, `No zone ${JSON.stringify(domain)} is stored`);
    return row;
  }
}
