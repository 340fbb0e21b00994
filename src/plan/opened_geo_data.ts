/**
 * Geo data opened for reading, once for all forecasts of a thread: opening takes long, and what was found out in them is
 * worth keeping for the next forecast.
 *
 * @module
 */
import { OpenGeoData } from "../dns/clients.ts";
import type { GeoData } from "../geo/geo_data.ts";

const opened = new WeakMap<GeoData, OpenGeoData>();

/** The very same for the very same geo data, and gone with them. */
export function openedOf(geoData: GeoData): OpenGeoData {
  const known = opened.get(geoData) ?? new OpenGeoData(geoData, { mayWait: true });
  opened.set(geoData, known);
  return known;
}
