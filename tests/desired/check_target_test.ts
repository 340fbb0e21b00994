/** @module What is probed of a pool. */
import { deepEqual, equal, notEqual } from "node:assert/strict";
import { checkTargetOf, checkTargetsOf, wireTargetOf } from "../../src/desired/check_target.ts";
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

const HTTPS: HealthCheck = { ...HEALTH_CHECK_DEFAULTS, type: "https", httpHost: "www.example.org" };

function wireTarget(check: HealthCheck, target: string | null = null): string {
  return wireTargetOf(checkTargetOf({ ipAddress: "192.0.2.1", port: 443, target }, check));
}

Deno.test("wireTargetOf() has one spelling, which other nodes and other versions rely on", () => {
  equal(wireTarget(HEALTH_CHECK_DEFAULTS), "tcp:443:4f53cda1");
  equal(wireTarget({ ...HTTPS, port: 8443 }), "https:8443:2b435658");
});

Deno.test("wireTargetOf() says nothing of when is asked", () => {
  equal(wireTarget({ ...HTTPS, intervalMs: 1_000, timeoutMs: 100, rise: 9, fall: 9 }), wireTarget(HTTPS));
});

Deno.test("wireTargetOf() tells apart whatever is asked", () => {
  const others: Partial<HealthCheck>[] = [
    { type: "http" },
    { port: 444 },
    { httpMethod: "HEAD" },
    { httpPath: "/healthz" },
    { httpHost: "example.org" },
    { httpHost: null },
    { httpExpectedStatus: "200" },
    { httpContains: "ok" },
    { insecureSkipVerify: true },
  ];
  const all = others.map((other) => wireTarget({ ...HTTPS, ...other }));
  equal(new Set([...all, wireTarget(HTTPS)]).size, others.length + 1);
});

Deno.test("wireTargetOf() leaves out what a check doesn't ask", () => {
  const http = { ...HTTPS, type: "http" as const };
  equal(wireTarget({ ...http, insecureSkipVerify: true }), wireTarget(http));
  equal(wireTarget({ ...HEALTH_CHECK_DEFAULTS, httpPath: "/else" }), wireTarget(HEALTH_CHECK_DEFAULTS));
  const ownHost = { ...HTTPS, httpHost: null };
  notEqual(wireTarget(ownHost, "a.example.org"), wireTarget(ownHost, "b.example.org"));
});
