/**
 * What is left of an object with wrong fields: what it is called and what it refers to, so that its references and its
 * repetitions are judged in the same run as its fields. Such an object is never made; only its place in the whole is.
 *
 * @module
 */
import type { z } from "zod";
import { addressOf, MEMBER_DEFAULTS, POOL_DEFAULTS, SERVICE_DEFAULTS } from "./model.ts";
import {
  memberFieldsSchema,
  type PoolFile,
  poolFileSchema,
  type ServiceFile,
  serviceFileSchema,
  type ZoneFile,
  zoneFileSchema,
} from "./model_schema.ts";
import { isMapping } from "../input/spelling.ts";

/** A name that no object can have: it stands in for one that can't be read. */
export function standInName(place: number): string {
  return `(${place})`;
}

/** Whether a name stands in for one that can't be read. */
export function isStandIn(name: string): boolean {
  return name.startsWith("(");
}

/** A pool with its right fields; the others have their defaults. `place` tells its stand-in's name from others. */
export function salvagePool(value: unknown, place: number): PoolFile {
  const given = isMapping(value) ? value : {};
  const { shape } = poolFileSchema;
  const { fallbackPoolId: _, ...defaults } = POOL_DEFAULTS;
  const members = listOf(given["members"]).map(salvageMember);
  return {
    ...defaults,
    name: right(shape.name, given["name"]) ?? standInName(place),
    fallbackPool: right(shape.fallbackPool, given["fallbackPool"]) ?? null,
    members,
    healthCheck: null,
    geoRules: salvageRules(given["geoRules"], members),
  };
}

/** Likewise a service. */
export function salvageService(value: unknown, place: number): ServiceFile {
  const given = isMapping(value) ? value : {};
  const { shape } = serviceFileSchema;
  const { poolId: _, ...defaults } = SERVICE_DEFAULTS;
  return {
    ...defaults,
    domain: right(shape.domain, given["domain"]) ?? standInName(place),
    pool: right(shape.pool, given["pool"]) ?? null,
  };
}

/** Likewise a zone; without its domain nothing of it means anything. */
export function salvageZone(value: unknown): ZoneFile | null {
  const given = isMapping(value) ? value : {};
  const { shape } = zoneFileSchema;
  const domain = right(shape.domain, given["domain"]);
  if (domain === undefined) return null;
  const file = right(shape.file, given["file"]) ?? null;
  const text = right(shape.text, given["text"]) ?? null;
  // Of a zone that has both, it is unknown which counts.
  return file !== null && text !== null ? { domain, file: null, text: null } : { domain, file, text };
}

/** A member whose port can't be read has one that no other has, so that it repeats none. */
function salvageMember(value: unknown, i: number): PoolFile["members"][number] {
  const given = isMapping(value) ? value : {};
  const { shape } = memberFieldsSchema;
  const ipAddress = right(shape.ipAddress, given["ipAddress"]) ?? null;
  const target = ipAddress === null ? right(shape.target, given["target"]) ?? null : null;
  return {
    ...MEMBER_DEFAULTS,
    ipAddress,
    target: ipAddress ?? target ? target : `(member ${i})`,
    port: right(shape.port, given["port"]) ?? -1 - i,
  };
}

/** None where it isn't sure what a rule refers to, or what it might refer to. */
function salvageRules(value: unknown, members: PoolFile["members"]): PoolFile["geoRules"] {
  if (members.some((member) => isStandIn(addressOf(member)))) return [];
  const rules = listOf(value).map((rule) => {
    const member = right(poolFileSchema.shape.geoRules, [{ cidr: "0.0.0.0/0", ...only(rule, "member") }])
      ?.[0];
    return member ?? null;
  });
  return rules.every((rule) => rule !== null) ? rules : [];
}

function only(value: unknown, key: string): Record<string, unknown> {
  return isMapping(value) ? { [key]: value[key] } : {};
}

/** What the schema makes of a value; `undefined` = it is wrong. */
function right<Value>(schema: z.ZodType<Value>, value: unknown): Value | undefined {
  return schema.safeParse(value).data;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
