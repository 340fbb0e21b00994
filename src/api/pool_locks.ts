/**
 * A lock for each pool: a few strings that whoever works on the pool's members leaves there for the others, such as an agent's
 * block. The strings mean nothing to this program.
 *
 * They are no part of the model: they are in memory, end by themselves, and a node that starts again has none. Who
 * holds a lock refreshes it.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { strictObject } from "../input/strict_object.ts";
import { expectTag } from "./conditional.ts";
import { notFound } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  BASE,
  conditionalWrite,
  etagHeader,
  idParams,
  json,
  jsonBody,
  problems,
  type Routes,
} from "./route.ts";

const path = `${BASE}/pools/{id}/lock`;

const LockSchema = strictObject({
  values: z.array(z.string().min(1).max(255)).max(16).meta({
    description: "Whatever the holder leaves there",
    examples: [["OwnerId=0a1b2c3d"]],
  }),
  ttlSeconds: z.int().min(1).max(3600).meta({
    description: "It ends after five times this, unless it is put again",
    examples: [60],
  }),
}).openapi("PoolLock");

const routes = {
  get: {
    operationId: "getPoolLock",
    method: "get",
    path,
    scope: "read",
    summary: "A pool's lock",
    description: "Without strings where there is none.",
    request: { params: idParams },
    responses: {
      200: { description: "The lock", headers: etagHeader, content: json(LockSchema) },
      ...problems(404),
    },
  },
  put: {
    operationId: "putPoolLock",
    method: "put",
    path,
    scope: "write",
    summary: "Take or refresh a pool's lock",
    description:
      "With `If-Match` only over the lock that was read. It is kept in the memory of this node alone.",
    request: { params: idParams, headers: conditionalWrite, body: jsonBody(LockSchema) },
    responses: {
      200: { description: "The lock as it is now", headers: etagHeader, content: json(LockSchema) },
      ...problems(400, 404, 412, 413, 415),
    },
  },
  delete: {
    operationId: "deletePoolLock",
    method: "delete",
    path,
    scope: "write",
    summary: "Give a pool's lock back",
    request: { params: idParams, headers: conditionalWrite },
    responses: { 204: { description: "It is gone" }, ...problems(400, 404, 412) },
  },
} satisfies Routes;

/** Locks of pools, as the API serves them. */
export const poolLocks: Resource = {
  tag: "Locks",
  description: "A few strings by which those who work on a pool's members keep out of each other's way.",
  routes: Object.values(routes),
  serve,
};

type Lock = z.infer<typeof LockSchema>;

/** A lock that was put. */
interface Held {
  readonly lock: Lock;
  readonly tag: string;
  /** By the monotonic clock. */
  readonly untilMs: number;
}

/** Longer than this many times its TTL no lock is refreshed any more. */
const LIVES = 5;

const NO_LOCK: Lock = { values: [], ttlSeconds: 1 };

function serve(app: OpenAPIHono, { store, clock }: ResourceParts): void {
  const held = new Map<string, Held>();
  let puts = 0;

  app.openapi(routes.get, (c) => {
    const { lock, tag } = found(c.req.valid("param").id);
    c.header("ETag", `"${tag}"`);
    return c.json(lock, 200);
  });

  app.openapi(routes.put, (c) => {
    const { id } = c.req.valid("param");
    expectTag(c, found(id).tag);
    const lock = c.req.valid("json");
    return c.json(put(c, id, lock), 200);
  });

  app.openapi(routes.delete, (c) => {
    const { id } = c.req.valid("param");
    expectTag(c, found(id).tag);
    held.delete(id);
    return c.body(null, 204);
  });

  function put(c: Context, id: string, lock: Lock): Lock {
    const now = clock.monotonicMs();
    // Pools are deleted, and their locks stay: there are never more than pools that had one lately.
    for (const [other, { untilMs }] of held) if (untilMs <= now) held.delete(other);
    const tag = String(++puts);
    held.set(id, { lock, tag, untilMs: now + LIVES * lock.ttlSeconds * 1000 });
    c.header("ETag", `"${tag}"`);
    return lock;
  }

  /** The lock of a pool. @throws {ApiProblem} 404 when there is no such pool */
  function found(id: string): Pick<Held, "lock" | "tag"> {
    if (!store.pools.get(id)) notFound("pool", id);
    const entry = held.get(id);
    return entry !== undefined && entry.untilMs > clock.monotonicMs() ? entry : { lock: NO_LOCK, tag: "0" };
  }
}
