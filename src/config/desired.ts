/**
 * The desired state: what the database declares merged with what the settings file declares, as the snapshot
 * compiler reads it. The database wins: a zone in it replaces the settings' zone of the same name, and its
 * fallback replaces the settings' one.
 *
 * Pools and services are handed through as iterables, so that a million services needn't be copied to be read.
 *
 * @module
 */
import type { Fallback, Member, Pool, Service, Zone } from "./model.ts";
import type { Settings } from "./settings.ts";
import { compareText } from "./yaml_source.ts";
import { readZoneText } from "./zone_text.ts";
import type { ZoneRecord } from "../wire/zone_file.ts";

/** Everything that answers are compiled from. */
export interface Desired {
  /** Of the database; the settings have none. */
  readonly generation: number;
  /** Reads the pools one by one; may be called again. */
  pools(): Iterable<SteeredPool>;
  /** Those pools that have a health check. */
  checkedPools(): Iterable<SteeredPool>;
  /** Reads the services one by one; may be called again. */
  services(): Iterable<SteeredService>;
  /** Sorted by domain, each domain once. */
  readonly zones: readonly DesiredZone[];
  /** `null` = names that don't exist are NXDOMAIN. */
  readonly fallback: Fallback | null;
  /** Seconds; TTL of the static fallback and of synthesized SOA and NS. */
  readonly defaultTtl: number;
  /** For synthesized SOA and NS. */
  readonly nameservers: readonly string[];
}

/** As much of a pool as answers depend on; every `Pool` is one. */
export interface SteeredPool extends Omit<Pool, "name" | "members" | "geoRules"> {
  /** In the order in which they rotate. */
  readonly members: readonly SteeredMember[];
}

/** As much of a member as answers depend on. */
export type SteeredMember = Pick<Member, "ipAddress" | "port" | "weight" | "priority" | "enabled">;

/** As much of a service as answers depend on. */
export type SteeredService = Pick<Service, "domain" | "poolId" | "ttl">;

/** A zone that this node is authoritative for. */
export interface DesiredZone {
  /** Lower-case, no final dot. */
  readonly domain: string;
  /** `null` = the zone has no file: SOA and NS are synthesized. */
  readonly records: readonly ZoneRecord[] | null;
}

/** What the database holds, as far as answers depend on it. */
export interface DesiredSource {
  /** Of the last commit. */
  readonly generation: number;
  /** Reads the pools one by one; may be called again. */
  pools(): Iterable<SteeredPool>;
  /** Those pools that have a health check. */
  checkedPools(): Iterable<SteeredPool>;
  /** Reads the services one by one; may be called again. */
  services(): Iterable<SteeredService>;
  /** Each domain once. */
  readonly zones: readonly Zone[];
  /** `null` = the settings' fallback counts. */
  readonly fallback: Fallback | null;
}

/** Merges a database with the settings. Zones are read here, so both must be valid. */
export function desiredOf(settings: Settings, source: DesiredSource): Desired {
  const { domain: domains, zones: files, ttl, nameservers } = settings.dns;
  const zones = new Map<string, DesiredZone>();
  for (const domain of domains) zones.set(domain, { domain, records: null });
  for (const zone of [...files, ...source.zones]) zones.set(zone.domain, desiredZone(zone, ttl));
  return {
    generation: source.generation,
    pools: () => source.pools(),
    checkedPools: () => source.checkedPools(),
    services: () => source.services(),
    zones: [...zones.values()].sort((a, b) => compareText(a.domain, b.domain)),
    fallback: source.fallback ?? settings.fallback,
    defaultTtl: ttl,
    nameservers,
  };
}

function desiredZone(zone: Zone, defaultTtl: number): DesiredZone {
  const known = zonesRead.get(zone);
  if (known?.defaultTtl === defaultTtl) return known.zone;
  const { records } = readZoneText(zone.text, { domain: zone.domain, defaultTtl });
  const read = { domain: zone.domain, records };
  zonesRead.set(zone, { defaultTtl, zone: read });
  return read;
}

/** A change of one member must not read every zone again: as long as a zone is the same object, so is its content. */
const zonesRead = new WeakMap<Zone, { readonly defaultTtl: number; readonly zone: DesiredZone }>();
