/**
 * The geo data of a node, kept up to date: its databases and its map file as one.
 *
 * Where members are is known here, too: they say it themselves, or the settings do, or else the database by their
 * addresses.
 *
 * @module
 */
import type { Location } from "./location.ts";
import type { Clock } from "../clock.ts";
import type { Member } from "../model/model.ts";
import { EMPTY_GEO_DATA, type GeoData } from "./geo_data.ts";
import { Listeners } from "../listeners.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { type DatabasePaths, Databases, locate, type PreparedDatabases } from "./watched_databases.ts";
import { MapFileSource } from "./watched_map_file.ts";

/** The settings that name files and places. */
export interface GeoSettings {
  /** Databases, and where addresses are that have no coordinates of their own; by address, in degrees. */
  readonly geoip: DatabasePaths & { readonly endpointLocations: Readonly<Record<string, Location>> };
  /** The map file, if there is one. */
  readonly mapFile: { readonly path: string | null };
}

/** What geo data needs. */
export interface GeoFilesOptions {
  /** Which files there are; `prepare` reads others. */
  readonly settings: GeoSettings;
  /** Paces the looks at the files. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Hears of every load. */
  readonly log: Logger;
  /** Gets the metrics of databases and map file. */
  readonly registry: Registry;
}

/**
 * Keeps a node's geo data up to date.
 *
 * @example
 * ```ts
 * await using files = new GeoFiles({ settings, clock: systemClock, log, registry });
 * await files.reload();
 * using _ = files.onChange((geo data) => publish(geo data));
 * ```
 */
export class GeoFiles implements AsyncDisposable {
  readonly #databases: Databases;
  readonly #map: MapFileSource;
  readonly #listeners = new Listeners<GeoData>();
  #endpointLocations: Readonly<Record<string, Location>>;
  #geoData: GeoData = EMPTY_GEO_DATA;
  /** Of the settings that are being taken over: it may be answered from already, and stays the same geo data. */
  #prepared: GeoData | null = null;
  /** Of the last that was drawn, whether or not it came into effect. */
  #edition = EMPTY_GEO_DATA.edition;
  /** While several files are read one change is told of, not one a file. */
  #readings = 0;
  #hasChanged = false;

  /** Begins to watch the files; what is in them is there after `reload`. */
  constructor({ settings, ...options }: GeoFilesOptions) {
    const onChange = () => this.#change();
    this.#databases = new Databases({ ...options, paths: settings.geoip, onChange });
    this.#map = new MapFileSource({ ...options, path: settings.mapFile.path, onChange });
    this.#endpointLocations = settings.geoip.endpointLocations;
  }

  /** What is known of clients, as of now. */
  get geoData(): GeoData {
    return this.#geoData;
  }

  /** Tells of every new geo data, until it is disposed of; members may stand elsewhere then, too. */
  onChange(hear: (geoData: GeoData) => void): Disposable {
    return this.#listeners.add(hear);
  }

  /** Reads every file that isn't as it was; resolves when what is good is in `geo data`. Never rejects. */
  reload(): Promise<void> {
    return this.#together([() => this.#databases.reload(), () => this.#map.reload()]);
  }

  /**
   * Reads the files of other settings beside those in effect: nothing is another before `take`. A file that is in effect
   * already and can't be taken any more stays as it was read, and so do the rules of a map file where the next has faults.
   *
   * @throws {Error} when a file that is named for the first time can't be taken
   * @throws the reason of the signal, or of the end
   */
  async prepare({ geoip, mapFile }: GeoSettings, signal: AbortSignal): Promise<PreparedGeoData> {
    const [databases, map] = await Promise.all([
      this.#databases.prepare(geoip, signal),
      this.#map.prepare(mapFile.path, signal),
    ]);
    const { endpointLocations } = geoip;
    const geoData = this.#draw({ ...databases, map: map.table });
    let isTaken = false;
    const current = () => isTaken ? this.#geoData : geoData;
    return {
      get geoData() {
        return current();
      },
      locationOf: (member) =>
        isTaken ? this.locationOf(member) : locationOf(member, { endpointLocations, city: databases.city }),
      take: () => {
        isTaken = true;
        this.#endpointLocations = endpointLocations;
        this.#prepared = geoData;
        databases.take();
        map.take();
        this.#change();
        this.#prepared = null;
      },
    };
  }

  /** Counts databases that were refused with the settings that name them. */
  countRefused(databases: number): void {
    this.#databases.countRefused(databases);
  }

  /** Where an address is, as far as a database knows. */
  locate(ipAddress: string): Location | null {
    return locate(ipAddress, this.#databases.city);
  }

  /** Where a member is, if that is known. */
  locationOf(member: Placed): Location | null {
    return locationOf(member, { endpointLocations: this.#endpointLocations, city: this.#databases.city });
  }

  /** Resolves when the bounds in all databases have been worked out. */
  bounded(): Promise<void> {
    return this.#databases.bounded();
  }

  /** Ends watching. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#databases[Symbol.asyncDispose](), this.#map[Symbol.asyncDispose]()]);
  }

  async #together(steps: readonly (() => Promise<void>)[]): Promise<void> {
    this.#readings++;
    try {
      await Promise.all(steps.map((step) => step()));
    } finally {
      this.#readings--;
    }
    if (this.#hasChanged) this.#change();
  }

  #change(): void {
    this.#hasChanged = this.#readings > 0;
    if (this.#hasChanged) return;
    const { city, asn } = this.#databases;
    const geoData = this.#draw({ city, asn, map: this.#map.current });
    if (geoData === this.#geoData) return;
    this.#geoData = geoData;
    this.#listeners.tell(geoData);
  }

  /** The geo data of these; where nothing is another, it is the one that is there. */
  #draw({ city, asn, map }: Pick<PreparedDatabases, "city" | "asn"> & Pick<GeoData, "map">): GeoData {
    const drawn = {
      city: city.map(({ bytes }) => bytes),
      extents: city.map(({ extents }) => extents),
      asn: asn.map(({ bytes }) => bytes),
      map,
    };
    for (const geoData of [this.#geoData, this.#prepared]) {
      if (geoData && isDrawnAs(geoData, drawn)) return geoData;
    }
    return { edition: ++this.#edition, ...drawn };
  }
}

/** What is known of clients by other settings: as it was prepared, and from when it is taken on as it is then. */
export interface PreparedGeoData extends Pick<GeoFiles, "geoData" | "locationOf"> {
  /** Puts it in effect, and tells of it where it is another. */
  readonly take: () => void;
}

/** What says where a member stands. */
export type Placed = Pick<Member, "latitude" | "longitude" | "ipAddress">;

/** Where a member is: as it says itself, as the settings say of its address, or as the databases do. */
export function locationOf(
  { latitude, longitude, ipAddress }: Placed,
  { endpointLocations, city }: Pick<GeoSettings["geoip"], "endpointLocations"> & {
    readonly city: Parameters<typeof locate>[1];
  },
): Location | null {
  if (latitude !== null && longitude !== null) return { latitude, longitude };
  if (ipAddress === null) return null;
  return endpointLocations[ipAddress] ?? locate(ipAddress, city);
}

/** Whether geo data is of the very same tables. */
function isDrawnAs(geoData: GeoData, { city, extents, asn, map }: Omit<GeoData, "edition">): boolean {
  const lists = [[geoData.city, city], [geoData.extents, extents], [geoData.asn, asn], [[geoData.map], [
    map,
  ]]] as const;
  return lists.every(([one, other]) =>
    one.length === other.length && one.every((table, i) => table === other[i])
  );
}
