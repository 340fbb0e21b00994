/** @module Tests of the remark on algorithms that lack what they go by. */
import { equal } from "node:assert/strict";
import { HEALTH_CHECK_DEFAULTS, type Pool } from "../../src/model/model.ts";
import { remarkOnRules, remarkOnSteering } from "../../src/model/steering.ts";

const NOTHING = {
  geoip: { database: [], asnDatabase: [], endpointLocations: {} },
  mapFile: { path: null },
};
const ALL = {
  geoip: { ...NOTHING.geoip, database: ["city.mmdb"] },
  mapFile: { path: "map.txt" },
};

function pool(algorithm: Pool["algorithm"], healthCheck: Pool["healthCheck"] = null) {
  return { name: "web", algorithm, healthCheck };
}

Deno.test("remarkOnSteering() says nothing of pools that have what they need", () => {
  const pools = (["geoip", "map-file", "failover", "hash", "round-robin"] as const).map((each) => pool(each));
  equal(remarkOnSteering([...pools, pool("latency", HEALTH_CHECK_DEFAULTS)], ALL), null);
  equal(remarkOnSteering([pool("failover"), pool("hash")], NOTHING), null);
});

for (
  const [algorithm, lack] of [
    ["geoip", "geoip needs the setting geoip.database"],
    ["map-file", "map-file needs the setting mapFile.path"],
    ["latency", "latency needs a health check"],
  ] as const
) {
  Deno.test(`remarkOnSteering() says that ${lack}`, () => {
    equal(remarkOnSteering([pool(algorithm)], NOTHING), `Members of pool web only rotate: ${lack}`);
  });
}

Deno.test("remarkOnSteering() names five pools and counts the others", () => {
  const pools = ["a", "b", "c", "d", "e", "f", "g"].map((name) => ({ ...pool("latency"), name }));
  const lack = "latency needs a health check";
  equal(
    remarkOnSteering(pools, NOTHING),
    `Members of 7 pools only rotate: a (${lack}), b (${lack}), c (${lack}), d (${lack}), e (${lack}) and 2 more`,
  );
});

const RULE = { id: "r", memberId: "m", cidr: null, country: null, continent: null, asn: null };
for (
  const [rule, lack] of [
    [{ country: "DE" }, "country DE needs the setting geoip.database"],
    [{ continent: "EU" }, "continent EU needs the setting geoip.database"],
    [{ asn: 64500 }, "AS64500 needs the setting geoip.asnDatabase"],
  ] as const
) {
  Deno.test(`remarkOnRules() says that ${lack}`, () => {
    const pools = [{ name: "web", geoRules: [{ ...RULE, ...rule }, { ...RULE, cidr: "192.0.2.0/24" }] }];
    equal(remarkOnRules(pools, NOTHING), `Geo rules that never match: web: ${lack}`);
    equal(remarkOnRules(pools, { geoip: { ...ALL.geoip, asnDatabase: ["asn.mmdb"] } }), null);
  });
}
