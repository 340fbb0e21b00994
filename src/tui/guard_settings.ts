/**
 * What guards and previews go by where no node does it: the settings that a node on this machine would have, and nothing known
 * of clients.
 *
 * @module
 */
import { EMPTY_GEO_DATA } from "../geo/geo_data.ts";
import type { PortableGuard } from "../plan/answer_guard.ts";
import { type SettingsOutside, systemOutside } from "../settings/outside.ts";
import { loadSettings } from "../settings/settings.ts";
import type { Opening } from "./messages.ts";

/** `null` = the settings can't be read, so that changes aren't looked at. */
export function guardSettings({ config, env }: Opening["settings"]): PortableGuard | null {
  const { settings } = loadSettings({
    ...(config !== undefined && { file: config }),
    env,
    outside: outsideOf(env),
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

/** What guards don't go by isn't looked at: the thread of the database may see neither the machine's name nor its network. */
function outsideOf(env: Opening["settings"]["env"]): SettingsOutside {
  return {
    ...systemOutside,
    isWritable: () => true,
    hostname: () => "localhost",
    homeFolder: () => env["HOME"] ?? "/",
    tlsRefusal: () => null,
  };
}
