/**
 * Overrides: members, pools and regions that are forced up, forced down or drained for a while.
 *
 * There is no update: who wants another end or reason makes a new override, which rules over the older one, and
 * deletes that. What an override is at this moment (`phase`) changes without a new revision, so its `ETag` guards
 * deletes and is no reason for a 304.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { newId } from "../model/id.ts";
import { idSchema } from "../model/model_schema.ts";
import { nearest } from "../input/nearest.ts";
import { drainShare, stepOf } from "../desired/overridden.ts";
import {
  formatTarget,
  type Override,
  OVERRIDE_STATES,
  type OverrideTarget,
  parseTarget,
  type TargetReference,
} from "../model/override.ts";
import { rfc3339 } from "../clock.ts";
import { overrideRequestSchema, timesOf } from "../model/override_schema.ts";
import { show } from "../input/strict_object.ts";
import type { Store } from "../store/store.ts";
import { aPage, created, deleted } from "./answers.ts";
import { Collection, type StoredObject } from "./collection.ts";
import { linkNext, numberedPageQuery, pageRequest } from "./paging.ts";
import { ApiProblem, type ProblemStatus } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  BASE,
  etagHeader,
  idempotencyKey,
  idParams,
  json,
  jsonBody,
  named,
  problems,
  type Routes,
  writeQuery,
  writeToOne,
} from "./route.ts";

const path = `${BASE}/overrides/{id}`;

const OverrideRequestSchema = named(overrideRequestSchema).openapi("OverrideRequest");

const OverrideSchema = z.object({
  id: idSchema,
  target: z.string().meta({ description: "member:ID, pool:ID or region:NAME" }),
  targetName: z.string().meta({ description: "The same with names in place of ids" }),
  state: z.enum(OVERRIDE_STATES).meta({ description: "What it does" }),
  phase: z.enum(["planned", "draining", "active", "expired"]).meta({
    description: "Where it is at this moment; an expired one does nothing and is about to be removed",
  }),
  reason: z.string().meta({ description: "Why" }),
  owner: z.string().meta({ description: "Who can be asked about it" }),
  startsAt: z.iso.datetime().meta({ description: "When it begins" }),
  expiresAt: z.iso.datetime().meta({ description: "When it ends by itself" }),
  drainMs: z.int().min(0).meta({ description: "How long a drain takes, milliseconds; 0 for other states" }),
  createdAt: z.iso.datetime().meta({
    description: "When it was created: of overrides of equal scope, the newest one is in effect",
  }),
}).openapi("Override");

const listQuery = numberedPageQuery.extend({
  target: z.string().optional().meta({
    description: "Only those with exactly this target; names are accepted",
  }),
});

const routes = {
  list: {
    operationId: "listOverrides",
    method: "get",
    path: `${BASE}/overrides`,
    scope: "read",
    summary: "All overrides, in the order of their creation",
    request: { query: listQuery },
    responses: { ...aPage("overrides", OverrideSchema), ...problems(400, 422) },
  },
  create: {
    operationId: "createOverride",
    method: "post",
    path: `${BASE}/overrides`,
    scope: "operate",
    summary: "Force a member, a pool or a region up or down, or drain it, for a while",
    description:
      "Of several overrides on one member, the narrowest is in effect (member, pool, region), then the newest.",
    request: { query: writeQuery, headers: idempotencyKey, body: jsonBody(OverrideRequestSchema) },
    responses: { ...created("override", OverrideSchema), ...problems(400, 409, 413, 415, 422) },
  },
  get: {
    operationId: "getOverride",
    method: "get",
    path,
    scope: "read",
    summary: "One override",
    request: { params: idParams },
    responses: {
      200: { description: "The override", headers: etagHeader, content: json(OverrideSchema) },
      ...problems(404),
    },
  },
  delete: {
    operationId: "deleteOverride",
    method: "delete",
    path,
    scope: "operate",
    summary: "End an override now",
    request: writeToOne,
    responses: { ...deleted, ...problems(400, 404, 412) },
  },
} satisfies Routes;

/** Overrides, as the API serves them. */
export const overrides: Resource = {
  tag: "Overrides",
  description: "What is forced up, forced down or drained for a while, who did it, and why.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { store, clock } = parts;
  const collection = new Collection<Override & StoredObject, z.infer<typeof OverrideSchema>>(parts, {
    noun: "override",
    path: `${BASE}/overrides`,
    get: (id) => store.overrides.get(id),
    show: overrideNow,
  });

  app.openapi(routes.list, (c) => {
    const { target, ...page } = c.req.valid("query");
    const rows = target === undefined
      ? linkNext(c, store.overrides.page(pageRequest(page)))
      : store.overrides.of(formatTarget(resolve(store, target)));
    return c.json(rows.map(overrideNow), 200);
  });

  app.openapi(routes.create, async (c) => {
    const id = newId();
    const request = c.req.valid("json");
    const { state, reason, owner } = request;
    const target = formatTarget(resolve(store, request.target));
    const createdAt = clock.unixMs();
    const fields = { target, state, reason, owner, ...timesOf(request, createdAt) };
    const row = { id, ...fields, createdAt, revision: 0 };
    const edit = { kind: "createOverride", id, fields } as const;
    return c.json(...await collection.create(c, row, edit, { owner, reason }));
  });

  app.openapi(routes.get, (c) => c.json(collection.read(c, c.req.valid("param").id), 200));

  app.openapi(routes.delete, async (c) => {
    await collection.delete(c, { kind: "deleteOverride", id: c.req.valid("param").id });
    return c.body(null, 204);
  });

  function overrideNow(override: Override): z.infer<typeof OverrideSchema> {
    const { id, target, state, reason, owner, startsAt, expiresAt, drainMs, createdAt } = override;
    return {
      id,
      target,
      targetName: store.overrides.nameOf(override),
      state,
      phase: phaseOf(override, clock.unixMs()),
      reason,
      owner,
      startsAt: rfc3339(startsAt),
      expiresAt: rfc3339(expiresAt),
      drainMs,
      createdAt: rfc3339(createdAt),
    };
  }
}

function phaseOf(override: Override, nowMs: number): "planned" | "draining" | "active" | "expired" {
  const step = stepOf(override, nowMs);
  if (step < 0) return "planned";
  if (step === Infinity) return "expired";
  return override.state === "drain" && drainShare(override, nowMs) > 0 ? "draining" : "active";
}

/** Finds what a target names; refuses one that can't be read (400) and one that isn't there (422). */
function resolve(store: Store, text: string): OverrideTarget {
  let reference: TargetReference;
  try {
    reference = parseTarget(text);
  } catch (cause) {
    if (cause instanceof SyntaxError) throw wrongTarget(400, cause.message);
    throw cause;
  }
  if (reference.kind === "region") return knownRegion(store, reference.name);
  if (reference.kind === "pool") return { kind: "pool", id: poolId(store, reference.pool) };
  if ("id" in reference) return { kind: "member", id: reference.id };
  return { kind: "member", id: memberId(store, reference) };
}

/** A name that no member has is a slip of the pen: it would steer nothing, and nothing would show it. */
function knownRegion(store: Store, name: string): OverrideTarget {
  const target: OverrideTarget = { kind: "region", name };
  if (store.overrides.poolOf(target) !== undefined) return target;
  const regions = store.overrides.regions();
  const near = nearest(name, regions);
  const fix = near !== null
    ? `did you mean "${near}"?`
    : regions.length > 0
    ? `the regions are ${regions.slice(0, NAMED_MAX).join(", ")}`
    : "no member has a region yet";
  throw wrongTarget(422, `No member has the region "${name}" (${fix})`);
}

function poolId(store: Store, reference: string): string {
  const pool = store.pools.get(reference) ?? store.pools.byName(reference);
  if (pool) return pool.id;
  const names = store.pools.page({ limit: GUESSED_FROM }).items.map((each) => each.name);
  const near = nearest(reference, names);
  const fix = near === null ? "look at the list of pools" : `did you mean "${near}"?`;
  throw wrongTarget(422, `No pool is called "${reference}" (${fix})`);
}

function memberId(
  store: Store,
  { pool, host, port }: Extract<TargetReference, { readonly host: string }>,
): string {
  const members = store.members.rowsOf(poolId(store, pool));
  const found = members.filter((member) =>
    (member.ipAddress ?? member.target) === host && (port === null || member.port === port)
  );
  const [first, ...others] = found;
  if (first && others.length === 0) return first.id;
  const place = port === null ? show(host) : `${show(host)} port ${port}`;
  throw wrongTarget(
    422,
    first
      ? `The pool "${pool}" has ${found.length} members ${place}, on the ports ` +
        `${found.map((member) => member.port).join(", ")}: add the port`
      : `The pool "${pool}" has no member ${place} (it has ${
        [...new Set(members.map((member) => member.ipAddress ?? member.target))].slice(0, NAMED_MAX).join(
          ", ",
        ) ||
        "none"
      })`,
  );
}

/** Names that are listed in a message at most. */
const NAMED_MAX = 10;
/** Pools among whose names a slip is looked for. */
const GUESSED_FROM = 10_000;

function wrongTarget(status: ProblemStatus, message: string): ApiProblem {
  return new ApiProblem(status, message, [{ pointer: "/target", message }]);
}
