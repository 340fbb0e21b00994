/**
 * The health check of a pool.
 *
 * @module
 */
import assert from "node:assert/strict";
import { HEALTH_CHECK_DEFAULTS } from "../../src/model/model.ts";
import { apiWorld } from "./api_world.ts";

async function worldWithPool() {
  const world = apiWorld();
  const pool = await world.create("/pools", { name: "web" });
  return { world, path: `/api/v1/pools/${pool.id}/health-check` };
}

Deno.test("a pool has no health check until one is put, with defaults", async () => {
  const { world, path } = await worldWithPool();
  using _ = world;
  assert.equal((await world.send(`GET ${path}`)).status, 404);
  const put = await world.send(`PUT ${path}`, { body: {} });
  assert.equal(put.status, 201);
  assert.equal(put.headers.get("location"), path);
  const read = await world.send(`GET ${path}`);
  assert.deepEqual(await read.json(), HEALTH_CHECK_DEFAULTS);
  assert.equal(read.headers.get("etag"), put.headers.get("etag"));
});

Deno.test("a health check is replaced with 200 and deleted with 204", async () => {
  const { world, path } = await worldWithPool();
  using _ = world;
  await world.send(`PUT ${path}`, { body: { type: "http", httpExpectedStatus: "200, 204" } });
  const put = await world.send(`PUT ${path}`, { body: { type: "https", port: 8443 } });
  assert.equal(put.status, 200);
  assert.deepEqual(await put.json(), { ...HEALTH_CHECK_DEFAULTS, type: "https", port: 8443 });
  assert.equal((await world.send(`DELETE ${path}`)).status, 204);
  assert.equal((await world.send(`DELETE ${path}`)).status, 404);
});

Deno.test("a time-out that isn't given is never longer than the interval that is", async () => {
  const { world, path } = await worldWithPool();
  using _ = world;
  const put = async (body: unknown) => (await world.send(`PUT ${path}`, { body })).json();
  const { intervalMs, timeoutMs } = await put({ intervalMs: 1_000 });
  assert.deepEqual([intervalMs, timeoutMs], [1_000, 1_000]);
  const { checks } = await put({ type: "calculated", checks: [{ intervalMs: 500 }, {}] });
  assert.deepEqual(checks.map((check: { readonly timeoutMs: number }) => check.timeoutMs), [500, 2_000]);
  const { errors } = await put({ intervalMs: 1_000, timeoutMs: 2_000 });
  assert.equal(errors[0].message, "timeoutMs must be at most intervalMs (1000), is 2000");
  const zero = await put({ timeoutMs: 0 });
  assert.equal(zero.errors[0].message, "timeoutMs must be 10–60000, is 0");
});

Deno.test("a calculated check is answered with whole checks, and what is answered can be put again", async () => {
  const { world, path } = await worldWithPool();
  using _ = world;
  const body = { type: "calculated", require: 1, checks: [{ port: 80 }, { type: "https", httpPath: "/up" }] };
  const put = await (await world.send(`PUT ${path}`, { body })).json();
  assert.deepEqual(put, {
    ...HEALTH_CHECK_DEFAULTS,
    type: "calculated",
    require: 1,
    checks: [
      { ...HEALTH_CHECK_DEFAULTS, port: 80 },
      { ...HEALTH_CHECK_DEFAULTS, type: "https", httpPath: "/up" },
    ],
  });
  const generation = world.store.generation();
  assert.deepEqual(await (await world.send(`PUT ${path}`, { body: put })).json(), put);
  assert.equal(world.store.generation(), generation);
});

Deno.test("If-Match guards a health check, and can't match one that doesn't exist", async () => {
  const { world, path } = await worldWithPool();
  using _ = world;
  for (const tag of ["*", `"1"`]) {
    const response = await world.send(`PUT ${path}`, { body: {}, headers: { "if-match": tag } });
    assert.equal(response.status, 412, tag);
  }
  const { headers } = await world.send(`PUT ${path}`, { body: {} });
  await world.send(`PUT ${path}`, { body: { rise: 5 } });
  const stale = { "if-match": headers.get("etag")! };
  assert.equal((await world.send(`PUT ${path}`, { body: {}, headers: stale })).status, 412);
  assert.equal((await world.send(`DELETE ${path}`, { headers: stale })).status, 412);
  assert.equal((await (await world.send(`GET ${path}`)).json()).rise, 5);
});

const WRONG: readonly (readonly [Record<string, unknown>, string])[] = [
  [{ type: "icmp" }, "/type"],
  [{ type: "calculated" }, "/checks"],
  [{ type: "calculated", checks: [{ type: "calculated" }] }, "/checks/0/type"],
  [{ type: "calculated", require: 2, checks: [{}] }, "/require"],
  [{ checks: [{}] }, "/checks"],
  [{ port: 0 }, "/port"],
  [{ intervalMs: 249, timeoutMs: 100 }, "/intervalMs"],
  [{ intervalMs: 1000, timeoutMs: 1001 }, "/timeoutMs"],
  [{ rise: 0 }, "/rise"],
  [{ fall: 101 }, "/fall"],
  [{ httpMethod: "DELETE" }, "/httpMethod"],
  [{ httpPath: "healthz" }, "/httpPath"],
  [{ httpPath: "/\r\nX-Evil: 1" }, "/httpPath"],
  [{ httpHost: "a b" }, "/httpHost"],
  [{ httpHost: "a..b" }, "/httpHost"],
  [{ httpExpectedStatus: 200 }, "/httpExpectedStatus"],
  [{ httpExpectedStatus: "399-200" }, "/httpExpectedStatus"],
  [{ httpContains: "" }, "/httpContains"],
  [{ insecureSkipVerify: 1 }, "/insecureSkipVerify"],
  [{ interval: 1 }, "/interval"],
];

for (const [fields, pointer] of WRONG) {
  Deno.test(`a health check with ${JSON.stringify(fields)} is refused at ${pointer}`, async () => {
    const { world, path } = await worldWithPool();
    using _ = world;
    const response = await world.send(`PUT ${path}`, { body: fields });
    assert.equal(response.status, 400);
    assert.deepEqual((await response.json()).errors.map((error: { pointer: string }) => error.pointer), [
      pointer,
    ]);
    assert.equal((await world.send(`GET ${path}`)).status, 404);
  });
}

Deno.test("the health check of an unknown pool is 404", async () => {
  using world = apiWorld();
  const path = `/api/v1/pools/${"0".repeat(32)}/health-check`;
  assert.equal((await world.send(`GET ${path}`)).status, 404);
  assert.equal((await world.send(`PUT ${path}`, { body: {} })).status, 404);
  assert.equal((await world.send(`DELETE ${path}`)).status, 404);
});

Deno.test("a dry run gives a pool no health check", async () => {
  const { world, path } = await worldWithPool();
  using _ = world;
  const response = await world.send(`PUT ${path}?dryRun=true`, { body: {} });
  assert.equal(response.status, 200);
  const { changes: [{ after: { poolId: __, ...check } }] } = await response.json();
  assert.deepEqual(check, HEALTH_CHECK_DEFAULTS);
  assert.equal((await world.send(`GET ${path}`)).status, 404);
});
