/**
 * What only members have: their health, and the pool they belong to.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Member } from "../../src/model/model.ts";
import type { EligibilityPool } from "../../src/desired/eligibility.ts";
import type { MemberHealth } from "../../src/health/node_health.ts";
import type { FailBackResult } from "../../src/health/eligibility.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { apiWorld } from "./api_world.ts";

const DOWN: MemberHealth = {
  state: "unhealthy",
  since: 1_767_225_600_000,
  lastError: "connection refused",
  latencyMs: null,
  checkedAt: 1_767_225_601_000,
  eligible: false,
  why: "down by its check: connection refused",
};

Deno.test("a member shows what is known of it under its pool's check and failback policy", async () => {
  const asked: [string | null, string | undefined, EligibilityPool["failback"]][] = [];
  const { parts } = apiWorld();
  const memberHealth = ({ healthCheck, failback }: EligibilityPool, { ipAddress }: Member) => {
    asked.push([ipAddress, healthCheck?.type, failback]);
    return DOWN;
  };
  using world = apiWorld({ node: { ...parts.node, memberHealth } });
  parts.store.close();
  const pool = await world.create("/pools", { name: "web", failback: "manual" });
  await world.send(`PUT /api/v1/pools/${pool.id}/health-check`, { body: { type: "https" } });
  const member = await world.create(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.1", port: 80 });
  const read = await (await world.send(`GET /api/v1/members/${member.id}`)).json();
  const [listed] = await (await world.send(`GET /api/v1/pools/${pool.id}/members`)).json();
  assert.deepEqual(read.health, {
    ...DOWN,
    since: "2026-01-01T00:00:00.000Z",
    checkedAt: "2026-01-01T00:00:01.000Z",
  });
  assert.deepEqual(listed, read);
  assert.deepEqual(asked, Array(3).fill(["192.0.2.1", "https", "manual"]));
});

Deno.test("a member shows who finds what of it where nodes share what they find", async () => {
  const { parts } = apiWorld();
  const views = [{
    check: "tcp 80",
    policy: "global-any-healthy",
    state: "healthy",
    by: "peers",
    own: "unhealthy",
    isBlind: false,
    reports: [{ node: "b", region: "us", state: "healthy" }],
    why: "b finds it healthy (global-any-healthy)",
  }] as const;
  const memberHealth = () => ({
    ...DOWN,
    views: views.map((view) => ({ ...view, reports: [...view.reports] })),
  });
  using world = apiWorld({ node: { ...parts.node, memberHealth } });
  parts.store.close();
  const pool = await world.create("/pools", { name: "web" });
  const member = await world.create(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.1", port: 80 });
  const { health } = await (await world.send(`GET /api/v1/members/${member.id}`)).json();
  assert.deepEqual(health.views, views);
});

const FAIL_BACKS: readonly [result: FailBackResult, query: string, status: number, isLogged: boolean][] = [
  ["done", "", 200, true],
  ["done", "?dryRun=true", 200, false],
  ["was in", "", 200, false],
  ["down", "", 409, false],
  ["down", "?dryRun=true", 409, false],
];

for (const [result, query, status, isLogged] of FAIL_BACKS) {
  Deno.test(`POST /members/{id}/failback${query} gives ${status} when the member ${result}`, async () => {
    const asked: boolean[] = [];
    const logged: string[] = [];
    const { parts } = apiWorld();
    const failBack = (_pool: EligibilityPool, _member: Member, { dryRun }: { readonly dryRun: boolean }) => {
      asked.push(dryRun);
      return result;
    };
    const log = createLogger({
      level: "info",
      format: "json",
      clock: parts.clock,
      write: (line) => logged.push(line),
    });
    using world = apiWorld({ node: { ...parts.node, failBack }, log });
    parts.store.close();
    const pool = await world.create("/pools", { name: "web", failback: "manual" });
    const member = await world.create(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.1", port: 80 });
    const generation = world.parts.store.generation();
    const response = await world.send(`POST /api/v1/members/${member.id}/failback${query}`, {
      body: { reason: "looks well" },
    });
    const body = await response.json();
    assert.equal(response.status, status);
    assert.match(
      status === 200 ? body.id : body.detail,
      status === 200 ? /^[0-9a-f]{32}$/ : /its check fails \(fix/,
    );
    assert.deepEqual(asked, [query.includes("dryRun")]);
    assert.equal(logged.some((line) => /Member was failed back.*looks well/.test(line)), isLogged);
    assert.equal(world.parts.store.generation(), generation);
  });
}

Deno.test("a member that isn't there can't be failed back", async () => {
  using world = apiWorld();
  const response = await world.send(`POST /api/v1/members/${"0".repeat(32)}/failback`, { body: {} });
  assert.equal(response.status, 404);
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
