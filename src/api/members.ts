/**
 * Members of pools, with what is believed of their health.
 *
 * Health is part of a member's answer and changes without a new revision; so a member's `ETag` guards writes
 * (`If-Match`) and is no reason for a 304.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Edit, MemberFields } from "../change/edit.ts";
import { addressOf } from "../model/model.ts";
import { idSchema, memberFieldsSchema } from "../model/model_schema.ts";
import { type OverrideIndex, rulingOf } from "../desired/overridden.ts";
import { type Override, OVERRIDE_STATES } from "../model/override.ts";
import { rfc3339 } from "../clock.ts";
import type { EligibilityPool } from "../desired/eligibility.ts";
import { AUDIT } from "../change/audit_trail.ts";
import { newId } from "../model/id.ts";
import type { MemberHealth } from "../health/node_health.ts";
import type { MemberRow } from "../store/members.ts";
import { strictObject } from "../input/strict_object.ts";
import { created, deleted, updated } from "./answers.ts";
import { Collection } from "./collection.ts";
import { patched, patchSchemaOf } from "./merge_patch.ts";
import { expectTag } from "./conditional.ts";
import { linkNext, numberedPageQuery, pageHeaders, pageRequest } from "./paging.ts";
import { ApiProblem, notFound } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  answered,
  BASE,
  conditionalWrite,
  type DeclaredHeaders,
  etagHeader,
  idempotencyKey,
  idParams,
  json,
  jsonBody,
  named,
  patchBody,
  problems,
  type Routes,
  writeHeaders,
  writeQuery,
  writeToOne,
} from "./route.ts";
import { originOf } from "./origin.ts";
import { ViewsSchema } from "./views.ts";
import { isDryRun, write } from "./write.ts";

const path = `${BASE}/members/{id}`;
const poolPath = `${BASE}/pools/{id}/members`;

const MemberFieldsSchema = named(memberFieldsSchema).openapi("MemberFields");

const MemberPatchSchema = patchSchemaOf(memberFieldsSchema).openapi("MemberPatch");

const MemberHealthSchema = z.object({
  state: z.enum(["healthy", "unhealthy", "unknown"]).meta({
    description: "unknown until the first result, and without a check",
  }),
  since: z.iso.datetime().nullable().meta({ description: "When the state changed last" }),
  lastError: z.string().nullable().meta({ description: "Why the last probe failed; null = it succeeded" }),
  latencyMs: z.number().nullable().meta({ description: "Duration of the last successful probe" }),
  checkedAt: z.iso.datetime().nullable().meta({ description: "When the last result came" }),
  eligible: z.boolean().meta({
    description: "Whether it is eligible as far as health goes: its check, failback and the flip guard",
  }),
  why: z.string().nullable().meta({
    description: "Why it is out, or in although its check fails; null = it is in because nothing is wrong",
    examples: ["failback: 40 s to go"],
  }),
  views: ViewsSchema,
}).openapi("MemberHealth");

const MemberOverrideSchema = z.object({
  state: z.enum(OVERRIDE_STATES).meta({ description: "What it does" }),
  reason: z.string().meta({ description: "Why" }),
  owner: z.string().meta({ description: "Who can be asked about it" }),
  expiresAt: z.iso.datetime().meta({ description: "When it ends by itself" }),
}).openapi("MemberOverride");

const MemberSchema = z.object({
  id: idSchema,
  poolId: idSchema.meta({ description: "The pool it belongs to, for its whole life" }),
  ...answered(memberFieldsSchema.shape),
  health: MemberHealthSchema,
  override: MemberOverrideSchema.nullable().meta({
    description:
      "The override in effect on it at this moment, its own or that of its pool or region; null = none",
  }),
}).openapi("Member");

const FailBackSchema = strictObject({
  reason: writeQuery.shape.reason.unwrap().default("").meta({
    description: "Why, for the log",
    examples: ["checked by hand"],
  }),
}).openapi("FailBack");

const failBackQuery = strictObject({ dryRun: writeQuery.shape.dryRun });

/** Most members that are replaced at once: as many as a page can show. */
const MEMBERS_MAX = 1_000;

const membersTag: DeclaredHeaders = {
  ETag: {
    description:
      "Of all members of the pool together, where all of them are in the answer: any change of one changes it",
    schema: { type: "string" },
  },
};

const routes = {
  list: {
    operationId: "listMembers",
    method: "get",
    path: poolPath,
    scope: "read",
    summary: "The members of a pool, in the order of their creation",
    request: { params: idParams, query: numberedPageQuery },
    responses: {
      200: {
        description: "A page of members",
        headers: { ...pageHeaders, ...membersTag },
        content: json(z.array(MemberSchema)),
      },
      ...problems(400, 404),
    },
  },
  replaceAll: {
    operationId: "replaceMembers",
    method: "put",
    path: poolPath,
    scope: "write",
    summary: "Replace all members of a pool",
    description:
      "One change of the model. A member with the same address (or host name) and port keeps its id, and with it its " +
      "geo rules and its health; its fields become those that are given, and those that are left out their defaults.",
    request: {
      params: idParams,
      query: writeQuery,
      headers: conditionalWrite,
      body: jsonBody(z.array(MemberFieldsSchema).max(MEMBERS_MAX)),
    },
    responses: {
      200: {
        description: "The members as they are now",
        headers: { ...writeHeaders, ...membersTag },
        content: json(z.array(MemberSchema)),
      },
      ...problems(400, 404, 409, 412, 413, 415),
    },
  },
  create: {
    operationId: "createMember",
    method: "post",
    path: poolPath,
    scope: "write",
    summary: "Add a member to a pool",
    request: {
      params: idParams,
      query: writeQuery,
      headers: idempotencyKey,
      body: jsonBody(MemberFieldsSchema),
    },
    responses: { ...created("member", MemberSchema), ...problems(400, 404, 409, 413, 415, 422) },
  },
  get: {
    operationId: "getMember",
    method: "get",
    path,
    scope: "read",
    summary: "One member",
    request: { params: idParams },
    responses: {
      200: { description: "The member", headers: etagHeader, content: json(MemberSchema) },
      ...problems(404),
    },
  },
  replace: {
    operationId: "replaceMember",
    method: "put",
    path,
    scope: "write",
    summary: "Replace a member's fields",
    description: "Fields that are left out get their defaults.",
    request: { ...writeToOne, body: jsonBody(MemberFieldsSchema) },
    responses: { ...updated("member", MemberSchema), ...problems(400, 404, 409, 412, 413, 415) },
  },
  patch: {
    operationId: "patchMember",
    method: "patch",
    path,
    scope: "write",
    summary: "Change some of a member's fields",
    description: "A merge patch (RFC 7396): fields that are left out stay, `null` puts a default back.",
    request: { ...writeToOne, body: patchBody(MemberPatchSchema) },
    responses: { ...updated("member", MemberSchema), ...problems(400, 404, 409, 412, 413, 415) },
  },
  delete: {
    operationId: "deleteMember",
    method: "delete",
    path,
    scope: "write",
    summary: "Delete a member",
    description: "Geo rules that send clients to it go with it.",
    request: writeToOne,
    responses: { ...deleted, ...problems(400, 404, 412) },
  },
  failBack: {
    operationId: "failBackMember",
    method: "post",
    path: `${path}/failback`,
    scope: "operate",
    summary: "Fail a waiting member back",
    description:
      "For members of pools with `failback: manual`, or before `failbackDelayMs` is over. It acts on " +
      "this node, at once and without a new generation; a member that is in already doesn't change.",
    request: {
      params: idParams,
      query: failBackQuery,
      headers: idempotencyKey,
      body: jsonBody(FailBackSchema),
    },
    responses: {
      200: { description: "The member as it is now", content: json(MemberSchema) },
      ...problems(400, 404, 409, 413, 415),
    },
  },
} satisfies Routes;

/** Members of pools, as the API serves them. */
export const members: Resource = {
  tag: "Members",
  description: "One address or host name that can be answered, with its health.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { store, node, ports, log, clock } = parts;
  const collection = new Collection(parts, {
    noun: "member",
    path: `${BASE}/members`,
    get: (id) => store.members.get(id),
    show: memberNow,
  });

  app.openapi(routes.list, (c) => {
    const { id: poolId } = c.req.valid("param");
    if (!store.pools.get(poolId)) notFound("pool", poolId);
    const pool = eligibilityPool(poolId);
    const page = store.members.page(poolId, pageRequest(c.req.valid("query")));
    const overrides = store.overrides.index();
    if (page.next === null && c.req.query("cursor") === undefined) c.header("ETag", `"${tagOf(page.items)}"`);
    return c.json(linkNext(c, page).map((row) => memberOf(row, { pool, overrides })), 200);
  });

  app.openapi(routes.replaceAll, async (c) => {
    const { id: poolId } = c.req.valid("param");
    if (!store.pools.get(poolId)) notFound("pool", poolId);
    const before = store.members.rowsOf(poolId);
    expectTag(c, tagOf(before));
    const written = write(c, parts, replacingEdits(poolId, before, c.req.valid("json")));
    const after = store.members.rowsOf(poolId);
    c.header("ETag", `"${tagOf(after)}"`);
    await written.settled();
    const shownWith = { pool: eligibilityPool(poolId), overrides: store.overrides.index() };
    return c.json(after.map((row) => memberOf(row, shownWith)), 200);
  });

  app.openapi(routes.create, async (c) => {
    const { id: poolId } = c.req.valid("param");
    if (!store.pools.get(poolId)) notFound("pool", poolId);
    const id = newId();
    const fields = c.req.valid("json");
    const row = { id, poolId, ...fields, seq: 0, revision: 0 };
    return c.json(...await collection.create(c, row, { kind: "createMember", id, poolId, fields }));
  });

  app.openapi(routes.get, (c) => c.json(collection.read(c, c.req.valid("param").id), 200));

  app.openapi(routes.replace, async (c) => {
    const row = collection.found(c.req.valid("param").id);
    return c.json(await update(c, row, c.req.valid("json")), 200);
  });

  app.openapi(routes.patch, async (c) => {
    const row = collection.found(c.req.valid("param").id);
    const fields = patched(memberFieldsSchema, { stored: row, patch: c.req.valid("json") });
    return c.json(await update(c, row, fields), 200);
  });

  app.openapi(routes.delete, async (c) => {
    await collection.delete(c, { kind: "deleteMember", id: c.req.valid("param").id });
    return c.body(null, 204);
  });

  app.openapi(routes.failBack, (c) => {
    const row = collection.found(c.req.valid("param").id);
    const result = node.failBack(eligibilityPool(row.poolId), row, { dryRun: isDryRun(c) });
    if (result === "down") {
      throw new ApiProblem(
        409,
        `Member ${addressOf(row)} can't be failed back, because its check fails ` +
          "(fix it first, or force it up with an override)",
      );
    }
    if (result === "done" && !isDryRun(c)) {
      const { reason } = c.req.valid("json");
      const origin = { ...originOf(c), reason };
      const { by } = origin;
      const detail = `${addressOf(row)} port ${row.port}`;
      ports.find(AUDIT)?.note({ origin, outcome: "done", status: 200, detail });
      log.info("Member was failed back", {
        member: row.id,
        address: addressOf(row),
        port: row.port,
        by,
        reason,
      });
    }
    return c.json(memberNow(row), 200);
  });

  function update(c: Context, row: MemberRow, fields: MemberFields): Promise<Member> {
    return collection.update(c, { ...row, ...fields }, { kind: "updateMember", id: row.id, fields });
  }

  function memberNow(row: MemberRow): Member {
    return memberOf(row, { pool: eligibilityPool(row.poolId), overrides: store.overrides.index() });
  }

  function memberOf(
    row: MemberRow,
    { pool, overrides }: { readonly pool: EligibilityPool; readonly overrides: OverrideIndex },
  ): Member {
    const { id, poolId, seq: _, revision: __, ...fields } = row;
    const ruling = rulingOf(overrides.covering(poolId, row), clock.unixMs());
    const health = shownHealth(node.memberHealth(pool, row));
    return { id, poolId, ...fields, health, override: ruling && shown(ruling) };
  }

  function eligibilityPool(id: string): EligibilityPool {
    const { failback, failbackDelayMs } = store.pools.get(id)!;
    return { id, failback, failbackDelayMs, healthCheck: store.healthChecks.checkOf(id) };
  }
}

/**
 * What makes these the members of a pool: those that are there already are updated, and in the same commit those that
 * aren't named any more are deleted, each only if it is still the one that was seen.
 */
function replacingEdits(
  poolId: string,
  before: readonly MemberRow[],
  wanted: readonly MemberFields[],
): Edit[] {
  const left = new Map(before.map((row) => [`${addressOf(row)} ${row.port}`, row]));
  const kept = wanted.map((fields): Edit => {
    const key = `${addressOf(fields)} ${fields.port}`;
    const row = left.get(key);
    if (row === undefined) return { kind: "createMember", id: newId(), poolId, fields };
    left.delete(key);
    return { kind: "updateMember", id: row.id, fields, ifRevision: row.revision };
  });
  const gone = [...left.values()].map(({ id, revision }): Edit => ({
    kind: "deleteMember",
    id,
    ifRevision: revision,
  }));
  return [...kept, ...gone];
}

/**
 * What the members of a pool are known by together. Revisions and places only grow, so whatever is created, changed or
 * deleted makes another one.
 */
function tagOf(rows: readonly MemberRow[]): string {
  const last = (of: (row: MemberRow) => number) => rows.reduce((most, row) => Math.max(most, of(row)), 0);
  return `${rows.length}-${last(({ revision }) => revision)}-${last(({ seq }) => seq)}`;
}

type Member = z.infer<typeof MemberSchema>;

function shown({ state, reason, owner, expiresAt }: Override): z.infer<typeof MemberOverrideSchema> {
  return { state, reason, owner, expiresAt: rfc3339(expiresAt) };
}

function shownHealth(
  { since, checkedAt, views, ...health }: MemberHealth,
): z.infer<typeof MemberHealthSchema> {
  const timeOf = (unixMs: number | null) => unixMs === null ? null : rfc3339(unixMs);
  return {
    ...health,
    since: timeOf(since),
    checkedAt: timeOf(checkedAt),
    ...(views && { views: [...views] }),
  };
}
