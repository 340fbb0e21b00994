/**
 * The words in which routes are declared: one declaration validates requests, makes the OpenAPI document, and types
 * its handler.
 *
 * @module
 */
import { type RouteConfig, z } from "@hono/zod-openapi";
import { idSchema } from "../model/model_schema.ts";
import { strictObject } from "../input/strict_object.ts";
import type { ChangeCounts } from "../store/replacement.ts";
import { holdsToken, type Scope } from "../model/token.ts";
import { PROBLEM_TITLES, PROBLEM_TYPE, ProblemSchema, type ProblemStatus } from "./problem.ts";

/** Where all routes but those for probes, scrapers and browsers begin. */
export const BASE = "/api/v1" as const;

/**
 * A declared route: what the OpenAPI document says of it, and what is asked of a request before its handler is. Tag
 * and security aren't said again: the first is the resource's, the second follows from the scope.
 */
export type Route = Omit<RouteConfig, "tags" | "security"> & RouteRules;

/** The routes of a resource by the names that its handlers know them by. */
export type Routes = Readonly<Record<string, Route>>;

/** What a route says besides its path, its schemas and its words. An `Idempotency-Key` counts where it is declared. */
export interface RouteRules {
  /** Its name in the document, and for those who generate clients from that. */
  readonly operationId: string;
  /** What a token must be allowed to do; `open` = no token is asked for. */
  readonly scope: Scope | "open";
  /** Whether it is open all the same where the API listens on a loopback address. */
  readonly isOpenOnLoopback?: true;
  /** Largest body, bytes; `BODY_BYTES_MAX` when left out. `counted` = the handler reads a stream, and counts for itself. */
  readonly bodyBytesMax?: number | "counted";
}

/** An object's id in the path. */
export const idParams: z.ZodObject<{ id: z.ZodString }> = z.object({ id: idSchema });

/** Of a reason that is kept, and shown to everyone who may read. */
export const TOKEN_AS_REASON =
  "reason must not have a token in it: it is kept in the history (revoke that token)";

/** What every write accepts in its URL. */
export const writeQuery: z.ZodObject<{
  dryRun: z.ZodOptional<z.ZodEnum<{ true: "true"; false: "false" }>>;
  force: z.ZodOptional<z.ZodEnum<{ true: "true"; false: "false" }>>;
  reason: z.ZodOptional<z.ZodString>;
}, z.core.$strict> = strictObject({
  dryRun: z.enum(["true", "false"], { error: "dryRun must be true or false" }).optional().meta({
    description: "true: change nothing, and answer with the plan: what would differ",
  }),
  force: z.enum(["true", "false"], { error: "force must be true or false" }).optional().meta({
    description: "true: change it though a guard refuses it; asks for a reason",
  }),
  reason: z.string().max(1_000, { error: "reason must have at most 1000 characters" }).refine(
    (text) => !/\p{Cc}/u.test(text),
    {
      error: "reason must not have control characters, such as line feeds",
    },
  ).refine((text) => !holdsToken(text), { error: TOKEN_AS_REASON }).optional().meta({
    description: "Kept in the history",
  }),
});

/** The number of a generation in a URL; 0 is the one before the first change. */
export function generationNumber(
  name: string,
): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  return z.string().regex(/^[0-9]{1,15}$/, { error: `${name} must be the number of a generation` })
    .transform(Number);
}

/** How many objects of each kind a change touches. */
export const changeCounts: z.ZodType<ChangeCounts> = z.partialRecord(
  z.enum(["pool", "member", "healthCheck", "geoRule", "service", "zone", "fallback", "override"]),
  z.object({ created: z.int().min(0), changed: z.int().min(0), deleted: z.int().min(0) }),
);

const IDEMPOTENCY_HEADER = "Idempotency-Key";

/** What an `Idempotency-Key` may be; a UUID has 36 characters. */
export const IDEMPOTENCY_KEY: RegExp = /^[!-~]{1,255}$/;

/** What every write accepts in its headers; heeded by `rememberAnswers`. */
export const idempotencyKey: z.ZodObject<{ "Idempotency-Key": z.ZodOptional<z.ZodString> }> = z.object({
  [IDEMPOTENCY_HEADER]: z.string().regex(IDEMPOTENCY_KEY, {
    error: "Idempotency-Key must be 1–255 visible ASCII characters",
  }).optional().meta({
    description: "1–255 visible characters: the same request with the same key happens once (10 minutes)",
  }),
});

/** What every conditional write accepts in its headers; heeded by `ifRevision`. */
export const ifMatch: z.ZodObject<{ "If-Match": z.ZodOptional<z.ZodString> }> = z.object({
  "If-Match": z.string().optional().meta({
    description: "The ETag that was read: 412 when the object has changed since",
  }),
});

/** What every write to what is there accepts in its headers. */
export const conditionalWrite: z.ZodObject<{
  "If-Match": z.ZodOptional<z.ZodString>;
  "Idempotency-Key": z.ZodOptional<z.ZodString>;
}> = z.object({ ...ifMatch.shape, ...idempotencyKey.shape });

/** What every conditional read accepts in its headers; heeded by `notModified`. */
export const ifNoneMatch: z.ZodObject<{ "If-None-Match": z.ZodOptional<z.ZodString> }> = z.object({
  "If-None-Match": z.string().optional().meta({ description: "304 when the object still has this ETag" }),
});

/** What a read of one object may say that it has. */
export const readOfOne: { params: typeof idParams; headers: typeof ifNoneMatch } = {
  params: idParams,
  headers: ifNoneMatch,
};

/** What a write to one object may demand. */
export const writeToOne: {
  params: typeof idParams;
  query: typeof writeQuery;
  headers: typeof conditionalWrite;
} = {
  params: idParams,
  query: writeQuery,
  headers: conditionalWrite,
};

/** Whether an `Idempotency-Key` counts: only where the route declares it. */
export function acceptsIdempotencyKey(route: Pick<Route, "request">): boolean {
  const headers = route.request?.headers;
  return headers instanceof z.ZodObject && IDEMPOTENCY_HEADER in headers.shape;
}

/** A JSON body or answer. */
export function json<Schema extends z.ZodType>(schema: Schema): { "application/json": { schema: Schema } } {
  return { "application/json": { schema } };
}

/** A required JSON body. */
export function jsonBody<Schema extends z.ZodType>(
  schema: Schema,
): { required: true; content: { "application/json": { schema: Schema } } } {
  return { required: true, content: json(schema) };
}

/** A required merge patch. */
export function patchBody<Schema extends z.ZodType>(
  schema: Schema,
): {
  required: true;
  content: {
    "application/merge-patch+json": { schema: Schema };
    "application/json": { schema: Schema };
  };
} {
  return {
    required: true,
    content: { "application/merge-patch+json": { schema }, "application/json": { schema } },
  };
}

/**
 * The error answers of a route. 401, 403 and 429 come with each.
 *
 * Its type is empty on purpose: handlers throw their errors, so what they return is never one of these.
 */
export function problems(...statuses: ProblemStatus[]): Record<never, never> {
  const all = [...new Set<ProblemStatus>([401, 403, 429, ...statuses])].sort((a, b) => a - b);
  return Object.fromEntries(all.map((status) => [status, {
    description: PROBLEM_MEANINGS[status] ?? PROBLEM_TITLES[status],
    content: { [PROBLEM_TYPE]: { schema: ProblemSchema } },
  }]));
}

/** Headers of an answer, as the document describes them. */
export type DeclaredHeaders = Record<
  string,
  { description: string; schema: { type: "string" | "integer"; enum?: string[] } }
>;

/** Headers of an answer that carries one object. */
export const etagHeader: DeclaredHeaders = {
  ETag: { description: "The object's revision in quotes", schema: { type: "string" } },
};

/** Headers of every write's answer. */
export const writeHeaders: DeclaredHeaders = {
  "Pleiades-Generation": {
    description: "The model's generation after the write",
    schema: { type: "integer" },
  },
  "Pleiades-Settled": {
    description:
      "Present, and false, when some DNS worker took longer than 5 s to take over the change: it is stored, " +
      "and will be in the answers soon",
    schema: { type: "string", enum: ["false"] },
  },
  "Pleiades-Log": {
    description:
      "Present, and pending, when the change is in this node's answers and not yet in the cluster's log: it will be " +
      "published, unless it doesn't fit what others change before it",
    schema: { type: "string", enum: ["pending"] },
  },
};

/** Headers of a create's answer. */
export const createHeaders: DeclaredHeaders = {
  ...etagHeader,
  ...writeHeaders,
  Location: { description: "Path of the new object", schema: { type: "string" } },
};

/** Headers of an update's answer. */
export const updateHeaders: DeclaredHeaders = { ...etagHeader, ...writeHeaders };

/** A shape with the defaults taken off: what is optional in a request is always there in an answer. */
export function answered<Shape extends z.core.$ZodLooseShape>(shape: Shape): Shape {
  const entries = Object.entries(shape).map(([name, field]) => [name, withoutDefault(field)]);
  return Object.fromEntries(entries);
}

/** The schema inside a default, described as before. */
export function withoutDefault(field: z.core.SomeType): z.ZodType {
  if (!(field instanceof z.ZodType)) throw new TypeError("Cannot describe a schema that isn't Zod's own");
  if (!(field instanceof z.ZodDefault)) return field;
  const { default: _, ...meta } = field.meta() ?? {};
  return withoutDefault(field.unwrap()).meta(meta);
}

const PROBLEM_MEANINGS: Partial<Record<ProblemStatus, string>> = {
  400: "The body, a field or a parameter is wrong: `errors` names each",
  401: "A bearer token is needed, or the one sent isn't known, has expired or was revoked",
  403: "The token lacks the scope, or the Host or Origin header isn't this node's",
  404: "No object has this id or name",
  410: "It was there, and isn't kept any more",
  409: "The name, domain or address is taken",
  412: "The object has changed since the ETag of If-Match was read",
  413: "The body is too large",
  415: "The body's media type isn't one of those above",
  429:
    "Too many wrong tokens came from the client's network: Retry-After says when the next one is looked at",
  422: "A reference points to nothing, or the Idempotency-Key was used for another request",
};

/**
 * A schema of `config/` that can be given a name in the OpenAPI document.
 *
 * @hono/zod-openapi extends only the schemas that are made after it was loaded; those of `config/` are older, because
 * the API is loaded last.
 */
export function named<Schema extends z.ZodType>(schema: Schema): Schema {
  return schema.clone();
}
