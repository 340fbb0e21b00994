/**
 * A lock for each pool: a few strings that whoever works on the pool's members leaves there for the others, such as an agent's
 * block. The strings mean nothing to this program.
 *
 * They are no part of the model, and end by themselves; who holds a lock refreshes it. Nodes of a cluster that share their
 * model share them too, by the same servers. Elsewhere they are in the memory of one node, and gone when that ends.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Clock } from "../clock.ts";
import { LocksAway, SHARED_LOCKS, type SharedLocks } from "../cluster/port.ts";
import { strictObject } from "../input/strict_object.ts";
import { expectTag } from "./conditional.ts";
import { ApiProblem, notFound } from "./problem.ts";
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
      ...problems(404, 503),
    },
  },
  put: {
    operationId: "putPoolLock",
    method: "put",
    path,
    scope: "write",
    summary: "Take or refresh a pool's lock",
    description:
      "With `If-Match` only over the lock that was read. Nodes that share their model over NATS have it in common; " +
      "503 where they can't reach it. Any other node keeps it in its own memory.",
    request: { params: idParams, headers: conditionalWrite, body: jsonBody(LockSchema) },
    responses: {
      200: { description: "The lock as it is now", headers: etagHeader, content: json(LockSchema) },
      ...problems(400, 404, 412, 413, 415, 503),
    },
  },
  delete: {
    operationId: "deletePoolLock",
    method: "delete",
    path,
    scope: "write",
    summary: "Give a pool's lock back",
    request: { params: idParams, headers: conditionalWrite },
    responses: { 204: { description: "It is gone" }, ...problems(400, 404, 412, 503) },
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

/** A lock with the tag that it is known by. */
type Tagged = Lock & { readonly tag: string };

/** Longer than this many times its TTL no lock is refreshed any more. */
const LIVES = 5;

/** Tries of a write without `If-Match`, each of which may find another lock. */
const TRIES_MAX = 5;

/** Locks of a node that shares nothing: it has to be the same one for all, and forgets them when it ends. */
class OwnLocks implements SharedLocks {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #held = new Map<string, { readonly lock: Tagged; readonly untilMs: number }>();
  /** Of this process, so that no tag of another one counts. */
  readonly #mark = crypto.getRandomValues(new Uint8Array(4)).toHex();
  #puts = 0;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  read(pool: string): Promise<Tagged> {
    return Promise.resolve(this.#read(pool));
  }

  write(pool: string, lock: Lock, tag: string): Promise<string | null> {
    if (this.#read(pool).tag !== tag) return Promise.resolve(null);
    const now = this.#clock.monotonicMs();
    // Pools are deleted, and their locks stay: there are never more than pools that had one lately.
    for (const [other, { untilMs }] of this.#held) if (untilMs <= now) this.#held.delete(other);
    this.#held.delete(pool);
    const next = lock.values.length === 0 ? "0" : `${this.#mark}-${++this.#puts}`;
    if (lock.values.length > 0) {
      this.#held.set(pool, { lock: { ...lock, tag: next }, untilMs: now + LIVES * lock.ttlSeconds * 1000 });
    }
    return Promise.resolve(next);
  }

  #read(pool: string): Tagged {
    const held = this.#held.get(pool);
    return held !== undefined && held.untilMs > this.#clock.monotonicMs()
      ? held.lock
      : { values: [], ttlSeconds: 1, tag: "0" };
  }
}

function serve(app: OpenAPIHono, { store, clock, ports }: ResourceParts): void {
  const own = new OwnLocks(clock);

  app.openapi(routes.get, async (c) => {
    const { locks, pool } = placeOf(c.req.valid("param").id);
    const { tag, ...lock } = await orAway(locks.read(pool));
    c.header("ETag", `"${tag}"`);
    return c.json({ values: [...lock.values], ttlSeconds: lock.ttlSeconds }, 200);
  });

  app.openapi(routes.put, async (c) => {
    const lock = c.req.valid("json");
    c.header("ETag", `"${await replaced(c, c.req.valid("param").id, lock)}"`);
    return c.json(lock, 200);
  });

  app.openapi(routes.delete, async (c) => {
    await replaced(c, c.req.valid("param").id, { values: [], ttlSeconds: 1 });
    return c.body(null, 204);
  });

  /** Its new tag. @throws {ApiProblem} 412 when another lock is there than `If-Match` says */
  async function replaced(c: Context, id: string, lock: Lock): Promise<string> {
    const { locks, pool } = placeOf(id);
    for (let tries = 1;; tries++) {
      const { tag } = await orAway(locks.read(pool));
      expectTag(c, tag);
      const next = await orAway(locks.write(pool, lock, tag));
      if (next !== null) return next;
      if (tries === TRIES_MAX) {
        throw new ApiProblem(412, "The lock changes faster than it can be written (read it again)");
      }
    }
  }

  /** Where a pool's lock is. @throws {ApiProblem} 404 when there is no such pool */
  function placeOf(id: string): { readonly locks: SharedLocks; readonly pool: string } {
    const { name: pool } = store.pools.get(id) ?? notFound("pool", id);
    return { locks: ports.find(SHARED_LOCKS) ?? own, pool };
  }
}

/** @throws {ApiProblem} 503 when the cluster's locks can't be asked */
async function orAway<Value>(value: Promise<Value>): Promise<Value> {
  try {
    return await value;
  } catch (error) {
    if (!(error instanceof LocksAway)) throw error;
    throw new ApiProblem(
      503,
      `The lock is one of the whole cluster, and can't be asked for now: ${error.message} (try again, or ask another node)`,
    );
  }
}
