/**
 * Objects as the history keeps them: JSON with the fields of REST in one order and without a revision, so that equal
 * objects are equal text. That is also how a commit tells whether an edit changes anything.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Fallback, HealthCheck } from "../model/model.ts";
import type { GeoRuleRow } from "../store/geo_rules.ts";
import type { HealthCheckRow } from "../store/health_checks.ts";
import type { MemberRow } from "../store/members.ts";
import type { OverrideRow } from "../store/overrides.ts";
import type { PoolRow } from "../store/pools.ts";
import type { ChangedKey } from "../store/replacement.ts";
import type { ServiceRow } from "../store/services.ts";
import type { Store } from "../store/store.ts";
import type { Unstamped } from "../store/write.ts";
import type { ZoneRow } from "../store/zones.ts";

const KEYS = {
  pool: [
    "id",
    "name",
    "algorithm",
    "maxAnswers",
    "onAllDown",
    "fallbackPoolId",
    "minHealthy",
    "failback",
    "failbackDelayMs",
    "geofence",
    "flatten",
  ],
  member: [
    "id",
    "poolId",
    "ipAddress",
    "target",
    "port",
    "weight",
    "priority",
    "enabled",
    "latitude",
    "longitude",
    "region",
  ],
  healthCheck: [
    "poolId",
    "type",
    "port",
    "intervalMs",
    "timeoutMs",
    "rise",
    "fall",
    "httpMethod",
    "httpPath",
    "httpHost",
    "httpExpectedStatus",
    "httpContains",
    "insecureSkipVerify",
    "require",
    "checks",
  ],
  geoRule: ["id", "poolId", "cidr", "country", "continent", "asn", "memberId"],
  service: ["id", "domain", "poolId", "ttl", "minTtl", "ecs"],
  zone: ["domain", "text"],
  override: [
    "id",
    "target",
    "poolId",
    "state",
    "reason",
    "owner",
    "startsAt",
    "expiresAt",
    "drainMs",
    "createdAt",
  ],
} satisfies Record<string, string[]>;

/** An object as it is stored at this moment; `null` = it isn't. */
export function storedJson(store: Store, { kind, id }: ChangedKey): string | null {
  switch (kind) {
    case "pool":
      return jsonOrNull(store.pools.get(id), poolJson);
    case "member":
      return jsonOrNull(store.members.get(id), memberJson);
    case "healthCheck":
      return jsonOrNull(store.healthChecks.get(id), checkJson);
    case "geoRule":
      return jsonOrNull(store.geoRules.get(id), geoRuleJson);
    case "service":
      return jsonOrNull(store.services.get(id), serviceJson);
    case "zone":
      return jsonOrNull(store.zones.get(id), zoneJson);
  }
}

/** A pool's own fields. */
export function poolJson(pool: Unstamped<PoolRow>): string {
  return JSON.stringify(pool, KEYS.pool);
}

/** A member, with its pool's id. */
export function memberJson(member: Unstamped<MemberRow>): string {
  return JSON.stringify(member, KEYS.member);
}

/** A health check, with its pool's id. */
export function checkJson(check: HealthCheck & Pick<HealthCheckRow, "poolId">): string {
  return JSON.stringify(check, KEYS.healthCheck);
}

/** A geo rule, with its pool's id. */
export function geoRuleJson(rule: Unstamped<GeoRuleRow>): string {
  return JSON.stringify(rule, KEYS.geoRule);
}

/** A service. */
export function serviceJson(service: Unstamped<ServiceRow>): string {
  return JSON.stringify(service, KEYS.service);
}

/** An override, with the id of the pool that it or its member is; times in Unix milliseconds. */
export function overrideJson(override: Unstamped<OverrideRow>): string {
  return JSON.stringify(override, KEYS.override);
}

/** The static fallback. */
export function fallbackJson(fallback: Fallback): string {
  const { algorithm, endpoints, weights, onAllDown, ttl, healthCheck } = fallback;
  const check = healthCheck && JSON.parse(JSON.stringify(healthCheck, KEYS.healthCheck));
  return JSON.stringify({ algorithm, endpoints, weights, onAllDown, ttl, healthCheck: check });
}

/**
 * What the static fallback has for a revision: a number that follows from its content, since there is one of it and it
 * has no row of its own; 0 = there is none.
 */
export function fallbackRevision(fallback: Fallback | null): number {
  if (fallback === null) return 0;
  const digest = createHash("sha256").update(fallbackJson(fallback)).digest();
  return digest.readUIntBE(0, 6);
}

/** A zone. */
export function zoneJson(zone: Unstamped<ZoneRow>): string {
  return JSON.stringify(zone, KEYS.zone);
}

function jsonOrNull<Row>(row: Row | null, json: (row: Row) => string): string | null {
  return row && json(row);
}
