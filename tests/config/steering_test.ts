/** @module Tests of the remark on algorithms that don't steer yet. */
import { equal } from "node:assert/strict";
import { remarkOnSteering } from "../../src/config/steering.ts";

Deno.test("remarkOnSteering() says nothing of pools that steer as they say", () => {
  equal(
    remarkOnSteering([{ name: "a", algorithm: "round-robin" }, {
      name: "b",
      algorithm: "weighted-round-robin",
    }]),
    null,
  );
});

for (const algorithm of ["geoip", "map-file", "failover", "hash", "latency"] as const) {
  Deno.test(`remarkOnSteering() says that ${algorithm} doesn't steer yet`, () => {
    equal(
      remarkOnSteering([{ name: "web", algorithm }]),
      `Pool web answers round-robin, because ${algorithm} doesn't steer yet`,
    );
  });
}

Deno.test("remarkOnSteering() names five pools and counts the others", () => {
  const pools = ["a", "b", "c", "d", "e", "f", "g"].map((name) => ({ name, algorithm: "hash" as const }));
  equal(
    remarkOnSteering(pools),
    "7 pools answer round-robin, because their algorithms don't steer yet: " +
      "a (hash), b (hash), c (hash), d (hash), e (hash) and 2 more",
  );
});
