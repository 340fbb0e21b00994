/**
 * What is known of clients: where they are, whose network they are in, which rule of the map file names them. Read
 * from files, put into shared memory, and handed to the workers beside the tables; it outlives them.
 *
 * @module
 */

/** The files, as workers read them; never written again. */
export interface GeoData {
  /** Grows with every new one of a process, so that readers know theirs again. */
  readonly edition: number;
  /** MaxMind databases of places as they are; a split database has one file for each family. */
  readonly city: readonly SharedArrayBuffer[];
  /** Bounds of everything below a node of each city file (`geo/extents.ts`); `null` = not worked out yet. */
  readonly extents: readonly (SharedArrayBuffer | null)[];
  /** MaxMind databases of autonomous systems. */
  readonly asn: readonly SharedArrayBuffer[];
  /** The compiled map file (`geo/map_file_table.ts`); `null` = there is none. */
  readonly map: SharedArrayBuffer | null;
}

/** Nothing is known of any client. */
export const EMPTY_GEO_DATA: GeoData = { edition: 0, city: [], extents: [], asn: [], map: null };
