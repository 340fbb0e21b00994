/**
 * The desired state: what the database declares merged with what the settings file declares, as the snapshot
 * compiler reads it. The database wins: a zone in it replaces the settings' zone of the same name, and its
 * fallback replaces the settings' one.
 *
 * Pools and services are handed through as iterables, so that a million services needn't be copied to be read.
 *
 * @module
 */
import { type Fallback, type Pool, type Service, type Zone } from "./model.ts";
import { type ZoneRecord } from "../wire/zone_file.ts";

/** Everything that answers are compiled from. */
export interface Desired {
  /** Of the database; the settings have none. */
  readonly generation: number;
  pools(): Iterable<Pool>;
  services(): Iterable<Service>;
  /** Sorted by domain, each domain once. */
  readonly zones: readonly DesiredZone[];
  /** `null` = names that don't exist are NXDOMAIN. */
  readonly fallback: Fallback | null;
  /** Seconds; TTL of the static fallback and of synthesized SOA and NS. */
  readonly defaultTtl: number;
  /** For synthesized SOA and NS. */
  readonly nameservers: readonly string[];
}

/** A zone that this node is authoritative for. */
export interface DesiredZone {
  /** Lower-case, no final dot. */
  readonly domain: string;
  /** `null` = the zone has no file: SOA and NS are synthesized. */
  readonly records: readonly ZoneRecord[] | null;
}

/** What the database holds, as far as answers depend on it. */
export interface DesiredSource {
  readonly generation: number;
  pools(): Iterable<Pool>;
  services(): Iterable<Service>;
  readonly zones: readonly Zone[];
  readonly fallback: Fallback | null;
}

/** The source of a node without a database. */
export const EMPTY_SOURCE: DesiredSource = {
  generation: 0,
  pools: () => [],
  services: () => [],
  zones: [],
  fallback: null,
};
