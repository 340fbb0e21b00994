/**
 * Writes that are sent twice.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Hono } from "hono";
import { rememberAnswers } from "../../src/api/idempotency.ts";
import { routesOf } from "../../src/api/resource.ts";
import { acceptsIdempotencyKey } from "../../src/api/route.ts";
import { RESOURCES } from "../../src/api/routes.ts";
import { ManualClock } from "../clock.ts";
import { type ApiWorld, apiWorld } from "./api_world.ts";

function create(world: ApiWorld, key: string, body: unknown, query = ""): Promise<Response> {
  return world.send(`POST /api/v1/pools${query}`, { body, headers: { "idempotency-key": key } });
}

Deno.test("the same create with the same key happens once and gets the same answer", async () => {
  using world = apiWorld();
  const first = await create(world, "k1", { name: "web" });
  const second = await create(world, "k1", { name: "web" });
  assert.equal(second.status, 201);
  assert.equal(second.headers.get("location"), first.headers.get("location"));
  assert.equal(second.headers.get("etag"), first.headers.get("etag"));
  assert.deepEqual(await second.json(), await first.json());
  assert.equal(world.store.pools.count(), 1);
});

Deno.test("two creates with one key that overlap happen once", async () => {
  const { parts } = apiWorld();
  parts.store.close();
  const { promise, resolve } = Promise.withResolvers<void>();
  using world = apiWorld({ node: { ...parts.node, settled: () => promise } });
  const both = [create(world, "k1", { name: "web" }), create(world, "k1", { name: "web" })];
  resolve();
  const [first, second] = await Promise.all(both);
  assert.deepEqual([first!.status, second!.status], [201, 201]);
  assert.deepEqual(await second!.json(), await first!.json());
});

Deno.test("a key that was used for another body, path or query is 422", async () => {
  using world = apiWorld();
  await create(world, "k1", { name: "web" });
  assert.equal((await create(world, "k1", { name: "other" })).status, 422);
  assert.equal((await create(world, "k1", { name: "web" }, "?reason=x")).status, 422);
  assert.equal(world.store.pools.count(), 1);
});

Deno.test("one key may be used on two collections", async () => {
  using world = apiWorld();
  await create(world, "k1", { name: "web" });
  const headers = { "idempotency-key": "k1" };
  const response = await world.send("POST /api/v1/services", {
    body: { domain: "www.example.com" },
    headers,
  });
  assert.equal(response.status, 201);
});

Deno.test("a refused create may be retried with its key", async () => {
  using world = apiWorld();
  const pool = await world.create("/pools", { name: "web" });
  assert.equal((await create(world, "k1", { name: "web" })).status, 409);
  await world.send(`DELETE /api/v1/pools/${pool.id}`);
  assert.equal((await create(world, "k1", { name: "web" })).status, 201);
});

Deno.test("a dry run doesn't use up its key", async () => {
  using world = apiWorld();
  assert.equal((await create(world, "k1", { name: "web" }, "?dryRun=true")).status, 200);
  assert.equal((await create(world, "k1", { name: "web" })).status, 201);
});

Deno.test("after ten minutes a key is forgotten", async () => {
  using world = apiWorld();
  await create(world, "k1", { name: "web" });
  await world.clock.advance(599_999);
  assert.equal((await create(world, "k1", { name: "web" })).status, 201);
  await world.clock.advance(1);
  assert.equal((await create(world, "k1", { name: "web" })).status, 409);
});

Deno.test("beyond 4096 keys the oldest is forgotten", async () => {
  // Thousands of pools, and what a node does for each, would show no more.
  let done = 0;
  const app = new Hono();
  app.use(rememberAnswers(new ManualClock(), () => ({})));
  app.post("/", (c) => c.text(`${++done}`, 201));
  const write = async (key: string) =>
    await (await app.request("/", { method: "POST", headers: { "idempotency-key": key } })).text();
  for (let i = 1; i <= 4_095; i++) assert.equal(await write(`k${i}`), `${i}`);
  assert.equal(await write("k1"), "1");
  assert.deepEqual([await write("k4096"), await write("k4096"), await write("k1")], ["4096", "4096", "4097"]);
});

for (const [what, key] of [["a space", "a b"], ["256 characters", "k".repeat(256)]] as const) {
  Deno.test(`a key with ${what} is 400`, async () => {
    using world = apiWorld();
    assert.equal((await create(world, key, { name: "web" })).status, 400);
  });
}

/** Writes that aren't creates, each with the pool that is there. */
const WRITES: readonly (readonly [line: string, body: unknown])[] = [
  ["PUT /api/v1/pools/POOL", { name: "web", maxAnswers: 2 }],
  ["PATCH /api/v1/pools/POOL", { maxAnswers: 2 }],
  ["PUT /api/v1/pools/POOL/health-check", { type: "tcp" }],
  ["DELETE /api/v1/pools/POOL", undefined],
  ["PUT /api/v1/fallback", { endpoints: ["192.0.2.9"] }],
  ["POST /api/v1/tokens", { name: "ci", scope: "admin" }],
];

for (const [line, body] of WRITES) {
  Deno.test(`${line} with the same key happens once and gets the same answer`, async () => {
    using world = apiWorld({ auth: { tokens: ["a-token-of-the-settings"], loopback: true } });
    const headers = { authorization: "Bearer a-token-of-the-settings", "idempotency-key": "k1" };
    const made = await world.send("POST /api/v1/pools", {
      body: { name: "web" },
      headers: { authorization: headers.authorization },
    });
    const { id } = await made.json();
    const send = (json: unknown) => world.send(line.replace("POOL", id), { body: json, headers });
    const first = await send(body);
    assert.ok(first.ok, await first.clone().text());
    const rows = world.audited().length;
    const second = await send(body);
    assert.deepEqual(
      [second.status, second.headers.get("pleiades-generation"), await second.text()],
      [first.status, first.headers.get("pleiades-generation"), await first.text()],
    );
    assert.equal(world.audited().length, rows);
    if (body !== undefined) assert.equal((await send({ ...body as object, more: 1 })).status, 422);
  });
}

function apply(world: ApiWorld, key: string, lines: readonly string[]): Promise<Response> {
  return world.send("POST /api/v1/apply", {
    body: lines.join("\n"),
    headers: { "content-type": "application/x-ndjson", "idempotency-key": key },
  });
}

const LINES = Array.from({ length: 100 }, (_, i) => JSON.stringify({ pool: { name: `p${i}` } }));

Deno.test("a whole apply with the same key happens once; another model, shorter or longer, is 422", async () => {
  using world = apiWorld();
  const first = await apply(world, "k1", LINES);
  assert.equal(first.status, 200);
  await world.create("/pools", { name: "later" });
  const second = await apply(world, "k1", LINES);
  assert.deepEqual(await second.json(), await first.json());
  assert.equal(world.store.pools.count(), 101);
  for (const lines of [LINES.slice(1), [...LINES, ...LINES], LINES.toReversed()]) {
    assert.equal((await apply(world, "k1", lines)).status, 422);
  }
  assert.equal((await apply(world, "k2", LINES)).status, 200);
  assert.equal(world.store.pools.count(), 100);
});

Deno.test("an apply that was refused may be sent again with its key, and two at once happen once", async () => {
  using world = apiWorld();
  assert.equal((await apply(world, "k1", ["nonsense"])).status, 400);
  const both = await Promise.all([apply(world, "k1", LINES), apply(world, "k1", LINES)]);
  assert.deepEqual(both.map(({ status }) => status), [200, 200]);
  assert.deepEqual(await both[0].json(), await both[1].json());
  assert.equal(world.store.generation(), 1);
});

Deno.test("another If-Match under one key is another request", async () => {
  using world = apiWorld();
  const { id } = await world.create("/pools", { name: "web" });
  const patch = (ifMatch: string) =>
    world.send(`PATCH /api/v1/pools/${id}`, {
      body: { maxAnswers: 2 },
      headers: { "if-match": ifMatch, "idempotency-key": "k1" },
    });
  assert.deepEqual([(await patch('"1"')).status, (await patch('"1"')).status], [200, 200]);
  assert.equal((await patch('"2"')).status, 422);
});

for (const route of routesOf(RESOURCES)) {
  const isWrite = route.method !== "get" && route.scope !== "open" && route.scope !== "read";
  Deno.test(`an Idempotency-Key ${isWrite ? "counts" : "doesn't count"} for ${route.operationId}`, () => {
    assert.equal(acceptsIdempotencyKey(route), isWrite);
  });
}
