/**
 * What only members have: their health, and the pool they belong to.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { HealthCheck, Member } from "../../src/config/model.ts";
import type { Verdict } from "../../src/health/verdict.ts";
import { apiWorld } from "./api_world.ts";

const DOWN: Verdict = {
  state: "unhealthy",
  since: 1_767_225_600_000,
  lastError: "connection refused",
  latencyMs: null,
  checkedAt: 1_767_225_601_000,
};

Deno.test("a member shows what is believed of it under its pool's check", async () => {
  const asked: [Member["ipAddress"], HealthCheck["type"] | undefined][] = [];
  const { parts } = apiWorld();
  const memberHealth = (member: Member, check: HealthCheck | null) => {
    asked.push([member.ipAddress, check?.type]);
    return DOWN;
  };
  using world = apiWorld({ node: { ...parts.node, memberHealth } });
  parts.store.close();
  const pool = await world.create("/pools", { name: "web" });
  await world.send(`PUT /api/v1/pools/${pool.id}/health-check`, { body: { type: "https" } });
  const member = await world.create(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.1", port: 80 });
  const read = await (await world.send(`GET /api/v1/members/${member.id}`)).json();
  const [listed] = await (await world.send(`GET /api/v1/pools/${pool.id}/members`)).json();
  assert.deepEqual(read.health, DOWN);
  assert.deepEqual(listed, read);
  assert.deepEqual(asked, Array(3).fill(["192.0.2.1", "https"]));
});

for (const field of ["health", "poolId", "id"]) {
  Deno.test(`${field} of a member can't be written`, async () => {
    using world = apiWorld();
    const pool = await world.create("/pools", { name: "web" });
    const member = await world.create<Record<string, unknown>>(`/pools/${pool.id}/members`, {
      ipAddress: "192.0.2.1",
      port: 80,
    });
    const response = await world.send(`PATCH /api/v1/members/${member["id"]}`, {
      body: { [field]: member[field] },
    });
    assert.equal(response.status, 400);
    assert.equal((await response.json()).errors[0].pointer, `/${field}`);
  });
}

Deno.test("one coordinate without the other is refused", async () => {
  using world = apiWorld();
  const pool = await world.create("/pools", { name: "web" });
  const body = { ipAddress: "192.0.2.1", port: 80, latitude: 50.1 };
  const response = await world.send(`POST /api/v1/pools/${pool.id}/members`, { body });
  assert.equal(response.status, 400);
  assert.equal((await response.json()).errors[0].pointer, "/longitude");
});
