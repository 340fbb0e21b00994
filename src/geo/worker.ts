/**
 * The thread on which large files about clients are worked on, so that the main thread goes on with probes and
 * requests meanwhile.
 *
 * It lives for one job: an `Order` comes in, its report goes out, and whoever started the thread ends it
 * (`thread.ts`).
 *
 * @module
 */
import { workOutExtents } from "./extents.ts";
import { Mmdb } from "./mmdb.ts";
import { type MapFileReading, readMapFile } from "./map_file_reading.ts";

/** What to do. */
export type Order =
  /** Read and compile the map file that lies at `path`. */
  | { readonly kind: "map file"; readonly path: string }
  /** Work out the bounds in a database; `path` is where it came from. */
  | { readonly kind: "extents"; readonly path: string; readonly bytes: SharedArrayBuffer };

/** What came of it. */
export interface Reports {
  /** The table, or what is wrong. */
  readonly "map file": MapFileReading;
  /** What `Extents` reads. */
  readonly "extents": SharedArrayBuffer;
}

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(report: Reports[keyof Reports]): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: order }) => {
  scope.postMessage(
    order.kind === "extents"
      ? workOutExtents(new Mmdb(new Uint8Array(order.bytes)))
      : await readMapFile(order.path),
  );
};
