/**
 * What an algorithm goes by and this node hasn't got: then all members rotate, which no operator who chose another
 * algorithm expects. Whoever reads the log is told.
 *
 * @module
 */
import type { GeoRule, Pool } from "./model.ts";

/** What of a node's settings steering goes by. */
export interface SteeringSettings {
  /** Paths of databases; empty = none. */
  readonly geoip: { readonly database: readonly string[]; readonly asnDatabase: readonly string[] };
  /** The path of the map file; `null` = none. */
  readonly mapFile: { readonly path: string | null };
}

/** Pools that a remark names at most. */
const NAMED_MAX = 5;

/** A sentence about those of the pools that can't steer as they say; `null` = all can. */
export function remarkOnSteering(
  pools: Iterable<Pick<Pool, "name" | "algorithm" | "healthCheck">>,
  settings: SteeringSettings,
): string | null {
  const lacking = [...pools].flatMap((pool) => {
    const lack = lackOf(pool, settings);
    return lack === null ? [] : { name: pool.name, lack };
  });
  const [first, ...others] = lacking;
  if (!first) return null;
  if (others.length === 0) return `Members of pool ${first.name} only rotate: ${first.lack}`;
  const named = lacking.slice(0, NAMED_MAX).map(({ name, lack }) => `${name} (${lack})`).join(", ");
  const more = lacking.length - NAMED_MAX;
  return `Members of ${lacking.length} pools only rotate: ${named}${more > 0 ? ` and ${more} more` : ""}`;
}

/** What an algorithm goes by and this node hasn't got, so that members only rotate; `null` = nothing. */
export function lackOf(
  { algorithm, healthCheck }: Pick<Pool, "algorithm" | "healthCheck">,
  { geoip, mapFile }: SteeringSettings,
): string | null {
  switch (algorithm) {
    case "geoip":
      return geoip.database.length === 0 ? "geoip needs the setting geoip.database" : null;
    case "map-file":
      return mapFile.path === null ? "map-file needs the setting mapFile.path" : null;
    case "latency":
      return healthCheck === null ? "latency needs a health check" : null;
    default:
      return null;
  }
}

/** What a geo rule goes by and this node hasn't got, so that it never matches; `null` = nothing. */
export function lackOfRule(
  { country, continent, asn }: Pick<GeoRule, "country" | "continent" | "asn">,
  { geoip }: Pick<SteeringSettings, "geoip">,
): string | null {
  if ((country !== null || continent !== null) && geoip.database.length === 0) {
    return `${
      country !== null ? `country ${country}` : `continent ${continent}`
    } needs the setting geoip.database`;
  }
  return asn !== null && geoip.asnDatabase.length === 0
    ? `AS${asn} needs the setting geoip.asnDatabase`
    : null;
}

/** A sentence about those geo rules of the pools that can never match; `null` = all can. */
export function remarkOnRules(
  pools: Iterable<Pick<Pool, "name" | "geoRules">>,
  settings: Pick<SteeringSettings, "geoip">,
): string | null {
  const lacking = [...pools].flatMap(({ name, geoRules }) =>
    geoRules.flatMap((rule) => {
      const lack = lackOfRule(rule, settings);
      return lack === null ? [] : `${name}: ${lack}`;
    })
  );
  if (lacking.length === 0) return null;
  const more = lacking.length - NAMED_MAX;
  const named = lacking.slice(0, NAMED_MAX).join("; ");
  return `Geo rules that never match: ${named}${more > 0 ? ` and ${more} more` : ""}`;
}
