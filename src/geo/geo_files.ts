/**
 * The atlas of a node, kept up to date: its databases and its map file as one.
 *
 * Where members are is known here, too: they say it themselves, or the settings do, or else the database by their
 * addresses.
 *
 * @module
 */
import type { Place } from "./location.ts";
import type { Clock } from "../clock.ts";
import type { Member } from "../model/model.ts";
import { type Atlas, EMPTY_ATLAS } from "./geo_data.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { type DatabasePaths, Databases } from "./watched_databases.ts";
import { MapFileSource } from "./watched_map_file.ts";

/** The settings that name files and places. */
export interface AtlasSettings {
  /** Databases, and where addresses are that have no coordinates of their own; by address, in degrees. */
  readonly geoip: DatabasePaths & { readonly endpointLocations: Readonly<Record<string, Place>> };
  /** The map file, if there is one. */
  readonly mapFile: { readonly path: string | null };
}

/** What an atlas needs. */
export interface AtlasFilesOptions {
  /** Which files there are; `use` takes others. */
  readonly settings: AtlasSettings;
  /** Paces the looks at the files. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Hears of every load. */
  readonly log: Logger;
  /** Gets the metrics of databases and map file. */
  readonly registry: Registry;
}

/**
 * Keeps a node's atlas up to date.
 *
 * @example
 * ```ts
 * await using files = new AtlasFiles({ settings, clock: systemClock, log, registry });
 * await files.reload();
 * using _ = files.onChange((atlas) => publish(atlas));
 * ```
 */
export class AtlasFiles implements AsyncDisposable {
  readonly #databases: Databases;
  readonly #map: MapFileSource;
  readonly #listeners = new Set<(atlas: Atlas) => void>();
  #endpointLocations: Readonly<Record<string, Place>>;
  #atlas: Atlas = EMPTY_ATLAS;
  /** While several files are read one change is told of, not one a file. */
  #readings = 0;
  #hasChanged = false;

  /** Begins to watch the files; what is in them is there after `reload`. */
  constructor({ settings, ...options }: AtlasFilesOptions) {
    const onChange = () => this.#change();
    this.#databases = new Databases({ ...options, paths: settings.geoip, onChange });
    this.#map = new MapFileSource({ ...options, path: settings.mapFile.path, onChange });
    this.#endpointLocations = settings.geoip.endpointLocations;
  }

  /** What is known of clients, as of now. */
  get atlas(): Atlas {
    return this.#atlas;
  }

  /** Tells of every new atlas, until it is disposed of; members may stand elsewhere then, too. */
  onChange(listener: (atlas: Atlas) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Reads every file that isn't as it was; resolves when what is good is in `atlas`. Never rejects. */
  reload(): Promise<void> {
    return this.#together([() => this.#databases.reload(), () => this.#map.reload()]);
  }

  /** Takes over other settings; resolves when what is good in their files is in `atlas`. Never rejects. */
  use({ geoip, mapFile }: AtlasSettings): Promise<void> {
    this.#endpointLocations = geoip.endpointLocations;
    return this.#together([() => this.#databases.use(geoip), () => this.#map.use(mapFile.path)]);
  }

  /** Counts databases that were refused with the settings that name them. */
  countRefused(databases: number): void {
    this.#databases.countRefused(databases);
  }

  /** Where an address is, as far as a database knows. */
  locate(ipAddress: string): Place | null {
    return this.#databases.locate(ipAddress);
  }

  /** Where a member stands, if anybody knows. */
  placeOf(
    { latitude, longitude, ipAddress }: Pick<Member, "latitude" | "longitude" | "ipAddress">,
  ): Place | null {
    if (latitude !== null && longitude !== null) return { latitude, longitude };
    if (ipAddress === null) return null;
    return this.#endpointLocations[ipAddress] ?? this.locate(ipAddress);
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
    this.#atlas = this.#draw();
    for (const listener of this.#listeners) listener(this.#atlas);
  }

  #draw(): Atlas {
    const { city, asn } = this.#databases;
    return {
      edition: this.#atlas.edition + 1,
      city: city.map(({ bytes }) => bytes),
      extents: city.map(({ extents }) => extents),
      asn: asn.map(({ bytes }) => bytes),
      map: this.#map.current,
    };
  }
}
