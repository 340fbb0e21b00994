/** @module What is probed of a pool. */
import { deepEqual } from "node:assert/strict";
import { checkTargetsOf } from "../../src/desired/check_target.ts";
import { HEALTH_CHECK_DEFAULTS, type HealthCheck } from "../../src/model/model.ts";

const MEMBERS = [
  { ipAddress: "192.0.2.1", port: 443 },
  { ipAddress: null, port: 443 },
  { ipAddress: "2001:db8::1", port: 8443 },
];

function targetsUnder(healthCheck: HealthCheck | null): string[] {
  return checkTargetsOf({ members: MEMBERS, healthCheck }).map(({ check, ipAddress, port }) =>
    `${check.type} ${ipAddress} ${port}`
  );
}

Deno.test("checkTargetsOf() has a target for each member with an address", () => {
  deepEqual(targetsUnder(HEALTH_CHECK_DEFAULTS), ["tcp 192.0.2.1 443", "tcp 2001:db8::1 8443"]);
  deepEqual(targetsUnder({ ...HEALTH_CHECK_DEFAULTS, port: 80 }), ["tcp 192.0.2.1 80", "tcp 2001:db8::1 80"]);
  deepEqual(targetsUnder(null), []);
});

Deno.test("checkTargetsOf() has the targets of all checks that a calculated one is made of", () => {
  const checks = [{ ...HEALTH_CHECK_DEFAULTS, port: 80 }, {
    ...HEALTH_CHECK_DEFAULTS,
    type: "https" as const,
  }];
  deepEqual(targetsUnder({ ...HEALTH_CHECK_DEFAULTS, type: "calculated", checks }), [
    "tcp 192.0.2.1 80",
    "https 192.0.2.1 443",
    "tcp 2001:db8::1 80",
    "https 2001:db8::1 8443",
  ]);
});
