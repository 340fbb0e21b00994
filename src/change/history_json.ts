/**
 * Objects as the history keeps them: JSON with the fields of REST in one order and without a revision, so that equal
 * objects are equal text. That is also how a commit tells whether an edit changes anything.
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  type Fallback,
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  MEMBER_DEFAULTS,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../model/model.ts";
import { GEO_RULE, HEALTH_CHECK, MEMBER, POOL, SERVICE } from "../store/columns.ts";
import type { GeoRuleRow } from "../store/geo_rules.ts";
import type { HealthCheckRow } from "../store/health_checks.ts";
import type { MemberRow } from "../store/members.ts";
import type { OverrideRow } from "../store/overrides.ts";
import type { PoolRow } from "../store/pools.ts";
import type { ModelKind } from "../store/past.ts";
import type { ChangedKey } from "../store/replacement.ts";
import type { ServiceRow } from "../store/services.ts";
import type { Store } from "../store/store.ts";
import type { Unstamped } from "../store/write.ts";
import type { ZoneRow } from "../store/zones.ts";

const KEYS = {
  pool: ["id", ...POOL.fields],
  member: ["id", "poolId", ...MEMBER.fields, "seq"],
  healthCheck: ["poolId", ...HEALTH_CHECK.fields],
  geoRule: ["id", "poolId", ...GEO_RULE.fields, "seq"],
  service: ["id", ...SERVICE.fields],
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
} satisfies Record<keyof Recorded, string[]>;

/** What is recorded of each kind, as it is stored. */
export interface Recorded {
  /** A pool's own fields. */
  readonly pool: Unstamped<PoolRow>;
  /** With its pool's id and its place in the order of creation. */
  readonly member: Unstamped<MemberRow>;
  /** With its pool's id. */
  readonly healthCheck: Unstamped<HealthCheckRow>;
  /** With its pool's id and its place in the order of creation. */
  readonly geoRule: Unstamped<GeoRuleRow>;
  /** A service. */
  readonly service: Unstamped<ServiceRow>;
  /** A zone. */
  readonly zone: Unstamped<ZoneRow>;
  /** With the id of the pool that it covers or that its member is of; times in Unix milliseconds. */
  readonly override: Unstamped<OverrideRow>;
}

/** An object's JSON; equal objects are equal text. */
export function jsonOf<Kind extends keyof Recorded>(kind: Kind, object: Recorded[Kind]): string {
  return JSON.stringify(object, KEYS[kind]);
}

/** An object as it is stored at this moment; `null` = it isn't. */
export function storedJson(store: Store, { kind, id }: ChangedKey): string | null {
  switch (kind) {
    case "pool":
      return jsonOrNull(kind, store.pools.get(id));
    case "member":
      return jsonOrNull(kind, store.members.get(id));
    case "healthCheck":
      return jsonOrNull(kind, store.healthChecks.get(id));
    case "geoRule":
      return jsonOrNull(kind, store.geoRules.get(id));
    case "service":
      return jsonOrNull(kind, store.services.get(id));
    case "zone":
      return jsonOrNull(kind, store.zones.get(id));
  }
}

/** The place of an object that an older release recorded without one. */
export const UNPLACED = 0;

/** An object that was recorded by this release or an older one, which lacks what came later. */
export function objectOf<Kind extends Exclude<ModelKind, "fallback">>(
  kind: Kind,
  json: string,
): Recorded[Kind] {
  const recorded = JSON.parse(json);
  const object = { ...DEFAULTS[kind], ...recorded };
  // What vouches for it is the program that recorded it.
  return kind === "healthCheck" ? withWholeChecks(object) : object;
}

/** What was recorded, in the text in which this release records it. */
export function recordedText(kind: ModelKind, json: string): string {
  return kind === "fallback" ? fallbackJson(fallbackOf(json)) : jsonOf(kind, objectOf(kind, json));
}

/** The static fallback that was recorded. */
export function fallbackOf(json: string): Fallback {
  const recorded = JSON.parse(json);
  const { healthCheck } = recorded;
  return { ttl: null, ...recorded, healthCheck: healthCheck && { ...HEALTH_CHECK_DEFAULTS, ...healthCheck } };
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

const DEFAULTS = {
  pool: POOL_DEFAULTS,
  member: { ...MEMBER_DEFAULTS, seq: UNPLACED },
  healthCheck: HEALTH_CHECK_DEFAULTS,
  geoRule: { cidr: null, country: null, continent: null, asn: null, seq: UNPLACED },
  service: SERVICE_DEFAULTS,
  zone: {},
};

function withWholeChecks<Check extends HealthCheck>(check: Check): Check {
  return { ...check, checks: check.checks.map((each) => ({ ...HEALTH_CHECK_DEFAULTS, ...each })) };
}

function jsonOrNull<Kind extends keyof Recorded>(kind: Kind, object: Recorded[Kind] | null): string | null {
  return object && jsonOf(kind, object);
}
