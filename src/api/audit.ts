/**
 * The audit: what was changed and what was refused, who wanted it, by which way, from where, and why. Read only.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { rfc3339 } from "../clock.ts";
import { AUDIT_OUTCOMES, type AuditRow } from "../store/audit.ts";
import { linkNext, numberedPageQuery, pageHeaders, pageRequest } from "./paging.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import { BASE, json, problems, type Routes } from "./route.ts";

const AuditEntrySchema = z.object({
  id: z.int().min(1).meta({ description: "Its number; later entries have higher ones" }),
  at: z.iso.datetime().meta({ description: "When it was; of several that are alike, when the last one was" }),
  outcome: z.enum(AUDIT_OUTCOMES).meta({
    description:
      "done: it was changed; refused: nothing was; failed: nothing was, of an error inside the node",
  }),
  by: z.string().meta({ description: "Name of the token, signer or user; empty when unknown" }),
  tokenId: z.string().nullable().meta({
    description: "Id of the token; null = it was none that was created",
  }),
  via: z.string().meta({
    description:
      "The way it came: api, cli (on the database file), tui, git, cluster, demo, expiry, rollback",
  }),
  from: z.string().meta({
    description:
      "Address of the client, or of the proxy before it; empty = it came from the node or its machine",
  }),
  request: z.string().meta({ description: "Method and path; empty = it was no request" }),
  status: z.int().nullable().meta({ description: "Status of a refusal; null = it was done" }),
  detail: z.string().meta({ description: "Why it was refused, or which token it is about; may be empty" }),
  reason: z.string().meta({ description: "What the author gave as the reason; may be empty" }),
  generation: z.int().nullable().meta({ description: "The generation that it made; null = none" }),
  count: z.int().min(1).meta({ description: "How many attempts that were alike it stands for" }),
}).openapi("AuditEntry");

const routes = {
  list: {
    operationId: "listAudit",
    method: "get",
    path: `${BASE}/audit`,
    scope: "admin",
    summary: "What was changed and what was refused, the newest first",
    description:
      "A change is listed as soon as it is made, a refusal within a second or two. Refusals that are alike are one entry, " +
      "and push no change out.",
    request: {
      query: numberedPageQuery.extend({
        outcome: z.enum(AUDIT_OUTCOMES, { error: `outcome must be one of ${AUDIT_OUTCOMES.join(", ")}` })
          .optional().meta({ description: "Only those of this outcome" }),
      }),
    },
    responses: {
      200: {
        description: "A page of entries",
        headers: pageHeaders,
        content: json(z.array(AuditEntrySchema)),
      },
      ...problems(400),
    },
  },
} satisfies Routes;

/** The audit, as the API serves it. */
export const audit: Resource = {
  tag: "Audit",
  description: "Who changed what, and what was refused.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, { store }: ResourceParts): void {
  app.openapi(routes.list, (c) => {
    const { outcome = null, ...page } = c.req.valid("query");
    return c.json(linkNext(c, store.audit.page(pageRequest(page), outcome)).map(shown), 200);
  });
}

function shown({ id, at, ...row }: AuditRow): z.infer<typeof AuditEntrySchema> {
  return { id, at: rfc3339(at), ...row };
}
