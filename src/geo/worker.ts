/**
 * The thread on which large files about clients are worked on, so that the main thread goes on with probes and
 * requests meanwhile.
 *
 * It lives for one job: an `Order` comes in, its report goes out, and whoever started the thread ends it
 * (`thread.ts`).
 *
 * @module
 */
import type { DatabaseKind } from "./database.ts";
import { type DatabaseFault, faultOf } from "./database_fault.ts";
import { workOutExtents } from "./extents.ts";
import { Mmdb } from "./mmdb.ts";
import { type MapFileReading, readMapFile } from "./map_file_reading.ts";

/** What to do. */
export type Order =
  /** Read and compile the map file that lies at `path`. */
  | { readonly kind: "map file"; readonly path: string }
  /** Look whether the database that lies at `path` may be gone by. */
  | { readonly kind: "database"; readonly path: string; readonly databaseKind: DatabaseKind }
  /** Work out the bounds in a database; `path` is where it came from. */
  | { readonly kind: "extents"; readonly path: string; readonly bytes: SharedArrayBuffer };

/** What came of it. */
export interface Reports {
  /** The table, or what is wrong. */
  readonly "map file": MapFileReading;
  /** What is wrong; `null` = nothing. */
  readonly "database": DatabaseFault | null;
  /** What `Extents` reads. */
  readonly "extents": SharedArrayBuffer;
}

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(report: Reports[keyof Reports]): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: order }) => scope.postMessage(await carryOut(order));

function carryOut(order: Order): Reports[keyof Reports] | Promise<MapFileReading> {
  switch (order.kind) {
    case "map file":
      return readMapFile(order.path);
    case "database":
      return faultOf(order.path, order.databaseKind);
    case "extents":
      return workOutExtents(new Mmdb(new Uint8Array(order.bytes)));
  }
}
