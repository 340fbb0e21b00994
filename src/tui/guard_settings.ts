/**
 * What guards and previews go by where no node does it: the settings that a node on this machine would have, and nothing known
 * of clients.
 *
 * @module
 */
import { EMPTY_GEO_DATA } from "../geo/geo_data.ts";
import type { PortableGuard } from "../plan/answer_guard.ts";
import { loadSettings } from "../settings/settings.ts";

/** `null` = the settings can't be read, so that changes aren't looked at. */
export function guardSettings(config: string | undefined): PortableGuard | null {
  const { settings } = loadSettings({
    ...(config !== undefined && { file: config }),
    env: Deno.env.toObject(),
  });
  if (settings === null) return null;
  const { dns, fallback, guards, geoip: { endpointLocations } } = settings;
  return {
    settings: { dns, fallback, guards, geoip: { endpointLocations } },
    health: { out: new Map(), roundTripsUs: new Map() },
    geoData: EMPTY_GEO_DATA,
    addresses: new Map(),
    nowMs: 0,
  };
}
