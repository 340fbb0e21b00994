/**
 * The store as other parts use it: opening, reading, paging, streaming.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { newId } from "../../src/store/id.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";

const ORIGIN = { via: "api", by: "", reason: "" };

Deno.test("a pool with a member and a service can be read back after a commit", () => {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  const [poolId, memberId, serviceId] = [newId(), newId(), newId()];
  const commit = changes.commit([
    {
      kind: "createPool",
      id: poolId,
      fields: {
        name: "web",
        algorithm: "round-robin",
        maxAnswers: 1,
        onAllDown: "all",
        fallbackPoolId: null,
      },
    },
    {
      kind: "createMember",
      id: memberId,
      poolId,
      fields: {
        ipAddress: "192.0.2.10",
        port: 443,
        weight: 1,
        priority: 0,
        enabled: true,
        latitude: null,
        longitude: null,
      },
    },
    {
      kind: "createService",
      id: serviceId,
      fields: { domain: "www.example.com", poolId, ttl: 30, ecs: true },
    },
  ], ORIGIN);
  assert.deepEqual(commit, {
    generation: 1,
    everything: false,
    poolIds: [poolId],
    serviceIds: [serviceId],
    zoneDomains: [],
    fallback: false,
  });
  assert.deepEqual(store.model(), {
    generation: 1,
    pools: [{
      id: poolId,
      name: "web",
      algorithm: "round-robin",
      maxAnswers: 1,
      onAllDown: "all",
      fallbackPoolId: null,
      members: [{
        id: memberId,
        ipAddress: "192.0.2.10",
        port: 443,
        weight: 1,
        priority: 0,
        enabled: true,
        latitude: null,
        longitude: null,
      }],
      healthCheck: null,
      geoRules: [],
    }],
    services: [{ id: serviceId, domain: "www.example.com", poolId, ttl: 30, ecs: true }],
    zones: [],
    fallback: null,
  });
});
