/**
 * The desired state: what the database declares merged with what the settings file declares, as the snapshot
 * compiler reads it. The database wins: a zone in it replaces the settings' zone of the same name, and its
 * fallback replaces the settings' one.
 *
 * Pools and services are handed through as iterables, so that a million services needn't be copied to be read.
 *
 * @module
 */
import { type AddressesOf, flattenedPool } from "./flattened.ts";
import type { Fallback, GeoRule, Member, Pool, Service, Zone } from "../model/model.ts";
import type { Settings } from "../settings/settings.ts";
import { compareText } from "../input/yaml_source.ts";
import { readZoneText } from "../model/zone_text.ts";
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
  /** Seconds; TTL of a static fallback that has none, and of synthesized SOA and NS. */
  readonly defaultTtl: number;
  /** For synthesized SOA and NS. */
  readonly nameservers: readonly string[];
}

/** As much of a pool as answers depend on. */
export interface SteeredPool extends Omit<Pool, "name" | "members" | "geoRules"> {
  /** In the order in which they rotate. */
  readonly members: readonly SteeredMember[];
  /** In the order in which they were added. */
  readonly geoRules: readonly SteeredGeoRule[];
  /** Unix milliseconds of the earliest planned change of what is answered; 0 = none. */
  readonly changesAt: number;
  /** Where names are answered as names: the members that are chosen from then, with rules that lead to them. */
  readonly named?: Pick<SteeredPool, "members" | "geoRules">;
}

/** As much of a member as answers depend on. */
export interface SteeredMember extends
  Pick<
    Member,
    | "ipAddress"
    | "target"
    | "port"
    | "weight"
    | "priority"
    | "enabled"
    | "latitude"
    | "longitude"
    | "region"
  > {
  /** `null` where nothing depends on it: pools have it that have geo rules or a failback policy. */
  readonly id: string | null;
  /** What is left of the member while it drains; 1 = all of it. */
  readonly share: number;
  /** What is left of it by drains alone, already part of `share`; absent = all. Its clients go elsewhere bit by bit. */
  readonly left?: number;
  /** Whether an operator says that it is up, whatever its check says. */
  readonly forcedUp: boolean;
  /** The known addresses of a member that is answered as its name; it has no `ipAddress` then. */
  readonly addresses?: readonly string[];
}

/** As much of a geo rule as answers depend on. */
export interface SteeredGeoRule extends Omit<GeoRule, "id" | "memberId"> {
  /** Index among the pool's members. */
  readonly member: number;
}

/** As much of a service as answers depend on. */
export type SteeredService = Pick<Service, "domain" | "poolId" | "ttl" | "minTtl" | "ecs">;

/** A zone that this node is authoritative for. */
export interface DesiredZone {
  /** Lower-case, no final dot. */
  readonly domain: string;
  /** `null` = the zone has no file: SOA and NS are synthesized. */
  readonly records: readonly ZoneRecord[] | null;
}

/** A desired state that says of single objects of the database, too, what the same settings make of them. */
export interface MergedDesired extends Desired {
  /** The zone of a domain, which the database has or hasn't; `null` = there is none. */
  zoneOf(domain: string, declared: Zone | null): DesiredZone | null;
  /** The fallback, where the database has this one. */
  fallbackOf(declared: Fallback | null): Fallback | null;
  /**
   * Does what takes long before the first pool comes; yields where another turn may be due. Gives how many pools there are,
   * about; 0 = that isn't known.
   */
  prepare(): Generator<void, number>;
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
  /**
   * Does what takes long before the first pool comes; yields where another turn may be due. Gives how many pools there are,
   * about; 0 = that isn't known.
   */
  prepare(): Generator<void, number>;
}

/**
 * Merges a database with the settings, both of which must be valid. A zone's text is read when its records are asked for.
 *
 * @param addressesOf what is known of members by name
 */
export function desiredOf(
  settings: Pick<Settings, "dns" | "fallback">,
  source: DesiredSource,
  addressesOf: AddressesOf,
): MergedDesired {
  const { domain: domains, zones: files, ttl, nameservers } = settings.dns;
  const ofSettings = new Map<string, DesiredZone>();
  for (const domain of domains) ofSettings.set(domain, { domain, records: null });
  for (const zone of files) ofSettings.set(zone.domain, desiredZone(zone, ttl));
  const zones = new Map(ofSettings);
  for (const zone of source.zones) zones.set(zone.domain, desiredZone(zone, ttl));
  return {
    generation: source.generation,
    prepare: () => source.prepare(),
    pools: () => flattenedPools(source.pools(), addressesOf),
    checkedPools: () => flattenedPools(source.checkedPools(), addressesOf),
    services: () => source.services(),
    zones: [...zones.values()].sort((a, b) => compareText(a.domain, b.domain)),
    zoneOf: (domain, declared) => declared ? desiredZone(declared, ttl) : ofSettings.get(domain) ?? null,
    fallback: source.fallback ?? settings.fallback,
    fallbackOf: (declared) => declared ?? settings.fallback,
    defaultTtl: ttl,
    nameservers,
  };
}

function* flattenedPools(
  pools: Iterable<SteeredPool>,
  addressesOf: AddressesOf,
): Generator<SteeredPool> {
  for (const pool of pools) yield flattenedPool(pool, addressesOf);
}

function desiredZone(zone: Zone, defaultTtl: number): DesiredZone {
  const { domain } = zone;
  let records: readonly ZoneRecord[] | null = null;
  return {
    domain,
    get records() {
      return records ??= readZoneText(zone.text, { domain, defaultTtl }).records;
    },
  };
}
