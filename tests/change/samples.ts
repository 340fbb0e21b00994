/**
 * Whole objects from the few fields that a test is about, and short ids that tell what they name.
 *
 * @module
 */
import {
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  MEMBER_DEFAULTS,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../../src/model/model.ts";
import type { OverrideFields } from "../../src/model/override.ts";
import { MANUAL_START_UNIX_MS } from "../clock.ts";
import type {
  Edit,
  GeoRuleFields,
  MemberFields,
  Origin,
  PoolFields,
  ServiceFields,
} from "../../src/change/edit.ts";

/** An origin that says nothing of interest. */
export const ORIGIN: Origin = { via: "api", by: "", reason: "" };

/** A well-formed id that shows its number: `id(7)` ends in 7. */
export function id(number: number): string {
  return number.toString(16).padStart(32, "0");
}

/** A pool's fields; named `web` unless told otherwise. */
export function poolFields(fields: Partial<PoolFields> = {}): PoolFields {
  return { ...POOL_DEFAULTS, name: "web", ...fields };
}

/** A member's fields; at 192.0.2.10 port 443 unless told otherwise. */
export function memberFields(fields: Partial<MemberFields> = {}): MemberFields {
  return { ...MEMBER_DEFAULTS, ipAddress: fields.target ? null : "192.0.2.10", port: 443, ...fields };
}

/** A service's fields; `www.example.com` without a pool unless told otherwise. */
export function serviceFields(fields: Partial<ServiceFields> = {}): ServiceFields {
  return { ...SERVICE_DEFAULTS, domain: "www.example.com", ...fields };
}

/** A health check; TCP unless told otherwise. */
export function healthCheck(fields: Partial<HealthCheck> = {}): HealthCheck {
  return { ...HEALTH_CHECK_DEFAULTS, ...fields };
}

/** A geo rule's fields; for 198.51.100.0/24 unless told otherwise. */
export function geoRuleFields(
  fields: Partial<GeoRuleFields> & Pick<GeoRuleFields, "memberId">,
): GeoRuleFields {
  return {
    cidr: fields.asn ? null : "198.51.100.0/24",
    country: null,
    continent: null,
    asn: null,
    ...fields,
  };
}

/** A zone's text with what every zone needs, and more records behind it. */
export function zoneText(...records: readonly string[]): string {
  return [
    "@ 300 SOA ns1 hostmaster 1 7200 900 1209600 300",
    "@ 300 NS ns1",
    "ns1 300 A 192.0.2.1",
    ...records,
    "",
  ]
    .join("\n");
}

/** The edit that creates a pool. */
export function createPool(number: number, fields: Partial<PoolFields> = {}): Edit {
  return { kind: "createPool", id: id(number), fields: poolFields(fields) };
}

/** The edit that creates a member in a pool. */
export function createMember(number: number, pool: number, fields: Partial<MemberFields> = {}): Edit {
  return { kind: "createMember", id: id(number), poolId: id(pool), fields: memberFields(fields) };
}

/** The edit that creates a service. */
export function createService(number: number, fields: Partial<ServiceFields> = {}): Edit {
  return { kind: "createService", id: id(number), fields: serviceFields(fields) };
}

/** Makes an override that holds for an hour of the manual clock's; `down` unless told otherwise. */
export function createOverride(number: number, fields: Partial<OverrideFields> & { target: string }): Edit {
  const startsAt = MANUAL_START_UNIX_MS;
  const rest = { state: "down", reason: "why", owner: "alice", drainMs: 0 } as const;
  return {
    kind: "createOverride",
    id: id(number),
    fields: { ...rest, startsAt, expiresAt: startsAt + 3_600_000, ...fields },
  };
}
